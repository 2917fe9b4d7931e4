"""The rules of bicepconfig.json that fail a compilation, as far as a tree alone can tell.

Stricter than Bicep's own linter in one point: that knows names with "secret" which it lets pass.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bicep.symbols import body_of, children_of, faults_of
from tests.bicep.syntax import parse_file
from tests.bicep.tree import Call, Literal, Member, Node, Object, Statement, Text

_SECRET_NAME: Final = re.compile(r"password|pwd|secret|accountkey|acctkey", re.IGNORECASE)
_PLACES: Final = ("resourceGroup", "deployment")  # what may say a location as a default only

Rule = Callable[[Path, list[Statement]], Iterator[str]]


def breaches_of(path: Path, rule: str) -> list[str]:
    """What one rule has against one file, each with its line."""
    return [f"{path.name}: {each}" for each in RULES[rule](path, parse_file(path))]


def _user_name(_: Path, statements: list[Statement]) -> Iterator[str]:
    for key, value in _pairs(statements):
        if _text(key).lower() == "adminusername" and _is_constant(value):
            yield f"{key.line} a user name is written down"


def _explicit_places(path: Path, statements: list[Statement]) -> Iterator[str]:
    for statement in _of_kind(statements, "module"):
        given = body_of(statement).get("params")
        names = {_text(key) for key, _ in given.pairs} if isinstance(given, Object) else set()
        for each in _of_kind(parse_file(path.parent / statement.type), "param"):
            if each.value is not None and _is_place(each) and each.name not in names:
                yield f"{statement.line} {statement.name} takes {each.name} by default"


def _deployments(_: Path, statements: list[Statement]) -> Iterator[str]:
    for each in _of_kind(statements, "resource"):
        if each.type.lower().startswith("microsoft.resources/deployments@"):
            yield f"{each.line} {each.name} is a deployment, no module"


def _constant_places(path: Path, statements: list[Statement]) -> Iterator[str]:
    for statement in _of_kind(statements, "resource"):
        place = body_of(statement).get("location")
        if place is not None and _is_constant(place) and place != Text(place.line, ("global",)):
            yield f"{place.line} {statement.name} lies at a place that is written down"
    for statement in _of_kind(statements, "module"):
        given = body_of(statement).get("params")
        for each in _of_kind(parse_file(path.parent / statement.type), "param"):
            value = given.get(each.name) if isinstance(given, Object) else None
            if value is not None and _is_place(each) and _is_constant(value):
                yield f"{value.line} {statement.name} gets a place that is written down"


def _places_outside_defaults(_: Path, statements: list[Statement]) -> Iterator[str]:
    for statement in statements:
        if statement.kind != "param" and statement.value is not None:
            for node in _all(statement.value):
                if _says_place(node):
                    yield f"{node.line} a location of the group stands outside of a default"


def _secure_defaults(_: Path, statements: list[Statement]) -> Iterator[str]:
    for each in _of_kind(statements, "param"):
        empty = each.value in (None, Text(each.line, ("",)), Text(each.line, ()))
        if "secure" in each.decorators and not empty:
            yield f"{each.line} the secret {each.name} has a default"


def _secret_parameters(_: Path, statements: list[Statement]) -> Iterator[str]:
    for each in _of_kind(statements, "param"):
        if _SECRET_NAME.search(each.name) and "secure" not in each.decorators:
            yield f"{each.line} {each.name} is named like a secret and not secure"


def _secret_outputs(_: Path, statements: list[Statement]) -> Iterator[str]:
    secure = {each.name for each in _of_kind(statements, "param") if "secure" in each.decorators}
    for each in _of_kind(statements, "output"):
        assert each.value is not None
        tells = [
            node
            for node in _all(each.value)
            if getattr(node, "name", None) in secure
            or (isinstance(node, Call) and node.name.startswith("list"))
        ]
        if tells or "password" in each.name.lower():
            yield f"{each.line} the output {each.name} shows a secret"


def _parents(_: Path, statements: list[Statement]) -> Iterator[str]:
    for each in _of_kind(statements, "resource"):
        name = body_of(each).get("name")
        parts = name.parts if isinstance(name, Text) else ()
        if any("/" in part for part in parts if isinstance(part, str)):
            yield f"{each.line} {each.name} names its parent instead of pointing to it"


def _unused(path: Path, _: list[Statement]) -> Iterator[str]:
    yield from (each for each in faults_of(path) if "is never used" in each)


RULES: Final[dict[str, Rule]] = {
    "adminusername-should-not-be-literal": _user_name,
    "explicit-values-for-loc-params": _explicit_places,
    "no-deployments-resources": _deployments,
    "no-hardcoded-location": _constant_places,
    "no-loc-expr-outside-params": _places_outside_defaults,
    "no-unused-params": _unused,
    "no-unused-vars": _unused,
    "outputs-should-not-contain-secrets": _secret_outputs,
    "secure-parameter-default": _secure_defaults,
    "secure-secrets-in-params": _secret_parameters,
    "use-parent-property": _parents,
}


def _of_kind(statements: list[Statement], kind: str) -> list[Statement]:
    return [each for each in statements if each.kind == kind]


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in children_of(node):
        yield from _all(child)


def _pairs(statements: list[Statement]) -> Iterator[tuple[Node, Node]]:
    for statement in statements:
        for node in _all(statement.value) if statement.value is not None else ():
            if isinstance(node, Object):
                yield from node.pairs


def _text(key: Node) -> str:
    return str(key.parts[0]) if isinstance(key, Text) and key.parts else ""


def _is_constant(node: Node) -> bool:
    return isinstance(node, Literal) or (
        isinstance(node, Text) and all(isinstance(part, str) for part in node.parts)
    )


def _is_place(parameter: Statement) -> bool:
    by_default = parameter.value is not None and any(map(_says_place, _all(parameter.value)))
    return by_default or parameter.name.lower().endswith("location")


def _says_place(node: Node) -> bool:
    match node:
        case Member(on=Call(name=name), name="location"):
            return name in _PLACES
    return False
