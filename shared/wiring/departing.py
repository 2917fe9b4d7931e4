"""What stops work at the door, whenever it gets there: freezes, and who may have its prompts."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.limiting import Limiting

if TYPE_CHECKING:
    from shared.ports.privacy import PrivacyStore
    from shared.ports.routing_policies import RoutingPolicyStore
    from shared.services.departures import Departures
    from shared.services.freezes import Freezes
    from shared.services.privacy_policies import PolicyWatch
    from shared.services.routing_policies import RoutingWatch


class Departing(Limiting):
    """Switches and policies that hold now, also for what was admitted before."""

    @cached_property
    def freezes(self) -> "Freezes":
        from shared.services.freezes import Freezes, FreezeWatch

        return Freezes(
            store=self.freeze_store,
            watch=FreezeWatch(self.freeze_store, self.clock),
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    @cached_property
    def privacy_store(self) -> "PrivacyStore":
        from shared.adapters.cosmos_privacy import CosmosPrivacy

        return CosmosPrivacy(self.cosmos)

    @cached_property
    def privacy_watch(self) -> "PolicyWatch":
        from shared.services.privacy_policies import PolicyWatch

        return PolicyWatch(self.privacy_store, self.clock)

    @cached_property
    def routing_policy_store(self) -> "RoutingPolicyStore":
        from shared.adapters.cosmos_routing_policies import CosmosRoutingPolicies

        return CosmosRoutingPolicies(self.cosmos)

    @cached_property
    def routing_watch(self) -> "RoutingWatch":
        from shared.services.routing_policies import RoutingWatch

        return RoutingWatch(self.routing_policy_store, self.clock)

    @cached_property
    def departures(self) -> "Departures":
        from shared.services.departures import Departures
        from shared.services.rights import RightsWatch

        return Departures(
            freezes=self.freezes.watch,
            privacy=self.privacy_watch,
            routing=self.routing_watch,
            rights=RightsWatch(self.directory, self.clock),
            clock=self.clock,
        )
