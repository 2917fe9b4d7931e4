"""Use cases of routing: who may carry out a request, and the policies that say so."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.screening import Screening

if TYPE_CHECKING:
    from shared.ports.routing_policies import RoutingPolicyStore
    from shared.services.routing import Routing
    from shared.services.routing_policies import RoutingPolicies, RoutingWatch


class RoutingLayer(Screening):
    """Routes of requests, as health, policies, freezes and residency stand."""

    @cached_property
    def routing_policy_store(self) -> "RoutingPolicyStore":
        from shared.adapters.cosmos_routing_policies import CosmosRoutingPolicies

        return CosmosRoutingPolicies(self.cosmos)

    @cached_property
    def routing_watch(self) -> "RoutingWatch":
        from shared.services.routing_policies import RoutingWatch

        return RoutingWatch(self.routing_policy_store, self.clock)

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
