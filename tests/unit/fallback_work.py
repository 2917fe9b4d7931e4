"""Work with a route of three models at two providers, for the tests of fallbacks."""

from dataclasses import replace
from typing import Any

from shared.domain.routes import Candidate, Route, pinned_route
from shared.domain.work import WorkItem
from tests import builders

FIRST = builders.request("gpt-image-2", quality="low")
QUOTE = builders.catalogue().quote(FIRST)
SCOPES = builders.caller().charge().scopes()


def candidate(model: str, amount_micros: int, usd_micros: int) -> Candidate:
    wanted = builders.request(model)
    route = pinned_route(wanted, builders.quote(amount_micros, usd_micros))
    return route.candidates[0]


def route(uplift_percent: int = 1_000, *, content_fallback: bool = False) -> Route:
    """gpt-image-2, then two models of Replicate, one after the other dearer."""
    sdxl = builders.catalogue().quote(builders.request("sdxl"))
    first = pinned_route(FIRST, QUOTE).candidates[0]
    dear = candidate("sdxl", sdxl.amount_micros, sdxl.usd_micros)
    flux = builders.catalogue().quote(builders.request("flux-schnell"))
    cheap = candidate("flux-schnell", flux.amount_micros, flux.usd_micros)
    return Route(
        "pinned",
        (first, dear, cheap),
        uplift_percent=uplift_percent,
        content_fallback=content_fallback,
    )


def item(**changes: Any) -> WorkItem:
    return replace(builders.item(wanted=FIRST), planned_route=route(**changes))
