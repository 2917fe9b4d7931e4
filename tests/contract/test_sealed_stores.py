"""The stores behind what seals prompts keep the promises of the stores in front of nothing.

The suites of the ledger's records and of waiting work run again, each through the sealing stores;
afterwards nothing that they kept may hold a prompt in clear.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.history import GenerationFilter
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.parked_work import read_move
from shared.services.sealed_parked_work import SealedParkedWork
from shared.services.sealed_stores import SealedLedger, SealedRecords
from tests import builders
from tests.contract import test_ledger, test_ledger_ends, test_parked_work
from tests.contract.ledger_bench import Bench
from tests.contract.overage_bench import LATER, OverageBench
from tests.fakes.field_keys import Sealing
from tests.fakes.grants import FakeGrants
from tests.fakes.parked_work import FakeParkedWork
from tests.fakes.records import FakeRecords

PROMPT = builders.request().prompt
HASHES_STAY_SEALED = {"test_work_that_waits_reserves_nothing"}  # compares an approval's whole hold


@pytest.fixture
def sealing() -> Iterator[Sealing]:
    made = Sealing()
    yield made
    assert PROMPT not in json.dumps(made.connection.container("ledger").partitions)


@pytest.fixture
def money(sealing: Sealing) -> Bench:
    department_id = f"d{uuid.uuid4().hex[:12]}"
    owner = builders.caller(1, department_id)
    connection = sealing.connection.as_connection()
    ledger: Any = SealedLedger(CosmosLedger(connection), sealing.documents)
    return Bench(ledger, connection, Partition(department_id, "202611"), owner)


@pytest.fixture
def parked(sealing: Sealing, money: Bench) -> OverageBench:
    store = SealedParkedWork(FakeParkedWork(sealing.connection), sealing.documents)
    policies = CosmosBudgetPolicies(money.connection)
    return OverageBench(money, FakeGrants(sealing.connection), store, policies)


@pytest.fixture
def records(sealing: Sealing) -> SealedRecords:
    return SealedRecords(FakeRecords(sealing.connection), sealing.documents)


def suite(*modules: Any) -> list[Any]:
    """The tests of a contract suite that need nothing but its bench."""
    found = [
        each
        for module in modules
        for name, each in vars(module).items()
        if name.startswith("test_")
        and name not in HASHES_STAY_SEALED
        and list(each.__annotations__) == ["bench", "return"]
    ]
    return [pytest.param(each, id=each.__name__) for each in found]


@pytest.mark.parametrize("promise", suite(test_ledger, test_ledger_ends))
async def test_ledger_keeps_its_promises(promise: Any, money: Bench) -> None:
    await promise(money)


@pytest.mark.parametrize("promise", suite(test_parked_work))
async def test_waiting_work_keeps_its_promises(promise: Any, parked: OverageBench) -> None:
    await promise(parked)


async def test_record_is_read_as_it_was_reserved(money: Bench, records: SealedRecords) -> None:
    await money.open()
    work = money.single()
    await money.reserve(work)
    stored = await money.must_read(f"g:{work.generation_id}")
    assert isinstance(stored["request"]["prompt"], dict)
    found = await records.generation(work.generation_id)
    assert found is not None
    assert clear(found) == work.record()
    wanted = GenerationFilter(work.owner.tenant_id)
    page = await records.generations(money.partition, wanted, None, 10)
    assert [clear(each) for each in page.documents] == [work.record()]


async def test_rows_are_read_as_they_were_booked(money: Bench, records: SealedRecords) -> None:
    batch_id, work = await money.reserve_batch(1_000, 2_000)
    await money.note_unknown(work[0])
    await money.resolve(batch_id, *[builders.resolution(each) for each in work])
    found = await records.batch_generations(batch_id, 1, 2)
    assert [each["request"]["prompt"] for each in found] == [PROMPT, PROMPT]
    assert [each["status"] for each in found] == ["succeeded", "succeeded"]


async def test_hold_shows_the_hash_of_the_request_and_stores_another(money: Bench) -> None:
    await money.open()
    work = money.single()
    await money.reserve(work)
    expected = builders.hold(work, money.scopes)
    assert await money.ledger.hold(work.operation_id) == expected
    stored = await money.must_read(f"h:{work.operation_id}")
    assert stored["request_hash"].startswith("siv1:1:")
    assert expected.request_hash not in json.dumps(stored)


async def test_moved_work_opens_where_it_lands(parked: OverageBench) -> None:
    await parked.money.open()
    move = parked.move_of(parked.work())
    assert await parked.move(move) == move
    found = await parked.parked.find_move(move.operation_id)
    assert found is not None
    await parked.parked.land(found)
    waiting = await parked.waiting_there(move)
    assert waiting.record["request"]["prompt"] == PROMPT
    assert waiting.hold == move.parked.hold


async def test_sweep_lands_a_move_as_it_is_stored(parked: OverageBench) -> None:
    await parked.money.open()
    move = parked.move_of(parked.work())
    await parked.move(move)
    (document,) = await parked.parked.waiting(parked.money.partition, LATER, "")
    await parked.parked.land(read_move(document))
    waiting = await parked.waiting_there(move)
    assert waiting.record["request"]["prompt"] == PROMPT
    assert waiting.hold == move.parked.hold


def clear(document: Document) -> Document:
    return {
        name: value
        for name, value in document.items()
        if not name.startswith("_") and name != "schema_version"
    }
