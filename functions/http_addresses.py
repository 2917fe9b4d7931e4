"""From an address back to the rows of the route table, as the host finds them."""

from collections.abc import Mapping
from typing import Final

from functions.http_routes import ROUTES, Route

_Shape = tuple[str, ...]  # segments in lower case; "" stands for a parameter


def _shape(route: Route) -> _Shape:
    segments = (route.root + route.path).casefold().split("/")
    return tuple("" if segment.startswith("{") else segment for segment in segments)


# Literal segments come before parameters, as they do for the host.
_SHAPES: Final = sorted(
    ((_shape(route), route) for route in ROUTES),
    key=lambda each: tuple(segment == "" for segment in each[0]),
)


def routes_at(url: str) -> Mapping[str, Route]:
    """The routes of an address by their methods; empty where there is nothing."""
    path = url.partition("?")[0].partition("://")[2].partition("/")[2]
    segments = [segment for segment in path.casefold().split("/") if segment]
    found: dict[str, Route] = {}
    for shape, route in _SHAPES:
        if len(shape) == len(segments) and all(
            want in ("", have) for want, have in zip(shape, segments, strict=True)
        ):
            found.setdefault(route.method, route)
    return found
