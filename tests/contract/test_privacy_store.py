"""The PrivacyStore port: one suite on the fake and on the SDK."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_privacy import CosmosPrivacy
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.privacy_overrides import PrivacyOverride
from shared.domain.privacy_policies import PrivacyPolicy, Residency, privacy_partition
from shared.domain.privacy_rules import PrivacyRule
from shared.errors import PreconditionFailed
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.privacy import FakePrivacy


@dataclass
class Bench:
    """A department and a tenant of their own."""

    store: CosmosPrivacy
    connection: CosmosConnection
    department: str
    tenant: str

    def policy(self, revision: int = 1, change: str = "c1") -> PrivacyPolicy:
        return PrivacyPolicy(
            owner=self.department,
            actions={"contact": "block", "person": "redact"},
            rules=(
                PrivacyRule("sites", "pattern", "location", r"SITE-\d{4}"),
                PrivacyRule("projects", "terms", terms=("nightingale",)),
            ),
            allowed_values=("press@example.com",),
            synonyms={"au_tfn": ("tax id",)},
            language="de",
            confidence_percent=80,
            residency=Residency("named", ("NZ",)),
            updated_at=builders.CREATED_AT,
            revision=revision,
            change_id=change,
        )

    def override(self, name: str = "a", **changes: object) -> PrivacyOverride:
        override = PrivacyOverride(
            override_id=f"{self.department}-{name * 32}",
            tenant_id=self.tenant,
            department_id=self.department,
            data_classes=("health",),
            reason="consent",
            granted_by=f"{self.tenant}.m",
            created_at=f"2026-11-15T12:00:00.00000{int(name, 16) % 10}+00:00",
            ends_at="2026-11-15T18:00:00+00:00",
            status="pending",
            change_id="c1",
        )
        return replace(override, **changes)  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def opened(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[CosmosPrivacy, CosmosConnection]]:
    if request.param == "fake":
        fake = FakeConnection()
        yield FakePrivacy(fake), fake.as_connection()
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield CosmosPrivacy(connection), connection
        await connection.aclose()


@pytest.fixture
def bench(opened: tuple[CosmosPrivacy, CosmosConnection]) -> Bench:
    return Bench(*opened, f"d{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))


async def test_policy_is_what_was_put_with_its_event(bench: Bench) -> None:
    policy, event = bench.policy(), builders.event("p", "privacy_policy.changed.1")
    assert await bench.store.policy(bench.tenant, bench.department) is None
    await bench.store.put_policy(bench.tenant, policy, event)
    assert await bench.store.policy(bench.tenant, bench.department) == policy
    container = await bench.connection.container("ledger")
    key = privacy_partition(bench.department, bench.tenant).key
    assert await read_or_none(container, f"e:{event.event_id}", key) is not None


async def test_the_organisations_policy_is_each_tenants_own(bench: Bench) -> None:
    policy = replace(bench.policy(), owner=ORGANISATION_WIDE)
    await bench.store.put_policy(bench.tenant, policy, builders.event("p", "x.1"))
    assert await bench.store.policy(bench.tenant, ORGANISATION_WIDE) == policy
    assert await bench.store.policy(str(uuid.uuid4()), ORGANISATION_WIDE) is None


async def test_put_repeated_after_a_lost_answer_is_taken(bench: Bench) -> None:
    policy, event = bench.policy(), builders.event("p", "x.1")
    for _ in range(2):
        await bench.store.put_policy(bench.tenant, policy, event)
    assert await bench.store.policy(bench.tenant, bench.department) == policy


async def test_put_by_two_at_once_is_taken_from_one(bench: Bench) -> None:
    rivals = [bench.policy(change=f"c{n}") for n in range(6)]
    answers = await asyncio.gather(
        *(
            bench.store.put_policy(bench.tenant, each, builders.event("p", f"x.{n}"))
            for n, each in enumerate(rivals)
        ),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 1
    assert all(answer is None or isinstance(answer, PreconditionFailed) for answer in answers)
    standing = await bench.store.policy(bench.tenant, bench.department)
    assert standing == rivals[answers.index(None)]


async def test_override_changes_revision_by_revision(bench: Bench) -> None:
    override = bench.override()
    await bench.store.put_override(override, builders.event("o", "x.1"))
    approved = replace(override, status="active", approved_by="t.o", revision=2, change_id="c2")
    await bench.store.put_override(approved, builders.event("o", "x.2"))
    assert await bench.store.override(override.override_id) == approved
    late = replace(override, status="ended", revision=2, change_id="c3")
    with pytest.raises(PreconditionFailed):
        await bench.store.put_override(late, builders.event("o", "x.3"))
    assert await bench.store.override("malformed") is None
    assert await bench.store.override(bench.override("f").override_id) is None


async def test_overrides_are_those_that_last_newest_first(bench: Bench) -> None:
    wanted = [bench.override("1"), bench.override("2", status="active")]
    others = [
        bench.override("3", status="ended"),
        bench.override("4", ends_at="2026-11-15T12:30:00+00:00"),
    ]
    for each in (*wanted, *others):
        await bench.store.put_override(each, builders.event(each.override_id, "x.1"))
    found = await bench.store.overrides(bench.department, "2026-11-15T13:00:00+00:00")
    assert list(found) == wanted[::-1]
