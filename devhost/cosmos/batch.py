"""Transactional batches: all operations of one partition key, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devhost.cosmos import charges, operations
from devhost.cosmos.catalog import Container
from devhost.cosmos.errors import ServiceError, bad_request, not_emulated, too_large
from devhost.cosmos.operations import Conditions, Outcome
from devhost.cosmos.store import Store, Transaction
from devhost.cosmos.wire_json import decode, encode

OPERATIONS_MAX = 100  # service limit
BATCH_BYTES_MAX = 2 * 1024 * 1024  # service limit
_FIELDS = {"operationType", "id", "resourceBody", "ifMatch", "ifNoneMatch"}
FAILED_DEPENDENCY = 424

Operation = dict[str, Any]
Run = Callable[[Transaction, str, Operation, Conditions], Outcome]


@dataclass(frozen=True)
class BatchAnswer:
    """The HTTP status, the JSON of the per-operation results and the total charge."""

    status: int
    body: str
    charge: float


class _OperationFailedError(Exception):
    """Carries the failing operation out of the transaction, which rolls back."""

    def __init__(self, index: int, cause: ServiceError) -> None:
        super().__init__(index)
        self.index = index
        self.cause = cause


def run_batch(
    store: Store, container: Container, pk: str, body: bytes, *, minimal: bool
) -> BatchAnswer:
    """Runs the batch; `minimal` leaves written documents out of the answer."""
    batch = _checked(body)
    try:
        with store.transaction(container) as work:
            outcomes = [_run(work, pk, index, each) for index, each in enumerate(batch)]
    except _OperationFailedError as failure:
        return _failed(failure, len(batch))
    total = sum(outcome.charge for outcome in outcomes)
    results = ",".join(
        _success(outcome, with_body=not minimal or operation["operationType"] == "Read")
        for operation, outcome in zip(batch, outcomes, strict=True)
    )
    return BatchAnswer(200, f"[{results}]", round(total, 2))


def _checked(body: bytes) -> list[Operation]:
    if len(body) > BATCH_BYTES_MAX:
        raise too_large("Request size is too large: a batch may have 2 MB at most.")
    batch = decode(body)
    if not isinstance(batch, list) or not batch:
        raise bad_request("A batch is a non-empty array of operations.")
    if len(batch) > OPERATIONS_MAX:
        raise bad_request(
            f"Batch request has more operations than what is supported: {OPERATIONS_MAX}."
        )
    for operation in batch:
        if not isinstance(operation, dict) or operation.get("operationType") not in _RUN:
            raise bad_request("Batch request has an operation of an unknown type.")
        unknown = operation.keys() - _FIELDS
        if unknown:
            raise not_emulated(f"the batch operation field {min(unknown)}")
    return batch


def _run(work: Transaction, pk: str, index: int, operation: Operation) -> Outcome:
    conditions = Conditions(operation.get("ifMatch"), operation.get("ifNoneMatch"))
    try:
        return _RUN[operation["operationType"]](work, pk, operation, conditions)
    except ServiceError as error:
        if error.status == 501:
            raise
        raise _OperationFailedError(index, error) from error


def _id(operation: Operation) -> str:
    item_id = operation.get("id")
    if not isinstance(item_id, str):
        raise bad_request("The batch operation needs an id.")
    return item_id


def _body(operation: Operation) -> Any:
    return operation.get("resourceBody")


_RUN: dict[str, Run] = {
    "Create": lambda work, pk, it, _: operations.create(work, pk, _body(it)),
    "Upsert": lambda work, pk, it, on: operations.upsert(work, pk, _body(it), on),
    "Read": lambda work, pk, it, on: operations.read(work.get(pk, _id(it)), on),
    "Replace": lambda work, pk, it, on: operations.replace(work, pk, _id(it), _body(it), on),
    "Delete": lambda work, pk, it, on: operations.delete(work, pk, _id(it), on),
    "Patch": lambda work, pk, it, on: operations.patch(work, pk, _id(it), _body(it), on),
}


def _success(outcome: Outcome, *, with_body: bool) -> str:
    head = f'"statusCode":{outcome.status},"requestCharge":{outcome.charge}'
    item = outcome.item
    if item is None:
        return f"{{{head}}}"
    head += f',"eTag":{encode(item.etag)}'
    if outcome.status == 304 or not with_body:
        return f"{{{head}}}"
    return f'{{{head},"resourceBody":{item.body}}}'


def _failed(failure: _OperationFailedError, count: int) -> BatchAnswer:
    """Status 207: the failing operation has its own status, all others 424."""
    results: list[dict[str, Any]] = [
        {"statusCode": FAILED_DEPENDENCY, "requestCharge": 0} for _ in range(count)
    ]
    cause = failure.cause
    charge = charges.refused(cause.status)
    results[failure.index] = {
        "statusCode": cause.status,
        "subStatusCode": cause.substatus,
        "requestCharge": charge,
        "message": cause.message,
    }
    return BatchAnswer(207, encode(results), charge)
