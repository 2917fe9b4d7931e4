"""The second layer of the privacy screen: personal and health information, by Azure AI Language.

An answer counts only if it is whole (`azure_language_answers.py`); anything else is a failure. The
service keeps nothing: its logs are switched off in every call.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure_language_answers import (
    CATEGORIES,
    LanguageAnswer,
    LanguageEntity,
    read_answers,
)
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.identifiers import IDENTIFIERS, DataClass, Finding, Layer, merged
from shared.domain.identifiers_words import speaks_of_health
from shared.domain.privacy import Detection, DetectionTerms
from shared.errors import PrivacyScreenUnavailable
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.ai.textanalytics.aio import TextAnalyticsClient

API_VERSION: Final = "2023-04-01"  # the newest that the SDK knows
DOCUMENT_CHARS_MAX: Final = 5_120  # of the service, in text elements: code points are never fewer
OVERLAP_CHARS: Final = 128  # what one chunk cuts, the next has whole: longer than any identifier
DOCUMENTS_PER_CALL: Final = 5  # of the service's synchronous endpoint
PATIENT_TRIES_MAX: Final = 4  # for batches; a person who waits gets an answer after one
PAUSE_S: Final = 1.0  # before the second try, then twice that, unless the service says how long
PAUSE_S_MAX: Final = 30.0
RETRY_AFTER_S: Final = 5  # what callers are told
HEALTH_DOMAIN: Final = "phi"
# Who a text on somebody's health is about: beside such a text these are health information.
_IDENTITIES: Final[frozenset[DataClass]] = frozenset(
    {"person", "contact", "location", "government"}
)
logger = logging.getLogger("eig.privacy")


@dataclass(frozen=True)
class LanguageTerms:
    """Where the service is and how hard it may be pressed; no key means the app's identity."""

    endpoint: str
    key: str | None
    timeout_s: float
    concurrent_max: int
    calls_per_minute: int  # of this worker


@dataclass(frozen=True)
class _Chunk:
    """A part of a text that is one document of a call."""

    text_number: int
    start: int
    text: str


Read = list[tuple[_Chunk, Detection]]


class AzureLanguage:
    """Implements the PrivacyDetector port over one Language resource."""

    layer: Layer = "language"

    def __init__(self, terms: LanguageTerms, clock: Clock) -> None:
        self._terms = terms
        self._slots = asyncio.Semaphore(terms.concurrent_max)
        self._pace = _Pace(terms.calls_per_minute, clock)
        self._client: TextAnalyticsClient | None = None
        self._credential: Any = None

    async def detect(self, texts: Sequence[str], terms: DetectionTerms) -> Sequence[Detection]:
        chunks = [chunk for n, text in enumerate(texts) for chunk in _chunks(n, text)]
        synonyms = terms.policy.synonyms
        of_health = {
            n
            for n, text in enumerate(texts)
            if terms.policy.asks_for_health or speaks_of_health(text, synonyms)
        }
        health_chunks = [chunk for chunk in chunks if chunk.text_number in of_health]
        reads = [self._read(each, None, terms) for each in _calls(chunks)]
        reads += [self._read(each, HEALTH_DOMAIN, terms) for each in _calls(health_chunks)]
        found: list[list[Finding]] = [[] for _ in texts]
        failures: dict[int, str] = {}
        for answer in await _all_or_none(reads):
            for chunk, detection in answer:
                found[chunk.text_number] += detection.findings
                if detection.failure:
                    failures[chunk.text_number] = detection.failure
        return [Detection(merged(each), failures.get(n)) for n, each in enumerate(found)]

    async def _read(
        self, chunks: Sequence[_Chunk], domain: str | None, terms: DetectionTerms
    ) -> Read:
        """What one call finds in up to five chunks; tries again for those who can wait."""
        tries = PATIENT_TRIES_MAX if terms.patient else 1
        pause_s = PAUSE_S
        for turn in range(tries):
            try:
                async with self._slots:
                    await self._pace.take(None if terms.patient else self._terms.timeout_s)
                    answers = await self._ask(chunks, domain, terms)
                return [
                    (chunk, _detection(chunk, answer, domain, terms))
                    for chunk, answer in zip(chunks, answers, strict=True)
                ]
            except Exception as error:  # whatever it is, nothing is known about these texts
                cause, retry_after_s = _cause_of(error)
                logger.warning("language service failed", extra={"code": cause})
                if turn == tries - 1 or cause in _HOPELESS:
                    raise _unavailable(cause) from None  # its text may quote the prompt
                pause_s = min(retry_after_s or pause_s, PAUSE_S_MAX)
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try returns or raises")

    async def _ask(
        self, chunks: Sequence[_Chunk], domain: str | None, terms: DetectionTerms
    ) -> list[LanguageAnswer]:
        """The answer for each document, in their order; raises unless there is one for each.

        It is read as it came: the SDK's own reading passes over what it does not expect, and its
        `raw_response_hook` confuses calls that run at the same time.
        """
        language = terms.policy.language
        async with asyncio.timeout(self._terms.timeout_s):
            body: Any = await self._opened().recognize_pii_entities(
                [
                    {"id": str(n), "language": language, "text": chunk.text}
                    for n, chunk in enumerate(chunks)
                ],
                categories_filter=list(CATEGORIES),
                domain_filter=domain,
                disable_service_logs=True,
                string_index_type="UnicodeCodePoint",
                cls=_body,
            )
        return read_answers(body, [chunk.text for chunk in chunks])

    def _opened(self) -> "TextAnalyticsClient":
        """The SDK's client, made on first use: it binds to the running event loop."""
        if self._client is None:
            from azure.ai.textanalytics.aio import TextAnalyticsClient
            from azure.core.credentials import AzureKeyCredential

            key = self._terms.key
            credential: Any = AzureKeyCredential(key) if key else self._identity()
            self._client = TextAnalyticsClient(
                self._terms.endpoint,
                credential,
                api_version=API_VERSION,
                retry_total=0,  # `_read` knows who can wait
                permit_redirects=False,
                connection_timeout=self._terms.timeout_s,
                read_timeout=self._terms.timeout_s,
            )
        return self._client

    def _identity(self) -> Any:
        from azure.identity.aio import DefaultAzureCredential

        self._credential = DefaultAzureCredential()
        return self._credential

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        for closable in (self._client, self._credential):
            if closable is not None:
                await closable.close()
        self._client = self._credential = None


class _TooMany(Exception):
    """More calls than this worker may make, and nobody who would wait."""


class _Pace:
    """A minute's worth of calls may go at once; after that they go as they come back."""

    def __init__(self, calls_per_minute: int, clock: Clock) -> None:
        self._calls = calls_per_minute
        self._clock = clock
        self._left = float(calls_per_minute)
        self._seen = clock.now()

    async def take(self, wait_s_max: float | None) -> None:
        """Wait for one call; raise _TooMany if that takes longer than the caller has."""
        now = self._clock.now()
        passed_s = max(0.0, (now - self._seen).total_seconds())
        self._seen = now
        self._left = min(float(self._calls), self._left + passed_s * self._calls / 60)
        self._left -= 1  # a debt, if there is none: whoever comes next waits longer
        wait_s = max(0.0, -self._left * 60 / self._calls)
        if wait_s_max is not None and wait_s > wait_s_max:
            self._left += 1
            raise _TooMany
        if wait_s:
            await asyncio.sleep(wait_s)


def _body(answer: Any, *_: Any) -> Any:
    """The JSON of an answer of the service; what the SDK makes of it is left alone."""
    from azure.core.pipeline.policies import ContentDecodePolicy

    return ContentDecodePolicy.deserialize_from_http_generics(answer.http_response)


async def _all_or_none(reads: Sequence[Coroutine[Any, Any, Read]]) -> list[Read]:
    """The answers of all calls; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read) for read in reads]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _chunks(number: int, text: str) -> list[_Chunk]:
    """The text cut into documents that overlap; blank ones are none."""
    step = DOCUMENT_CHARS_MAX - OVERLAP_CHARS
    last = max(1, len(text) - OVERLAP_CHARS)
    parts = [(start, text[start : start + DOCUMENT_CHARS_MAX]) for start in range(0, last, step)]
    return [_Chunk(number, start, part) for start, part in parts if part.strip()]


def _calls(chunks: Sequence[_Chunk]) -> list[Sequence[_Chunk]]:
    return [
        chunks[first : first + DOCUMENTS_PER_CALL]
        for first in range(0, len(chunks), DOCUMENTS_PER_CALL)
    ]


def _detection(
    chunk: _Chunk, answer: LanguageAnswer, domain: str | None, terms: DetectionTerms
) -> Detection:
    """What a document's answer says; its own error is a failure of its text alone."""
    findings = []
    for entity in answer.entities:
        finding = _finding(chunk, entity, terms.policy.confidence_percent)
        if finding is not None and domain == HEALTH_DOMAIN:
            finding = _about_health(finding)
        if finding is not None:
            findings.append(finding)
    return Detection(tuple(findings), answer.failure)


def _finding(chunk: _Chunk, entity: LanguageEntity, confidence_percent_min: int) -> Finding | None:
    confidence_percent = round(entity.confidence * 100)
    if confidence_percent < confidence_percent_min:
        return None
    return Finding(
        category=entity.category,
        data_class=IDENTIFIERS[entity.category].data_class,
        start=chunk.start + entity.start,
        end=chunk.start + entity.end,
        layer="language",
        confidence_percent=confidence_percent,
    )


def _about_health(finding: Finding) -> Finding | None:
    """Somebody's identity in a text on health is health information; the rest is known already."""
    return replace(finding, data_class="health") if finding.data_class in _IDENTITIES else None


# What a second try cannot mend: a wrong key or address, a request the service does not understand.
_HOPELESS: Final = frozenset({"http_400", "http_401", "http_403", "http_404", "http_413"})


def _cause_of(error: Exception) -> tuple[str, float | None]:
    """Our word for a failure and, if the service said so, when to come back."""
    from azure.core.exceptions import DecodeError, HttpResponseError

    if isinstance(error, TimeoutError):
        return "timeout", None
    if isinstance(error, _TooMany):
        return "too_many_calls", None
    if isinstance(error, DecodeError):
        return "malformed", None
    if isinstance(error, HttpResponseError) and error.status_code not in (None, 200):
        return f"http_{error.status_code}", _retry_after_s(error.response)
    return _cause_without_answer(error), None


def _cause_without_answer(error: Exception) -> str:
    from azure.core.exceptions import (
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
        ServiceResponseTimeoutError,
    )

    if isinstance(error, ServiceResponseTimeoutError):
        return "timeout"
    unreached = ServiceRequestError | ServiceResponseError | OSError
    if isinstance(error, unreached) and not isinstance(error, HttpResponseError):
        return "no_connection"
    return "malformed"


def _retry_after_s(response: Any) -> float | None:
    return None if response is None else parse_retry_after_s(response.headers)


def _unavailable(cause: str) -> PrivacyScreenUnavailable:
    return PrivacyScreenUnavailable(
        "The privacy screen could not look at the text, so it was not sent. Try again.",
        retry_after_s=RETRY_AFTER_S,
        extra={"layer": "language", "cause": cause},
    )
