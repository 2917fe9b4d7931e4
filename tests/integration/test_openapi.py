"""The OpenAPI document is what the API does: every route, and every answer to strange requests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from devhost.stack import REPOSITORY
from functions.http_routes import ROUTES
from tests.integration.api import Json, Person
from tests.integration.books import check_all
from tests.integration.cloud import Cloud, open_cloud
from tests.integration.schemathesis_hooks import CALLER, shuts_itself_out

EXAMPLES_MAX = 8  # per operation: about two minutes in all
SEED = "20261122"  # other seeds send other requests
RUN_TIMEOUT_S = 400.0
HOOKS = "tests.integration.schemathesis_hooks"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.fixture
async def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """A cloud of its own: what a Super Admin sends changes the organisation for everybody."""
    if os.environ.get("EIG_TARGET"):
        pytest.skip("the requests would concern everybody who uses the target")
    async with open_cloud(tmp_path_factory.mktemp("fuzzed")) as cloud:
        yield cloud
        await check_all(cloud)


async def test_document_lists_exactly_the_routes(nobody: Person) -> None:
    document = (await nobody.get("/openapi.json")).json()
    listed = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert listed == {(route.method, f"/{route.root}{route.path}") for route in ROUTES}
    assert document["openapi"].startswith("3.1")


async def test_document_has_an_example_for_each_body(nobody: Person) -> None:
    document = (await nobody.get("/openapi.json")).json()
    request = document["components"]["schemas"]["GenerationRequest"]
    assert request["properties"]["model"]["examples"]
    assert request["properties"]["prompt"]["examples"]
    assert request["additionalProperties"] is False


@pytest.mark.parametrize(
    ("method", "path", "parameters", "body", "kept_back"),
    [
        ("DELETE", "/api/v1/users/{id}", {"id": CALLER}, None, True),
        ("PUT", "/api/v1/users/{id}/status", {"id": CALLER.replace("-", "%2D")}, {}, True),
        ("DELETE", "/api/v1/users/{id}/sessions", {"id": CALLER}, None, True),
        ("DELETE", "/scim/v2/Users/{id}", {"id": CALLER}, None, True),
        ("POST", "/api/v1/users/imports", {}, f"object_id,department\n{CALLER},x", True),
        ("GET", "/api/v1/users/{id}", {"id": CALLER}, None, False),
        ("DELETE", "/api/v1/users/{id}", {"id": str(uuid4())}, None, False),
        ("PUT", "/api/v1/organisation/model-rules", None, {"otherwise": "deny"}, False),
    ],
)
def test_generated_requests_leave_their_sender_in_place(
    method: str, path: str, parameters: Json | None, body: object, kept_back: bool
) -> None:
    case = SimpleNamespace(method=method, path=path, path_parameters=parameters, body=body)
    assert shuts_itself_out(case) is kept_back


@pytest.mark.timeout(RUN_TIMEOUT_S + 60)
async def test_api_keeps_to_its_document_whatever_is_sent(fuzzed: Cloud, tmp_path: Path) -> None:
    # The Super Admin's small budget bounds what the accepted requests cost.
    person = await fuzzed.person("sam")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{fuzzed.api_url}/openapi.json",
        "--url",
        fuzzed.host_url,
        "--header",
        f"Authorization: Bearer {person.token}",
        "--checks",
        ",".join(CHECKS),
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        str(EXAMPLES_MAX),
        "--seed",
        SEED,
        "--workers",
        "1",  # with more, CPython 3.11 may trip over its own recursion counter while it parses
        "--warnings",
        "off",
        "--no-color",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SCHEMATHESIS_HOOKS": HOOKS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), RUN_TIMEOUT_S)
    assert process.returncode == 0, output.decode(errors="replace")[-12_000:]
