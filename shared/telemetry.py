"""Structured logs: one JSON object a line, with the correlation id, and only fields we chose.

A log line carries no prompt, token or secret: messages are constants of ours, values go into
`extra` under the names listed here, and a foreign exception shows as its type and place only.
"""

import json
import logging
import re
import secrets
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

correlation_id: ContextVar[str] = ContextVar("eig_correlation_id", default="-")

LOGGER_NAME: Final = "eig"
CORRELATION_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LOGGED_FIELDS: Final = (
    "attempt",
    "batch_id",
    "code",
    "copied",
    "count",
    "duration_ms",
    "generation_id",
    "method",
    "operation_id",
    "report",
    "secret_name",
    "status",
)
_TRACE_FRAMES_MAX = 12  # the innermost frames tell where it broke


class JsonFormatter(logging.Formatter):
    """Renders a record as one JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": correlation_id.get(),
        }
        for name in LOGGED_FIELDS:
            if name in record.__dict__:
                line[name] = record.__dict__[name]
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _place_of(record.exc_info[1])
        return json.dumps(line, default=str, ensure_ascii=True)


def _place_of(error: BaseException) -> dict[str, object]:
    """Where an error came from, without its text: foreign texts may quote what they were given."""
    frames = traceback.extract_tb(error.__traceback__)[-_TRACE_FRAMES_MAX:]
    cause = error.__cause__ or error.__context__
    return {
        "type": type(error).__name__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        "cause": type(cause).__name__ if cause else None,
    }


class JsonHandler(logging.Handler):
    """Hands each line to the root logger's handlers, which in Azure are the worker's own and carry
    it to Application Insights; where there are none, as on a laptop, it goes to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        carriers = logging.getLogger().handlers
        if not carriers:
            sys.stderr.write(line + "\n")
            return
        told = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, line, None, None
        )
        for carrier in carriers:
            if record.levelno >= carrier.level:
                carrier.handle(told)


def configure_logging() -> None:
    """Make our loggers write JSON; libraries log warnings only, so that requests stay out."""
    logger = logging.getLogger(LOGGER_NAME)
    if any(isinstance(handler, JsonHandler) for handler in logger.handlers):
        return
    handler = JsonHandler()
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for library in ("azure", "openai", "httpx2", "httpcore2", "aiohttp", "msal"):
        logging.getLogger(library).setLevel(logging.WARNING)


def accepted_correlation_id(offered: str | None, fallback: str) -> str:
    """The caller's correlation id if it is harmless, or our own."""
    if offered and CORRELATION_ID_PATTERN.fullmatch(offered):
        return offered
    return fallback


def new_correlation_id() -> str:
    """A correlation id of our own; works before any setting is read."""
    return secrets.token_hex(16)
