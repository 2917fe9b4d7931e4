import json
import logging
from collections.abc import Iterator

import pytest

from shared.telemetry import (
    JsonFormatter,
    JsonHandler,
    accepted_correlation_id,
    correlation_id,
    new_correlation_id,
)

CANARY = "canary-8fd1"


class Worker(logging.Handler):
    """Stands for the handler that the Functions worker puts on the root logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    found = Worker()
    monkeypatch.setattr(logging.getLogger(), "handlers", [found])
    return found


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("test.telemetry")
    handler = JsonHandler()
    handler.setFormatter(JsonFormatter())
    found.addHandler(handler)
    found.setLevel(logging.INFO)
    found.propagate = False
    yield found
    found.removeHandler(handler)


def test_line_carries_listed_fields_and_the_correlation_id(
    logger: logging.Logger, worker: Worker
) -> None:
    token = correlation_id.set("c-1")
    logger.info("request", extra={"status": 202, "prompt": CANARY})
    correlation_id.reset(token)
    line = json.loads(worker.lines[0])
    assert line["message"] == "request"
    assert (line["status"], line["correlation_id"], line["level"]) == (202, "c-1", "info")
    assert CANARY not in worker.lines[0]


def test_exception_shows_as_type_and_place_never_as_text(
    logger: logging.Logger, worker: Worker
) -> None:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as cause:
            raise ValueError(CANARY) from cause
    except ValueError:
        logger.exception("it broke")
    line = json.loads(worker.lines[0])
    error = line["error"]
    assert (error["type"], error["cause"]) == ("ValueError", "KeyError")
    assert "test_telemetry.py" in error["frames"][0]
    assert CANARY not in worker.lines[0]


def test_line_goes_to_stderr_where_no_worker_takes_it(
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logger.info("alone")
    assert json.loads(capsys.readouterr().err)["message"] == "alone"


@pytest.mark.parametrize("offered", ["", "a b", "x" * 65, "line\nbreak", "snow\u2603", None])
def test_correlation_id_that_could_do_harm_is_replaced(offered: str | None) -> None:
    assert accepted_correlation_id(offered, "ours") == "ours"


def test_harmless_correlation_id_is_kept() -> None:
    assert accepted_correlation_id("Trace_1.a-b", "ours") == "Trace_1.a-b"
    assert len(new_correlation_id()) == 32
