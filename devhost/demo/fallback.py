"""The part of the demo in which a provider is down and the next one takes over."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from devhost.demo.api import Api, Json
from devhost.demo.reconciliation import Check

MODELS: Final = ("foundry-flux-2-pro", "gpt-image-2")  # the cheaper one first
WISH: Final = {
    "model": "auto",
    "prompt": "A flock of terns over a breakwater, linocut",
    "size": "1024x1024",
    "routing": {"strategy": "cheapest", "models": MODELS},
}
OUTAGE: Final = {"scenario": "outage", "provider": "azure_foundry", "times": 1}


async def routed_generation(
    person: Api, simulators_url: str, wait_s: int, say: Callable[[str], None]
) -> Json:
    """A generation whose cheapest provider fails, so that the next one makes the picture."""
    await person.send("POST", f"{simulators_url}/_control/scenarios", json=OUTAGE)
    say("Asking for the cheapest of two models, while the cheapest one's provider is down")
    headers = {"Idempotency-Key": secrets.token_hex(16), "Prefer": f"wait={wait_s}"}
    return await person.post("/generations", WISH, headers)


def attempts_text(generation: Json) -> str:
    """One clause for each line of its ledger entry."""
    return "; ".join(
        f"{each['model']} {each['outcome']} (AUD {each['amount_micros'] / 1_000_000:.6f})"
        for each in generation["routing"]["attempts"]
    )


def check_fallback(generation: Json) -> Check:
    """The first choice failed unpaid, another made the picture, and the lines add up."""
    attempts = generation["routing"]["attempts"]
    charged = generation["cost"]["amount_micros"] if generation["cost"] else 0
    holds = (
        generation["status"] == "succeeded"
        and len(attempts) == len(MODELS)
        and sum(each["amount_micros"] for each in attempts) == charged
    )
    return Check(holds, f"fallback with one ledger line each: {attempts_text(generation)}")
