"""ASP.NET route templates as HTTP triggers use them: `items/{id:int?}`, `files/{*rest}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote
from uuid import UUID

from devhost.host.errors import FunctionLoadError
from devhost.host.loading import LoadedFunction

ALL_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"})

# Precedence of a segment, smaller wins: literal, then constrained, then plain, then catch-all.
_LITERAL, _CONSTRAINED, _PLAIN, _CONSTRAINED_REST, _REST = 1, 2, 3, 4, 5

_PARAMETER = re.compile(r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_PARTS = re.compile(r"^(\*{0,2})([A-Za-z_][\w-]*)((?::[^:=(?]+(?:\(.*?\))?)*)(?:=([^?]*))?(\?)?$")
_CONSTRAINT = re.compile(r":([^:=(?]+)(?:\((.*?)\))?")

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Parameter:
    """One `{...}` of a template."""

    name: str
    rest: bool
    optional: bool
    default: str | None
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Segment:
    """One part between slashes: its pattern, and the parameters that the pattern captures."""

    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]
    precedence: int

    @property
    def can_be_absent(self) -> bool:
        return len(self.parameters) == 1 and (
            self.parameters[0].optional
            or self.parameters[0].rest
            or self.parameters[0].default is not None
        )


@dataclass(frozen=True)
class Route:
    """A function's route; `order` sorts the more specific route first."""

    function: LoadedFunction
    methods: frozenset[str]
    segments: tuple[Segment, ...]

    @property
    def order(self) -> tuple[tuple[int, ...], int]:
        return tuple(segment.precedence for segment in self.segments), -len(self.segments)

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The route parameters when the raw path parts match, else None."""
        found: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            first = segment.parameters[0] if segment.parameters else None
            if first is not None and first.rest:
                text = "/".join(unquote(part) for part in parts[index:])
                return _capture(segment, text, found) if text else found
            if index >= len(parts):
                if not segment.can_be_absent:
                    return None
                if first is not None and first.default is not None:
                    found[first.name] = first.default
                continue
            if _capture(segment, unquote(parts[index]), found) is None:
                return None
        return found if len(parts) <= len(self.segments) else None


class RouteTable:
    """All HTTP routes of the app under one prefix."""

    def __init__(self, functions: Iterable[LoadedFunction], prefix: str) -> None:
        self._prefix = [part for part in prefix.split("/") if part]
        self.routes = sorted((_route(function) for function in functions), key=lambda r: r.order)

    def find(self, method: str, raw_path: str) -> tuple[LoadedFunction, dict[str, str]] | None:
        """The function for a request and its route parameters; None is a 404."""
        parts = [part for part in raw_path.split("/") if part]
        if [part.casefold() for part in parts[: len(self._prefix)]] != [
            part.casefold() for part in self._prefix
        ]:
            return None
        for route in self.routes:
            if method in route.methods:
                parameters = route.match(parts[len(self._prefix) :])
                if parameters is not None:
                    return route.function, parameters
        return None


def _capture(segment: Segment, text: str, found: dict[str, str]) -> dict[str, str] | None:
    match = segment.pattern.fullmatch(text)
    if match is None:
        return None
    for parameter, value in zip(segment.parameters, match.groups(), strict=True):
        if not all(check(value) for check in parameter.checks):
            return None
        found[parameter.name] = value
    return found


def _route(function: LoadedFunction) -> Route:
    methods = function.trigger.get("methods") or ALL_METHODS
    template = str(function.trigger["route"]).strip("/")
    segments = tuple(_segment(function.name, text) for text in template.split("/") if text)
    return Route(function, frozenset(str(method).upper() for method in methods), segments)


def _segment(function_name: str, text: str) -> Segment:
    pattern, parameters, position = "", [], 0
    for match in _PARAMETER.finditer(text):
        pattern += re.escape(text[position : match.start()])
        parameter = _parameter(function_name, match.group(1))
        parameters.append(parameter)
        pattern += "(.*)" if parameter.rest else "(.+)"
        position = match.end()
    pattern += re.escape(text[position:])
    if "{" in text[position:] or "}" in text[position:]:
        raise FunctionLoadError(function_name, f"the route part '{text}' is not a valid template.")
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return Segment(compiled, tuple(parameters), _precedence(text, parameters))


def _precedence(text: str, parameters: list[Parameter]) -> int:
    if not parameters:
        return _LITERAL
    constrained = bool(parameters[0].checks)
    if parameters[0].rest:
        return _CONSTRAINED_REST if constrained else _REST
    is_whole = text.startswith("{") and text.endswith("}") and len(parameters) == 1
    return _PLAIN if is_whole and not constrained else _CONSTRAINED


def _parameter(function_name: str, text: str) -> Parameter:
    match = _PARTS.match(text)
    if match is None:
        raise FunctionLoadError(function_name, f"the route parameter '{{{text}}}' is not valid.")
    stars, name, constraints, default, optional = match.groups()
    checks = tuple(
        _check(function_name, kind, argument)
        for kind, argument in _CONSTRAINT.findall(constraints or "")
    )
    return Parameter(name, bool(stars), bool(optional), default, checks)


def _check(function_name: str, kind: str, argument: str) -> Check:
    if kind in _SIMPLE_CHECKS:
        return _SIMPLE_CHECKS[kind]
    try:
        if kind in _NUMBER_CHECKS:
            numbers = [int(number) for number in argument.split(",")]
            return _NUMBER_CHECKS[kind](*numbers)
        if kind == "regex":
            compiled = re.compile(argument, re.IGNORECASE)
            return lambda value: compiled.search(value) is not None
    except (ValueError, TypeError, re.error) as error:
        raise FunctionLoadError(
            function_name, f"the route constraint '{kind}({argument})' is not valid: {error}"
        ) from error
    raise FunctionLoadError(function_name, f"the route constraint '{kind}' is not emulated.")


def _parses_as(convert: Callable[[str], object]) -> Check:
    def check(value: str) -> bool:
        try:
            convert(value)
        except ValueError:
            return False
        return True

    return check


def _is_integer(bits: int) -> Check:
    limit = 1 << (bits - 1)
    return lambda value: (
        re.fullmatch(r"[+-]?\d+", value) is not None and -limit <= int(value) < limit
    )


def _length(low: int, high: int | None = None) -> Check:
    return lambda value: low <= len(value) <= (low if high is None else high)


def _range(low: int, high: int) -> Check:
    return lambda value: _is_integer(64)(value) and low <= int(value) <= high


_SIMPLE_CHECKS: dict[str, Check] = {
    "int": _is_integer(32),
    "long": _is_integer(64),
    "bool": lambda value: value.lower() in ("true", "false"),
    "guid": _parses_as(UUID),
    "double": _parses_as(float),
    "float": _parses_as(float),
    "decimal": _parses_as(float),
    "alpha": lambda value: re.fullmatch(r"[A-Za-z]*", value) is not None,
    "required": lambda value: value != "",
}
_NUMBER_CHECKS: dict[str, Callable[..., Check]] = {
    "minlength": lambda low: lambda value: len(value) >= low,
    "maxlength": lambda high: lambda value: len(value) <= high,
    "length": _length,
    "min": lambda low: _range(low, (1 << 63) - 1),
    "max": lambda high: _range(-(1 << 63), high),
    "range": _range,
}
