"""Looks around for the pure route: policy, health, freezes, residency, permissions, prices."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.capabilities import ModelCapability
from shared.domain.freezes import standing_freeze, targets_of_models
from shared.domain.identity import Caller
from shared.domain.models import MODELS
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.routing import Health, Surroundings, allows_everything, model_denial
from shared.domain.routing_policies import RoutingRules
from shared.errors import PolicyDenied
from shared.services.freezes import FreezeWatch
from shared.services.privacy_policies import PolicyWatch
from shared.services.routing_policies import RoutingWatch

EVERY_PROVIDER = frozenset(model.provider for model in MODELS.values())
HealthSnapshot = Callable[[], Awaitable[Mapping[str, Health]]]


async def _all_closed() -> Mapping[str, Health]:
    return {}


@dataclass(frozen=True)
class Routing:
    """How things stand now; a collaborator that is missing restricts nothing."""

    catalogues: PriceCatalogues
    configured: Collection[str] = EVERY_PROVIDER  # providers that can be called
    off: Collection[str] = ()  # models that nobody has deployed there
    policies: RoutingWatch | None = None
    health: HealthSnapshot = _all_closed
    freezes: FreezeWatch | None = None
    residency: PolicyWatch | None = None

    def offers(self, model: ModelCapability) -> bool:
        """Whether the model can be called at all."""
        return model.provider in self.configured and model.model not in self.off

    async def surroundings(self, caller: Caller, now: datetime) -> Surroundings:
        """How things stand for a caller; good for every request of one batch."""
        catalogue = self.catalogues.at(now)
        tenant_id, department_id = caller.tenant_id, caller.department_id
        residency = allows_everything
        if self.residency is not None:
            residency = (await self.residency.effective(tenant_id, department_id)).allows_model_in
        return Surroundings(
            quote=catalogue.quote,
            day=now.date(),
            configured=self.configured,
            off=self.off,
            rules=await self._rules(caller),
            health=await self.health(),
            permission=caller.model_refusal,
            frozen=await self._frozen(tenant_id, now),
            residency=residency,
        )

    async def denial(self, caller: Caller) -> Callable[[ModelCapability], PolicyDenied | None]:
        """Why a caller, or their department, may not use a model; None if they may."""
        rules = await self._rules(caller)
        return lambda model: model_denial(model, rules, caller.model_refusal)

    async def _rules(self, caller: Caller) -> RoutingRules:
        if self.policies is None:
            return RoutingRules()
        return await self.policies.rules(caller.tenant_id, caller.department_id)

    async def _frozen(self, tenant_id: str, now: datetime) -> Callable[[str], str | None]:
        """Why a model may not spend; what stops every model is left to admission."""
        freezes = () if self.freezes is None else await self.freezes.current(tenant_id)

        def why(model: str) -> str | None:
            own = [each for each in targets_of_models([model]) if each.kind != "global"]
            freeze = standing_freeze(freezes, own, now)
            return f"{freeze.target.text} is frozen" if freeze else None

        return why
