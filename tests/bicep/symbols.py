"""Finds what a compiler would refuse: names, module parameters, outputs, values known too late."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from tests.bicep.functions import CONTEXT_FUNCTIONS, FUNCTIONS, METHODS
from tests.bicep.syntax import parse_file
from tests.bicep.tree import (
    Call,
    Condition,
    Lambda,
    Loop,
    Member,
    Name,
    Node,
    Object,
    Statement,
    Text,
)

DECLARED: Final = ("param", "var", "resource", "module")
KNOWN_AT_START: Final = ("id", "name", "type", "apiVersion")  # of a resource; the rest is not
EARLY: Final = ("name", "scope", "parent")  # properties that need a value before anything runs


def faults_of(path: Path) -> list[str]:
    """Everything that is wrong with the names of one file, each with its line."""
    return list(_File(path).faults())


class _File:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements = parse_file(path)
        self.declared = {each.name: each for each in self.statements if each.kind in DECLARED}
        self.used: set[str] = set()

    def faults(self) -> Iterator[str]:
        names = [each.name for each in self.statements if each.kind in DECLARED]
        yield from (f"{name} is declared twice" for name in set(names) if names.count(name) > 1)
        for statement in self.statements:
            if statement.value is not None:
                yield from self._names(statement.value, frozenset())
            for arguments in statement.decorators.values():
                for argument in arguments:
                    yield from self._names(argument, frozenset())
            if statement.kind in ("resource", "module"):
                yield from self._early(statement)
            if statement.kind == "module":
                yield from self._module(statement)
        for name, statement in self.declared.items():
            if statement.kind in ("param", "var") and name not in self.used:
                yield f"{self._at(statement.line)} {name} is never used"

    def _at(self, line: int) -> str:
        return f"{self.path.name}:{line}"

    def _names(self, node: Node, local: frozenset[str]) -> Iterator[str]:
        match node:
            case Name(line=line, name=name) if name not in local:
                if name not in self.declared:
                    yield f"{self._at(line)} {name} is not declared"
                self.used.add(name)
            case Call(line=line, name=name, on=on):
                known = METHODS if on else set(FUNCTIONS) | CONTEXT_FUNCTIONS
                if name not in known:
                    yield f"{self._at(line)} {name}() is no function that we use"
            case Member(line=line, on=Member(on=Name(name=name), name="outputs"), name=output):
                yield from self._output(line, name, output)
            case Loop(item=item, index=index):
                yield from self._names(node.source, local)
                yield from self._names(node.body, local | {item} | ({index} if index else set()))
                return
            case Lambda(parameters=parameters, body=body):
                yield from self._names(body, local | set(parameters))
                return
        for child in children_of(node):
            yield from self._names(child, local)

    def _output(self, line: int, name: str, output: str) -> Iterator[str]:
        module = self.declared.get(name)
        if module is None or module.kind != "module":
            yield f"{self._at(line)} {name} is no module"
            return
        path = self.path.parent / module.type
        if path.exists() and output not in _of_kind(path, "output"):
            yield f"{self._at(line)} {name} has no output {output}"

    def _module(self, statement: Statement) -> Iterator[str]:
        path = self.path.parent / statement.type
        if not path.exists():
            yield f"{self._at(statement.line)} there is no {statement.type}"
            return
        body = body_of(statement)
        given = body.get("params")
        names = {_text(key) for key, _ in given.pairs} if isinstance(given, Object) else set()
        parameters = _of_kind(path, "param")
        required = {name for name, each in parameters.items() if each.value is None}
        for name in sorted(required - names):
            yield f"{self._at(statement.line)} {statement.name} does not get {name}"
        for name in sorted(names - set(parameters)):
            yield f"{self._at(statement.line)} {statement.name} knows no {name}"

    def _early(self, statement: Statement) -> Iterator[str]:
        node = statement.value
        assert node is not None
        needed: list[Node] = []
        while isinstance(node, Loop | Condition):
            needed.append(node.source if isinstance(node, Loop) else node.condition)
            node = node.body
        if isinstance(node, Object):
            needed += [value for key, value in node.pairs if _text(key) in EARLY]
        for each in needed:
            if self._is_late(each):
                yield f"{self._at(each.line)} a value that is known only later stands too early"

    def _is_late(self, node: Node) -> bool:
        """True if the value needs something deployed: an output, or a property Azure fills in."""
        match node:
            case Name(name=name):
                declared = self.declared.get(name)
                is_var = declared is not None and declared.kind == "var"
                return bool(
                    is_var and declared and declared.value and self._is_late(declared.value)
                )
            case Member(on=Name(name=name), name=member):
                declared = self.declared.get(name)
                if declared is not None and declared.kind == "module":
                    return True
                if declared is not None and declared.kind == "resource":
                    return member not in KNOWN_AT_START
        return any(self._is_late(child) for child in children_of(node))


def children_of(node: Node) -> Iterator[Node]:
    """What stands directly below a node."""
    for field in fields(node):
        yield from _nodes(getattr(node, field.name))


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _nodes(each)


def _of_kind(path: Path, kind: str) -> dict[str, Statement]:
    return {each.name: each for each in parse_file(path) if each.kind == kind}


def body_of(statement: Statement) -> Object:
    """What stands between the braces of a resource or a module."""
    node = statement.value
    while isinstance(node, Loop | Condition):
        node = node.body
    assert isinstance(node, Object)
    return node


def _text(key: Node) -> str:
    return str(key.parts[0]) if isinstance(key, Text) else ""
