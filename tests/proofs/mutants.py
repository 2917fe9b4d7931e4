"""Seeded bugs: the source of a shipped function is changed and compiled, for the time of a run.

A mutant replaces the code of the real function, wherever it has been imported to. It refuses to
start if its text no longer occurs exactly once, so that it cannot outlive the code it is about.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True)
class Change:
    """In one function or method, `old` becomes `new`; it is named like `module:Class.method`."""

    target: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A bug that somebody could have written; `scenario` says where it must be caught."""

    name: str
    changes: tuple[Change, ...]


def mutant(name: str, *changes: tuple[str, str, str]) -> Mutant:
    """A bug as it stands in a catalogue."""
    return Mutant(name, tuple(Change(*change) for change in changes))


@contextmanager
def installed(bug: Mutant) -> Iterator[None]:
    """The shipped code with this bug in it, until the block is left."""
    by_target: dict[str, list[Change]] = {}
    for change in bug.changes:
        by_target.setdefault(change.target, []).append(change)
    changed = [(_function(target), changes) for target, changes in by_target.items()]
    codes = [(function, _mutated(function, changes)) for function, changes in changed]
    originals = [(function, function.__code__) for function, _ in codes]
    try:
        for function, code in codes:
            function.__code__ = code
        yield
    finally:
        for function, code in originals:
            function.__code__ = code


def _function(target: str) -> FunctionType:
    module_name, _, path = target.partition(":")
    found: Any = reduce(getattr, path.split("."), importlib.import_module(module_name))
    if isinstance(found, property):
        found = found.fget
    if not isinstance(found, FunctionType):
        raise AssertionError(f"{target} is no function")
    return found


def _mutated(function: FunctionType, changes: Sequence[Change]) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    for change in changes:
        if source.count(change.old) != 1:
            raise AssertionError(f"{change.target} does not contain exactly once: {change.old}")
        source = source.replace(change.old, change.new)
    # Decorators belong to the function that stays; only the code inside it is exchanged.
    namespace = dict(vars(importlib.import_module(function.__module__)))
    exec(compile(source, f"<mutant of {function.__qualname__}>", "exec"), namespace)
    mutated: Any = namespace[function.__name__]
    function_of: Any = mutated.fget if isinstance(mutated, property) else mutated
    code: CodeType = function_of.__code__
    if code.co_freevars != function.__code__.co_freevars:
        raise AssertionError(f"{function.__qualname__} closes over other variables than before")
    return code
