"""What the HTTP API shows of pictures in storage: tiers, holds, retention, rehydration, reports."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal

from pydantic import Field

from shared.domain.budgets import CURRENCY
from shared.domain.legal_holds import LegalHold
from shared.domain.provenance_views import ProvenanceView
from shared.domain.rehydrations import Rehydration, RehydrationStatus
from shared.domain.retention import RetentionPolicy
from shared.domain.storage_forecasts import Inventory, Month
from shared.domain.storage_prices import PriceStatus, Priority, StorageCosts
from shared.domain.storage_tiers import TIERS, Tier
from shared.domain.views import ImageView, View


class RehydrationPriceView(View):
    """What it costs now to bring a picture back from the archive."""

    priority: Priority
    amount_micros: int = Field(description="micro-AUD, charged to the department")
    currency: Literal["AUD"] = CURRENCY
    hours_max: int = Field(description="until it can be read, at most")
    price_version: str
    price_status: PriceStatus = Field(description="planning: nobody compared it with an invoice")


class RehydrationView(View):
    """A picture on its way back from the archive."""

    image_id: str
    number: int = Field(description="counts the rehydrations of this picture")
    status: RehydrationStatus
    priority: Priority
    size_bytes: int
    amount_micros: int
    currency: Literal["AUD"] = CURRENCY
    price_version: str
    charged_period: str
    asked_by: str = Field(description="object id")
    asked_at: str
    expected_by: str = Field(description="when Azure has it ready, at the latest")
    available_at: str | None
    online_until: str | None = Field(description="then the rules may archive it again")
    reason: str | None


class LegalHoldView(View):
    """The hold on a picture."""

    image_id: str
    held: bool
    reason: str
    by: str = Field(description="object id")
    since: str


class ImageStorageView(View):
    """How a picture is stored now."""

    tier: Literal["hot", "cool", "cold", "archive", "deleted"]
    readable: bool
    rehydrating: bool
    retention: str | None = Field(description="the class it was made under")
    delete_after: datetime | None = Field(description="null: no rule deletes it")
    legal_hold: LegalHoldView | None
    rehydration: RehydrationView | None
    rehydrate_url: str | None = Field(description="POST here to read it again")
    rehydration_prices: tuple[RehydrationPriceView, ...] = ()


class ImageDetailView(ImageView):
    """One picture in custody, with its origin and how it is stored."""

    thumbnail_url: str
    same_as: str | None = Field(
        description="the picture of the same department and month that had these bytes first"
    )
    provenance: ProvenanceView
    storage: ImageStorageView


class RetentionClassView(View):
    """A class of retention."""

    name: str
    days: int | None = Field(description="until deletion; null: never")


class RetentionView(View):
    """How long pictures that a department makes from now on are kept."""

    department_id: str
    retention: str
    days: int | None
    revision: int = Field(description="0: nobody has chosen yet")
    reason: str | None
    changed_by: str | None
    changed_at: str | None
    classes: tuple[RetentionClassView, ...]


class TierView(View):
    """What lies in one tier now."""

    tier: Tier
    blobs: int
    size_bytes: int
    amount_micros: int = Field(description="micro-AUD a month")


class StorageMonthView(View):
    """One month of the forecast: mean bytes of each tier, and what storing them costs."""

    starts_on: date
    ends_before: date
    size_bytes: dict[Tier, int] = Field(description="of what is stored today")
    amount_micros: int
    size_bytes_with_growth: dict[Tier, int]
    amount_with_growth_micros: int


class StorageReport(View):
    """What a department stores and will store; pictures and thumbnails."""

    department_id: str
    as_of: datetime
    currency: Literal["AUD"] = CURRENCY
    price_version: str
    price_status: PriceStatus
    exchange_rate_version: str
    complete: bool = Field(description="false: there is more than one report counts")
    tiers: tuple[TierView, ...]
    size_bytes: int
    amount_micros: int = Field(description="micro-AUD a month")
    held_blobs: int
    growth_bytes_per_month: int = Field(description="what was made in the last 30 days")
    forecast: tuple[StorageMonthView, ...]


def rehydration_view(rehydration: Rehydration, expected_by: datetime) -> RehydrationView:
    return RehydrationView(
        image_id=rehydration.image_id,
        number=rehydration.number,
        status=rehydration.status,
        priority=rehydration.priority,
        size_bytes=rehydration.size_bytes,
        amount_micros=rehydration.amount_micros,
        price_version=rehydration.price_version,
        charged_period=rehydration.period,
        asked_by=_person(rehydration.asked_by),
        asked_at=rehydration.asked_at,
        expected_by=expected_by.isoformat(),
        available_at=rehydration.available_at,
        online_until=rehydration.online_until,
        reason=rehydration.reason,
    )


def legal_hold_view(hold: LegalHold) -> LegalHoldView:
    return LegalHoldView(
        image_id=hold.image_id,
        held=hold.held,
        reason=hold.reason,
        by=_person(hold.actor),
        since=hold.since,
    )


def retention_view(policy: RetentionPolicy, classes: Mapping[str, int | None]) -> RetentionView:
    return RetentionView(
        department_id=policy.department_id,
        retention=policy.retention,
        days=classes[policy.retention],
        revision=policy.revision,
        reason=policy.reason,
        changed_by=_person(policy.actor) if policy.actor else None,
        changed_at=policy.changed_at,
        classes=tuple(RetentionClassView(name=name, days=days) for name, days in classes.items()),
    )


def tier_views(inventory: Inventory, costs: StorageCosts) -> tuple[TierView, ...]:
    return tuple(
        TierView(
            tier=tier,
            blobs=inventory.blobs[tier],
            size_bytes=inventory.size_bytes[tier],
            amount_micros=costs.tier(tier, inventory.size_bytes[tier], 1),
        )
        for tier in TIERS
    )


def month_view(month: Month, costs: StorageCosts) -> StorageMonthView:
    stored, grown, days = month.byte_days, month.byte_days_with_growth, month.days
    return StorageMonthView(
        starts_on=month.starts_on,
        ends_before=month.ends_before,
        size_bytes={tier: stored[tier] // days for tier in TIERS},
        amount_micros=costs.month(stored, days),
        size_bytes_with_growth={tier: grown[tier] // days for tier in TIERS},
        amount_with_growth_micros=costs.month(grown, days),
    )


def storage_csv(report: StorageReport) -> str:
    """Today (month 0) and the forecast, a line for each; amounts in micro-AUD."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    sizes = [f"{tier}_bytes" for tier in TIERS]
    grown = [f"{tier}_bytes_with_growth" for tier in TIERS]
    amounts = ["amount_micros", "amount_with_growth_micros", "price_version", "price_status"]
    writer.writerow(["department", "month", "starts_on", *sizes, *grown, *amounts])
    today: Sequence[int] = [each.size_bytes for each in report.tiers]
    end = (report.price_version, report.price_status)
    known = (report.amount_micros, report.amount_micros, *end)
    writer.writerow([report.department_id, 0, report.as_of.date(), *today, *today, *known])
    for number, month in enumerate(report.forecast, start=1):
        bytes_of = [month.size_bytes[tier] for tier in TIERS]
        bytes_with = [month.size_bytes_with_growth[tier] for tier in TIERS]
        paid = (month.amount_micros, month.amount_with_growth_micros, *end)
        writer.writerow(
            [report.department_id, number, month.starts_on, *bytes_of, *bytes_with, *paid]
        )
    return text.getvalue()


def _person(key: str) -> str:
    """The object id in an identity key; a system's name stays as it is."""
    return key.rpartition(".")[2]
