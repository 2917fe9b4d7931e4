"""The composition root: settings become services. The only file that imports adapters, lazily.

`services()` builds everything once per worker on first use, so that the app can be indexed while
Cosmos DB is down; `install()` lets a test put its own services in place.
"""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.adapters.blob import BlobConnection
    from shared.adapters.cosmos import CosmosConnection
    from shared.domain.prices import PriceCatalogue
    from shared.ports import (
        BatchFiles,
        Clock,
        Directory,
        ImageProvider,
        ImageStore,
        Ledger,
        Records,
        TokenVerifier,
    )
    from shared.services.admission import Admission
    from shared.services.attempts import Attempts
    from shared.services.audit_relay import AuditRelay
    from shared.services.batch_bodies import BatchBodies
    from shared.services.batch_planning import BatchPlanning
    from shared.services.batch_results import BatchResults
    from shared.services.batches import Batches
    from shared.services.budgets import Budgets
    from shared.services.callers import Callers
    from shared.services.estimates import Estimates
    from shared.services.generations import Generations
    from shared.services.health import Health
    from shared.services.images import Images
    from shared.services.ledger_sweep import LedgerSweep
    from shared.services.organisation import Organisation
    from shared.services.settlements import Settlements
    from shared.services.uploads import UploadSlots
    from shared.services.work import WorkItems
    from shared.settings import Settings


class Services:
    """Every service of the app, each built when it is first asked for."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    # --- systems ---------------------------------------------------------------------------

    @cached_property
    def clock(self) -> "Clock":
        from shared.adapters.system_clock import SystemClock

        return SystemClock()

    @cached_property
    def cosmos(self) -> "CosmosConnection":
        from shared.adapters.cosmos import CosmosAccount, CosmosConnection

        s = self.settings
        return CosmosConnection(CosmosAccount(s.cosmos_endpoint, s.cosmos_database, s.cosmos_key))

    @cached_property
    def blob(self) -> "BlobConnection":
        from shared.adapters.blob import BlobAccount, BlobConnection

        s = self.settings
        return BlobConnection(BlobAccount(s.storage_connection, s.storage_url))

    @cached_property
    def catalogue(self) -> "PriceCatalogue":
        from shared.adapters.price_file import load_catalogue

        return load_catalogue()

    @cached_property
    def ledger(self) -> "Ledger":
        from shared.adapters.cosmos_ledger import CosmosLedger

        return CosmosLedger(self.cosmos)

    @cached_property
    def records(self) -> "Records":
        from shared.adapters.cosmos_records import CosmosRecords

        return CosmosRecords(self.cosmos)

    @cached_property
    def directory(self) -> "Directory":
        from shared.adapters.cosmos_directory import CosmosDirectory

        return CosmosDirectory(self.cosmos)

    @cached_property
    def image_store(self) -> "ImageStore":
        from shared.adapters.blob_images import BlobImageStore

        return BlobImageStore(self.blob, self.clock)

    @cached_property
    def batch_files(self) -> "BatchFiles":
        from shared.adapters.blob_batch_files import BlobBatchFiles

        return BlobBatchFiles(self.blob)

    @cached_property
    def tokens(self) -> "TokenVerifier":
        from shared.adapters.entra_tokens import EntraTokenVerifier, IssuerRule

        s = self.settings
        rule = IssuerRule(
            tenant_id=s.token_tenant_id,
            audience=s.token_audience,
            azp_allow=s.token_authorized_parties,
        )
        return EntraTokenVerifier({s.token_issuer: rule}, self.clock, s.token_scope)

    @cached_property
    def providers(self) -> "dict[str, ImageProvider]":
        from shared.adapters.providers.azure_openai import AzureOpenAIProvider
        from shared.adapters.providers.replicate import ReplicateProvider

        s = self.settings
        azure_openai = AzureOpenAIProvider(
            base_url=f"{s.azure_openai_endpoint.rstrip('/')}/openai/v1/",
            api_key=s.azure_openai_key,
            token_scope=s.azure_openai_token_scope,
            timeout_s=s.azure_openai_timeout_s,
        )
        replicate = ReplicateProvider(
            base_url=s.replicate_endpoint,
            api_token=s.replicate_token,
            output_hosts=s.replicate_output_hosts,
            poll_interval_s=s.replicate_poll_interval_s,
        )
        return {azure_openai.name: azure_openai, replicate.name: replicate}

    # --- use cases -------------------------------------------------------------------------

    @cached_property
    def callers(self) -> "Callers":
        from shared.services.callers import Callers

        return Callers(self.tokens, self.directory)

    @cached_property
    def admission(self) -> "Admission":
        from shared.services.admission import Admission

        return Admission(self.ledger, self.directory, self.clock)

    @cached_property
    def work(self) -> "WorkItems":
        from shared.services.work import WorkItems

        return WorkItems(self.records, self.batch_files)

    @cached_property
    def attempts(self) -> "Attempts":
        from shared.services.attempts import Attempts
        from shared.services.provider_gate import GateLimit, ProviderGate

        s = self.settings
        limits = {
            "azure_openai": GateLimit(
                s.azure_openai_concurrent_max, s.azure_openai_starts_per_minute
            ),
            "replicate": GateLimit(s.replicate_concurrent_max, s.replicate_starts_per_minute),
        }
        return Attempts(
            ledger=self.ledger,
            images=self.image_store,
            providers=self.providers,
            catalogue=self.catalogue,
            gate=ProviderGate(limits, self.clock),
            clock=self.clock,
            end_user_salt=s.end_user_salt,
        )

    @cached_property
    def settlements(self) -> "Settlements":
        from shared.services.settlements import Settlements

        return Settlements(self.ledger, self.work, self.clock)

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
            catalogue=self.catalogue,
            clock=self.clock,
        )

    @cached_property
    def batch_planning(self) -> "BatchPlanning":
        from shared.services.batch_planning import BatchPlanning

        return BatchPlanning(self.batch_files, self.catalogue)

    @cached_property
    def batches(self) -> "Batches":
        from shared.services.batches import Batches

        return Batches(
            admission=self.admission,
            ledger=self.ledger,
            records=self.records,
            files=self.batch_files,
            planning=self.batch_planning,
            catalogue=self.catalogue,
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
            self.batches, self.batch_planning, self.records, self.batch_files, self.clock
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
            batches=self.batches,
            clock=self.clock,
        )

    @cached_property
    def images(self) -> "Images":
        from shared.services.images import Images

        return Images(self.records, self.image_store, self.clock)

    @cached_property
    def budgets(self) -> "Budgets":
        from shared.services.budgets import Budgets

        return Budgets(self.ledger, self.directory, self.clock)

    @cached_property
    def estimates(self) -> "Estimates":
        from shared.services.estimates import Estimates

        return Estimates(self.catalogue, self.budgets)

    @cached_property
    def ledger_sweep(self) -> "LedgerSweep":
        from shared.services.ledger_sweep import LedgerSweep, SweepTimes

        s = self.settings
        return LedgerSweep(
            ledger=self.ledger,
            records=self.records,
            directory=self.directory,
            attempts=self.attempts,
            settlements=self.settlements,
            results=self.batch_results,
            times=SweepTimes(s.sweep_grace, s.sweep_restart_until, s.sweep_unknown_horizon),
            clock=self.clock,
        )

    @cached_property
    def audit_relay(self) -> "AuditRelay":
        from shared.adapters.cosmos_audit import CosmosAuditLog
        from shared.services.audit_relay import AuditRelay

        return AuditRelay(self.records, CosmosAuditLog(self.cosmos))

    @cached_property
    def organisation(self) -> "Organisation":
        from shared.services.organisation import Organisation

        return Organisation(self.directory)

    @cached_property
    def health(self) -> "Health":
        from shared.services.health import Health

        return Health({"cosmos": self.directory.departments, "storage": self._storage_answers})

    async def _storage_answers(self) -> None:
        await self.blob.service().get_container_client("images").get_container_properties()

    async def aclose(self) -> None:
        """Close what was opened; one-off commands and tests call it, the worker never ends so."""
        for name in ("cosmos", "blob"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()


_services: Services | None = None


def services() -> Services:
    """The worker's services, built on first use; raises InvariantBroken on unusable settings."""
    global _services  # noqa: PLW0603 - the one global of the app
    if _services is None:
        from shared.settings import load_settings

        _services = Services(load_settings())
    return _services


def install(replacement: Services | None) -> None:
    """Put other services in place, or None to build them anew from the environment."""
    global _services  # noqa: PLW0603 - as above
    _services = replacement
