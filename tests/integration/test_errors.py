"""The error answers and headers that every route shares."""

from __future__ import annotations

import io
import json

import pytest

from tests.integration.api import Json, Person, order

JSON = {"Content-Type": "application/json"}
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
POSTS = ["/generations", "/estimates", "/batches", "/batches/uploads"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models", 200),
        ("/health/live", 200),
        ("/openapi.json", 200),
        ("/generations/nonsense", 404),
        ("/generations?limit=0", 422),
    ],
)
async def test_every_answer_carries_the_security_headers(
    ava: Person, path: str, status: int
) -> None:
    answer = await ava.get(path)
    assert answer.status == status
    assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
    assert len(answer.headers["x-correlation-id"]) == 32


async def test_refused_caller_gets_the_security_headers_too(nobody: Person) -> None:
    answer = await nobody.get("/models")
    assert answer.status == 401
    assert SECURITY_HEADERS.items() <= dict(answer.headers).items()


@pytest.mark.parametrize("offered", ["a b", "x" * 65, "é", '"><script>', "a\tb"])
async def test_correlation_id_that_is_not_harmless_is_replaced(ava: Person, offered: str) -> None:
    answer = await ava.send("GET", "/models", headers={"x-correlation-id": offered})
    assert answer.headers["x-correlation-id"] != offered
    assert len(answer.headers["x-correlation-id"]) == 32


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data", "application/xml"])
async def test_other_content_type_answers_415(ava: Person, path: str, media_type: str) -> None:
    answer = await ava.send("POST", path, data=b"{}", headers={"Content-Type": media_type})
    answer.problem(415, "unsupported_media_type")


@pytest.mark.parametrize("path", POSTS)
async def test_json_with_a_charset_is_read(ava: Person, path: str) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await ava.send("POST", path, data=b"{}", headers=headers)
    answer.problem(422, "invalid")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"a":', b"[" * 2_000])
async def test_body_that_is_not_json_answers_422(ava: Person, path: str, body: bytes) -> None:
    answer = await ava.send("POST", path, data=body, headers=JSON)
    answer.problem(422, "invalid_json")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"x"'])
async def test_body_that_is_no_object_answers_422(ava: Person, path: str, body: bytes) -> None:
    (await ava.send("POST", path, data=body, headers=JSON)).problem(422, "invalid")


@pytest.mark.parametrize(
    ("path", "chars"),
    [("/generations", 1_100_000), ("/batches/uploads", 1_100_000), ("/estimates", 8 * 1024 * 1024)],
)
async def test_body_over_the_limit_answers_413(ava: Person, path: str, chars: int) -> None:
    body = io.BytesIO(json.dumps({"prompt": "x" * chars}).encode())
    (await ava.send("POST", path, data=body, headers=JSON)).problem(413, "payload_too_large")


@pytest.mark.parametrize("media_type", ["application/json", "text/csv", "application/jsonl"])
async def test_batch_body_over_the_limit_answers_413(ava: Person, media_type: str) -> None:
    body = io.BytesIO(b"x" * (8 * 1024 * 1024 + 1))
    answer = await ava.send("POST", "/batches", data=body, headers={"Content-Type": media_type})
    answer.problem(413, "payload_too_large")


@pytest.mark.parametrize(
    ("changed", "code", "fields"),
    [
        ({"prompt": ""}, "invalid", {"/prompt"}),
        ({"prompt": "   "}, "invalid", {"/prompt"}),
        ({"prompt": None}, "invalid", {"/prompt"}),
        ({"prompt": 7}, "invalid", {"/prompt"}),
        ({"prompt": "x" * 4_001}, "unsupported_by_model", {"/prompt"}),
        ({"prompt": "x" * 32_001}, "invalid", {"/prompt"}),
        ({"model": "dall-e-9"}, "unknown_model", {"/model"}),
        ({"model": ""}, "invalid", {"/model"}),
        ({"size": "999x999"}, "unsupported_by_model", {"/size"}),
        ({"size": "x" * 17}, "invalid", {"/size"}),
        ({"quality": "best"}, "invalid", {"/quality"}),
        ({"count": 0}, "invalid", {"/count"}),
        ({"count": 11}, "invalid", {"/count"}),
        ({"count": "many"}, "invalid", {"/count"}),
        ({"count": 1.5}, "invalid", {"/count"}),
        ({"count": "1_0"}, "invalid", {"/count"}),
        ({"count": True}, "invalid", {"/count"}),
        ({"routing": {"fallback": "yes"}}, "invalid", {"/routing/fallback"}),
        ({"routing": {"max_price_micros": "9"}}, "invalid", {"/routing/max_price_micros"}),
        ({"output_format": "webp"}, "unsupported_by_model", {"/output_format"}),
        ({"output_format": "bmp"}, "invalid", {"/output_format"}),
        ({"seed": 7}, "unsupported_by_model", {"/seed"}),
        ({"seed": -1}, "invalid", {"/seed"}),
        ({"negative_prompt": "people"}, "unsupported_by_model", {"/negative_prompt"}),
        ({"user": "ava"}, "invalid", {"/user"}),
        ({"count": 0, "quality": "best"}, "invalid", {"/count", "/quality"}),
        (
            {"size": "999x999", "seed": 7},
            "unsupported_by_model",
            {"/size", "/seed"},
        ),
    ],
)
@pytest.mark.parametrize("path", ["/generations", "/estimates"])
async def test_field_at_fault_is_named(
    ava: Person, path: str, changed: Json, code: str, fields: set[str]
) -> None:
    answer = await ava.post(path, order() | changed)
    answer.problem(422, code)
    assert answer.fields() == fields


async def test_missing_fields_are_named(ava: Person) -> None:
    answer = await ava.post("/generations", {})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/prompt"}  # without a model routing chooses one


async def test_refusal_never_repeats_what_was_sent(ava: Person) -> None:
    answer = await ava.post("/generations", order(quality="SECRETWORD", prompt="SECRETPROMPT"))
    assert answer.status == 422
    assert b"SECRET" not in answer.content


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
@pytest.mark.parametrize("path", ["/generations", "/batches"])
async def test_idempotency_key_of_the_wrong_shape_answers_422(
    ava: Person, path: str, key: str
) -> None:
    body = order() if path == "/generations" else {"items": [order()]}
    answer = await ava.post(path, body, {"Idempotency-Key": key})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/headers/Idempotency-Key"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "/items"),
        ({"items": [order()] * 1_001}, "/items"),
        ({"items": [{"model": "sdxl"}]}, "/items/0/prompt"),
        ({"items": [order(id="../x")]}, "/items/0/id"),
        ({"items": [order(colour="red")]}, "/items/0/colour"),
        ({"rows": [order()]}, "/items"),
    ],
)
async def test_batch_body_names_the_field_at_fault(ava: Person, body: Json, field: str) -> None:
    answer = await ava.post("/batches", body)
    answer.problem(422, "invalid")
    assert field in answer.fields()


@pytest.mark.parametrize(
    "file_name",
    ["rows.zip", "rows", ".csv", "../rows.csv", "a/b.csv", "rows.csv.exe", "x" * 101 + ".csv", ""],
)
async def test_upload_slot_refuses_the_file_name(ava: Person, file_name: str) -> None:
    answer = await ava.post("/batches/uploads", {"file_name": file_name})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/file_name"}


@pytest.mark.parametrize(
    "path",
    [
        "/generations/{}",
        "/batches/{}",
        "/batches/{}/items",
        "/batches/{}/receipt",
        "/batches/uploads/{}",
    ],
)
@pytest.mark.parametrize(
    "object_id",
    [
        "202611-marketing-00000000000000000000000000000000",
        "202611-marketing-0000",
        "209913-zzz-00000000000000000000000000000000",
        "x" * 300,
        "%27%22%3B--",
        "*",
    ],
)
async def test_unknown_id_answers_404(ava: Person, path: str, object_id: str) -> None:
    (await ava.get(path.format(object_id))).problem(404, "not_found")


@pytest.mark.parametrize("path", ["/generations/{}", "/batches/{}"])
async def test_cancel_of_an_unknown_id_answers_404(ava: Person, path: str) -> None:
    ghost = "202611-marketing-00000000000000000000000000000000"
    (await ava.delete(path.format(ghost))).problem(404, "not_found")
    (await ava.delete(path.format("nonsense"))).problem(404, "not_found")


async def test_query_string_over_the_limit_answers_422(ava: Person) -> None:
    # The whole address counts; servers before the app end at about the same length.
    start = "/generations?batch_id="
    answer = await ava.get(start + "x" * (8_193 - len(ava.api_url + start)))
    answer.problem(422, "query_too_long")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/generations?limit=1_0", "/limit"),
        ("/generations?limit=1&limit=2", "/limit"),
        ("/generations?provider=replicate&PROVIDER=azure_openai", "/provider"),
        ("/generations?nothing=1", "/nothing"),
        ("/models?nothing=1", "/nothing"),
        ("/grants?active=yes", "/active"),
    ],
)
async def test_parameter_that_cannot_be_meant_answers_422(
    ava: Person, path: str, field: str
) -> None:
    answer = await ava.get(path)
    answer.problem(422, "invalid")
    assert field in answer.fields()


async def test_body_that_says_something_twice_answers_422(ava: Person) -> None:
    body = b'{"model":"sdxl","prompt":"a gull","count":1,"count":10}'
    for path in ("/generations", "/estimates"):
        answer = await ava.send("POST", path, data=body, headers=JSON)
        answer.problem(422, "invalid_json")
        assert answer.fields() == {"/count"}


async def test_charge_of_a_generation_is_not_taken_from_its_address(ava: Person) -> None:
    """It stands in the body; a parameter that was ignored charged somebody else."""
    answer = await ava.post("/generations?project=apollo", order("flux-schnell"))
    answer.problem(422, "invalid")


@pytest.mark.parametrize("path", ["/nothing", "/", "/generations/x/y/z"])
async def test_unknown_route_answers_404(ava: Person, path: str) -> None:
    answer = await ava.get(path)
    answer.problem(404, "not_found")
    assert SECURITY_HEADERS.items() <= dict(answer.headers).items()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
async def test_other_method_answers_405_and_names_those_that_work(ava: Person, method: str) -> None:
    answer = await ava.send(method, "/models")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert SECURITY_HEADERS.items() <= dict(answer.headers).items()


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/*;q=0.1, text/html", 200),
        ("", 200),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("nonsense", 406),
    ],
)
async def test_read_is_answered_in_a_form_that_is_accepted(
    ava: Person, accept: str, status: int
) -> None:
    assert (await ava.send("GET", "/models", headers={"Accept": accept})).status == status


async def test_health_is_public(nobody: Person) -> None:
    assert (await nobody.get("/health/live")).json() == {"status": "ok", "checks": {}}
    ready = (await nobody.get("/health/ready")).json()
    assert ready["checks"].pop("exchange_rate") in ("ok", "stale")  # by the day of the test
    checks = {"cosmos": "ok", "storage": "ok", "receipt_keys": "ok"}
    assert ready == {"status": "ok", "checks": checks}
