"""Use cases of routing: who may carry out a request, and the policies that say so."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.screening import Screening

if TYPE_CHECKING:
    from shared.services.routing import Routing
    from shared.services.routing_policies import RoutingPolicies


class RoutingLayer(Screening):
    """Routes of requests, as health, policies, freezes and residency stand."""

    @cached_property
    def routing_policies(self) -> "RoutingPolicies":
        from shared.services.routing_policies import RoutingPolicies

        return RoutingPolicies(
            store=self.routing_policy_store,
            watch=self.routing_watch,
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    @cached_property
    def routing(self) -> "Routing":
        from shared.services.routing import Routing

        return Routing(
            catalogues=self.catalogues,
            configured=frozenset(self.providers),
            off=self.models_off,
            policies=self.routing_watch,
            health=self.provider_health.snapshot,
            freezes=self.freezes.watch,
            residency=self.privacy_watch,
        )
