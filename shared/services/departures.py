"""What is asked again before work that waited goes on: freezes, and where its prompts may go.

What held when the work was asked for may not hold any more when its turn comes: hours later in a
queue, days later after an approval, in the next period after a deferral.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.freezes import standing_freeze, targets_of_models, targets_of_scopes
from shared.domain.parked_work import Parked
from shared.domain.work import WorkItem
from shared.errors import ResidencyDenied, Unavailable
from shared.ports import Clock
from shared.services.freezes import FreezeWatch
from shared.services.privacy import residency_refusal
from shared.services.privacy_policies import PolicyWatch


@dataclass(frozen=True)
class Departures:
    """Asks what stands now; who cannot be told is not let go."""

    freezes: FreezeWatch
    privacy: PolicyWatch
    clock: Clock

    async def check(self, work: Parked) -> None:
        """Raise Unavailable while spending is frozen, ResidencyDenied if no prompt may leave.

        Rows of a batch that may not leave beside others that may are stopped one by one.
        """
        hold, record = work.hold, work.record
        department_id = work.partition.department_id
        models: Sequence[str] = record["models"] if work.kind == "batch" else [record["model"]]
        targets = [*targets_of_models(models), *targets_of_scopes(department_id, hold.scopes)]
        standing = await self.freezes.current(hold.tenant_id)
        freeze = standing_freeze(standing, targets, self.clock.now())
        if freeze is not None:
            raise Unavailable(f"Spending is frozen for {freeze.target.text}.")
        policy = await self.privacy.effective(hold.tenant_id, department_id)
        refusals = [residency_refusal(policy, model) for model in models]
        if refusals and refusals[0] is not None and all(refusals):
            raise refusals[0]

    async def refusal(self, item: WorkItem, model: str) -> ResidencyDenied | None:
        """Why a prompt may not go to a model any more; None if it may.

        Raises Unavailable if nobody can say.
        """
        owner = item.owner
        policy = await self.privacy.effective(owner.tenant_id, owner.department_id)
        return residency_refusal(policy, model)
