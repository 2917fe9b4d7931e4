"""Use cases: services over the systems, each built when it is first asked for."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.systems import Systems

if TYPE_CHECKING:
    from shared.services.admission import Admission
    from shared.services.alert_channels import AlertChannels
    from shared.services.alert_deliveries import AlertDeliveries
    from shared.services.alerts import Alerts
    from shared.services.attempts import Attempts
    from shared.services.audit_relay import AuditRelay
    from shared.services.batch_bodies import BatchBodies
    from shared.services.batch_planning import BatchPlanning
    from shared.services.batch_results import BatchResults
    from shared.services.batches import Batches
    from shared.services.budget_periods import BudgetPeriods
    from shared.services.budgets import Budgets
    from shared.services.calendars import Calendars
    from shared.services.callers import Callers
    from shared.services.estimates import Estimates
    from shared.services.freezes import Freezes
    from shared.services.generations import Generations
    from shared.services.health import Health
    from shared.services.images import Images
    from shared.services.ledger_sweep import LedgerSweep
    from shared.services.organisation import Organisation
    from shared.services.settlements import Settlements
    from shared.services.uploads import UploadSlots
    from shared.services.work import WorkItems


class UseCases(Systems):
    """What triggers may call."""

    @cached_property
    def callers(self) -> "Callers":
        from shared.services.callers import Callers

        return Callers(self.tokens, self.directory)

    @cached_property
    def admission(self) -> "Admission":
        from shared.services.admission import Admission

        return Admission(self.ledger, self.calendars, self.budget_periods, self.clock)

    @cached_property
    def calendars(self) -> "Calendars":
        from shared.services.calendars import Calendars

        return Calendars(self.budget_policies, self.directory, self.clock)

    @cached_property
    def budget_periods(self) -> "BudgetPeriods":
        from shared.services.budget_periods import BudgetPeriods

        return BudgetPeriods(self.budget_policies, self.calendars, self.clock)

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
            calendars=self.calendars,
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

        return Budgets(
            ledger=self.ledger,
            policies=self.budget_policies,
            directory=self.directory,
            calendars=self.calendars,
            clock=self.clock,
        )

    @cached_property
    def estimates(self) -> "Estimates":
        from shared.services.estimates import Estimates

        return Estimates(self.catalogues, self.budgets, self.freezes.watch, self.clock)

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
    def alerts(self) -> "Alerts":
        from shared.services.alerts import Alerts

        return Alerts(self.alert_store, self.alert_channel_store, self.directory, self.clock)

    @cached_property
    def alert_channels(self) -> "AlertChannels":
        from shared.services.alert_channels import AlertChannels

        return AlertChannels(
            store=self.alert_channel_store,
            directory=self.directory,
            ledger=self.ledger,
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=self.clock,
        )

    @cached_property
    def alert_deliveries(self) -> "AlertDeliveries":
        from shared.services.alert_deliveries import AlertDeliveries

        return AlertDeliveries(
            store=self.alert_store,
            channels=self.alert_channel_store,
            changes=self.alert_channels,
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=self.clock,
        )

    @cached_property
    def ledger_sweep(self) -> "LedgerSweep":
        from shared.services.ledger_sweep import LedgerSweep, SweepTimes

        s = self.settings
        return LedgerSweep(
            ledger=self.ledger,
            records=self.records,
            calendars=self.calendars,
            budgets=self.budgets,
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

        return Organisation(self.directory, self.budget_policies, self.clock)

    @cached_property
    def health(self) -> "Health":
        from shared.services.health import Health

        return Health(
            {"cosmos": self.directory.departments, "storage": self._storage_answers},
            {"exchange_rate": lambda: self.catalogues.rate_is_stale(self.clock.now())},
        )

    async def _storage_answers(self) -> None:
        await self.blob.service().get_container_client("images").get_container_properties()
