"""A stand-in for Azure AI Content Safety: text and image analysis, version 2024-09-01.

`POST /azure-content-safety/contentsafety/text:analyze` and `image:analyze`: the service's limits,
errors and severities. What it finds is said by tags, in the text or in a comment of the picture:
`[[safety:violence=6]]`, or a few violent words (severity 6), or `[[scenario:content_filter]]`. The
tags `throttled`, `outage`, `slow`, `invalid_json`, `empty`, `missing_category`, `odd_severity` make
it misbehave. The blocklist `local-terms` holds one word: `forbiddenium`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from devhost.simulators.paid_calls import has_credential, read_object
from devhost.simulators.scenarios import BLOCKED_WORDS
from devhost.simulators.state import SimulatorState

PREFIX = "/azure-content-safety/contentsafety"
API_VERSIONS = ("2023-10-01", "2024-09-01")
TEXT_CHARS_MAX = 10_000
PICTURE_BYTES_MAX = 4 * 1024 * 1024
CATEGORIES = ("Hate", "SelfHarm", "Sexual", "Violence")
TAG = re.compile(r"\[\[safety:([a-z_]+)(?:=([0-9]))?\]\]")
BLOCKLISTS = {"local-terms": "forbiddenium"}
PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
SLOW_S = 30.0  # longer than any time-out in use
REFUSED_SEVERITY = 6


@dataclass
class ContentSafetyService:
    """What was asked, in counts only: texts and pictures are nobody's to keep."""

    state: SimulatorState
    calls: Counter[str] = field(default_factory=Counter)

    async def analyze(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if not has_credential(request, "ocp-apim-subscription-key", self.state):
            return _error(401, "401", "Access denied due to invalid subscription key.")
        if request.query.get("api-version") not in API_VERSIONS:
            return _error(404, "404", "Resource not found")
        document = await read_object(request)
        if document is None:
            return _error(400, "InvalidRequestBody", "The body is no JSON object.")
        self.calls[kind] += 1
        try:
            text = _text(document) if kind == "text" else _picture_text(document)
            names = _blocklists(document)
        except ValueError as error:
            return _error(400, "InvalidRequestBody", str(error))
        for name in names:
            if name not in BLOCKLISTS:
                return _error(404, "ResourceNotFound", "The blocklist does not exist.")
        return await _answer(document, text, names, kind)

    async def show(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": dict(self.calls)})


def add_azure_content_safety(app: web.Application, state: SimulatorState) -> None:
    """Adds both routes of the service and a count of their calls."""
    service = ContentSafetyService(state)
    app.router.add_post(f"{PREFIX}/{{kind:text|image}}:analyze", service.analyze)
    app.router.add_get("/_control/content-safety", service.show)


def _text(document: dict[str, Any]) -> str:
    text = document.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= TEXT_CHARS_MAX:
        raise ValueError(f"text must have 1 to {TEXT_CHARS_MAX} characters.")
    return text


def _picture_text(document: dict[str, Any]) -> str:
    """The bytes of a picture as text, so that the tags in its comments can be found."""
    image = document.get("image")
    content = image.get("content") if isinstance(image, dict) else None
    try:
        picture = base64.b64decode(str(content), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("image.content must be base64.") from None
    if not picture.startswith(PICTURE_STARTS):
        raise ValueError("The image format is not supported.")
    if len(picture) > PICTURE_BYTES_MAX:
        raise ValueError("The image is larger than 4 MB.")
    return picture.decode("latin-1")


def _blocklists(document: dict[str, Any]) -> list[str]:
    names = document.get("blocklistNames", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("blocklistNames must be a list of names.")
    return names


async def _answer(
    document: dict[str, Any], text: str, names: list[str], kind: str
) -> web.StreamResponse:
    tags = {tag[1]: tag[2] for tag in TAG.finditer(text)}
    if kind == "text" and (BLOCKED_WORDS.search(text) or "[[scenario:content_filter" in text):
        tags.setdefault("violence", str(REFUSED_SEVERITY))
    spoiled = await _misbehaviour(tags)
    if spoiled is not None:
        return spoiled
    asked = document.get("categories") or list(CATEGORIES)
    analysis = [{"category": name, "severity": _severity(name, tags)} for name in asked]
    if "missing_category" in tags:
        analysis.pop()
    if "odd_severity" in tags:
        analysis[0]["severity"] = 99
    answer: dict[str, Any] = {"categoriesAnalysis": analysis}
    if kind == "text":
        answer["blocklistsMatch"] = [
            {"blocklistName": name, "blocklistItemId": "1", "blocklistItemText": BLOCKLISTS[name]}
            for name in names
            if BLOCKLISTS[name] in text.lower()
        ]
    return web.json_response(answer)


def _severity(category: str, tags: dict[str, str]) -> int:
    own = "self_harm" if category == "SelfHarm" else category.lower()
    return int(tags.get(own) or 0)


async def _misbehaviour(tags: dict[str, str]) -> web.Response | None:
    """The answer to a call with a tag that spoils it."""
    if "slow" in tags:
        await asyncio.sleep(SLOW_S)
    if "throttled" in tags:
        answer = _error(429, "TooManyRequests", "The rate limit is exceeded.")
        answer.headers["Retry-After"] = "1"
        return answer
    if "outage" in tags:
        return _error(503, "ServerBusy", "The server is busy.")
    if "invalid_json" in tags:
        return web.Response(text='{"categoriesAnal', content_type="application/json")
    if "empty" in tags:
        return web.json_response({})
    return None


def _error(status: int, code: str, message: str) -> web.Response:
    body = {"error": {"code": code, "message": message, "details": []}}
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/json",
        headers={"x-ms-error-code": code},
    )
