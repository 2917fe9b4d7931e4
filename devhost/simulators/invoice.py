"""What the real providers would bill, kept independently of the application under test.

Amounts are integer micro-USD, rounded up per line. The token counts and prices are those of the
vendors' lists of 2026-11; the rules for refusals are stated in README.md.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import Any

from devhost.simulators.clock import SimulatorClock, iso_utc

AZURE = "azure_openai"
REPLICATE = "replicate"
FIREFLY = "adobe_firefly"
AZURE_FOUNDRY = "azure_foundry"
AZURE_ML = "azure_ml"
GPT_IMAGE_2 = "gpt-image-2"
SDXL = "stability-ai/sdxl"
FLUX_SCHNELL = "black-forest-labs/flux-schnell"

SDXL_USD_MICROS_PER_S = 975  # Nvidia L40S, the hardware SDXL runs on
# Official models, for each picture.
OFFICIAL_USD_MICROS_PER_IMAGE = {
    FLUX_SCHNELL: 3_000,
    "black-forest-labs/flux-1.1-pro": 40_000,
    "black-forest-labs/flux-2-pro": 30_000,  # of one megapixel
    "stability-ai/stable-diffusion-3.5-large": 65_000,
}
FIREFLY_USD_MICROS_PER_IMAGE = 100_000  # a planning value: Adobe publishes no price
FOUNDRY_FLUX_USD_MICROS_PER_IMAGE = 40_000  # of both models, whatever the size
MACHINE_USD_MICROS_PER_S = 1_400  # an A100: a planning rate, for endpoints bill by the hour
UTF8_BYTES_PER_TEXT_TOKEN = 4  # the usual rule of thumb for English text


@dataclass(frozen=True)
class Charge:
    """One priced quantity; `quantity` is a positive integer of `unit`."""

    kind: str
    quantity: int
    unit: str
    usd_micros: int


@dataclass(frozen=True)
class BilledCall:
    """Who caused a charge: copied onto each of its invoice lines."""

    provider: str
    model: str
    prompt_sha256: str
    request_id: str
    client_request_id: str | None
    deployment: str | None = None
    job_id: str | None = None


def prompt_sha256(prompt: str) -> str:
    """Hex SHA-256 of the prompt's UTF-8 bytes: the key of the submit counts."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def input_text_tokens(prompt: str) -> int:
    """The simulator's token count of a prompt: a quarter of its UTF-8 bytes, rounded up."""
    return max(1, -(-len(prompt.encode()) // UTF8_BYTES_PER_TEXT_TOKEN))


def at_batch_price(charges: list[Charge]) -> list[Charge]:
    """The same quantities on the batch meters: half the price, rounded up for each line."""
    return [
        Charge(f"batch_{charge.kind}", charge.quantity, charge.unit, -(-charge.usd_micros // 2))
        for charge in charges
    ]


def sdxl_charge(predict_time_ms: int) -> Charge:
    """Active time at the GPU rate, rounded up to a micro-USD."""
    usd_micros = -(-predict_time_ms * SDXL_USD_MICROS_PER_S // 1000)
    return Charge("predict_time", predict_time_ms, "millisecond", usd_micros)


def official_charge(model: str, images: int) -> Charge:
    """A fixed price for each delivered picture of one of Replicate's official models."""
    usd_micros = images * OFFICIAL_USD_MICROS_PER_IMAGE[model]
    return Charge("output_image", images, "image", usd_micros)


def foundry_charge(images: int) -> Charge:
    """A fixed price for each picture, for a moderated request and for a 408."""
    return Charge("output_image", images, "image", images * FOUNDRY_FLUX_USD_MICROS_PER_IMAGE)


def machine_charge(run_ms: int) -> Charge:
    """The time of a run at the machine's rate, rounded up to a micro-USD."""
    usd_micros = -(-run_ms * MACHINE_USD_MICROS_PER_S // 1000)
    return Charge("machine_time", run_ms, "millisecond", usd_micros)


def firefly_charge(images: int) -> Charge:
    """A fixed price for each picture; for a job that failed, as if it had made all of them."""
    return Charge("firefly_image", images, "image", images * FIREFLY_USD_MICROS_PER_IMAGE)


@dataclass(frozen=True)
class Invoice:
    """The invoice lines and the submit counts in the simulators' database."""

    database: sqlite3.Connection
    clock: SimulatorClock

    def add(self, call: BilledCall, charges: list[Charge]) -> None:
        """Appends one line per charge, all or none."""
        with self.database:
            self.insert(call, charges, self.clock.now_s())

    def insert(self, call: BilledCall, charges: list[Charge], at_s: float) -> None:
        """Appends the lines inside the caller's transaction."""
        rows = [
            (
                call.provider,
                call.model,
                charge.kind,
                charge.usd_micros,
                charge.quantity,
                charge.unit,
                at_s,
                call.request_id,
                call.client_request_id,
                call.deployment,
                call.job_id,
                call.prompt_sha256,
            )
            for charge in charges
        ]
        self.database.executemany(
            "INSERT INTO invoice_lines (provider, model, kind, usd_micros, quantity, unit,"
            " at_s, request_id, client_request_id, deployment, job_id, prompt_sha256)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def count_submission(self, provider: str, prompt: str) -> int:
        """Counts a well-formed, authorised request; returns how many its prompt has had."""
        with self.database:
            row = self.database.execute(
                "INSERT INTO submissions VALUES (?, ?, 1) ON CONFLICT (provider, prompt_sha256)"
                " DO UPDATE SET submitted = submitted + 1 RETURNING submitted",
                (provider, prompt_sha256(prompt)),
            ).fetchone()
        return int(row["submitted"])

    def as_json(self, provider: str | None) -> dict[str, Any]:
        """The invoice, oldest line first, with totals by provider and by model."""
        lines = [
            _line_json(row)
            for row in self.database.execute("SELECT * FROM invoice_lines ORDER BY id")
            if provider is None or row["provider"] == provider
        ]
        by_provider: Counter[str] = Counter()
        by_model: Counter[str] = Counter()
        for line in lines:
            by_provider[line["provider"]] += line["usd_micros"]
            by_model[f"{line['provider']}/{line['model']}"] += line["usd_micros"]
        return {
            "lines": lines,
            "total_usd_micros": sum(by_provider.values()),
            "by_provider": dict(by_provider),
            "by_model": dict(by_model),
        }

    def submissions(self) -> list[dict[str, Any]]:
        """For each provider and prompt: requests submitted, and requests that were billed."""
        rows = self.database.execute(
            "SELECT s.provider, s.prompt_sha256, s.submitted,"
            " (SELECT COUNT(DISTINCT l.request_id) FROM invoice_lines l"
            "  WHERE l.provider = s.provider AND l.prompt_sha256 = s.prompt_sha256) AS billed"
            " FROM submissions s ORDER BY s.provider, s.prompt_sha256"
        )
        return [dict(row) for row in rows]

    def reset(self) -> None:
        """Forgets every line and submit count; line ids are not used again."""
        with self.database:
            self.database.execute("DELETE FROM invoice_lines")
            self.database.execute("DELETE FROM submissions")


def _line_json(row: sqlite3.Row) -> dict[str, Any]:
    line = dict(row)
    line["id"] = f"line-{line['id']:06d}"
    line["at"] = iso_utc(line.pop("at_s"))
    return line
