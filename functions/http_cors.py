"""Which pages of other origins may read our answers: those that a setting lists, with a token.

Our cookies play no part: credentials are never allowed, so a page elsewhere can use no session.
"""

from typing import TYPE_CHECKING, Final

import azure.functions as func

from shared.wiring import services

if TYPE_CHECKING:
    from collections.abc import Iterable

ORIGIN_CHARS_MAX: Final = 300  # a name has at most 253
PREFLIGHT_AGE_S: Final = 600  # how long a browser remembers; Chromium takes two hours at most
_STAINLESS: Final = (  # what OpenAI's client says of itself in every request
    "arch, custom-poll-interval, helper-method, lang, os, package-version, poll-helper,"
    " retry-count, runtime, runtime-version, timeout"
)
_REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer,"
    " x-correlation-id, OpenAI-Organization, OpenAI-Project, "
    + ", ".join(f"x-stainless-{name}" for name in _STAINLESS.split(", "))
)
_ANSWER_HEADERS: Final = (
    "ETag, Link, Location, Operation-Location, Preference-Applied, RateLimit, RateLimit-Policy,"
    " Retry-After, WWW-Authenticate, x-correlation-id, x-request-id, x-should-retry, x-eig-code,"
    " x-eig-generation-id, x-eig-status, x-eig-model, x-eig-provider, x-eig-quoted-micros,"
    " x-eig-currency, x-eig-price-version, x-eig-receipt, x-eig-cost-micros,"
    " x-eig-cost-estimated, x-eig-image-ids, x-eig-prompt-redacted, x-eig-warnings"
)


def cors_headers(request: func.HttpRequest) -> dict[str, str]:
    """What lets a page of a listed origin read the answer; for all others only `Vary`."""
    headers = {"Vary": "Origin"}  # also without an origin: the next request may have one
    if _is_listed(request):
        headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        headers["Access-Control-Expose-Headers"] = _ANSWER_HEADERS
    return headers


def preflight_headers(request: func.HttpRequest, methods: "Iterable[str]") -> dict[str, str]:
    """What a browser wants to know before it sends a request of another origin."""
    if not _is_listed(request) or "Access-Control-Request-Method" not in request.headers:
        return {}
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_AGE_S),
    }


def _is_listed(request: func.HttpRequest) -> bool:
    origin = request.headers.get("Origin")
    return (
        origin is not None
        and len(origin) <= ORIGIN_CHARS_MAX
        and origin in services().settings.cors_origins
    )
