"""What the HTTP API shows of reconciliation runs and cases."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from shared.domain.cases import Case, CaseKind, CaseStatus, Decision
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.reconciliation import Comparison
from shared.domain.views import View


class ModelFiguresView(View):
    """One model's day."""

    model: str
    counts: dict[str, int] = Field(description="requests by how they stand")
    billed_usd_micros: int
    booked_usd_micros: int
    drift_usd_micros: int = Field(description="above zero: billed more than booked; no estimates")
    drift_bp: int = Field(description="basis points of what was booked")
    daily_sum: bool = Field(description="the export names no requests: only sums were compared")


class ReconciliationView(View):
    """One run over one provider's day."""

    id: str
    provider: str
    day: str
    ran_at: str
    by: str
    models: tuple[ModelFiguresView, ...]
    resolved: int = Field(description="unknown outcomes that the export knew")
    opened: dict[str, int] = Field(description="cases opened by this run, by kind")
    quarantined: tuple[str, ...] = Field(description="models that this run stopped")

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "ReconciliationView":
        return cls(
            id=str(run["id"]).rpartition(":")[2],
            provider=run["provider"],
            day=run["day"],
            ran_at=run["ran_at"],
            by=run["actor"],
            models=tuple(ModelFiguresView(**each) for each in run["models"]),
            resolved=run["resolved"],
            opened=run["opened"],
            quarantined=tuple(run["quarantined"]),
        )


class ReconciliationList(View):
    """The newest runs."""

    items: tuple[ReconciliationView, ...]


class RulingView(View):
    """What was decided about a case."""

    decision: Decision
    reason: str
    by: str
    at: str
    amount_micros: int | None = Field(description="micro-AUD booked by an adjustment, signed")
    usd_micros: int | None = Field(description="the same in micro-USD")
    period: str | None = Field(description="the budget period of the adjustment")


class CaseView(View):
    """One case."""

    id: str
    kind: CaseKind
    status: CaseStatus
    opened_at: str
    provider: str | None
    model: str | None
    day: str | None
    department_id: str | None
    generation_id: str | None
    request_id: str | None
    job_id: str | None
    billed_usd_micros: int | None
    booked_usd_micros: int | None
    excess_usd_micros: int = Field(description="billed above booked; 0 otherwise")
    detail: str | None
    ruling: RulingView | None

    @classmethod
    def of(cls, case: Case) -> "CaseView":
        ruling = case.ruling
        adjusting = ruling.adjusting if ruling else None
        return cls(
            id=case.case_id,
            kind=case.kind,
            status=case.status,
            opened_at=case.opened_at,
            provider=case.provider,
            model=case.model,
            day=case.day,
            department_id=case.charge.department_id if case.charge else None,
            generation_id=case.generation_id,
            request_id=case.request_id,
            job_id=case.job_id,
            billed_usd_micros=case.billed_usd_micros,
            booked_usd_micros=case.booked_usd_micros,
            excess_usd_micros=case.excess_usd_micros,
            detail=case.detail,
            ruling=RulingView(
                decision=ruling.decision,
                reason=ruling.reason,
                by=ruling.by,
                at=ruling.at,
                amount_micros=adjusting.amount_micros if adjusting else None,
                usd_micros=adjusting.usd_micros if adjusting else None,
                period=adjusting.period if adjusting else None,
            )
            if ruling
            else None,
        )


class CaseList(View):
    """A page of cases: the organisation's, then the departments', newest period first."""

    items: tuple[CaseView, ...]
    continuation: str | None


def run_document(
    comparison: Comparison,
    *,
    partition: Partition,
    run_id: str,
    ran_at: str,
    actor: str,
    opened: Counter[str],
    resolved: int,
    quarantined: Sequence[str],
) -> Document:
    """The document that keeps the outcome of one run."""
    return {
        "id": f"reconciliation:{comparison.provider}:{comparison.day:%Y%m%d}:{run_id}",
        "pk": partition.key,
        "type": "reconciliation",
        "provider": comparison.provider,
        "day": comparison.day.isoformat(),
        "ran_at": ran_at,
        "actor": actor,
        "models": [
            {
                "model": figures.model,
                "counts": dict(figures.counts),
                "billed_usd_micros": figures.billed_usd_micros,
                "booked_usd_micros": figures.booked_usd_micros,
                "drift_usd_micros": figures.drift_usd_micros,
                "drift_bp": figures.drift_bp,
                "daily_sum": figures.daily_sum,
            }
            for figures in comparison.models
        ],
        "opened": dict(sorted(opened.items())),
        "resolved": resolved,
        "quarantined": list(quarantined),
    }
