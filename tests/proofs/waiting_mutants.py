"""Changes that look harmless and lose money or count twice; the stories catch each of them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from typing import Any
from unittest import mock

from shared.adapters import cosmos_grants, cosmos_ledger, cosmos_parked_work
from shared.domain import approvals, grants, ledger, parked_work
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.limit_steps import increments, lowering

FRESH = count()


def unguarded(operations: Sequence[Operation], *prefixes: str) -> list[Operation]:
    """The same transaction without the predicates on some documents."""
    return [
        replace(each, predicate=None)
        if isinstance(each, Patch) and each.item_id.startswith(prefixes)
        else each
        for each in operations
    ]


def noted_again(operations: Sequence[Operation]) -> list[Operation]:
    """The same transaction with events under fresh ids, so that they do not notice a repeat."""
    return [
        Create(each.document | {"id": f"{each.document['id']}:{next(FRESH)}"})
        if isinstance(each, Create) and each.document["type"] == "outbox"
        else each
        for each in operations
    ]


def end_often(*given: Any) -> list[Operation]:
    """A grant is taken back each time somebody looks at it."""
    return noted_again(unguarded(grants.end_operations(*given), "grant:"))


def conclude_often(*given: Any) -> list[Operation]:
    """An approval is carried out by whoever finds it approved."""
    return noted_again(unguarded(approvals.conclude_operations(*given), "approval:", "h:"))


def raise_nothing(*given: Any, **named: Any) -> list[Operation]:
    """The hold is made, but nobody raises the limits: what was approved eats what others have."""
    operations: list[Operation] = []
    for each in approvals.conclude_operations(*given, **named):
        if isinstance(each, Patch) and each.item_id.startswith("budget:"):
            steps = tuple(s for s in each.operations if s["path"] == "/reserved_micros")
            operations.append(replace(each, operations=steps, predicate=None))
        else:
            operations.append(each)
    return operations


def keep_the_raise(
    operation_id: str, scopes: Any, resolutions: Any, raised: Any
) -> list[Operation]:
    """What was approved and not used stays in the limit, for whatever comes next."""
    return ledger.resolve_operations(operation_id, scopes, resolutions, {})


def take_all_back(operation_id: str, scopes: Any, resolutions: Any, raised: Any) -> list[Operation]:
    """The settlement takes back what was spent as well."""
    operations = ledger.resolve_operations(operation_id, scopes, resolutions, {})
    held = sum(each.held_micros for each in resolutions)
    return [
        replace(each, operations=(*each.operations, *increments(lowering(raised[scope], held)[0])))
        if isinstance(each, Patch)
        and (scope := next((s for s in raised if s.document_id == each.item_id), None))
        else each
        for each in operations
    ]


def release_often(*given: Any) -> list[Operation]:
    """Deferred work is reserved by each delivery."""
    return unguarded(parked_work.unpark_operations(*given), "h:")


def count_any_vote(approval: Any, vote: Any, record: Any, event: Any) -> list[Operation]:
    """A vote counts whatever has become of the approval since it was read."""
    return unguarded(approvals.vote_operations(approval, vote, record, event), "approval:")


def drop_only_the_record(work: Any, record: Mapping[str, Any]) -> list[Operation]:
    """Canceled work keeps its place, so that it may still be reserved."""
    return parked_work.place_freed_operations(work, record)[1:]


MUTANTS = {
    "what was not used stays raised": (cosmos_ledger, "resolve_operations", keep_the_raise),
    "what was used is taken back, too": (cosmos_ledger, "resolve_operations", take_all_back),
    "grant ended by everybody": (cosmos_grants, "end_operations", end_often),
    "approval concluded by everybody": (cosmos_parked_work, "conclude_operations", conclude_often),
    "limit not raised": (cosmos_parked_work, "conclude_operations", raise_nothing),
    "deferred work released by everybody": (
        cosmos_parked_work,
        "unpark_operations",
        release_often,
    ),
    "late votes count": (cosmos_parked_work, "vote_operations", count_any_vote),
    "canceled work keeps its place": (
        cosmos_parked_work,
        "place_freed_operations",
        drop_only_the_record,
    ),
}


def applied(name: str) -> AbstractContextManager[object]:
    """A mutant as a context."""
    target, function, by = MUTANTS[name]
    return mock.patch.object(target, function, by)
