"""What no review should have to look for: comparisons that tell time, refusals that tell more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(
    r"(^|_)(secret|secrets|signature|signatures|hmac|mac|csrf|csrf_token|password|sha256|digest|"
    r"secret_hash|token_hash|token_hashes|access_token|refresh_token|nonce|verifier)($|_)"
)
NOT_SECRET = {"shared/domain/provenance_views.py": "a picture is found by the hash of its bytes"}


def shipped() -> Iterator[Path]:
    yield from sorted((ROOT / "functions").rglob("*.py"))
    yield from sorted((ROOT / "shared").rglob("*.py"))
    yield ROOT / "witness_app.py"


def name_of(node: ast.expr) -> str:
    """The last word of a name, an attribute, a subscript or a call."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


def comparisons(path: Path) -> Iterator[tuple[int, str]]:
    """Comparisons of equality in which something is named like a secret."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue  # with a constant of the code: nothing of it is secret
        if any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops) and any(
            SECRET.search(name_of(side)) for side in sides
        ):
            yield node.lineno, ast.unparse(node)


def test_secrets_are_compared_in_constant_time() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}": text
        for path in shipped()
        if str(path.relative_to(ROOT)) not in NOT_SECRET
        for line, text in comparisons(path)
    }
    assert found == {}


def test_exceptions_to_constant_time_are_still_needed() -> None:
    for name in NOT_SECRET:
        assert list(comparisons(ROOT / name)), name


def test_no_answer_is_made_of_the_text_of_an_error() -> None:
    """`str(error)` and tracebacks reach the log formatter only."""
    faults = []
    for path in shipped():
        if path.name == "telemetry.py":
            continue
        text = path.read_text("utf-8")
        if "traceback" in text or "format_exc" in text:
            faults.append(str(path.relative_to(ROOT)))
        if path.parent.name == "functions" and re.search(
            r"\b(str|repr)\((error|fault|exc)\)", text
        ):
            faults.append(str(path.relative_to(ROOT)))
    assert faults == []


def test_nothing_shipped_switches_certificates_off() -> None:
    marks = re.compile(r"verify\s*=\s*False|ssl\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False")
    assert [str(path) for path in shipped() if marks.search(path.read_text("utf-8"))] == []
