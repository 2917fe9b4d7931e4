"""The Secret port: a given value, and Key Vault's REST API over TLS through its SDK."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from devhost.key_vault.server import KeyVault, running_vault
from shared.adapters.given_secret import GivenSecret
from shared.adapters.key_vault_secrets import KEPT_S, KeyVaultSecret
from shared.errors import InvariantBroken, Unavailable
from shared.ports.secrets import Secret
from tests.contract.vault_clients import vault_options
from tests.fakes.clock import FakeClock

NAME = "replicate-token"
CANARY = "r8_canary_4711"
Vault = tuple[KeyVault, KeyVaultSecret, FakeClock]


@pytest_asyncio.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with running_vault(tmp_path) as (server, certificate):
        server.set_secret(NAME, CANARY)
        clock = FakeClock()
        secret = KeyVaultSecret(server.secret_url(NAME), clock, **vault_options(certificate))
        yield server, secret, clock
        await secret.aclose()


@pytest.fixture(params=["given", "vault"])
def secret(request: pytest.FixtureRequest, vault: Vault) -> Secret:
    return GivenSecret(CANARY) if request.param == "given" else vault[1]


async def test_value_is_what_was_set_and_nothing_newer_is_known(secret: Secret) -> None:
    assert await secret.value() == CANARY
    assert await secret.renewed(CANARY) is None
    assert await secret.renewed("an older value") == CANARY


async def test_value_is_not_shown_by_its_text_form(secret: Secret) -> None:
    await secret.value()
    assert CANARY not in repr(secret)


async def test_value_is_read_once_until_its_time_is_over(vault: Vault) -> None:
    server, secret, clock = vault
    for _ in range(5):
        await secret.value()
    assert server.calls["get_secret"] == 1
    server.set_secret(NAME, "new")
    clock.advance(KEPT_S - 1)
    assert await secret.value() == CANARY
    clock.advance(1)
    assert await secret.value() == "new"


async def test_refused_value_is_read_again_at_once_and_not_in_a_storm(vault: Vault) -> None:
    server, secret, _ = vault
    await secret.value()
    server.set_secret(NAME, "new")  # at the very moment: a value just read may be refused, too
    assert await secret.renewed(CANARY) == "new"
    assert await secret.renewed(CANARY) == "new"  # another request was refused with the old one
    assert await secret.value() == "new"
    reads = server.calls["get_secret"]
    for _ in range(10):
        assert await secret.renewed("new") is None
    assert server.calls["get_secret"] == reads


async def test_last_value_serves_while_the_vault_is_away(vault: Vault) -> None:
    server, secret, clock = vault
    await secret.value()
    server.fail = [503] * 20
    clock.advance(KEPT_S)
    assert await secret.value() == CANARY
    left = len(server.fail)
    assert await secret.value() == CANARY  # the vault is left in peace for a while
    assert len(server.fail) == left


async def test_vault_that_never_answered_is_unavailable(vault: Vault) -> None:
    server, secret, _ = vault
    server.fail = [503] * 20
    with pytest.raises(Unavailable):
        await secret.value()


async def test_throttled_read_is_repeated_as_the_vault_asks(vault: Vault) -> None:
    server, secret, _ = vault
    server.throttle = [0, 0]
    assert await secret.value() == CANARY


@pytest.mark.parametrize("fault", ["missing", "deleted", "disabled", "empty"])
async def test_secret_that_nobody_may_read_is_a_fault(vault: Vault, fault: str) -> None:
    server, secret, _ = vault
    standing = server.secrets[NAME]
    if fault == "missing":
        del server.secrets[NAME]
    elif fault == "deleted":
        standing.deleted = True
    elif fault == "disabled":
        standing.disabled = set(standing.versions)
    else:
        standing.add("")
    with pytest.raises(InvariantBroken):
        await secret.value()


@pytest.mark.parametrize(
    "address", ["http://v/secrets/a", "https://v/keys/a", "https://v/secrets/a/1", "https://v"]
)
def test_address_that_is_no_secret_is_refused(address: str) -> None:
    with pytest.raises(InvariantBroken):
        KeyVaultSecret(address, FakeClock())


async def test_value_reaches_no_log(vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    server, secret, clock = vault
    with caplog.at_level(logging.DEBUG):
        await secret.value()
        clock.advance(KEPT_S)
        server.fail = [503] * 20
        await secret.value()
        await secret.renewed(CANARY)
    assert caplog.records
    assert CANARY not in caplog.text
