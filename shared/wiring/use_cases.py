"""Use cases: services over the systems, each built when it is first asked for."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.systems import Systems

if TYPE_CHECKING:
    from shared.services.admission import Admission
    from shared.services.alert_channels import AlertChannels
    from shared.services.alert_deliveries import AlertDeliveries
    from shared.services.alerts import Alerts
    from shared.services.allocations import Allocations
    from shared.services.approvals import Approvals
    from shared.services.attempts import Attempts
    from shared.services.audit_relay import AuditRelay
    from shared.services.batch_admission import BatchAdmission
    from shared.services.batch_bodies import BatchBodies
    from shared.services.batch_planning import BatchPlanning
    from shared.services.batch_results import BatchResults
    from shared.services.batches import Batches
    from shared.services.budget_periods import BudgetPeriods
    from shared.services.budgets import Budgets
    from shared.services.calendars import Calendars
    from shared.services.callers import Callers
    from shared.services.cases import Cases
    from shared.services.deferrals import Deferrals
    from shared.services.estimates import Estimates
    from shared.services.finance_reports import FinanceReports
    from shared.services.freezes import Freezes
    from shared.services.generations import Generations
    from shared.services.grants import Grants
    from shared.services.health import Health
    from shared.services.images import Images
    from shared.services.ledger_sweep import LedgerSweep
    from shared.services.organisation import Organisation
    from shared.services.organisation_budgets import OrganisationBudgets
    from shared.services.overage import Overage
    from shared.services.overage_sweep import OverageSweep
    from shared.services.provider_batch_results import ProviderBatchResults
    from shared.services.provider_batches import ProviderBatches
    from shared.services.reconciliation import Reconciliation
    from shared.services.reports import Reports
    from shared.services.settlements import Settlements
    from shared.services.statements import ChargebackStatements
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

        return Admission(
            ledger=self.ledger,
            calendars=self.calendars,
            periods=self.budget_periods,
            clock=self.clock,
            alerts=self.alerts,
            freezes=self.freezes,
        )

    @cached_property
    def calendars(self) -> "Calendars":
        from shared.services.calendars import Calendars

        return Calendars(self.budget_policies, self.directory, self.clock)

    @cached_property
    def budget_periods(self) -> "BudgetPeriods":
        from shared.services.budget_periods import BudgetPeriods

        return BudgetPeriods(self.budget_policies, self.calendars, self.clock, self.allocations)

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
            catalogues=self.catalogues,
            gate=ProviderGate(limits, self.clock),
            clock=self.clock,
            end_user_salt=s.end_user_salt,
            freezes=self.freezes,
            batched=self.provider_batch_results.outcome_of,
        )

    @cached_property
    def provider_batch_results(self) -> "ProviderBatchResults":
        from shared.services.provider_batch_results import ProviderBatchResults

        return ProviderBatchResults(self.batch_provider, self.provider_batch_claims, self.clock)

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
            catalogues=self.catalogues,
            clock=self.clock,
            overage=self.overage,
        )

    @cached_property
    def batch_planning(self) -> "BatchPlanning":
        from shared.services.batch_planning import BatchPlanning

        return BatchPlanning(self.batch_files, self._batched_models())

    def _batched_models(self) -> frozenset[str]:
        """The models whose rows may wait: there is one batch deployment, of one provider."""
        from shared.domain.models import MODELS

        if self.settings.azure_openai_batch_deployment is None:
            return frozenset()
        return frozenset(model for model, can in MODELS.items() if can.batch_endpoint)

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
    def batch_admission(self) -> "BatchAdmission":
        from shared.services.batch_admission import BatchAdmission

        return BatchAdmission(
            admission=self.admission,
            records=self.records,
            planning=self.batch_planning,
            catalogues=self.catalogues,
            clock=self.clock,
            overage=self.overage,
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
            alerts=self.alerts,
        )

    @cached_property
    def estimates(self) -> "Estimates":
        from shared.services.estimates import Estimates

        return Estimates(self.catalogues, self.budgets, self.freezes.watch, self.clock)

    @cached_property
    def allocations(self) -> "Allocations":
        from shared.services.allocations import Allocations

        return Allocations(
            books=self.allocation_ledger,
            organisations=self.organisation_policies,
            ledger=self.ledger,
            budget_policies=self.budget_policies,
            calendars=self.calendars,
            directory=self.directory,
            clock=self.clock,
            tenants=(self.settings.token_tenant_id,),
        )

    @cached_property
    def organisation_budgets(self) -> "OrganisationBudgets":
        from shared.services.organisation_budgets import OrganisationBudgets

        return OrganisationBudgets(self.allocations)

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
    def grants(self) -> "Grants":
        from shared.services.grants import Grants

        return Grants(
            store=self.grant_store,
            ledger=self.ledger,
            directory=self.directory,
            calendars=self.calendars,
            periods=self.budget_periods,
            clock=self.clock,
            alerts=self.alerts,
        )

    @cached_property
    def approvals(self) -> "Approvals":
        from shared.services.approvals import Approvals, ApprovalTerms

        s = self.settings
        return Approvals(
            store=self.parked_work,
            records=self.records,
            ledger=self.ledger,
            calendars=self.calendars,
            clock=self.clock,
            terms=ApprovalTerms(
                s.approval_escalation, s.approval_expiry, s.approval_dual_above_micros
            ),
            alerts=self.alerts,
        )

    @cached_property
    def overage(self) -> "Overage":
        from shared.services.overage import Overage

        return Overage(self.parked_work, self.ledger, self.approvals, self.calendars, self.clock)

    @cached_property
    def deferrals(self) -> "Deferrals":
        from shared.services.deferrals import Deferrals

        return Deferrals(
            store=self.parked_work,
            records=self.records,
            files=self.batch_files,
            planning=self.batch_planning,
            periods=self.budget_periods,
            catalogues=self.catalogues,
            clock=self.clock,
            alerts=self.alerts,
        )

    @cached_property
    def overage_sweep(self) -> "OverageSweep":
        from shared.services.overage_sweep import OverageSweep

        return OverageSweep(
            store=self.parked_work,
            grants=self.grants,
            approvals=self.approvals,
            overage=self.overage,
            calendars=self.calendars,
            grace=self.settings.sweep_grace,
            clock=self.clock,
        )

    @cached_property
    def reconciliation(self) -> "Reconciliation":
        from shared.services.reconciliation import Reconciliation, ReconciliationTerms
        from shared.services.reconciliation_gathering import ReconciliationGathering

        s = self.settings
        gathering = ReconciliationGathering(
            exports=self.usage_exports,
            store=self.reconciliations,
            records=self.records,
            ledger=self.ledger,
            directory=self.directory,
            calendars=self.calendars,
            catalogues=self.catalogues,
            clock=self.clock,
        )
        return Reconciliation(
            gathering=gathering,
            store=self.reconciliations,
            records=self.records,
            attempts=self.attempts,
            settlements=self.settlements,
            directory=self.directory,
            freezes=self.freezes,
            clock=self.clock,
            terms=ReconciliationTerms(
                tenant_id=s.token_tenant_id,
                drift_bp_max=s.drift_basis_points_max,
                lag_days=s.reconciliation_lag_days,
            ),
        )

    @cached_property
    def cases(self) -> "Cases":
        from shared.services.cases import Cases

        return Cases(
            store=self.reconciliations,
            ledger=self.ledger,
            records=self.records,
            periods=self.budget_periods,
            calendars=self.calendars,
            directory=self.directory,
            catalogues=self.catalogues,
            alerts=self.alerts,
            clock=self.clock,
            tenant_id=self.settings.token_tenant_id,
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
    def reports(self) -> "Reports":
        from shared.services.reports import Reports

        return Reports(
            entries=self.entries,
            ledger=self.ledger,
            directory=self.directory,
            calendars=self.calendars,
            clock=self.clock,
        )

    @cached_property
    def chargeback_statements(self) -> "ChargebackStatements":
        from shared.services.statements import ChargebackStatements

        return ChargebackStatements(
            entries=self.entries,
            statements=self.statements,
            ledger=self.ledger,
            records=self.records,
            files=self.batch_files,
            directory=self.directory,
            calendars=self.calendars,
            clock=self.clock,
        )

    @cached_property
    def finance_reports(self) -> "FinanceReports":
        from shared.adapters.cosmos_reconciliation import CosmosReconciliations
        from shared.services.finance_reports import FinanceReports

        return FinanceReports(
            reports=self.reports,
            statements=self.statements,
            reconciliations=CosmosReconciliations(self.cosmos),
            ledger=self.ledger,
            policies=self.budget_policies,
            clock=self.clock,
        )

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
