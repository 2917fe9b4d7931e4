"""A stand-in for Azure AI Language's PII and PHI recognition, for the real SDK.

`POST /azure-language/language/:analyze-text` of API version 2023-04-01: the limits of the service,
its errors for a whole call and for one document inside a 200, offsets in code points, redacted
text. What it recognises is a short list of forms. A tag in a document makes it misbehave:
`[[language:document_error]]`, `missing`, `wrong_offset`, `invalid_json`, `empty`, `throttled`,
`outage`, `slow` or one of `azure_language_oddities.py`; `/_control/faults` can do the rest.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from devhost.simulators.azure_language_oddities import ODDITIES

ROUTE = "/azure-language/language/:analyze-text"
API_VERSIONS = ("2022-05-01", "2023-04-01")
DOCUMENTS_MAX = 5
DOCUMENT_CHARS_MAX = 5_120
LANGUAGES = frozenset({
    "af", "am", "ar", "as", "az", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es",
    "et", "eu", "fa", "fi", "fr", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "it", "ja",
    "ka", "kk", "km", "kn", "ko", "ku", "ky", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms",
    "my", "nb", "ne", "nl", "no", "or", "pa", "pl", "ps", "pt", "pt-BR", "pt-PT", "ro", "ru", "sk",
    "sl", "so", "sq", "sr", "ss", "sv", "sw", "ta", "te", "th", "tr", "ug", "uk", "ur", "uz", "vi",
    "zh", "zh-hans", "zh-hant",
})  # fmt: skip
SLOW_S = 30.0  # longer than any time-out in use
TAG = re.compile(r"\[\[language:([a-z_]+)\]\]")
HEALTH_DOMAIN = "phi"
NOT_HEALTH = frozenset({"AUBusinessNumber", "AUCompanyNumber", "Organization"})


@dataclass(frozen=True)
class Form:
    """What an entity of a category looks like here, and how sure the service says it is."""

    category: str
    pattern: re.Pattern[str]
    confidence: float


_NAMES = r"(?:Jane|John|Priya|Mary|Ahmed|Olivia|Wei)"
FORMS = (
    Form("Person", re.compile(rf"\b{_NAMES} [A-Z][a-z]+\b"), 0.96),
    Form("Person", re.compile(rf"\b{_NAMES}\b(?! [A-Z])"), 0.42),  # below any usual threshold
    Form("Email", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,63}"), 0.8),
    Form("PhoneNumber", re.compile(r"(?<!\d)(?:\+61|0)[ ]?4\d\d[ ]?\d{3}[ ]?\d{3}(?!\d)"), 0.8),
    Form(
        "Address",
        re.compile(r"\b\d{1,4} [A-Z][a-z]+ (?:Street|Road|Avenue|Lane)\b(?:, [A-Z][a-z]+)?"),
        0.9,
    ),
    Form("AUTaxFileNumber", re.compile(r"(?<=TFN )\d{3} ?\d{3} ?\d{3}\b"), 0.85),
    Form("AUMedicalAccountNumber", re.compile(r"(?<=Medicare )\d{4} ?\d{5} ?\d\b"), 0.85),
    Form("AUDriversLicenseNumber", re.compile(r"(?<=licence )\d{8}\b"), 0.75),
    Form("Organization", re.compile(r"\bContoso\b"), 0.9),
)


@dataclass
class LanguageService:
    """What was asked, in counts only: the texts are nobody's to keep."""

    calls: Counter[str] = field(default_factory=Counter)  # by domain

    async def analyze(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Ocp-Apim-Subscription-Key"):
            return _error(401, "Unauthorized", "Access denied due to a missing subscription key.")
        if request.query.get("api-version") not in API_VERSIONS:
            return _error(400, "InvalidRequest", "The api-version is not supported here.")
        try:
            body = json.loads(await request.read())
            documents = body["analysisInput"]["documents"]
            parameters = body.get("parameters") or {}
            texts = [str(document["text"]) for document in documents]
        except (KeyError, TypeError, ValueError):
            return _error(400, "InvalidRequest", "Invalid Request.")
        if body.get("kind") != "PiiEntityRecognition":
            return _error(400, "InvalidRequest", "Only PiiEntityRecognition is emulated.")
        if not 1 <= len(documents) <= DOCUMENTS_MAX:
            return _error(400, "InvalidDocumentBatch", "The batch has too many documents.")
        self.calls[parameters.get("domain") or "none"] += 1
        wanted = {tag[1] for text in texts for tag in TAG.finditer(text)}
        spoilt = await _misbehaviour(wanted)
        if spoilt is not None:
            return spoilt
        answer = _results(documents, parameters)
        for tag in wanted & set(ODDITIES):
            ODDITIES[tag](answer)
        return web.json_response(answer)

    async def show(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": dict(self.calls)})


def add_azure_language(app: web.Application) -> None:
    """Adds the route of the service and a count of its calls."""
    service = LanguageService()
    app.router.add_post(ROUTE, service.analyze)
    app.router.add_get("/_control/language", service.show)


async def _misbehaviour(wanted: set[str]) -> web.Response | None:
    """The answer to a call with a tag that spoils all of it."""
    if "slow" in wanted:
        await asyncio.sleep(SLOW_S)
    if "throttled" in wanted:
        answer = _error(429, "429", "Requests have exceeded the rate limit.")
        answer.headers["Retry-After"] = "1"
        return answer
    if "outage" in wanted:
        return _error(500, "InternalServerError", "Something went wrong.")
    if "invalid_json" in wanted:
        return web.Response(text='{"kind": "PiiEntityRecogn', content_type="application/json")
    if "empty" in wanted:
        return web.json_response({"kind": "PiiEntityRecognitionResults", "results": {}})
    return None


def _results(documents: list[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    read: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for document in documents:
        tags = {tag[1] for tag in TAG.finditer(document["text"])}
        problem = _document_problem(document, tags)
        if problem is not None:
            errors.append({"id": document["id"], "error": problem})
        elif "missing" not in tags:
            read.append(_read(document, parameters, 7 if "wrong_offset" in tags else 0))
    return {
        "kind": "PiiEntityRecognitionResults",
        "results": {"documents": read, "errors": errors, "modelVersion": "2023-09-01"},
    }


def _document_problem(document: dict[str, Any], tags: set[str]) -> dict[str, Any] | None:
    inner = None
    if "document_error" in tags or not document["text"].strip():
        inner = ("InvalidDocument", "Document text is not usable.")
    elif len(document["text"]) > DOCUMENT_CHARS_MAX:
        inner = ("InvalidDocument", "A document within the request was too large.")
    elif document.get("language", "en") not in LANGUAGES:
        inner = ("UnsupportedLanguageCode", "Invalid language code.")
    if inner is None:
        return None
    return {
        "code": "InvalidArgument",
        "message": "Invalid document in request.",
        "innererror": {"code": inner[0], "message": inner[1]},
    }


def _read(document: dict[str, Any], parameters: dict[str, Any], shift: int) -> dict[str, Any]:
    text = document["text"]
    wanted = parameters.get("piiCategories")
    entities: list[dict[str, Any]] = []
    redacted = list(text)
    for form in FORMS:
        if wanted and form.category not in wanted:
            continue
        if parameters.get("domain") == HEALTH_DOMAIN and form.category in NOT_HEALTH:
            continue
        for found in form.pattern.finditer(text):
            start, end = found.span()
            redacted[start:end] = "*" * (end - start)
            entity = {"text": found[0], "category": form.category, "offset": start + shift}
            entities.append(entity | {"length": end - start, "confidenceScore": form.confidence})
    answer = {"id": document["id"], "redactedText": "".join(redacted), "warnings": []}
    return answer | {"entities": entities}


def _error(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": text}}, status=status)
