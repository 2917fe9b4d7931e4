"""The app's Replicate client over the simulator: for each scenario it books what is invoiced."""

import asyncio
import math
from pathlib import Path
from typing import TypeGuard

import pytest

from devhost.simulators.clock import SimulatorClock
from devhost.simulators.invoice import REPLICATE
from devhost.simulators.scenarios import SCENARIOS
from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    NotDelivered,
    ProviderOutcome,
    Unknown,
    Usage,
)
from tests.contract.image_orders import Recorder, order
from tests.contract.replicate_service import PROMPT, running_service, tagged

RUN_S = 0.05  # real seconds that a simulated run takes
FLUX_USD_MICROS = 3000
SDXL_USD_MICROS_PER_S = 975

# How the client must understand each scenario. FLUX runs that fail are free: see FREE_FOR_FLUX.
BOOKED: list[tuple[str, type, Failure | None, Billed | None]] = [
    ("normal", Delivered, None, None),
    ("slow seconds=0.3", Delivered, None, None),
    ("slow_start seconds=0.2", Delivered, None, None),
    ("fewer_images", Delivered, None, None),
    ("oversized mb=1", Delivered, None, None),
    ("rate_limited", NotDelivered, Failure.RATE_LIMITED, Billed.NOTHING),
    ("unauthorized", NotDelivered, Failure.AUTH_OR_CONFIG, Billed.NOTHING),
    ("outage", NotDelivered, Failure.TRANSIENT, Billed.NOTHING),
    ("insufficient_credit", NotDelivered, Failure.QUOTA_EXHAUSTED, Billed.NOTHING),
    ("aborted", NotDelivered, Failure.TIMEOUT, Billed.NOTHING),
    ("content_filter", NotDelivered, Failure.CONTENT_REJECTED, Billed.USAGE),
    ("nsfw", NotDelivered, Failure.CONTENT_REJECTED, Billed.USAGE),
    ("failed", NotDelivered, Failure.MALFORMED, Billed.USAGE),
    ("not_an_image", NotDelivered, Failure.MALFORMED, Billed.USAGE),
    ("expired_url", NotDelivered, Failure.MALFORMED, Billed.USAGE),
    ("wrong_output_host", NotDelivered, Failure.MALFORMED, Billed.USAGE),
    ("redirect_output", NotDelivered, Failure.MALFORMED, Billed.USAGE),
    ("malformed shape=missing_data", NotDelivered, Failure.MALFORMED, Billed.USAGE),
    ("malformed", NotDelivered, Failure.MALFORMED, Billed.MAXIMUM),
    ("timeout_after_work", Unknown, None, None),
]


def test_every_scenario_of_the_provider_is_tried() -> None:
    tried = {tag.split(maxsplit=1)[0] for tag, *_ in BOOKED} - {"normal"}
    known = {name for name, kind in SCENARIOS.items() if REPLICATE in kind.providers}
    elsewhere = {name for name in known if name.startswith("webhook_")} | {"content_credentials"}
    assert tried == known - elsewhere


FREE_FOR_FLUX = {"content_filter", "nsfw", "failed"}


@pytest.mark.parametrize("model", ["sdxl", "flux-schnell"])
@pytest.mark.parametrize(("tag", "kind", "failure", "billed"), BOOKED)
async def test_client_books_what_is_invoiced(
    tmp_path: Path,
    model: str,
    tag: str,
    kind: type,
    failure: Failure | None,
    billed: Billed | None,
) -> None:
    async with running_service(tmp_path, SimulatorClock(), delay_s=RUN_S) as service:
        hosts = frozenset({service.state.options.origin.removeprefix("http://")})
        provider = ReplicateProvider(
            service.base_url, GivenSecret("r8_test"), hosts, poll_interval_s=0.02
        )
        prompt = PROMPT if tag == "normal" else tagged(tag)
        outcome = await provider.generate(order(model, prompt, count=2), Recorder())
        await provider.aclose()
        assert type(outcome) is kind
        if isinstance(outcome, NotDelivered):
            free = model == "flux-schnell" and tag in FREE_FOR_FLUX
            assert outcome.failure is failure
            assert outcome.billed is (Billed.NOTHING if free else billed)
        if has_known_cost(outcome):
            assert service.total_usd_micros() == usd_micros(model, outcome.usage)
        else:
            await asyncio.sleep(RUN_S)  # the client has lost sight of it, but it runs to its end
            assert service.total_usd_micros() > 0


def has_known_cost(outcome: ProviderOutcome) -> TypeGuard[Delivered | NotDelivered]:
    if isinstance(outcome, Unknown):
        return False
    return isinstance(outcome, Delivered) or outcome.billed is not Billed.MAXIMUM


def usd_micros(model: str, usage: Usage | None) -> int:
    """The price of a usage, rounded up to a micro-USD; None was free."""
    if usage is None:
        return 0
    if model == "sdxl":
        return math.ceil(usage.seconds * SDXL_USD_MICROS_PER_S)
    return usage.images * FLUX_USD_MICROS
