"""`shared.seed` and `shared.rotate_keys` by the operators' role: enough, and nothing more."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from devhost.cosmos.roles import Role, read_roles, role_key
from devhost.cosmos.server import start_cosmos
from devhost.field_keys import ensure_field_keys
from devhost.local_settings import FIELD_KEY_SETTING, setting_values
from devhost.ports import Ports
from devhost.resources import RESOURCES_FILE, read_resources
from shared.services.key_rotation import RotationReport
from shared.settings import load_settings
from shared.wiring import Services
from tests.contract.test_key_wrappers import prepend

ORGANISATION = Path(__file__).parents[2] / "examples" / "organisation.json"
(OPERATORS,) = [role for role in read_roles(RESOURCES_FILE) if role.name == "operators"]


@asynccontextmanager
async def operating(role: Role, key_file: Path) -> AsyncIterator[Services]:
    """The services of a command, whose account knows the operators by this role."""
    running = await start_cosmos(None, 0, roles=(role,))
    try:
        async with CosmosClient(
            running.endpoint, running.key, enable_endpoint_discovery=False
        ) as client:
            database = await client.create_database(read_resources().database)
            for each in read_resources().containers:
                await database.create_container(each.id, PartitionKey(each.partition_key))
        settings = setting_values(Ports()) | {
            "EIG_COSMOS_ENDPOINT": running.endpoint,
            "EIG_COSMOS_KEY": role_key(role.name),
            "EIG_AUDIT_COSMOS_KEY": role_key("nobody"),
            "EIG_AUDIT_READER_COSMOS_KEY": role_key("nobody"),
            FIELD_KEY_SETTING: str(key_file),
        }
        services = Services(load_settings(settings))
        try:
            yield services
        finally:
            await services.aclose()
    finally:
        await running.stop()


async def test_commands_run_by_the_operators_role(tmp_path: Path) -> None:
    key_file = tmp_path / "field_keys"
    ensure_field_keys(key_file)
    async with operating(OPERATORS, key_file) as services:
        organisation = json.loads(ORGANISATION.read_text("utf-8"))
        assert await services.organisation.seed(organisation) > 0
        prepend(key_file, "2")
        assert await services.key_rotation.run() == RotationReport("local:2", rewrapped=1, left=0)


@pytest.mark.parametrize("missing", OPERATORS.containers)
async def test_commands_need_every_container_of_the_operators_role(
    tmp_path: Path, missing: str
) -> None:
    key_file = tmp_path / "field_keys"
    ensure_field_keys(key_file)
    less = tuple(each for each in OPERATORS.containers if each != missing)
    async with operating(replace(OPERATORS, containers=less), key_file) as services:
        with pytest.raises(Exception, match=r"\[operators\] does not have"):
            await services.organisation.seed(json.loads(ORGANISATION.read_text("utf-8")))
