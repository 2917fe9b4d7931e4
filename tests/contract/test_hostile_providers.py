"""Answers of providers that no service should give, byte by byte, to each adapter in turn.

Whatever comes, an order ends: nothing is raised, it is sent once, what the answer names can be
stored and shown, and no more of a body is read than anybody needs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.azure_openai import AzureOpenAIProvider
from shared.domain.attempts import AttemptReport, Billed, NotDelivered, ProviderOutcome, Unknown
from tests.contract.azure_providers_bench import foundry, scoring
from tests.contract.firefly_server import IMAGE3, TOKEN, firefly_provider
from tests.contract.image_orders import Recorder, b64, order, png
from tests.contract.provider_bench import SCOPE, ClosableProvider
from tests.contract.replicate_server import SDXL, replicate_provider
from tests.contract.scripted_server import ScriptedServer

OURS = (b"apim-request-id", b"x-request-id", b"x-ms-request-id")
READ_MAX = 300 * 1024 * 1024  # the largest answer that any adapter takes has 256 MB
ERROR_READ_MAX = 80 * 1024 * 1024
PIECE = b"0," * 512 * 1024
MODELS = ("gpt-image-2", "foundry-flux-2-pro", "sdxl-sovereign", "sdxl", "firefly-image3")


def head(status: int, *headers: bytes, length: int | None = None) -> bytes:
    lines = [b"HTTP/1.1 %03d x" % status, b"content-type: application/json", b"connection: close"]
    lines += headers
    if length is not None:
        lines.append(b"content-length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def whole(body: Any, status: int = 200, *headers: bytes) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, *headers, length=len(content)) + content


@dataclass
class RawServer:
    """Writes `answer` to every request but a sign-in; without an end, if it says so."""

    answer: bytes
    endless: bool = False
    origin: str = ""
    paid: int = 0
    written: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if b"/ims/token" in request:
                writer.write(whole(TOKEN))
            else:
                self.paid += request.startswith(b"POST")
                writer.write(self.answer)
                while self.endless:
                    writer.write(PIECE)
                    await writer.drain()
                    self.written += len(PIECE)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(answer: bytes, *, endless: bool = False) -> AsyncIterator[RawServer]:
    made = RawServer(answer, endless)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as listening:
        made.origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield made


def at_once(model: str, origin: str) -> ClosableProvider:
    """The adapter of a service that answers with its pictures."""
    if model == "gpt-image-2":
        return AzureOpenAIProvider(f"{origin}/openai/v1/", GivenSecret("k"), SCOPE, timeout_s=20.0)
    return scoring(origin) if model == "sdxl-sovereign" else foundry(origin, timeout_s=20.0)


async def outcome_of(model: str, server: RawServer) -> ProviderOutcome:
    """What comes of one order at a server that only gives this answer."""
    at = ScriptedServer(server.origin)  # for its address
    if model == "sdxl":
        async with replicate_provider(at) as replicate:
            return await replicate.generate(SDXL, Recorder())
    if model == "firefly-image3":
        async with firefly_provider(at) as firefly:
            return await firefly.generate(IMAGE3, Recorder())
    provider = at_once(model, server.origin)
    try:
        return await provider.generate(order(model), Recorder())
    finally:
        await provider.aclose()


def delivery(**fields: Any) -> dict[str, Any]:
    """A picture as the three synchronous services say it."""
    picture = {"b64_json": b64(png()), "seed": -1}
    usage = {"input_tokens": float("nan"), "output_tokens": -5}
    return {"data": [picture], "images": [picture], "usage": usage, "seconds": "NaN", **fields}


def _answers() -> Iterator[tuple[str, bytes]]:
    odd = [name + b": \xff\xfe" for name in OURS]
    refusal = {"error": {"code": "x", "message": "y"}}
    yield "bytes that are no text in headers", whole(delivery(), 200, *odd)
    yield "the same in a refusal", whole(refusal, 400, *odd)
    yield "lone surrogates", whole(delivery(model="\ud800", model_version="\ud800", id="\ud800"))
    yield "numbers that are none", whole(delivery(seconds="sNaN", created=float("inf")))
    yield "digits without end", whole(b'{"usage":{"input_tokens":' + b"9" * 100_000 + b"}}")
    yield "depth without end", whole(b"[" * 100_000)
    yield "depth in a refusal", whole(b"[" * 100_000, 400)
    yield "other types", whole({"data": {"0": 1}, "images": "x", "id": [1], "statusUrl": 7})
    categories = {"categories": [{"a": 1}, None]}
    odd_error = {"message": ["a"], "code": {}, "inner_error": [1], "moderation_details": categories}
    yield "other types in a refusal", whole({"error": odd_error, "detail": {}, "title": [1]}, 400)
    yield "other types in a rate limit", whole({"error": {"code": [1], "message": {}}}, 429)
    yield "redirect", whole(b"", 307, b"location: http://127.0.0.1:1/")
    yield "no http", b"SSH-2.0-x\r\n\r\n"
    yield "nothing", b""
    yield "two lengths", whole(b"{}", 200, b"content-length: 7")
    yield "no gzip", whole(b"nope", 200, b"content-encoding: gzip")
    yield "head without end", head(200, b"x: " + b"a" * 70_000)


ANSWERS = dict(_answers())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ANSWERS)
async def test_order_ends_and_can_be_recorded_whatever_is_answered(model: str, name: str) -> None:
    async with raw_server(ANSWERS[name]) as server:
        outcome = await outcome_of(model, server)
    assert server.paid == 1
    report = AttemptReport(
        generation_id="g",
        attempt=1,
        ending="ended",
        request_id=getattr(outcome, "request_id", None),
        model_version=getattr(outcome, "model_version", None),
        categories=getattr(outcome, "categories", ()),
        job_id=outcome.job_id,
    )
    assert AttemptReport.model_validate_json(report.model_dump_json()) == report
    usage = getattr(outcome, "usage", None)
    assert usage is None or min(usage.input_tokens, usage.output_tokens, usage.seconds) >= 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("status", [101, 204, 999])
async def test_status_that_is_no_refusal_is_never_free(model: str, status: int) -> None:
    async with raw_server(head(status)) as server:
        outcome = await outcome_of(model, server)
    if not isinstance(outcome, Unknown):
        assert isinstance(outcome, NotDelivered)
        assert outcome.billed is Billed.MAXIMUM


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("status", "read_max"), [(200, READ_MAX), (500, ERROR_READ_MAX)])
async def test_body_without_an_end_is_left(model: str, status: int, read_max: int) -> None:
    async with raw_server(head(status) + b"[", endless=True) as server:
        outcome = await outcome_of(model, server)
        assert server.written < read_max
    assert isinstance(outcome, Unknown) or outcome.billed is Billed.MAXIMUM  # type: ignore[union-attr]
