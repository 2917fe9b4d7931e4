"""Tells the access log how each request was decided: the one place that does."""

from typing import TYPE_CHECKING, Final

import azure.functions as func

from functions.http_addresses import routes_at
from functions.http_auth import Identity
from functions.http_routes import SCIM, Route
from shared.errors import EigError, NotFound, PolicyDenied, Unauthenticated
from shared.wiring import services

if TYPE_CHECKING:
    from shared.domain.access_decisions import Decisions
    from shared.domain.access_events import Actor, Target

_DENIALS: Final = (Unauthenticated, PolicyDenied, NotFound)
_UNAUTHENTICATED: Final = 401
_DENIED: Final = frozenset({403, 404})
_ASKED_FOR: Final = ("department", "owner", "user", "name", "event_id")  # whose, in a query
_READS: Final = frozenset({"GET", "HEAD"})


async def log_refusal(
    request: func.HttpRequest, identity: Identity, error: EigError, correlation_id: str
) -> None:
    """Log a denial before it is answered; other refusals decide nothing about rights."""
    if not isinstance(error, _DENIALS):
        return
    route = _route_of(request)
    if isinstance(error, NotFound) and route is not None and route.public:
        return  # nobody was asked who they are
    await services().access_log.denied(
        _actor(identity),
        _target(request, route),
        _decisions(identity),
        error.problem_code,
        correlation_id,
    )


async def log_answer(
    request: func.HttpRequest, identity: Identity, status: int, correlation_id: str
) -> None:
    """Log what was allowed; raises Unavailable where that must stand before it is answered."""
    route = _route_of(request)
    if route is not None and route.root == SCIM:
        await _log_provisioning(request, route, status, correlation_id)
    elif identity.caller is not None:
        await services().access_log.allowed(
            _actor(identity),
            _target(request, route),
            _decisions(identity),
            correlation_id,
            reads=request.method in _READS,
        )


async def _log_provisioning(
    request: func.HttpRequest, route: Route, status: int, correlation_id: str
) -> None:
    """The provisioning app has no caller, and answers refusals in words of its own."""
    from shared.domain.access_decisions import Decisions
    from shared.domain.access_events import NOBODY, PROVISIONING, provisioned

    target, log, reads = _target(request, route), services().access_log, request.method in _READS
    if status == _UNAUTHENTICATED:
        await log.denied(NOBODY, target, Decisions(), f"http_{status}", correlation_id)
    elif status in _DENIED:
        decided = provisioned(is_read=reads)
        await log.denied(PROVISIONING, target, decided, f"http_{status}", correlation_id)
    else:
        decided = provisioned(is_read=reads)
        await log.allowed(PROVISIONING, target, decided, correlation_id, reads=reads)


def _route_of(request: func.HttpRequest) -> Route | None:
    return routes_at(request.url or "").get(request.method or "")


def _actor(identity: Identity) -> "Actor":
    from shared.domain.access_events import NOBODY, actor_of, stranger

    if identity.caller is not None:
        return actor_of(identity.caller)
    return NOBODY if identity.principal is None else stranger(identity.principal)


def _decisions(identity: Identity) -> "Decisions":
    from shared.domain.access_decisions import Decisions

    return (identity.caller and identity.caller.decisions) or Decisions()


def _target(request: func.HttpRequest, route: Route | None) -> "Target":
    from shared.domain.access_events import Target

    if route is None:
        return Target("UnknownRoute", "unknown")
    asked_for = next((request.params[each] for each in _ASKED_FOR if each in request.params), None)
    noun = ".".join(part for part in route.path.split("/") if not part.startswith("{"))
    ids = tuple(str(value) for value in request.route_params.values())
    return Target(route.name, noun, ids, asked_for)
