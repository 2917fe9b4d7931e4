"""What is handed to a logger is logged: the formatter drops fields that are not listed."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shared.telemetry import LOGGED_FIELDS

ROOT = Path(__file__).resolve().parents[2]
LOGGERS = {"logger", "_log"}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("functions", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def extras(tree: ast.Module) -> Iterator[ast.expr]:
    """What the calls of a module's logger hand over as `extra`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in LOGGERS
        ):
            yield from (each.value for each in node.keywords if each.arg == "extra")


def written(tree: ast.Module, extra: ast.expr) -> list[ast.expr]:
    """The dictionaries behind an `extra`: itself, or what its name or function stands for."""
    if isinstance(extra, ast.Name):
        assigned = (node for node in ast.walk(tree) if isinstance(node, ast.Assign))
        return [node.value for node in assigned if ast.unparse(node.targets[0]) == extra.id]
    if isinstance(extra, ast.Call):
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        named = [node for node in functions if node.name == ast.unparse(extra.func)]
        returns = (each for node in named for each in ast.walk(node))
        return [node.value for node in returns if isinstance(node, ast.Return) and node.value]
    return [extra]


def keys(tree: ast.Module, extra: ast.expr) -> set[str]:
    found = written(tree, extra)
    assert found, ast.unparse(extra)
    names = set()
    for each in found:
        assert isinstance(each, ast.Dict), ast.unparse(extra)  # a name that cannot be read is none
        names |= {ast.literal_eval(key) for key in each.keys if key is not None}
    return names


def test_every_field_that_is_handed_to_a_logger_is_logged_and_every_logged_field_is_used() -> None:
    used: set[str] = set()
    dropped = {}
    for path, tree in trees():
        names = {name for extra in extras(tree) for name in keys(tree, extra)}
        used |= names
        if names - set(LOGGED_FIELDS):
            dropped[path] = names - set(LOGGED_FIELDS)
    assert dropped == {}
    assert used == set(LOGGED_FIELDS)
