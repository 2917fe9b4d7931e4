"""The app with two issuers, on one account: what a further tenant does gets where ours does."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

import shared.domain
import shared.services
from devhost.cosmos.roles import read_roles
from devhost.cosmos.server import RunningCosmos, start_cosmos
from devhost.field_keys import ensure_field_keys
from devhost.local_settings import FIELD_KEY_SETTING, people, setting_values
from devhost.ports import Ports
from devhost.resources import RESOURCES_FILE, read_resources
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.cases import organisation_cases
from shared.domain.identity import Caller, Principal, Role
from shared.domain.privacy_policies import PrivacyPolicy
from shared.domain.sealed_fields import Subject
from shared.errors import NotFound
from shared.services.audit_deletions import deletions_partition
from shared.services.key_rotation import RotationReport
from shared.services.organisation_budgets import OrganisationChange
from shared.settings import load_settings
from shared.wiring import Services
from tests.contract.test_key_wrappers import prepend

TENANTS: Sequence[str] = [str(each["id"]) for each in people()["tenants"][:2]]
HOME, FURTHER = TENANTS
OF_THE_OPERATOR = {organisation_cases, deletions_partition}  # the home tenant's alone


class Account:
    """A running account and the app's settings for it, with two issuers."""

    def __init__(self, running: RunningCosmos, folder: Path) -> None:
        self.running = running
        self.field_keys = folder / "field_keys"
        ensure_field_keys(self.field_keys)
        ports = Ports()
        further = {
            "issuer": f"{ports.url('simulators')}/{FURTHER}/v2.0",
            "tenant_id": FURTHER,
            "audience": str(people()["api"]["client_id"]),
            "scope": "Images.Generate",
            "step_up_context": "c1",
        }
        self.settings = load_settings(
            {
                **setting_values(ports),
                "EIG_COSMOS_ENDPOINT": running.endpoint,
                "EIG_TOKEN_ISSUERS": json.dumps([further]),
                FIELD_KEY_SETTING: str(self.field_keys),
            }
        )

    async def documents(self, container: str, condition: str) -> list[dict[str, Any]]:
        """Documents of every partition."""
        key = self.running.key
        async with CosmosClient(
            self.running.endpoint, key, enable_endpoint_discovery=False
        ) as client:
            held = client.get_database_client("eig").get_container_client(container)
            found = held.query_items(f"SELECT * FROM c WHERE {condition}")
            return [dict(each) async for each in found]


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    running = await start_cosmos(None, 0, roles=read_roles(RESOURCES_FILE))
    async with CosmosClient(
        running.endpoint, running.key, enable_endpoint_discovery=False
    ) as client:
        database = await client.create_database("eig")
        for each in read_resources().containers:
            await database.create_container(each.id, PartitionKey(each.partition_key))
    yield Account(running, tmp_path)
    await running.stop()


@pytest.fixture
async def app(account: Account) -> AsyncIterator[Services]:
    services = Services(account.settings)
    yield services
    await services.aclose()


def admin(tenant_id: str) -> Caller:
    return Caller(Principal(tenant_id, "an-admin", Role.ORG_ADMIN), "operations")


async def act(app: Services, tenant_id: str) -> None:
    """One change in each container and partition that an Org Admin reaches."""
    caller = admin(tenant_id)
    await app.freezes.set(caller, "model:sdxl", "a rehearsal", None, "c-1")
    await app.privacy_policies.put(
        caller,
        ORGANISATION_WIDE,
        PrivacyPolicy(ORGANISATION_WIDE),
        expected=None,
        correlation_id="c-2",
    )
    change = OrganisationChange(900_000_000)
    await app.organisation_budgets.put(caller, change, expected=0, correlation_id="c-3")
    await app.prompt_vault.sealing_key(Subject(tenant_id, caller.key))


def partition_functions() -> Iterator[Callable[[str], Any]]:
    """Each function of ours that names partitions by a tenant alone."""
    for package in (shared.domain, shared.services):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for _, each in inspect.getmembers(module, inspect.isfunction):
                if each.__module__ != module.__name__:
                    continue
                names = list(inspect.signature(each).parameters)
                if names == ["tenant_id"] and "Partition" in str(get_type_hints(each)["return"]):
                    yield each


async def test_every_partition_of_every_tenant_is_relayed(app: Services) -> None:
    relayed = {part.key for _, parts in await app.relays(thorough=True) for part in parts}
    functions = list(partition_functions())
    assert set(functions) >= OF_THE_OPERATOR and len(functions) >= 7
    for function in functions:
        for tenant_id in [HOME] if function in OF_THE_OPERATOR else TENANTS:
            found = function(tenant_id)
            parts = found if isinstance(found, tuple) else (found,)
            assert {part.key for part in parts} <= relayed, (function.__name__, tenant_id)


async def test_what_every_tenant_does_gets_into_the_audit_log(
    account: Account, app: Services
) -> None:
    for tenant_id in TENANTS:
        await act(app, tenant_id)
    for relay, partitions in await app.relays(thorough=False):
        await relay.run(partitions)
    for container in ("ledger", "keys", "sessions", "directory"):
        assert await account.documents(container, "c.type = 'outbox'") == [], container
    for tenant_id in TENANTS:
        copied = await account.documents("audit", f"CONTAINS(c.pk, '{tenant_id}')")
        assert {
            "freeze.set.1",
            "privacy_policy.changed.1",
            "budget.changed.1",
            "data_key.created",
        } <= {each["event"]["action"] for each in copied}, tenant_id


async def test_transfers_of_every_tenant_are_swept(app: Services) -> None:
    assert list(app.allocations.tenants) == TENANTS


async def test_rotation_leaves_no_tenant_behind(account: Account, app: Services) -> None:
    for tenant_id in TENANTS:
        await app.prompt_vault.sealing_key(Subject(tenant_id, admin(tenant_id).key))
    prepend(account.field_keys, "2")
    rotation = Services(account.settings)
    assert await rotation.key_rotation.run() == RotationReport("local:2", rewrapped=2, left=0)
    await rotation.aclose()
    keys = await account.documents("keys", "c.type = 'data_key'")
    assert {each["kek"] for each in keys} == {"local:2"}


async def test_log_and_invoices_are_the_operators_alone(app: Services) -> None:
    log, books = app.audit_log, app.reconciliation
    theirs = admin(FURTHER)
    for call in (
        log.checkpoint(theirs),
        log.file(theirs, "tile/entries/000"),
        log.entries(theirs, "model:sdxl:freeze.set.1", None),
        log.inclusion(theirs, 0),
        log.consistency(theirs, 1, 1),
        books.runs(theirs),
        books.run_now(theirs, "replicate", app.clock.now().date(), "c-1"),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await books.runs(admin(HOME))).items == ()
