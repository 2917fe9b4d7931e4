"""Seeded synthetic spend: documents as the ledger keeps them, and daily series to forecast."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.domain.entries import Entry, read_entry

TENANT = "11111111-1111-4111-8111-111111111111"
MODELS = (
    ("gpt-image-2", "azure_openai", 0.55),
    ("gpt-image-1-mini", "azure_openai", 0.2),
    ("flux-2-pro", "replicate", 0.15),
    ("imagen-4", "replicate", 0.1),
)
PEOPLE = tuple(f"{TENANT}.00000000-0000-4000-8000-{number:012d}" for number in range(1, 15))
PROJECTS = ("apollo", "autumn-campaign", "store-windows", None)
COST_CENTRES = ("cc-4100", "cc-4200", None)
AUD_PER_USD_MICROS = 1_540_000
WEEKEND_SHARE = 0.2


def resolution(number: int, **changes: Any) -> dict[str, Any]:
    """A resolution document; amounts and names may differ."""
    generation_id = f"202611-marketing-{number:032x}"
    document: dict[str, Any] = {
        "id": f"x:{generation_id}",
        "pk": "marketing|202611",
        "type": "resolution",
        "operation_id": generation_id,
        "generation_id": generation_id,
        "tenant_id": TENANT,
        "department_id": "marketing",
        "user_key": PEOPLE[0],
        "project_id": None,
        "cost_centre_id": None,
        "row": None,
        "item_id": None,
        "images": 1,
        "attempt": 1,
        "status": "succeeded",
        "held_micros": 100_000,
        "amount_micros": 61_600,
        "usd_micros": 40_000,
        "list_usd_micros": 40_000,
        "estimated": False,
        "price_version": "2026-11-01",
        "exchange_rate_version": "2026-11-02",
        "aud_per_usd_micros": AUD_PER_USD_MICROS,
        "admitted_at": "2026-11-15T12:00:00+00:00",
        "closed_at": "2026-11-15T12:01:00+00:00",
        "model": "gpt-image-2",
        "provider": "azure_openai",
        "failure": None,
        "request_id": "r-1",
        "job_id": None,
    }
    return document | changes


def adjustment(number: int, **changes: Any) -> dict[str, Any]:
    """An adjustment document."""
    document: dict[str, Any] = {
        "id": f"j:{number:06d}",
        "pk": "marketing|202611",
        "type": "adjustment",
        "adjustment_id": f"{number:06d}",
        "kind": "reconciliation",
        "amount_micros": -15_400,
        "usd_micros": -10_000,
        "tenant_id": TENANT,
        "department_id": "marketing",
        "user_key": None,
        "project_id": None,
        "cost_centre_id": None,
        "model": "gpt-image-2",
        "provider": "azure_openai",
        "refers_to": None,
        "reason": "the invoice was lower",
        "actor": "system:reconciliation",
        "booked_at": "2026-11-16T03:00:00+00:00",
    }
    return document | changes


def department_entries(seed: int, first: date, days: int, requests_a_day: int) -> list[Entry]:
    """Entries of a lively department; busier on weekdays and busier from week to week."""
    generator = random.Random(seed)
    entries: list[Entry] = []
    for number in range(days):
        day = first + timedelta(days=number)
        pace = (1 if day.weekday() < 5 else WEEKEND_SHARE) * (1 + 0.004 * number)
        for _ in range(int(requests_a_day * pace * generator.gammavariate(9, 1 / 9))):
            entries.append(_request(generator, len(entries), day))
    return entries


def _request(generator: random.Random, number: int, day: date) -> Entry:
    model, provider, _ = generator.choices(MODELS, weights=[each[2] for each in MODELS])[0]
    failed = generator.random() < 0.03
    usd = 0 if failed else int(generator.choice((11_000, 42_000, 63_000, 167_000)))
    discounted = not failed and generator.random() < 0.15
    billed = usd // 2 if discounted else usd
    moment = datetime(day.year, day.month, day.day, 9, tzinfo=UTC) + timedelta(
        seconds=generator.randrange(28_800)
    )
    return read_entry(
        resolution(
            number,
            user_key=generator.choices(PEOPLE, weights=range(len(PEOPLE), 0, -1))[0],
            project_id=generator.choices(PROJECTS, weights=(5, 4, 2, 1))[0],
            cost_centre_id=generator.choice(COST_CENTRES),
            model=model,
            provider=provider,
            images=0 if failed else 1,
            status="failed" if failed else "succeeded",
            failure="provider_error" if failed else None,
            usd_micros=billed,
            list_usd_micros=usd,
            amount_micros=-(-billed * AUD_PER_USD_MICROS // 1_000_000),
            admitted_at=moment.isoformat(),
            closed_at=(moment + timedelta(seconds=20)).isoformat(),
        )
    )


def daily_series(
    seed: int, days: int, *, level_micros: int = 100_000_000, growth: float = 0.0, shape: int = 8
) -> list[int]:
    """Spend per day, Monday first: weekends are quiet, noise is a gamma of this shape."""
    generator = random.Random(seed)
    return [
        int(
            level_micros
            * (1 if day % 7 < 5 else WEEKEND_SHARE)
            * (1 + growth * day)
            * generator.gammavariate(shape, 1 / shape)
        )
        for day in range(days)
    ]
