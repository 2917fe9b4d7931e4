"""The codes that the source gives to refusals, our list of them, OpenAPI and the docs agree."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import shared.domain.batch_files_lines  # noqa: F401  adds a class to the error tree
from functions.http_openapi import openapi_document
from shared import errors
from shared.domain.problem_codes import GIVEN_CODES, PROBLEM_CODES

ROOT = Path(__file__).resolve().parents[2]
NEVER_TOLD = {(400, "rejected"), (400, "scim")}  # a branch; told as `scimType`
# Codes that no literal gives, by file and expression.
COMPUTED = {
    ("shared/services/budget_periods.py", "f'unknown_{scope.kind}'"): {
        "unknown_project",
        "unknown_cost_centre",
    },
    ("shared/services/approvals.py", "code"): {"self_approval", "policy_denied"},
    ("shared/services/openai_images.py", "view.status"): {"awaiting_approval", "deferred"},
    # How a picture failed, which only the endpoint for OpenAI's clients tells as a refusal.
    ("shared/services/openai_images.py", "code"): set[str](),
}

Told = set[tuple[int, str]]  # status and code


class Helper(NamedTuple):
    """A function that builds an error and takes its code as a parameter."""

    name: str
    position: int
    status: int
    path: str


def branch(kind: type[errors.EigError]) -> Iterator[type[errors.EigError]]:
    yield kind
    for leaf in kind.__subclasses__():
        yield from branch(leaf)


STATUS = {kind.__name__: kind.status for kind in branch(errors.EigError)}


@cache
def sources() -> dict[str, ast.Module]:
    paths = [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in paths
    }


def callee(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def given(tree: ast.AST) -> Iterator[tuple[int, ast.expr]]:
    """The status and the code, as it is written, of each error that is made with one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and callee(node) in STATUS:
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield STATUS[callee(node)], keyword.value


def helpers() -> set[Helper]:
    found = set()
    for path, tree in sources().items():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                names = [each.arg for each in function.args.args]
                found |= {
                    Helper(function.name, names.index(code.id), status, path)
                    for status, code in given(function)
                    if isinstance(code, ast.Name) and code.id in names
                }
    return found


def from_helpers() -> Told:
    told = set()
    for path, tree in sources().items():
        for call in ast.walk(tree):
            for helper in helpers_named(call, path):
                code = call.args[helper.position]  # type: ignore[attr-defined]
                told.add((helper.status, ast.literal_eval(code)))
    return told


HELPERS = helpers()


def helpers_named(node: ast.AST, path: str) -> list[Helper]:
    """The helper that a call calls; a private one only in its own module."""
    if not isinstance(node, ast.Call):
        return []
    return [
        each
        for each in HELPERS
        if each.name == callee(node) and (each.path == path or not each.name.startswith("_"))
    ]


@cache
def told_by_the_source() -> Told:
    told = {(kind.status, kind.code) for kind in branch(errors.EigError)} - NEVER_TOLD
    passed_on = {helper.path for helper in HELPERS}
    for path, tree in sources().items():
        for status, code in given(tree):
            if isinstance(code, ast.Constant):
                told.add((status, str(code.value)))
            elif not (path in passed_on and isinstance(code, ast.Name)):
                told |= {(status, each) for each in COMPUTED[(path, ast.unparse(code))]}
    return told | from_helpers()


def told_by_the_docs() -> list[tuple[int, str]]:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9, ]+) \| [^|]{4,} \|$", text, re.MULTILINE)
    return [(int(status), code) for code, statuses in rows for status in statuses.split(",")]


def test_the_list_has_every_code_that_the_source_gives_and_no_other() -> None:
    assert {code for _, code in told_by_the_source()} == PROBLEM_CODES


def test_no_code_of_a_class_is_listed_as_given() -> None:
    classes = {kind.code for kind in branch(errors.EigError)}
    assert classes & GIVEN_CODES == set()


def test_the_docs_say_what_to_do_for_every_code_and_no_other() -> None:
    documented = told_by_the_docs()
    assert set(documented) == told_by_the_source()
    assert len(documented) == len(set(documented))


def test_openapi_lists_every_code() -> None:
    problem = openapi_document()["components"]["schemas"]["Problem"]
    assert set(problem["properties"]["code"]["enum"]) == PROBLEM_CODES
