"""What the local host refuses at start, as Azure would at indexing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devhost.host.errors import HostStartError
from devhost.host.loading import AppFunctions, load_app
from devhost.host.options import read_host_json
from devhost.host.routing import RouteTable
from devhost.host.timers import Timers

HEAD = """
import azure.durable_functions as df
import azure.functions as func
app = df.DFApp()
"""

Load = Callable[[str], AppFunctions]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Writes an app, loads it, and leaves no trace of it in this process."""
    before_path, before_module = list(sys.path), sys.modules.pop("function_app", None)

    def load_text(text: str) -> AppFunctions:
        (tmp_path / "function_app.py").write_text(HEAD + text)
        return load_app(tmp_path)

    yield load_text
    sys.path[:] = before_path
    sys.modules.pop("function_app", None)
    if before_module is not None:
        sys.modules["function_app"] = before_module


def test_app_is_indexed_once_and_can_be_loaded_again(load: Load) -> None:
    text = "@app.route()\ndef hello(req: func.HttpRequest) -> str:\n    return 'x'\n"

    assert [function.name for function in load(text).all] == ["hello"]
    assert [function.name for function in load(text).all] == ["hello"]


def test_durable_names_compare_without_case_and_bindings_may_rename(load: Load) -> None:
    functions = load(
        "@app.activity_trigger(input_name='x', activity='Other')\ndef act(x: dict):\n    pass\n"
        "@app.entity_trigger(context_name='context')\ndef Tally(context):\n    pass\n"
    )

    assert functions.activity("OTHER") is functions.all[0]
    assert functions.activity("act") is None
    assert functions.entity("tally") is functions.all[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("other = func.FunctionApp()", "More than one top level function app"),
        ("del app", "No top level function app"),
        (
            "@app.route()\ndef f(request: func.HttpRequest) -> str:\n    return ''",
            "declared in Python but have no binding: {'request'}",
        ),
        (
            "@app.activity_trigger(input_name='x')\ndef f():\n    pass",
            "have no parameter in Python: {'x'}",
        ),
        (
            "@app.activity_trigger(input_name='x')\ndef f(x: dict[str, str]):\n    pass",
            "invalid non-type annotation",
        ),
        (
            "@app.activity_trigger(input_name='x')\ndef f(x: 'dict | None'):\n    pass",
            "invalid non-type annotation",
        ),
        (
            "@app.route()\ndef f(req: dict) -> str:\n    return ''",
            "does not match its Python annotation",
        ),
        (
            "@app.route()\ndef f(req: func.HttpRequest) -> dict:\n    return {}",
            "return annotation 'dict' does not match",
        ),
        (
            "@app.route()\ndef f(req: func.HttpRequest, context: int) -> str:\n    return ''",
            "expected to be of type azure.functions.Context",
        ),
        (
            "@app.route()\ndef f(req: 'Nowhere') -> str:\n    return ''",
            "a type hint cannot be resolved",
        ),
        (
            "@app.queue_trigger(arg_name='m', queue_name='q', connection='c')\n"
            "def f(m: func.QueueMessage):\n    pass",
            "binding type 'queueTrigger' is not emulated",
        ),
        (
            "@app.timer_trigger(arg_name='t', schedule='%NOT_SET%')\n"
            "def f(t: func.TimerRequest):\n    pass",
            "'%NOT_SET%' does not resolve",
        ),
        (
            "@app.timer_trigger(arg_name='t', schedule='0 0 0 1 1 *')\n"
            "@app.retry(strategy='fixed_delay', max_retry_count='1', delay_interval='00:00:01')\n"
            "def f(t: func.TimerRequest):\n    pass",
            "retry policies are not emulated",
        ),
        (
            "@app.activity_trigger(input_name='x', activity='Same')\ndef f(x):\n    pass\n"
            "@app.activity_trigger(input_name='x', activity='same')\ndef g(x):\n    pass",
            "the durable name 'same' is taken already by f",
        ),
        (
            "@app.route()\ndef f(req: func.HttpRequest) -> str:\n    return ''\n"
            "@app.function_name('f')\n@app.route()\n"
            "def g(req: func.HttpRequest) -> str:\n    return ''",
            "does not have a unique function name",
        ),
    ],
)
def test_app_is_refused_with_a_reason(load: Load, text: str, reason: str) -> None:
    with pytest.raises(HostStartError, match=_literal(reason)):
        load(text)


@pytest.mark.parametrize("template", ["a/{id:number}", "a/{id", "a/{id:min(x)}", "a/{1id}"])
def test_bad_route_template_is_refused(load: Load, template: str) -> None:
    functions = load(
        f"@app.route(route='{template}')\ndef f(req: func.HttpRequest) -> str:\n    return ''\n"
    )

    with pytest.raises(HostStartError, match="route"):
        RouteTable(functions.all, "api")


@pytest.mark.parametrize("schedule", ["* * *", "61 * * * * *", "x * * * * *"])
def test_bad_schedule_is_refused(load: Load, schedule: str) -> None:
    functions = load(
        f"@app.timer_trigger(arg_name='t', schedule='{schedule}')\n"
        "def f(t: func.TimerRequest):\n    pass\n"
    )

    with pytest.raises(HostStartError, match="is not valid"):
        Timers(list(functions.all), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("r/{n:range(1,3)}", "r/3", {"n": "3"}),
        ("r/{n:range(1,3)}", "r/4", None),
        ("l/{s:length(2,3)}", "l/abc", {"s": "abc"}),
        ("l/{s:length(2,3)}", "l/a", None),
        ("g/{id:guid}", "g/6f9619ff-8b86-d011-b42d-00cf4fc964ff", {"id": None}),
        ("g/{id:guid}", "g/xyz", None),
        ("x/{s:regex(^a[0-9]$)}", "x/a1", {"s": "a1"}),
        ("b/{v:bool}", "b/TRUE", {"v": "TRUE"}),
        ("d/{v=7}", "d", {"v": "7"}),
        ("c/{name}.{ext}", "c/a.b.txt", {"name": "a.b", "ext": "txt"}),
        ("m/{n:int:min(5)}", "m/4", None),
        ("m/{n:int:min(5)}", "m/5", {"n": "5"}),
    ],
)
def test_route_constraint_decides(
    load: Load, template: str, path: str, parameters: dict[str, str | None] | None
) -> None:
    functions = load(
        f"@app.route(route={template!r})\ndef f(req: func.HttpRequest) -> str:\n    return ''\n"
    )

    found = RouteTable(functions.all, "").find("GET", "/" + path)

    assert (found is None) == (parameters is None)
    if found is not None and parameters is not None:
        assert set(found[1]) == set(parameters)
        assert all(value in (None, found[1][name]) for name, value in parameters.items())


def test_host_json_limits_are_read_and_checked(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(
        '{"functionTimeout": "01:02:03", "extensions": {"http": {"routePrefix": "v1/x"},'
        ' "durableTask": {"maxConcurrentActivityFunctions": 3, "hubName": "H"}}}'
    )
    settings = read_host_json(tmp_path)

    assert settings.function_timeout_s == 3723.0
    assert (settings.route_prefix, settings.activities_max, settings.hub_name) == ("v1/x", 3, "H")
    (tmp_path / "host.json").write_text('{"functionTimeout": "soon"}')
    with pytest.raises(HostStartError, match="functionTimeout"):
        read_host_json(tmp_path)


def _literal(text: str) -> str:
    return "".join(f"[{c}]" if c in "{}()|" else c for c in text)
