"""What production installs: every package that the code names, at the version that was tested."""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = {"functions", "shared"}
PINNED = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def lines_of(name: str) -> list[str]:
    return (ROOT / name).read_text("utf-8").splitlines()


def pins(name: str) -> dict[str, str]:
    found = [PINNED.fullmatch(line) for line in lines_of(name)]
    return {each[1]: each[2] for each in found if each}


def files_of_listed_packages() -> set[str]:
    return {
        re.sub(r"\.(cpython|abi3)[^/]*\.so$", ".py", str(file))
        for name in pins("requirements.txt")
        for file in distribution(name).files or ()
    }


def imports_of(node: ast.AST) -> Iterator[str]:
    """Modules that are imported when the code runs; those of type checkers alone are not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
        yield from imports_of(child)


def modules_that_the_app_imports() -> set[str]:
    paths = [ROOT / "function_app.py", ROOT / "witness_app.py"]
    paths += [path for folder in OURS for path in (ROOT / folder).rglob("*.py")]
    named = {each for path in paths for each in imports_of(ast.parse(path.read_text("utf-8")))}
    known = sys.stdlib_module_names | OURS
    return {name for name in named if name.partition(".")[0] not in known}


def test_every_package_that_the_code_imports_is_listed() -> None:
    files = files_of_listed_packages()
    imported = modules_that_the_app_imports()
    assert len(imported) > 50
    paths = {name: name.replace(".", "/") for name in imported}
    assert {
        name for name, path in paths.items() if not {f"{path}.py", f"{path}/__init__.py"} & files
    } == set()


def test_every_listed_package_is_pinned_and_has_a_reason() -> None:
    above = "# "
    for line in lines_of("requirements.txt"):
        if line and not line.startswith(("#", "-c ")):
            assert PINNED.fullmatch(line), line
            assert above.startswith("# ") or PINNED.fullmatch(above), line
        above = line


def test_production_installs_the_versions_that_were_tested() -> None:
    assert "-c constraints.txt" in lines_of("requirements.txt")
    tested = pins("constraints.txt")
    assert pins("requirements.txt").items() <= tested.items()
    for name in ("requirements.txt", "constraints.txt"):
        assert not [line for line in lines_of(".funcignore") if fnmatch(name, line)], name
