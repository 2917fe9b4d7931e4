"""Use cases of the privacy screen: what may leave, the policies that say so, the exceptions."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.budgeting import Budgeting

if TYPE_CHECKING:
    from shared.ports.privacy import PrivacyDetector
    from shared.services.privacy import PrivacyScreen
    from shared.services.privacy_batches import PrivacyBatches
    from shared.services.privacy_overrides import PrivacyOverrides
    from shared.services.privacy_policies import PrivacyPolicies
    from shared.services.screenings import Screenings


class Screening(Budgeting):
    """What every text passes before its money is reserved."""

    @cached_property
    def privacy_detectors(self) -> "tuple[PrivacyDetector, ...]":
        """The local layer, and the Language service where one is configured."""
        from shared.adapters.local_identifiers import LocalIdentifiers

        s = self.settings
        local = LocalIdentifiers()
        if s.language_endpoint is None:
            return (local,)
        from shared.adapters.azure_language import AzureLanguage, LanguageTerms

        terms = LanguageTerms(
            endpoint=s.language_endpoint,
            key=s.language_key,
            timeout_s=s.language_timeout_s,
            concurrent_max=s.language_concurrent_max,
            calls_per_minute=s.language_calls_per_minute,
        )
        return (local, AzureLanguage(terms, self.clock))

    @cached_property
    def privacy_policies(self) -> "PrivacyPolicies":
        from shared.services.privacy_policies import PrivacyPolicies

        return PrivacyPolicies(
            store=self.privacy_store,
            watch=self.privacy_watch,
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    @cached_property
    def privacy_overrides(self) -> "PrivacyOverrides":
        from shared.services.privacy_overrides import PrivacyOverrides

        return PrivacyOverrides(self.privacy_store, self.ledger, self.directory, self.clock)

    @cached_property
    def privacy_screen(self) -> "PrivacyScreen":
        from shared.services.privacy import PrivacyScreen

        return PrivacyScreen(
            detectors=self.privacy_detectors,
            watch=self.privacy_watch,
            store=self.privacy_store,
            ledger=self.ledger,
            clock=self.clock,
            key=self.settings.privacy_key.encode(),
        )

    @cached_property
    def screenings(self) -> "Screenings":
        from shared.services.screenings import Screenings

        return Screenings(self.privacy_screen, self.rate_limits)

    @cached_property
    def privacy_batches(self) -> "PrivacyBatches":
        from shared.services.privacy_batches import PrivacyBatches

        return PrivacyBatches(self.privacy_screen)
