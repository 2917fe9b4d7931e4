"""HTTP triggers of the local host: routes, converters, errors, the admin API."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sample_app.host_process import REPOSITORY, START_S_MAX, HostProcess

LARGE_BYTES = 210 * 1024 * 1024


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    process = HostProcess(tmp_path_factory.mktemp("http")).start()
    yield process
    assert process.stop() == 0


def test_echo_gets_method_query_headers_and_body(host: HostProcess) -> None:
    answer = host.call("PUT", "/api/echo?a=1&b=x%20y&a=2", b"\x00\xffhello", {"x-sample": "s"})

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "function": "echo",
        "method": "PUT",
        "url": f"{host.base_url}/api/echo?a=1&b=x%20y&a=2",
        "route": {},
        "query": {"a": "1,2", "b": "x y"},
        "header": "s",
        "size": 7,
        "head": "\x00ÿhello",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_method_reaches_the_function_when_declared(host: HostProcess, method: str) -> None:
    assert host.call(method, "/api/echo").json["method"] == method


@pytest.mark.parametrize(
    ("method", "path", "function", "route"),
    [
        ("GET", "/api/items/7", "item_by_number", {"id": "7"}),
        ("GET", "/api/items/special", "item_special", {}),
        ("GET", "/API/ITEMS/Special", "item_special", {}),
        ("GET", "/api/items/a%2Fb%20c", "item_by_name", {"name": "a/b c"}),
        ("DELETE", "/api/items/7", "item_delete", {"name": "7"}),
        ("GET", "/api/files/a/b/c.txt", "files", {"rest": "a/b/c.txt"}),
        ("GET", "/api/files", "files", {}),
        ("GET", "/api/maybe", "maybe", {}),
        ("GET", "/api/maybe/Abc", "maybe", {"word": "Abc"}),
    ],
)
def test_route_finds_the_function_and_its_parameters(
    host: HostProcess, method: str, path: str, function: str, route: dict[str, str]
) -> None:
    answer = host.call(method, path).json

    assert (answer["function"], answer["route"]) == (function, route)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nothing"),
        ("GET", "/nothing"),
        ("GET", "/api"),
        ("TRACE", "/api/echo"),
        ("GET", "/api/items/7/more"),
        ("GET", "/api/maybe/123"),
    ],
)
def test_request_gives_404_when_no_route_fits(host: HostProcess, method: str, path: str) -> None:
    answer = host.call(method, path)

    assert (answer.status, answer.body) == (404, b"")


def test_str_result_becomes_text(host: HostProcess) -> None:
    answer = host.call("GET", "/api/plain_text")

    assert (answer.status, answer.text) == (200, "just text")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("name", ["raises", "returns_none", "returns_dict"])
def test_function_error_gives_500_with_an_empty_body(host: HostProcess, name: str) -> None:
    answer = host.call("GET", f"/api/{name}")

    assert (answer.status, answer.body) == (500, b"")
    assert name in host.log()


def test_bad_json_raises_value_error_in_the_function(host: HostProcess) -> None:
    assert host.call("POST", "/api/json_body", b"{nope").status == 400
    assert host.call("POST", "/api/json_body", {"a": [1]}).json == {"a": [1]}


def test_status_headers_and_cookies_reach_the_caller(host: HostProcess) -> None:
    answer = host.call("GET", "/api/cookies")

    assert (answer.status, answer.headers["X-Answer"]) == (204, "42")
    assert sorted(answer.headers.get_all("Set-Cookie")) == [
        "a=1; HttpOnly; Path=/",
        "b=2; SameSite=Strict",
    ]


def test_context_names_the_function_and_the_invocation(host: HostProcess) -> None:
    assert host.call("GET", "/api/sync_context").text == "sync_context 36"


def test_body_of_210_mb_arrives_whole(host: HostProcess) -> None:
    assert host.call("POST", "/api/echo", bytes(LARGE_BYTES)).json["size"] == LARGE_BYTES


def test_body_above_210_mb_is_refused(host: HostProcess) -> None:
    assert host.call("POST", "/api/echo", bytes(LARGE_BYTES + 1)).status == 413


def test_admin_lists_functions_and_host_state(host: HostProcess) -> None:
    names = {function["name"] for function in host.call("GET", "/admin/functions").json}

    assert {"echo", "tick", "on_upload", "hello_sequence", "say", "tally"} <= names
    assert host.call("GET", "/admin/host/status").json["state"] == "Running"
    assert host.call("POST", "/admin/functions/nobody", {"input": ""}).status == 404
    assert host.call("POST", "/admin/functions/echo", {"input": ""}).status == 501


def test_start_fails_with_exit_code_2_when_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = _start_and_fail(HostProcess(tmp_path), port)

    assert result.returncode == 2
    assert f"Port {port} is in use" in result.stderr


def test_start_fails_when_the_state_directory_is_in_use(host: HostProcess) -> None:
    result = _start_and_fail(host, 0)

    assert result.returncode == 2
    assert "Another host uses the state directory" in result.stderr


def test_stop_does_not_wait_for_a_blocked_thread(tmp_path: Path) -> None:
    process = HostProcess(tmp_path).start()
    address = process.base_url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(b"GET /api/blocks_a_thread HTTP/1.1\r\nHost: x\r\n\r\n")
        process.until(process.stats, lambda s: "blocks_a_thread" in s["invocations"])
        started_s = time.monotonic()

        assert process.stop() == 0
        assert time.monotonic() - started_s < 10


def test_settings_file_fills_the_environment_but_does_not_override_it(tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    settings.write_text(
        '{"IsEncrypted": false, "Values": {"TICK_SCHEDULE": "bad", "FIRST": "file"}}'
    )
    # TICK_SCHEDULE of the environment (a valid schedule) must win, or the start would fail.
    process = HostProcess(tmp_path, ("--no-blob", "--settings", str(settings))).start()

    assert process.stop() == 0


def _start_and_fail(process: HostProcess, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        process.command(port),
        cwd=REPOSITORY,
        env={"TICK_SCHEDULE": "0 0 0 1 1 *", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=START_S_MAX,
        check=False,
    )
