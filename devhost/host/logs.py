"""The host's own log: one line per event on stderr, apart from the loggers of the app."""

import logging
import sys
import time

HOST_LOGGER = "devhost.host"


class _OneLine(logging.Formatter):
    """`time level concern message`, with line breaks escaped so that one event stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        concern = record.name.removeprefix(f"{HOST_LOGGER}.")
        text = record.getMessage()
        if record.exc_info:
            text = f"{text} {self.formatException(record.exc_info)}"
        text = text.replace("\r", "").replace("\n", "\\n")
        return f"{moment}.{int(record.msecs):03d}Z {record.levelname} host.{concern} {text}"


def configure_logging(verbose: bool = False) -> None:
    """Gives the host's logger its stderr handler once; the root logger belongs to the app."""
    logger = logging.getLogger(HOST_LOGGER)
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_OneLine())
        logger.addHandler(handler)
    logger.propagate = False
