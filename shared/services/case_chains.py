"""All cases about one thing, read in their order, with what they booked.

Nothing of a whole chain can change any more, except for its last case while it is not closed: only
a closed case is followed by another one, and entries stand for good.
"""

from dataclasses import dataclass

from shared.domain.cases import Adjusting, Case, CaseChain, numbered_case_id, settlement_case_id
from shared.ports.reconciliation import Reconciliations


@dataclass(frozen=True)
class CaseChains:
    """Reads them; it changes nothing."""

    store: Reconciliations

    async def of(self, case: Case) -> CaseChain:
        """The cases of what this one is about."""
        cases: list[Case] = []
        if case.generation_id == case.subject:
            settled = await self.store.case(case.partition, settlement_case_id(case.subject))
            cases += [settled] if settled else []
        number = 1
        while True:  # ends at the first number that is free
            each = await self.store.case(case.partition, numbered_case_id(case.subject, number))
            if each is None:
                break
            cases.append(each)
            number += 1
        return CaseChain(case.subject, tuple(cases), await self._corrections(cases))

    async def _corrections(self, cases: list[Case]) -> tuple[Adjusting, ...]:
        found: dict[str, Adjusting] = {}
        for case in cases:
            for each in case.refused:
                if await self.store.is_booked(each):  # refused to one worker, booked by another
                    found[each.adjustment_id] = each
            if case.status == "closed" and case.ruling and case.ruling.adjusting:
                found[case.ruling.adjusting.adjustment_id] = case.ruling.adjusting
        return tuple(found.values())
