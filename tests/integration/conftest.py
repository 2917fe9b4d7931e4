"""One cloud for the whole suite; after each module its books must balance."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.api import Person
from tests.integration.books import check_all
from tests.integration.cloud import Cloud, open_cloud


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """The app under test and what stands behind it."""
    async with open_cloud(tmp_path_factory.mktemp("cloud")) as opened:
        if opened.simulators_url is None:
            pytest.skip("EIG_TARGET needs EIG_TARGET_SIMULATORS, which issues the tokens")
        yield opened


@pytest.fixture(scope="module", autouse=True)
async def _books_balance(cloud: Cloud) -> AsyncIterator[None]:
    yield
    if cloud.cosmos is not None:
        await check_all(cloud)


@pytest.fixture(scope="session")
def own_cloud(cloud: Cloud) -> Cloud:
    """The cloud if its processes are ours: to kill, to fault, to configure."""
    if cloud.stack is None:
        pytest.skip("needs control over the processes")
    return cloud


@pytest.fixture(scope="session")
def ledger(cloud: Cloud) -> Cloud:
    """The cloud if its database can be read."""
    if cloud.cosmos is None:
        pytest.skip("needs EIG_TARGET_COSMOS")
    return cloud


@pytest.fixture(scope="session")
def files(cloud: Cloud) -> Cloud:
    """The cloud if its storage can be read."""
    if cloud.storage is None:
        pytest.skip("needs EIG_TARGET_STORAGE")
    return cloud


@pytest.fixture(scope="session")
async def ava(cloud: Cloud) -> Person:
    """Standard User in marketing."""
    return await cloud.person("ava")


@pytest.fixture(scope="session")
async def ben(cloud: Cloud) -> Person:
    """Standard User in marketing."""
    return await cloud.person("ben")


@pytest.fixture(scope="session")
async def mia(cloud: Cloud) -> Person:
    """Dept Manager of marketing."""
    return await cloud.person("mia")


@pytest.fixture(scope="session")
async def finn(cloud: Cloud) -> Person:
    """Standard User in design."""
    return await cloud.person("finn")


@pytest.fixture(scope="session")
async def pat(cloud: Cloud) -> Person:
    """Power User in design."""
    return await cloud.person("pat")


@pytest.fixture(scope="session")
async def olga(cloud: Cloud) -> Person:
    """Org Admin."""
    return await cloud.person("olga")


@pytest.fixture(scope="session")
def nobody(cloud: Cloud) -> Person:
    """Somebody without a token."""
    return cloud.with_token(None)
