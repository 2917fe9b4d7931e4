"""Each threat names a test that exists, or says that it is open."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "docs" / "threat_model.md"
STRIDE = set("STRIDE")
FLOWS = 10
TEST = re.compile(r"`(test_[a-z0-9_]+)`")
DEFINED = re.compile(r"^\s*(?:async )?def (test_[a-z0-9_]+)", re.MULTILINE)


def rows() -> Iterator[tuple[str, str, str]]:
    """Flow, letter and tests of each threat."""
    flow = ""
    for line in MODEL.read_text("utf-8").splitlines():
        if line.startswith("## "):
            flow = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] in STRIDE:
            yield flow, cells[0], cells[3]


def defined() -> set[str]:
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in texts for name in DEFINED.findall(text)}


def test_every_threat_has_a_test_or_is_said_to_be_open() -> None:
    bare = [row for row in rows() if not TEST.search(row[2]) and "*open*" not in row[2]]
    assert bare == []


def test_every_test_that_the_model_names_exists() -> None:
    named = {name for _, _, tests in rows() for name in TEST.findall(tests)}
    assert len(named) > 80
    assert named - defined() == set()


def test_every_flow_is_looked_at_from_all_six_sides() -> None:
    seen: dict[str, set[str]] = {}
    for flow, letter, _ in rows():
        seen.setdefault(flow, set()).add(letter)
    assert len(seen) == FLOWS
    assert {flow: STRIDE - letters for flow, letters in seen.items() if letters != STRIDE} == {}


def test_every_owasp_risk_has_a_test_of_its_name() -> None:
    risks = {int(found[1]) for name in defined() if (found := re.match(r"test_api(\d+)_", name))}
    assert risks == set(range(1, 11))
