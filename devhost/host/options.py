"""What the host reads before it loads the app: its options, `host.json` and the local settings."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devhost.host.errors import HostStartError

DEFAULT_ROUTE_PREFIX = "api"
DEFAULT_TIMEOUT_S = 30 * 60.0  # Flex Consumption's default
DURABLE_PER_CORE = 10  # default of both maxConcurrent* settings outside Consumption
DEFAULT_HUB = "LocalHub"
HTTP_LINE_BYTES_MAX = 64 * 1024  # of an address or a header: the app refuses less, in its own words
HTTP_BODY_BYTES_MAX = 210 * 1024 * 1024  # Azure Functions' default maxRequestBodyLength

_TIMESPAN = re.compile(r"^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})$")


@dataclass(frozen=True)
class HostOptions:
    """How this run of the host was asked for; port 0 lets the system choose."""

    app_root: Path
    port: int
    state_dir: Path
    verify_replay: bool = False
    blobs: bool = True
    timers: bool = True


@dataclass(frozen=True)
class HostJson:
    """The part of `host.json` that the local host honours; the timeout is None when unbounded."""

    route_prefix: str
    function_timeout_s: float | None
    activities_max: int
    orchestrators_max: int
    hub_name: str
    default_version: str | None


def read_host_json(app_root: Path) -> HostJson:
    """Reads `host.json` beside the app; an absent file gives Azure's defaults."""
    content = _read_object(app_root / "host.json") if (app_root / "host.json").exists() else {}
    extensions = content.get("extensions", {})
    durable = extensions.get("durableTask", {})
    default_limit = DURABLE_PER_CORE * (os.cpu_count() or 1)
    return HostJson(
        route_prefix=extensions.get("http", {}).get("routePrefix", DEFAULT_ROUTE_PREFIX).strip("/"),
        function_timeout_s=_timeout_s(content.get("functionTimeout")),
        activities_max=_positive(durable, "maxConcurrentActivityFunctions", default_limit),
        orchestrators_max=_positive(durable, "maxConcurrentOrchestratorFunctions", default_limit),
        hub_name=durable.get("hubName", DEFAULT_HUB),
        default_version=durable.get("defaultVersion"),
    )


def apply_local_settings(path: Path) -> None:
    """Puts `Values` of a local settings file into the environment; what is set already wins."""
    content = _read_object(path)
    if content.get("IsEncrypted"):
        raise HostStartError(f"{path} is encrypted; run `func settings decrypt` first.")
    for name, value in content.get("Values", {}).items():
        os.environ.setdefault(name, str(value))


def resolve_settings(value: str, where: str) -> str:
    """Replaces `%NAME%` by the environment's value; raises HostStartError when it is not set."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise HostStartError(f"{where}: '%{name}%' does not resolve, {name} is not set.")
        return os.environ[name]

    return re.sub(r"%([^%\s]+)%", replace, value)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise HostStartError(f"{path} does not exist.") from None
    except ValueError as error:
        raise HostStartError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise HostStartError(f"{path} must hold a JSON object.")
    return content


def _timeout_s(text: str | None) -> float | None:
    if text is None:
        return DEFAULT_TIMEOUT_S
    if text == "-1":
        return None
    match = _TIMESPAN.match(text)
    if match is None:
        raise HostStartError(f"host.json functionTimeout '{text}' is not hh:mm:ss.")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _positive(durable: dict[str, Any], name: str, default: int) -> int:
    value = durable.get(name, default)
    if not isinstance(value, int) or value < 1:
        raise HostStartError(f"host.json extensions.durableTask.{name} must be a positive integer.")
    return value
