"""Runs the local Functions host as a real process, and talks HTTP to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

APP_ROOT = Path(__file__).parent
REPOSITORY = APP_ROOT.parents[2]
T = TypeVar("T")

START_S_MAX = 20.0
WAIT_S_MAX = 15.0
NEVER = "0 0 0 1 1 *"
DURABLE = "/runtime/webhooks/durabletask"


@dataclass
class Answer:
    """An HTTP answer; `json` raises when the body is not JSON."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class HostProcess:
    """One host: `folder` holds its state and the files that the sample app writes."""

    folder: Path
    options: tuple[str, ...] = ("--no-blob",)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    base_url: str = ""

    def start(self) -> HostProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "SAMPLE_DIR": str(self.folder),
            "TICK_SCHEDULE": NEVER,
            **self.environment,
        }
        log = (self.folder / "host.log").open("a")
        self.process = subprocess.Popen(
            self.command(),
            cwd=REPOSITORY,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        log.close()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "functions host listening on " in line, self.log()
        self.base_url = line.split()[-1]
        return self

    def command(self, port: int = 0) -> list[str]:
        state = str(self.folder / "state")
        return [
            sys.executable,
            "-m",
            "devhost.host",
            "--app-root",
            str(APP_ROOT),
            "--port",
            str(port),
            "--state-dir",
            state,
            *self.options,
        ]

    def log(self) -> str:
        return (self.folder / "host.log").read_text()

    def kill(self) -> None:
        """SIGKILL: nothing is finished, flushed or closed."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self._reap()

    def wait_for_exit(self) -> int:
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None and self.process.stdout is not None
        code = self.process.wait(START_S_MAX)
        self.process.stdout.close()
        return code

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = path if path.startswith("http") else self.base_url + path
        request = urllib.request.Request(url, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def run(self, orchestrator: str, value: Any = None) -> Any:
        """Runs an orchestrator to its end; returns its output."""
        status = self.finished(self.start_instance(orchestrator, value))
        assert status["runtimeStatus"] == "Completed", status
        return status["output"]

    def fail(self, orchestrator: str, value: Any = None) -> str:
        """Runs an orchestrator that must fail; returns the text."""
        status = self.finished(self.start_instance(orchestrator, value))
        assert status["runtimeStatus"] == "Failed", status
        return str(status["output"])

    def start_instance(
        self, orchestrator: str, value: Any = None, instance_id: str | None = None
    ) -> str:
        answer = self.call(
            "POST", f"/api/start/{orchestrator}", {"id": instance_id, "input": value}
        )
        assert answer.status == 202, answer.text
        return str(answer.json["id"])

    def status(self, instance_id: str, query: str = "") -> dict[str, Any]:
        answer = self.call("GET", f"{DURABLE}/instances/{instance_id}{query}")
        assert answer.status in (200, 202), answer.status
        return dict(answer.json)

    def finished(self, instance_id: str) -> dict[str, Any]:
        states = ("Completed", "Failed", "Terminated")
        return self.until(lambda: self.status(instance_id), lambda s: s["runtimeStatus"] in states)

    def until(self, read: Callable[[], T], wanted: Callable[[T], bool]) -> T:
        """Reads until the value is as wanted; fails after WAIT_S_MAX."""
        end_s = time.monotonic() + WAIT_S_MAX
        while not wanted(value := read()):
            assert time.monotonic() < end_s, f"still {value!r}; host log:\n{self.log()[-3000:]}"
            time.sleep(0.03)
        return value

    def client(self, operation: str, **arguments: Any) -> Answer:
        """Calls a method of the SDK's durable client inside the app."""
        return self.call("POST", f"/api/client/{operation}", arguments)

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def stats(self) -> dict[str, Any]:
        return dict(self.call("GET", "/_control/stats").json)
