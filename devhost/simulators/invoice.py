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
GPT_IMAGE_2 = "gpt-image-2"
SDXL = "stability-ai/sdxl"
FLUX_SCHNELL = "black-forest-labs/flux-schnell"

# Output tokens of one picture, by size and quality (OpenAI image guide, gpt-image-2).
GPT_IMAGE_2_OUTPUT_TOKENS: dict[str, dict[str, int]] = {
    "1024x1024": {"low": 196, "medium": 1756, "high": 7024},
    "1024x1536": {"low": 158, "medium": 1372, "high": 5488},
    "1536x1024": {"low": 158, "medium": 1372, "high": 5488},
}
OUTPUT_TOKEN_USD_MICROS = 30  # 30 USD per million tokens, Azure Global Standard
INPUT_TEXT_TOKEN_USD_MICROS = 5  # 5 USD per million tokens
SDXL_USD_MICROS_PER_S = 975  # Nvidia L40S, the hardware SDXL runs on
FLUX_SCHNELL_USD_MICROS_PER_IMAGE = 3000
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


def output_tokens(size: str, quality: str, images: int) -> int:
    """Output tokens of `images` pictures; size and quality are resolved, never `auto`."""
    return GPT_IMAGE_2_OUTPUT_TOKENS[size][quality] * images


def azure_image_charges(size: str, quality: str, images: int, prompt: str) -> list[Charge]:
    """A delivered request: output tokens of the pictures and text tokens of the prompt."""
    text_tokens = input_text_tokens(prompt)
    return [
        azure_output_charge("image_output", size, quality, images),
        Charge("text_input", text_tokens, "token", text_tokens * INPUT_TEXT_TOKEN_USD_MICROS),
    ]


def azure_output_charge(kind: str, size: str, quality: str, images: int) -> Charge:
    """Output tokens only: also the stated price of a content-filter 400 and of a 408."""
    tokens = output_tokens(size, quality, images)
    return Charge(kind, tokens, "token", tokens * OUTPUT_TOKEN_USD_MICROS)


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


def flux_charge(images: int) -> Charge:
    """A fixed price for each delivered picture."""
    return Charge("output_image", images, "image", images * FLUX_SCHNELL_USD_MICROS_PER_IMAGE)


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
