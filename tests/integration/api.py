"""The HTTP API as its callers see it: one person, one token, plain answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

Json = dict[str, Any]

GENERATION_ENDS = frozenset({"succeeded", "refused", "failed", "canceled", "indeterminate"})
POLL_S = 0.1
DONE_TIMEOUT_S = 60.0  # far above what the slowest scenario takes on two busy cores


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of one exchange."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self, status: int = 200) -> Json:
        """The body of an expected answer."""
        assert self.status == status, f"{self.status}: {self.content[:2000]!r}"
        document: Json = json.loads(self.content)
        return document

    def problem(self, status: int, code: str) -> Json:
        """The body of an expected refusal, in the form that all of them share."""
        body = self.json(status)
        assert self.headers["Content-Type"] == "application/problem+json"
        assert body["code"] == code, body
        assert body["status"] == status
        assert body["type"] == f"urn:eig:problem:{code}"
        assert body["instance"] == f"urn:eig:request:{self.headers['x-correlation-id']}"
        assert body["title"] and body["detail"] and isinstance(body["retryable"], bool)
        return body

    def fields(self) -> set[str]:
        """The fields that a refusal finds fault with."""
        return {fault["field"] for fault in json.loads(self.content).get("errors", [])}


@dataclass(frozen=True)
class Person:
    """Somebody with an access token, or without one when `token` is None."""

    session: aiohttp.ClientSession
    api_url: str
    token: str | None = field(repr=False)

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Answer:
        """One exchange; redirects are not followed."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        async with self.session.request(
            method, self.api_url + path, headers=sent, allow_redirects=False, **arguments
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        return await self.send("GET", path, params=params)

    async def delete(self, path: str) -> Answer:
        return await self.send("DELETE", path)

    async def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await self.send("POST", path, json=body, headers=headers)

    async def generate(self, body: Json, key: str | None = None) -> Json:
        """Submits and follows one generation to its end."""
        headers = {"Prefer": "wait=30"} | ({"Idempotency-Key": key} if key else {})
        answer = await self.post("/generations", body, headers)
        assert answer.status in (200, 202), answer.content[:2000]
        return await self.ended_generation(json.loads(answer.content)["id"])

    async def submit(self, body: Json, key: str | None = None) -> Json:
        """Submits one generation without waiting."""
        headers = {"Idempotency-Key": key} if key else None
        return (await self.post("/generations", body, headers)).json(202)

    async def generation(self, generation_id: str) -> Json:
        return (await self.get(f"/generations/{generation_id}")).json()

    async def ended_generation(self, generation_id: str) -> Json:
        ended: Json = await until(
            lambda: self.generation(generation_id), lambda g: g["status"] in GENERATION_ENDS
        )
        return ended

    async def batch(self, batch_id: str) -> Json:
        return (await self.get(f"/batches/{batch_id}")).json()

    async def ended_batch(self, batch_id: str, timeout_s: float = DONE_TIMEOUT_S) -> Json:
        ended: Json = await until(
            lambda: self.batch(batch_id), lambda b: b["status"] != "running", timeout_s
        )
        return ended

    async def run_batch(self, items: list[Json], key: str | None = None) -> Json:
        """Submits JSON items and follows the batch to its end."""
        headers = {"Idempotency-Key": key} if key else None
        batch = (await self.post("/batches", {"items": items}, headers)).json(202)
        return await self.ended_batch(batch["id"])

    async def pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Json]:
        """Every item of a listing."""
        wanted = dict(params)
        while True:
            page = (await self.get(path, wanted)).json()
            for item in page["items"]:
                yield item
            if page["continuation"] is None:
                return
            wanted["continuation"] = page["continuation"]

    async def listed(self, path: str, **params: str) -> list[Json]:
        return [item async for item in self.pages(path, params)]


async def until(
    look: Callable[[], Awaitable[Any]],
    is_done: Callable[[Any], object],
    timeout_s: float = DONE_TIMEOUT_S,
) -> Any:
    """What `look` sees once it satisfies `is_done`."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = await look()
        if is_done(seen):
            return seen
        assert time.monotonic() < deadline, f"not done after {timeout_s:g} s: {seen!r:.2000}"
        await asyncio.sleep(POLL_S)


def prompt(text: str = "a lighthouse at dawn", scenario: str | None = None) -> str:
    """A prompt nobody has used; with a scenario, the simulated provider misbehaves for it."""
    tag = f" [[scenario:{scenario}]]" if scenario else ""
    # Letters alone: the privacy screen takes some runs of digits for the number of a card.
    unique = uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))
    return f"{text} {unique}{tag}"


def order(model: str = "gpt-image-2", scenario: str | None = None, **fields: Any) -> Json:
    """The body of a cheap generation with a prompt of its own."""
    body: Json = {"model": model, "prompt": prompt(scenario=scenario)}
    if model == "gpt-image-2":
        body["quality"] = "low"
    return body | fields
