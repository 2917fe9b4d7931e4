"""Use cases of budgets: who may spend from them, and how they change."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.departing import Departing

if TYPE_CHECKING:
    from shared.services.admission import Admission
    from shared.services.allocations import Allocations
    from shared.services.approvals import Approvals
    from shared.services.budget_periods import BudgetPeriods
    from shared.services.budgets import Budgets
    from shared.services.calendars import Calendars
    from shared.services.grants import Grants
    from shared.services.organisation_budgets import OrganisationBudgets
    from shared.services.overage import Overage
    from shared.services.repricing import Repricing


class Budgeting(Departing):
    """Budgets, who may spend from them, and who is told."""

    @cached_property
    def calendars(self) -> "Calendars":
        from shared.services.calendars import Calendars

        return Calendars(self.budget_policies, self.directory, self.clock)

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
            tenants=self.tenants,
        )

    @cached_property
    def organisation_budgets(self) -> "OrganisationBudgets":
        from shared.services.organisation_budgets import OrganisationBudgets

        return OrganisationBudgets(self.allocations)

    @cached_property
    def budget_periods(self) -> "BudgetPeriods":
        from shared.services.budget_periods import BudgetPeriods

        return BudgetPeriods(self.budget_policies, self.calendars, self.clock, self.allocations)

    @cached_property
    def budgets(self) -> "Budgets":
        from shared.services.budgets import Budgets

        return Budgets(
            ledger=self.ledger,
            policies=self.budget_policies,
            directory=self.directory,
            calendars=self.calendars,
            periods=self.budget_periods,
            clock=self.clock,
            alerts=self.alerts,
            allocations=self.allocations,
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
    def repricing(self) -> "Repricing":
        from shared.services.batch_planning import BatchPlanning
        from shared.services.repricing import Repricing

        return Repricing(BatchPlanning(self.batch_files), self.catalogues)

    @cached_property
    def approvals(self) -> "Approvals":
        from shared.services.approvals import Approvals, ApprovalTerms

        s = self.settings
        return Approvals(
            store=self.parked_work,
            records=self.records,
            ledger=self.ledger,
            calendars=self.calendars,
            periods=self.budget_periods,
            clock=self.clock,
            terms=ApprovalTerms(
                s.approval_escalation, s.approval_expiry, s.approval_dual_above_micros
            ),
            repricing=self.repricing,
            alerts=self.alerts,
            departures=self.departures,
        )

    @cached_property
    def overage(self) -> "Overage":
        from shared.services.overage import Overage

        return Overage(
            self.parked_work,
            self.ledger,
            self.approvals,
            self.calendars,
            self.clock,
            self.rate_limits,
        )

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
            rate_limits=self.rate_limits,
        )
