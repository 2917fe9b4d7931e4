"""The shape of the tree: sizes, names and imports that a reviewer would otherwise have to count."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
TRIGGER_LINES_MAX = 20
ACTIVITY_LINES_MAX = 25  # 12 statements of its own plus the guard that turns a fault into a report
SHIPPED = ("function_app.py", "functions", "shared")
MADE_HERE = {".venv", "node_modules", "__pycache__", ".git", ".devhost", "demo-output"}
JUNK_DRAWERS = {"utils", "helpers", "common", "base", "manager", "misc"}


def tracked(*suffixes: str) -> list[Path]:
    return [path for path in files_of_the_project() if path.name.endswith(suffixes)]


@cache
def files_of_the_project() -> list[Path]:
    """What git knows or would take; of a copy without git, what lies in it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        found = (path for path in ROOT.rglob("*") if path.is_file())
        return [path for path in found if not MADE_HERE & set(path.relative_to(ROOT).parts)]
    named = (ROOT / name for name in listed.stdout.splitlines())
    return [path for path in named if path.exists()]


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(".py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    }
    assert long == {}


def test_functions_stay_readable() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": length(node)
        for path in tracked(".py")
        for node in functions_of(path)
        if length(node) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_trigger_handlers_only_parse_call_and_respond() -> None:
    long = {
        f"{path.name}:{node.name}": length(node)
        for path in (ROOT / "functions").glob("*.py")
        if path.name.startswith(("http_", "blob_", "timer_")) and path.name != "http_support.py"
        for node in functions_of(path)
        if isinstance(node, ast.AsyncFunctionDef) and length(node) > TRIGGER_LINES_MAX + 5
    }
    assert long == {}


def test_activities_only_parse_call_and_report() -> None:
    nodes = functions_of(ROOT / "functions" / "durable_activities.py")
    assert {n.name: length(n) for n in nodes if length(n) > ACTIVITY_LINES_MAX} == {}


def test_no_junk_drawers() -> None:
    names = {part for path in tracked(".py") for part in path.with_suffix("").parts}
    assert names & JUNK_DRAWERS == set()


def test_documented_commands_name_the_virtual_environment() -> None:
    """In a fresh shell `python` has none of our packages; `tools` needs Python alone."""
    command = re.compile(r"(\S*)python3? -m (?:bench|devhost|pytest|shared|tests)\b")
    bare = {
        str(path.relative_to(ROOT)): found[0]
        for path in tracked(".md")
        if path.name != "CHANGELOG.md"
        for found in command.finditer(path.read_text(encoding="utf-8"))
        if not found[1].endswith(".venv/bin/")
    }
    assert bare == {}


def test_function_app_does_nothing_but_register() -> None:
    assert len((ROOT / "function_app.py").read_text(encoding="utf-8").splitlines()) <= 15


def test_every_trigger_module_is_registered() -> None:
    listed = (ROOT / "functions" / "blueprints.py").read_text(encoding="utf-8")
    triggers = [
        path.stem
        for path in (ROOT / "functions").glob("*.py")
        if re.search(r"^bp = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert [name for name in triggers if f"    {name}.bp," not in listed] == []


def modules_loaded_by(code: str) -> set[str]:
    """What a fresh interpreter has imported after `code`, without the standard library."""
    shown = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    return {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}


def test_importing_the_app_loads_neither_pydantic_nor_an_sdk() -> None:
    floor = modules_loaded_by("import azure.functions, azure.durable_functions")
    app = modules_loaded_by("import function_app")
    ours = {
        name for name in app if name.partition(".")[0] in ("function_app", "functions", "shared")
    }
    assert app - floor - ours == set()
    assert "pydantic" not in app


def test_importing_the_app_loads_no_service_and_no_adapter() -> None:
    app = modules_loaded_by("import function_app")
    lazy = ("shared.services", "shared.adapters", "shared.ports", "shared.settings")
    assert {name for name in app if name.startswith(lazy)} == set()


def test_the_environment_is_read_in_settings_only() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in tracked(".py")
        if path.relative_to(ROOT).parts[0] in SHIPPED
        and ("os.environ" in (text := path.read_text(encoding="utf-8")) or "os.getenv" in text)
    ]
    assert readers == ["shared/settings.py"]
