"""Use cases of timers, finance and operations."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.generating import Generating

if TYPE_CHECKING:
    from shared.services.audit_relay import AuditRelay
    from shared.services.cases import Cases
    from shared.services.finance_reports import FinanceReports
    from shared.services.health import Health
    from shared.services.ledger_sweep import LedgerSweep
    from shared.services.overage_sweep import OverageSweep
    from shared.services.reconciliation import Reconciliation
    from shared.services.reports import Reports
    from shared.services.statements import ChargebackStatements


class Bookkeeping(Generating):
    """What timers, finance and operations need."""

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
                tenants=self.tenants,
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
        from shared.services.audit_relay import AuditRelay

        return AuditRelay(self.records, self.audit_writer)

    @cached_property
    def data_key_relay(self) -> "AuditRelay":
        """Copies the audit events of data keys, which wait beside the keys."""
        from shared.adapters.cosmos_data_keys import KEYS_CONTAINER
        from shared.adapters.cosmos_records import CosmosRecords

        return replace(self.audit_relay, records=CosmosRecords(self.cosmos, KEYS_CONTAINER))

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
            allocations=self.allocations,
            clock=self.clock,
        )

    @cached_property
    def finance_reports(self) -> "FinanceReports":
        from shared.services.finance_reports import FinanceReports

        return FinanceReports(
            reports=self.reports,
            statements=self.statements,
            reconciliations=self.reconciliations,
            policies=self.budget_policies,
            clock=self.clock,
        )

    @cached_property
    def health(self) -> "Health":
        from shared.services.health import Health

        return Health(
            {
                "cosmos": self.directory.departments,
                "storage": self._storage_answers,
                "receipt_keys": self._receipt_keys_are_usable,
            },
            {"exchange_rate": lambda: self.catalogues.rate_is_stale(self.clock.now())},
        )

    async def _receipt_keys_are_usable(self) -> None:
        self.receipt_signer.public_keys()  # a batch could end, but not be closed, without them

    async def _storage_answers(self) -> None:
        await self.blob.service().get_container_client("images").get_container_properties()
