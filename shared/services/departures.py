"""What is asked again before admitted work goes on: freezes, residency, and who may use a model.

What held when the work was asked for may not hold any more when its turn comes: hours later in a
queue, days later after an approval, in the next period after a deferral.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.freezes import standing_freeze, targets_of_models, targets_of_scopes
from shared.domain.identity import Ownership
from shared.domain.models import MODELS
from shared.domain.parked_work import Parked
from shared.domain.policy_versions import policy_version
from shared.domain.privacy_policies import EffectivePolicy
from shared.domain.routing import model_denial
from shared.domain.routing_policies import RoutingRules
from shared.domain.work import WorkItem
from shared.errors import PolicyDenied, Unavailable
from shared.ports import Clock
from shared.services.freezes import FreezeWatch
from shared.services.privacy import residency_refusal
from shared.services.privacy_policies import PolicyWatch
from shared.services.rights import RightsWatch
from shared.services.routing_policies import RoutingWatch


@dataclass(frozen=True)
class Departures:
    """Asks what stands now; who cannot be told is not let go."""

    freezes: FreezeWatch
    privacy: PolicyWatch
    routing: RoutingWatch
    rights: RightsWatch
    clock: Clock

    async def check(self, work: Parked) -> str | None:
        """The revisions of the policies by which it may go on.

        Raises Unavailable while spending is frozen, PolicyDenied if no model may be used.
        Rows of a batch that may not go on beside others that may are stopped one by one.
        """
        hold, record = work.hold, work.record
        department_id = work.partition.department_id
        models: Sequence[str] = record["models"] if work.kind == "batch" else [record["model"]]
        targets = [*targets_of_models(models), *targets_of_scopes(department_id, hold.scopes)]
        standing = await self.freezes.current(hold.tenant_id)
        freeze = standing_freeze(standing, targets, self.clock.now())
        if freeze is not None:
            raise Unavailable(f"Spending is frozen for {freeze.target.text}.")
        owner = Ownership(hold.tenant_id, department_id, record["user_key"])
        privacy, rules = await self._policies(owner)
        refusals = await self._refusals(owner, models, privacy, rules)
        if refusals and refusals[0] is not None and all(refusals):
            raise refusals[0]
        return policy_version(privacy=privacy.version, routing=rules.version)

    async def refusal(self, item: WorkItem, model: str) -> PolicyDenied | None:
        """Why a prompt may not go to a model any more; None if it may.

        Raises Unavailable if nobody can say.
        """
        policies = await self._policies(item.owner)
        return (await self._refusals(item.owner, [model], *policies))[0]

    async def _policies(self, owner: Ownership) -> tuple[EffectivePolicy, RoutingRules]:
        tenant_id, department_id = owner.tenant_id, owner.department_id
        privacy = await self.privacy.effective(tenant_id, department_id)
        return privacy, await self.routing.rules(tenant_id, department_id)

    async def _refusals(
        self,
        owner: Ownership,
        models: Sequence[str],
        policy: EffectivePolicy,
        rules: RoutingRules,
    ) -> list[PolicyDenied | None]:
        """For each model why it may not have prompts of this owner: residency first, then rules."""
        rights = await self.rights.rights(owner.user_key)

        def permission(model: str, provider: str) -> str | None:
            return rights.model_refusal(model, provider) if rights else None

        def denial(model: str) -> PolicyDenied | None:
            capability = MODELS.get(model)
            return model_denial(capability, rules, permission) if capability else None

        return [residency_refusal(policy, model) or denial(model) for model in models]
