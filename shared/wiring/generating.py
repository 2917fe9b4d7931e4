"""Use cases of pictures: from a request or a file to its end."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.routing import RoutingLayer

if TYPE_CHECKING:
    from shared.services.attempts import Attempts
    from shared.services.batch_admission import BatchAdmission
    from shared.services.batch_bodies import BatchBodies
    from shared.services.batch_planning import BatchPlanning
    from shared.services.batch_results import BatchResults
    from shared.services.batches import Batches
    from shared.services.deferrals import Deferrals
    from shared.services.estimates import Estimates
    from shared.services.generations import Generations
    from shared.services.images import Images
    from shared.services.openai_images import OpenAIImages
    from shared.services.provider_batch_results import ProviderBatchResults
    from shared.services.provider_batches import ProviderBatches
    from shared.services.settlements import Settlements
    from shared.services.uploads import UploadSlots
    from shared.services.work import WorkItems


class Generating(RoutingLayer):
    """Pictures: from a request or a file to its end."""

    @cached_property
    def work(self) -> "WorkItems":
        from shared.services.work import WorkItems

        return WorkItems(self.records, self.batch_files)

    @cached_property
    def settlements(self) -> "Settlements":
        from shared.services.settlements import Settlements

        return Settlements(self.ledger, self.work, self.clock)

    @cached_property
    def provider_batch_results(self) -> "ProviderBatchResults":
        from shared.services.provider_batch_results import ProviderBatchResults

        return ProviderBatchResults(self.batch_provider, self.provider_batch_claims, self.clock)

    @cached_property
    def attempts(self) -> "Attempts":
        from shared.services.attempts import Attempts

        return Attempts(
            ledger=self.ledger,
            images=self.image_store,
            providers=self.providers,
            catalogues=self.catalogues,
            gate=self.gate,
            clock=self.clock,
            end_user_salt=self.settings.end_user_salt,
            freezes=self.freezes,
            departures=self.departures,
            batched=self.provider_batch_results.outcome_of,
        )

    @cached_property
    def generations(self) -> "Generations":
        from shared.services.generations import Generations

        return Generations(
            admission=self.admission,
            records=self.records,
            directory=self.directory,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            catalogues=self.catalogues,
            routing=self.routing,
            clock=self.clock,
            overage=self.overage,
            privacy=self.privacy_screen,
        )

    @cached_property
    def batch_planning(self) -> "BatchPlanning":
        from shared.services.batch_planning import BatchPlanning

        return BatchPlanning(self.batch_files, self._batched_models(), self.privacy_batches)

    def _batched_models(self) -> frozenset[str]:
        """The models whose rows may wait: there is one batch deployment, of one provider."""
        from shared.domain.models import MODELS

        if self.settings.azure_openai_batch_deployment is None:
            return frozenset()
        return frozenset(model for model, can in MODELS.items() if can.batch_endpoint)

    @cached_property
    def batch_admission(self) -> "BatchAdmission":
        from shared.services.batch_admission import BatchAdmission

        return BatchAdmission(
            admission=self.admission,
            records=self.records,
            planning=self.batch_planning,
            catalogues=self.catalogues,
            routing=self.routing,
            clock=self.clock,
            overage=self.overage,
        )

    @cached_property
    def batches(self) -> "Batches":
        from shared.services.batches import Batches

        return Batches(
            admission=self.batch_admission,
            ledger=self.ledger,
            records=self.records,
            files=self.batch_files,
            clock=self.clock,
        )

    @cached_property
    def batch_bodies(self) -> "BatchBodies":
        from shared.services.batch_bodies import BatchBodies

        return BatchBodies(self.admission)

    @cached_property
    def batch_results(self) -> "BatchResults":
        from shared.services.batch_results import BatchResults

        return BatchResults(
            batches=self.batches,
            planning=self.batch_planning,
            records=self.records,
            files=self.batch_files,
            signer=self.receipt_signer,
            clock=self.clock,
        )

    @cached_property
    def provider_batches(self) -> "ProviderBatches":
        from shared.services.provider_batches import ProviderBatches, ProviderBatchTimes

        s = self.settings
        return ProviderBatches(
            results=self.provider_batch_results,
            ledger=self.ledger,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            is_cancel_requested=self.batches.is_cancel_requested,
            pause_s=self.freezes.pause_s,
            times=ProviderBatchTimes(s.provider_batch_window, s.provider_batch_poll),
            clock=self.clock,
        )

    @cached_property
    def upload_slots(self) -> "UploadSlots":
        from shared.adapters.blob_uploads import BlobUploads
        from shared.services.uploads import UploadSlots

        return UploadSlots(
            uploads=BlobUploads(self.blob, self.clock),
            records=self.records,
            files=self.batch_files,
            directory=self.directory,
            calendars=self.calendars,
            batches=self.batches,
            clock=self.clock,
        )

    @cached_property
    def images(self) -> "Images":
        from shared.services.images import Images

        return Images(self.records, self.image_store, self.clock)

    @cached_property
    def estimates(self) -> "Estimates":
        from shared.services.estimates import Estimates

        return Estimates(
            catalogues=self.catalogues,
            routing=self.routing,
            budgets=self.budgets,
            freezes=self.freezes.watch,
            clock=self.clock,
            privacy=self.privacy_watch,
        )

    @cached_property
    def openai_images(self) -> "OpenAIImages":
        from shared.adapters.cosmos_first_tries import CosmosFirstTries
        from shared.services.client_repeats import ClientRepeats
        from shared.services.openai_images import OpenAIImages

        return OpenAIImages(
            self.generations,
            self.images,
            self.estimates,
            ClientRepeats(CosmosFirstTries(self.cosmos, self.clock), self.generations, self.clock),
        )

    @cached_property
    def deferrals(self) -> "Deferrals":
        from shared.services.deferrals import Deferrals

        return Deferrals(
            store=self.parked_work,
            records=self.records,
            repricing=self.repricing,
            periods=self.budget_periods,
            clock=self.clock,
            alerts=self.alerts,
            departures=self.departures,
        )
