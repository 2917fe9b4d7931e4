"""OWASP API Security Top 10 (2023), the risks besides authorisation: one test each, named so.

Each asks what an attacker would over HTTP; the suites with the details stand in
docs/threat_model.md.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from functions import names
from functions.http_operations import OPERATIONS
from functions.http_routes import API, OPENAI, ROUTES, SCIM, Route, path_of
from functions.http_support import HEADERS, HEADERS_CHARS_MAX, JSON_BYTES_MAX
from tests.integration.api import Answer, Json, Person, order
from tests.integration.cloud import Cloud, organisation
from tests.unit.test_egress import HOSTILE_URLS

SEED = 20_231_105
PROTECTED = tuple(route for route in ROUTES if not route.public)
LISTED_ORIGIN = "http://127.0.0.1:3000"  # devhost/local_settings.py
INSIDE = re.compile(rb"Traceback|File \"|/site-packages/|\.py\b|azure\.|cosmos|aiohttp", re.I)


def at_root(cloud: Cloud, person: Person) -> Person:
    """The same person, whose paths begin at the host."""
    return Person(person.session, cloud.host_url, person.token)


def filled(route: Route) -> str:
    return "/" + re.sub(r"{\w+}", "nothing", path_of(route.name))


def assert_hardened(answer: Answer) -> None:
    shown = answer.headers
    assert {name: shown.get(name) for name in HEADERS} == HEADERS
    assert len(shown["x-correlation-id"]) == 32
    assert not any(name.lower() in ("server-timing", "x-powered-by") for name in shown)


# --- API2 ---------------------------------------------------------------------------------------


async def credentials(cloud: Cloud, token: str) -> dict[str, Mapping[str, str]]:
    """Ways to show, or not to show, who one is; none of them is a good one."""
    wrong_client = await cloud.minted(claims={"azp": str(uuid4())})
    no_client = await cloud.minted(claims={"azp": None})
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    return {
        "none": {},
        "garbage": {"Authorization": "Bearer garbage"},
        "other scheme": {"Authorization": f"Basic {token}"},
        "without signature": {"Authorization": f"Bearer {head}.{body}."},
        "signature of something else": {"Authorization": f"Bearer {head}.{body}x.{signature}"},
        "cookie of nobody": {
            "Cookie": f"__Host-eig_session={'A' * 86}",
            "Sec-Fetch-Site": "same-origin",
        },
        "wrong azp": {"Authorization": f"Bearer {wrong_client.token}"},
        "no azp": {"Authorization": f"Bearer {no_client.token}"},
        "identity of the platform": {"X-MS-CLIENT-PRINCIPAL-ID": str(uuid4())},
    }


async def test_api2_broken_authentication(cloud: Cloud, ava: Person, nobody: Person) -> None:
    """Every route but the public ones wants a good token, wherever a bad one is shown."""
    somebody = at_root(cloud, nobody)
    assert ava.token is not None
    ways = await credentials(cloud, ava.token)
    for way, headers in ways.items():
        answer = await somebody.send("GET", f"/{API}models", headers=headers)
        assert answer.status == 401, way
    for number, route in enumerate(PROTECTED):
        for way in (list(ways)[number % len(ways)], "none"):
            answer = await somebody.send(route.method, filled(route), headers=ways[way], json={})
            assert answer.status == 401, (route.name, way, answer.status)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert_hardened(answer)
    for route in ROUTES:
        if route.root == SCIM:
            headers = {"Authorization": f"Bearer {ava.token}"}
            answer = await somebody.send(route.method, filled(route), headers=headers, json={})
            assert answer.status == 401, route.name
    for where in ("access_token", "token", "Authorization"):
        answer = await somebody.get(f"/{API}models", {where: ava.token})
        assert answer.status == 401


# --- API4 ---------------------------------------------------------------------------------------


async def test_api4_unrestricted_resource_consumption(cloud: Cloud, ava: Person) -> None:
    """What a request may take has an end, which is reached and not passed."""

    def body_of(size: int) -> io.BytesIO:
        start = json.dumps({"model": "flux-schnell", "prompt": "x", "pad": ""})[:-2]
        return io.BytesIO(f'{start}{"y" * (size - len(start) - 2)}"}}'.encode())

    sent = {"Content-Type": "application/json"}
    for size, status in ((JSON_BYTES_MAX, 422), (JSON_BYTES_MAX + 1, 413)):
        answer = await ava.send("POST", "/generations", data=body_of(size), headers=sent)
        assert answer.status == status, size
    for count, status in ((10, 200), (11, 422)):
        assert (await ava.post("/estimates", order(count=count))).status == status
    row = order("flux-schnell")
    for rows, last, field in ((1_000, {"model": "x"}, "/items/999/prompt"), (1_001, row, "/items")):
        answer = await ava.post("/batches", {"items": [*[row] * (rows - 1), last]})
        assert answer.status == 422 and answer.fields() == {field}, rows
    for limit, status in (("100", 200), ("101", 422), ("-1", 422), ("1e9", 422)):
        assert (await ava.get("/generations", {"limit": limit})).status == status
    for size, status in ((255, 202), (256, 422)):
        key = {"Idempotency-Key": (uuid4().hex * 8)[:size].ljust(size, "k")}
        assert (await ava.post("/generations", order("flux-schnell"), key)).status == status
    padding = {f"x-padding-{n}": "x" * 7_000 for n in range(HEADERS_CHARS_MAX // 7_000 + 1)}
    (await ava.send("GET", "/models", headers=padding)).problem(431, "headers_too_large")
    for size, status in ((HEADERS_CHARS_MAX // 2, 200), (HEADERS_CHARS_MAX, 431)):
        answer = await ava.send("GET", "/models", headers={"x-padding": "x" * size})
        assert answer.status == status
        assert_hardened(answer)
    stranger = cloud.with_token("x" * 60_000)
    (await stranger.get("/models")).problem(431, "headers_too_large")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x", "gzip, identity"])
async def test_api4_unrestricted_resource_consumption_by_packed_bodies(
    ava: Person, coding: str
) -> None:
    """No body is unpacked, so none is larger than what was sent."""
    packed = gzip.compress(json.dumps(order()).encode())
    sent = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await ava.send("POST", "/generations", data=packed, headers=sent)
    answer.problem(415, "unsupported_media_type")
    plain = json.dumps(order("flux-schnell")).encode()
    sent["Content-Encoding"] = "identity"
    assert (await ava.send("POST", "/generations", data=plain, headers=sent)).status == 202


# --- API6 ---------------------------------------------------------------------------------------


async def test_api6_unrestricted_access_to_sensitive_business_flows(own_cloud: Cloud) -> None:
    """A script buys no more than its person's hour, and nobody decides on what they ask for."""
    file = organisation(
        f"w{uuid4().hex[:10]}", 10**9, [10**9, 10**9], ["StandardUser", "DeptManager"]
    )
    for user in file["users"]:
        user |= {"object_id": str(uuid4()), "tier": "free"}
    await own_cloud.seed(file)
    person, manager = [
        await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]
    ]
    answers = await asyncio.gather(
        *(person.post("/generations", order("flux-schnell")) for _ in range(24))
    )
    assert sorted(answer.status for answer in answers) == [202] * 10 + [429] * 14
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["Retry-After"]) > 0
    body: Json = {
        "scopes": [f"user:{file['users'][1]['object_id']}"],
        "amount_micros": 1_000,
        "reason": "for myself",
    }
    (await manager.post("/grants", body)).problem(403, "self_grant")


# --- API7 ---------------------------------------------------------------------------------------

ADDRESS = re.compile(r"url|uri|href|link|callback|endpoint|webhook|redirect|host", re.I)


async def test_api7_server_side_request_forgery(cloud: Cloud, mia: Person) -> None:
    """No address that leads inside is taken from anybody; what takes addresses is known."""
    headers = {"If-None-Match": "*"}
    for number, url in enumerate(HOSTILE_URLS):
        body: Json = {"kind": "webhook", "url": url}
        path = f"/alert-channels/marketing.ssrf{number}"
        answer = await mia.send("PUT", path, json=body, headers=headers)
        assert answer.status == 422, (url, answer.status)
        assert (await mia.get(path)).status == 404
    taking = {
        (name, field)
        for name, operation in OPERATIONS.items()
        for model in (operation.body, operation.query)
        if model is not None
        for field in model.model_fields
        if ADDRESS.search(field)
    }
    assert taking == {(names.PUT_ALERT_CHANNEL, "url")}, "a new address wants its own attack here"
    for where in ("//attacker.invalid", "https://attacker.invalid", "/\\attacker.invalid"):
        answer = await at_root(cloud, mia).get(f"/{API}auth/login", {"return_to": where})
        location = answer.headers.get("Location", "")
        assert answer.status in (302, 303, 422) and "attacker.invalid/" not in location


# --- API8 ---------------------------------------------------------------------------------------


def garbage(seed: random.Random) -> dict[str, Any]:
    """A body that no route expects, with a type that may contradict it."""
    bodies: tuple[bytes, ...] = (
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b'{"a":' * 3_000,
        b'{"__proto__": {"x": 1}, "model": {"$gt": ""}}',
        b'{"model": "' + b"\\u0000" * 50 + b'"}',
        b"'; DROP TABLE ledger; --",
        b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
        b"1" * 5_000,
        json.dumps({"amount_micros": 10**400, "limit_micros": -1, "count": 1e308}).encode(),
    )
    types = ("application/json", "text/plain", "text/csv", "application/xml", "", "a/b/c; =")
    return {"data": seed.choice(bodies), "headers": {"Content-Type": seed.choice(types)}}


NASTY = ("%00", "..%2f..%2fetc", "%27%20OR%201=1--", "%F0%9F%92%A9", "a" * 900, "{id}", "%0d%0aX:y")


async def test_api8_security_misconfiguration(cloud: Cloud, olga: Person, nobody: Person) -> None:
    """Whatever is sent, no answer shows our insides, and each carries the security headers."""
    seed = random.Random(SEED)
    print(f"seed {SEED}")
    host = at_root(cloud, olga)
    for route in ROUTES:
        address = "/" + re.sub(r"{\w+}", lambda _: seed.choice(NASTY), path_of(route.name))
        for _ in range(3):
            sent = garbage(seed)
            if route.method == "GET":
                sent = {"params": {"continuation": "%%%", "limit": "x", "\u0000": "y"}}
            answer = await host.send(route.method, address, **sent)
            assert answer.status < 500 or answer.status == 503, (route.name, answer.content)
            if answer.status >= 400:
                assert not INSIDE.search(answer.content), (route.name, answer.content)
            assert_headers_unless_page(answer, route)


def assert_headers_unless_page(answer: Answer, route: Route) -> None:
    """A page brings a content policy of its own."""
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], route.name
    else:
        assert_hardened(answer)


@pytest.mark.parametrize("root", [API, SCIM, OPENAI])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_api8_security_misconfiguration_where_there_is_nothing(
    cloud: Cloud, nobody: Person, root: str, method: str
) -> None:
    answer = await at_root(cloud, nobody).send(method, f"/{root}nothing/here")
    assert answer.status == 404
    assert_hardened(answer)


@pytest.mark.parametrize(
    ("origin", "is_listed"),
    [
        (LISTED_ORIGIN, True),
        ("http://127.0.0.1:3001", False),
        ("https://127.0.0.1:3000", False),
        ("http://127.0.0.1:3000.attacker.invalid", False),
        ("HTTP://127.0.0.1:3000", False),
        ("null", False),
        ("*", False),
        ("x" * 1_000, False),
    ],
)
async def test_api8_security_misconfiguration_of_other_origins(
    cloud: Cloud, ava: Person, nobody: Person, origin: str, is_listed: bool
) -> None:
    """Only listed origins read answers, and none with cookies."""
    wanted = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked = await nobody.send("OPTIONS", "/generations", headers=wanted)
    assert asked.status == 204
    for answer in (
        asked,
        await ava.send("GET", "/models", headers={"Origin": origin}),
        await nobody.send("GET", "/models", headers={"Origin": origin}),  # refusals, too
    ):
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_listed else None)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Vary"] == "Origin"
    allowed = asked.headers.get("Access-Control-Allow-Methods")
    assert allowed == ("GET, POST" if is_listed else None)


# --- API9 ---------------------------------------------------------------------------------------


async def test_api9_improper_inventory_management(cloud: Cloud, nobody: Person) -> None:
    """The document is the inventory: each address takes its methods, and there is nothing else."""
    document = (await nobody.get("/openapi.json")).json()
    host = at_root(cloud, nobody)
    known = {(route.method, f"/{path_of(route.name)}") for route in ROUTES}
    listed = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert listed == known
    for path, operations in document["paths"].items():
        answer = await host.send("OPTIONS", re.sub(r"{\w+}", "nothing", path))
        allowed = {method.upper() for method in operations}
        assert allowed <= set(answer.headers["Allow"].split(", ")), path
    for path in (
        "/api/v0/models",
        "/api/v2/models",
        "/api/models",
        "/api/v1/admin",
        "/api/v1/debug",
        "/api/v1/internal/health",
        "/api/v1/swagger",
        "/api/v1/graphql",
        "/.env",
        "/.git/config",
        "/models",
    ):
        assert (await host.get(path)).status == 404, path


# --- API10 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "scenario"),
    [
        ("gpt-image-2", "malformed"),
        ("gpt-image-2", "not_an_image"),
        ("flux-schnell", "malformed"),
        ("flux-schnell", "not_an_image"),
        ("flux-schnell", "wrong_output_host"),
        ("flux-schnell", "redirect_output"),
    ],
)
async def test_api10_unsafe_consumption_of_apis(ava: Person, model: str, scenario: str) -> None:
    """A provider is not believed: no picture of elsewhere, no text of its in an answer."""
    ended = await ava.generate(order(model, scenario))
    assert ended["status"] in ("failed", "indeterminate"), ended
    assert ended["images"] == []
    assert "attacker" not in json.dumps(ended) and "http" not in json.dumps(ended.get("error"))
