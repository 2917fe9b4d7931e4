import json
from dataclasses import replace

import pytest

from shared.domain.attempt_markers import marker_document, read_marker
from shared.domain.attempts import Failure
from shared.domain.generations import GenerationRequest
from shared.domain.ids import row_generation_id
from shared.domain.ledger import (
    OPERATIONS_MAX,
    RESOLVE_ROWS_MAX,
    Create,
    Patch,
    partition_for,
    read_hold,
    reserve_operations,
    resolve_groups,
    resolve_operations,
    rows_that_fit,
    unknown_operations,
)
from shared.domain.models import MODELS
from shared.domain.settlements import expired_report, resolution_for, unknown_event, unknown_record
from shared.errors import InvariantBroken
from tests.builders import (
    CLOSED_AT,
    batch_reservation,
    catalogue,
    hold,
    item,
    marker,
    quote,
    report,
    request,
    reservation,
    resolution,
    rows,
    single_id,
)

BATCH_BYTES_MAX = 2 * 1024 * 1024  # Cosmos DB: body of one transactional batch
PATCH_STEPS_MAX = 10  # Cosmos DB: operations of one patch
BATCH = single_id("batch")
WORK = item(quote=quote(1_000))
SCOPES = hold(WORK).scopes


def ids(operations: list[object]) -> list[str]:
    return [
        str(each.document["id"]) if isinstance(each, Create) else str(getattr(each, "item_id", ""))
        for each in operations
    ]


def test_reserve_begins_with_the_hold_and_then_asks_every_scope() -> None:
    operations = reserve_operations(reservation(WORK))
    assert ids([*operations]) == [
        f"h:{WORK.generation_id}",
        "budget:department:marketing",
        f"budget:user:{WORK.owner.user_key}",
        f"g:{WORK.generation_id}",
        f"e:{WORK.generation_id}:generation.admitted",
    ]
    assert isinstance(operations[0], Create)
    for patch in operations[1:3]:
        assert isinstance(patch, Patch)
        assert patch.predicate is not None and "+ 1000 <= c.ceiling_micros" in patch.predicate
        assert patch.operations == ({"op": "incr", "path": "/reserved_micros", "value": 1_000},)


def test_every_document_of_a_reservation_lives_in_the_same_partition() -> None:
    work = rows(BATCH, [100, 200])
    for each in reserve_operations(batch_reservation(BATCH, work)):
        if isinstance(each, Create):
            assert each.document["pk"] == "marketing|202611"


@pytest.mark.parametrize("changes", [{"amount_micros": 0}, {"rows": 0}, {"amount_micros": -5}])
def test_reserve_of_nothing_is_an_invariant_broken(changes: dict[str, int]) -> None:
    with pytest.raises(InvariantBroken):
        reserve_operations(reservation(WORK, **changes))


def test_a_hold_reads_back_as_it_was_written() -> None:
    created = reserve_operations(reservation(WORK))[0]
    assert isinstance(created, Create)
    assert read_hold(json.loads(json.dumps(created.document))) == hold(WORK)


def test_resolve_begins_with_the_entries_and_moves_held_to_spent() -> None:
    operations = resolve_operations(
        WORK.operation_id, SCOPES, [resolution(WORK, usd_micros=300)], {}
    )
    first, held, department, user, record, _rest, event = operations
    assert isinstance(first, Create) and first.document["id"] == f"x:{WORK.generation_id}"
    assert isinstance(held, Patch) and held.item_id == f"h:{WORK.generation_id}"
    assert {step["path"]: step["value"] for step in held.operations} == {
        "/remaining_micros": -1_000,
        "/open_rows": -1,
    }
    for patch in (department, user):
        assert isinstance(patch, Patch)
        assert {step["path"]: step["value"] for step in patch.operations} == {
            "/reserved_micros": -1_000,
            "/spent_micros": 300,
        }
    assert isinstance(record, Patch) and isinstance(event, Create)


def test_resolve_of_rows_counts_them_in_their_batch() -> None:
    work = rows(BATCH, [100, 200, 300])
    ends = [
        resolution(work[0], usd_micros=10),
        resolution(work[1], "ended", failure=Failure.TIMEOUT, usd_micros=20),
        replace(resolution(work[2], usd_micros=30), record_exists=True),
    ]
    progress = resolve_operations(BATCH, SCOPES, ends, {})[-1]
    assert isinstance(progress, Patch)
    assert {step["path"]: step["value"] for step in progress.operations} == {
        "/counts/failed": 1,
        "/counts/indeterminate": -1,
        "/counts/succeeded": 2,
        "/spent_micros": 60,
        "/images": 2,
        "/progress_at": CLOSED_AT,
    }


def test_resolve_above_the_hold_is_an_invariant_broken() -> None:
    end = replace(resolution(WORK, usd_micros=1_000), held_micros=999)
    with pytest.raises(InvariantBroken, match="I1"):
        resolve_operations(WORK.operation_id, SCOPES, [end], {})


@pytest.mark.parametrize("number", [0, RESOLVE_ROWS_MAX + 1])
def test_resolve_of_too_few_or_too_many_rows_is_an_invariant_broken(number: int) -> None:
    ends = [resolution(each) for each in rows(BATCH, [100] * number)]
    with pytest.raises(InvariantBroken):
        resolve_operations(BATCH, SCOPES, ends, {})


def test_the_largest_resolve_stays_inside_the_limits_of_the_store() -> None:
    longest = "🖼" * MODELS["sdxl"].prompt_chars_max
    wanted = GenerationRequest(
        model="sdxl", prompt=longest, negative_prompt=longest, size="1024x1024", count=4
    )
    ends = []
    for each in rows(BATCH, [100] * RESOLVE_ROWS_MAX):
        dear = replace(each, request=wanted, item_id="i" * 64)
        ends.append(resolution_for(dear, expired_report(dear, report(dear, "unknown")), CLOSED_AT))
    operations = resolve_operations(BATCH, SCOPES, ends, {})
    assert len(operations) <= OPERATIONS_MAX
    size_bytes = 0
    for operation in operations:
        if isinstance(operation, Patch):
            assert len(operation.operations) <= PATCH_STEPS_MAX
        size_bytes += len(json.dumps(vars(operation)).encode())
    assert size_bytes < BATCH_BYTES_MAX


def test_rows_that_open_several_cases_fill_a_transaction_and_no_more() -> None:
    case = {"id": "case:x"}
    ends = [
        replace(resolution(each), cases=(case,) * 4)
        for each in rows(BATCH, [100] * RESOLVE_ROWS_MAX)
    ]
    fit = rows_that_fit(ends, len(SCOPES))
    assert 0 < fit < len(ends)
    assert len(resolve_operations(BATCH, SCOPES, ends[:fit], {})) <= OPERATIONS_MAX
    with pytest.raises(InvariantBroken):
        resolve_operations(BATCH, SCOPES, ends[: fit + 1], {})


def test_groups_keep_the_order_and_fit_one_transaction_by_number_and_size() -> None:
    rare = GenerationRequest(
        model="sdxl", prompt="\U0001f5bc" * 4_000, negative_prompt="\U0001f3a8" * 4_000
    )
    batch_id = single_id()
    ids = [row_generation_id(batch_id, number) for number in range(1, 46)]
    long_rows = [resolution(item(each, rare)) for each in ids]
    groups = list(resolve_groups(long_rows))
    assert [r for group in groups for r in group] == long_rows
    for group in groups:
        operations = resolve_operations(batch_id, (), group, {})
        written = [op.document for op in operations if isinstance(op, Create)]
        assert len(group) <= RESOLVE_ROWS_MAX
        assert len(json.dumps(written)) < BATCH_BYTES_MAX
    assert len(groups) > len(long_rows) / RESOLVE_ROWS_MAX  # size cut them, not only number
    assert list(resolve_groups([])) == []


def test_unknown_touches_no_budget_and_no_hold() -> None:
    row = rows(BATCH, [100])[0]
    for work in (WORK, row):
        unknown = report(work, "unknown")
        operations = unknown_operations(
            work.generation_id,
            unknown_record(work, unknown, "t"),
            unknown_event(work, unknown, "t"),
        )
        touched = ids([*operations])
        assert not [each for each in touched if each.startswith(("budget:", "h:", "x:"))]
        assert f"g:{work.generation_id}" in touched


def test_a_marker_reads_back_as_it_was_written() -> None:
    written = replace(marker(WORK, 2), job_id="job", outcome={"ending": "ended"})
    assert read_marker(json.loads(json.dumps(marker_document(written)))) == written
    assert marker_document(written)["id"] == f"a:{WORK.generation_id}:2"


def test_partition_of_a_malformed_id_is_an_invariant_broken() -> None:
    with pytest.raises(InvariantBroken):
        partition_for("nothing")


def test_a_record_keeps_the_request_and_the_price_that_were_admitted() -> None:
    work = item(wanted=request("flux-schnell"))
    record = work.record()
    assert record["request"] == work.request.model_dump(mode="json")
    assert record["quote"]["price_version"] == catalogue().version
    assert record["status"] == "queued"
