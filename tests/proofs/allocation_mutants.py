"""Bugs planted into the code that ships: the checker of allocations has to catch each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.adapters import cosmos_allocations
from shared.adapters.cosmos import BatchRefused, commit
from shared.domain import allocations, budget_policies
from shared.domain.allocations import EndStatus, Transfer
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.predicates import Sum, at_least, compare
from shared.services.allocations import Allocations
from tests.fakes.allocations import FakeAllocations
from tests.proofs.allocation_world import Variant

Plant = Callable[[pytest.MonkeyPatch], Variant]


class GiveBeforeTake(Allocations):
    """Gives first: until the source has given, the same money is promised twice."""

    async def _moved(self, transfer: Transfer) -> EndStatus:
        if transfer.target and not await self.books.give(transfer, self._now()):
            return "returned"
        if transfer.source and not await self.books.take(transfer, self._now()):
            return "refused"
        return "done"


class EachOpenerItsOwn(Allocations):
    """Opens under a fresh id, so that every opener of a period charges the cap."""

    async def ask(self, policy: Any, transfer: Transfer) -> Transfer:
        if transfer.kind == "open":
            transfer = replace(transfer, transfer_id=self.clock.new_id())
        return await super().ask(policy, transfer)


class NoVoidLeg(FakeAllocations):
    """Takes a refusal for final without writing it down: a late request may still be done."""

    async def _enter(
        self, transfer: Transfer, side: Partition | None, entry: Sequence[Operation], at: str
    ) -> bool:
        assert side is not None
        try:
            await commit(await self._container(), side.key, entry)
        except BatchRefused as refusal:
            return refusal.index == 0
        return True


class EveryConflictIsOurs(FakeAllocations):
    """Takes any leg that stands for the one it wanted, also a void one."""

    async def _leg(self, transfer: Transfer, side: Partition) -> Any:
        return replace(await super()._leg(transfer, side), kind="given")


def _changed(name: str, change: Callable[[Operation], Operation | None]) -> Plant:
    """A mutant that changes the operations of one step, or leaves some of them out."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> Variant:
        build = getattr(allocations, name)

        def broken(*arguments: Any) -> list[Operation]:
            kept = (change(operation) for operation in build(*arguments))
            return [operation for operation in kept if operation is not None]

        monkeypatch.setattr(cosmos_allocations, name, broken)
        return Variant()

    return plant


def _unconditional(operation: Operation) -> Operation:
    return replace(operation, predicate=None) if isinstance(operation, Patch) else operation


def _without_leg(operation: Operation) -> Operation | None:
    is_leg = isinstance(operation, Create) and operation.document["type"] == "leg"
    return None if is_leg else operation


def _without_cap(operation: Operation) -> Operation | None:
    return None if isinstance(operation, Patch) and operation.item_id == "cap" else operation


def _planted(name: str, change: Callable[[Patch, Transfer | Partition], Patch]) -> Plant:
    """A mutant that changes one patch of a budget."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> Variant:
        build = getattr(allocations, name)
        monkeypatch.setattr(
            allocations, name, lambda first, *rest: change(build(first, *rest), first)
        )
        return Variant()

    return plant


def _blind(patch: Patch, _: object) -> Patch:
    return replace(patch, predicate=None)


def _limit_only(patch: Patch, transfer: Transfer | Partition) -> Patch:
    assert isinstance(transfer, Transfer)
    promised = Sum(("ceiling_micros",), transfer.amount_micros)
    return replace(patch, predicate=compare(promised, "<=", Sum(("allocated_micros",))))


def _policy_ignores_the_cap(monkeypatch: pytest.MonkeyPatch) -> Variant:
    monkeypatch.setattr(budget_policies, "has_no", lambda _: at_least({"limit_micros": 0}))
    return Variant()


@dataclass(frozen=True)
class Mutant:
    """One planted bug and the invariants that show it."""

    name: str
    plant: Plant
    shows: tuple[str, ...]


MUTANTS = (
    Mutant("give before take", lambda _: Variant(allocations=GiveBeforeTake), ("A2",)),
    Mutant("cap without predicate", _changed("ask_operations", _unconditional), ("A3",)),
    Mutant("cap is never charged", _changed("ask_operations", _without_cap), ("A2", "A5")),
    Mutant("take without predicate", _changed("take_operations", _unconditional), ("A1",)),
    Mutant("take without leg", _changed("take_operations", _without_leg), ("A4",)),
    Mutant("give without leg", _changed("give_operations", _without_leg), ("A4",)),
    Mutant("take looks at the limit only", _planted("_take_patch", _limit_only), ("A1",)),
    Mutant("finish twice", _changed("finish_operations", _unconditional), ("A5", "unforeseen")),
    Mutant("finish without the cap", _changed("finish_operations", _without_cap), ("A5",)),
    Mutant("no void leg", lambda _: Variant(books=NoVoidLeg), ("A2", "end")),
    Mutant("a void leg counts", lambda _: Variant(books=EveryConflictIsOurs), ("A2", "end")),
    Mutant("each opener its own", lambda _: Variant(allocations=EachOpenerItsOwn), ("A4",)),
    Mutant("adopt without predicate", _planted("_adopt_patch", _blind), ("A1", "A4")),
    Mutant("release without predicate", _planted("_release_patch", _blind), ("A1",)),
    Mutant("a policy is applied while the cap arrives", _policy_ignores_the_cap, ("A1",)),
)
