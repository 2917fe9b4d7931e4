"""Azure AI Content Safety over its REST interface, version 2024-09-01.

Its Python SDK has had no release since 2023 and knows one version less; two routes need none. An
answer counts only if it is whole: each of the four categories once, with a severity in range.
"""

import asyncio
import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from shared.adapters.azure_http import AnswerLost, AzureHttp, AzureService, NeverSent
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.content_safety import CATEGORIES, SEVERITY_MAX, SafetyFinding
from shared.domain.images import image_dimensions
from shared.errors import Invalid, Unavailable
from shared.ports.secrets import Secret

API_VERSION: Final = "2024-09-01"
TEXT_CHARS_MAX: Final = 10_000  # of the service, in code points
OVERLAP_CHARS: Final = 200  # what one piece cuts, the next has whole: a long sentence
PICTURE_BYTES_MAX: Final = 4 * 1024 * 1024  # of the service; what is larger is judged as a copy
PICTURE_SIDE_MAX: Final = 2_048  # of the service, in pixels
PICTURE_SIDE_MIN: Final = 50
COPY_QUALITY: Final = 90
COPY_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")  # of all that Pillow would try
COPY_PIXELS_MAX: Final = 24_000_000  # 96 MB decoded; no provider makes larger pictures
ANSWER_BYTES_MAX: Final = 256 * 1024  # an answer is below 1 KB, unless many terms are listed
SCOPE: Final = "https://cognitiveservices.azure.com/.default"
RETRY_AFTER_S_MAX: Final = 60.0  # of its limits, which are counted by the second
_UNREADABLE_STATUSES: Final = frozenset({400, 413, 415, 422})
_CATEGORIES: Final[Mapping[str, str]] = {
    "Hate": "hate",
    "SelfHarm": "self_harm",
    "Sexual": "sexual",
    "Violence": "violence",
}


@dataclass(frozen=True)
class SafetyTerms:
    """Where the service is; no key means the app's identity."""

    endpoint: str
    key: Secret | None
    timeout_s: float
    concurrent_max: int
    blocklists: tuple[str, ...] = ()


class AzureContentSafety:
    """Implements the ContentSafety port over one resource; it keeps nothing of what it judges."""

    def __init__(self, terms: SafetyTerms) -> None:
        self._terms = terms
        self._slots = asyncio.Semaphore(terms.concurrent_max)
        self._http = AzureHttp(
            AzureService(
                base_url=f"{terms.endpoint.rstrip('/')}/contentsafety/",
                key=terms.key,
                key_header="Ocp-Apim-Subscription-Key",
                token_scope=SCOPE,
                timeout_s=terms.timeout_s,
                answer_bytes_max=ANSWER_BYTES_MAX,
                is_paid=False,
            )
        )

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        await self._http.aclose()

    async def judge_text(self, text: str) -> SafetyFinding:
        lists = self._terms.blocklists
        findings = [
            await self._judge("text:analyze", self._text(part), lists) for part in pieces(text)
        ]
        joined = findings[0]
        for finding in findings[1:]:
            joined = joined.joined(finding)
        return joined

    async def judge_picture(self, picture: bytes) -> SafetyFinding:
        content = await asyncio.to_thread(_acceptable_copy, picture)
        if content is None:
            raise _not_judgeable()
        body = {
            "image": {"content": base64.b64encode(content).decode()},
            "categories": list(_CATEGORIES),
            "outputType": "FourSeverityLevels",
        }
        return await self._judge("image:analyze", body, ())

    def _text(self, part: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "text": part,
            "categories": list(_CATEGORIES),
            "outputType": "EightSeverityLevels",
        }
        if self._terms.blocklists:
            body["blocklistNames"] = list(self._terms.blocklists)
            body["haltOnBlocklistHit"] = False
        return body

    async def _judge(
        self, operation: str, body: Mapping[str, Any], blocklists: tuple[str, ...]
    ) -> SafetyFinding:
        try:
            async with self._slots:
                answer = await self._http.post(f"{operation}?api-version={API_VERSION}", body)
        except (NeverSent, AnswerLost) as failure:
            raise _unavailable(failure.reason, None) from failure
        if answer.status in _UNREADABLE_STATUSES:
            raise _not_judgeable()
        if answer.status != 200:
            raise _unavailable(f"http_{answer.status}", parse_retry_after_s(answer.headers))
        finding = _finding(answer.document, blocklists)
        if finding is None:
            raise _unavailable("malformed", None)
        return finding


def pieces(text: str) -> list[str]:
    """The text in parts that the service takes, each beginning in the end of the one before."""
    step = TEXT_CHARS_MAX - OVERLAP_CHARS
    starts = range(0, max(1, len(text) - OVERLAP_CHARS), step)
    return [text[start : start + TEXT_CHARS_MAX] for start in starts]


def _finding(document: object, blocklists: tuple[str, ...]) -> SafetyFinding | None:
    """What a 200 says, or None unless it says all that was asked."""
    if not isinstance(document, Mapping):
        return None
    listed = document.get("categoriesAnalysis")
    severities: dict[str, int] = {}
    for item in listed if isinstance(listed, list) else []:
        category = _CATEGORIES.get(str(item.get("category"))) if isinstance(item, dict) else None
        severity = item.get("severity") if isinstance(item, dict) else None
        if category is None or type(severity) is not int or not 0 <= severity <= SEVERITY_MAX:
            return None
        if category in severities:
            return None
        severities[category] = severity
    hits = _hits(document.get("blocklistsMatch"), blocklists)
    if hits is None or set(severities) != set(CATEGORIES):
        return None
    return SafetyFinding(severities, hits)


def _hits(listed: object, blocklists: tuple[str, ...]) -> tuple[str, ...] | None:
    """The blocklists that were hit, by name only: a term may be personal; None: unreadable."""
    if listed is None and not blocklists:
        return ()
    if not isinstance(listed, list):
        return None
    names = {str(item.get("blocklistName")) if isinstance(item, dict) else "" for item in listed}
    return tuple(sorted(names)) if names <= set(blocklists) else None


def _acceptable_copy(picture: bytes) -> bytes | None:
    """The picture if the service takes it as it is, else a smaller JPEG of it; None: unreadable."""
    sides = image_dimensions(picture)
    if sides is None:
        return None
    is_small = len(picture) <= PICTURE_BYTES_MAX and max(sides) <= PICTURE_SIDE_MAX
    if is_small and min(sides) >= PICTURE_SIDE_MIN:
        return picture
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture), formats=COPY_FORMATS) as opened:
            if opened.width * opened.height > COPY_PIXELS_MAX:
                return None
            copy = opened.convert("RGB")
            copy.thumbnail((PICTURE_SIDE_MAX, PICTURE_SIDE_MAX))
            copy = copy.resize([max(PICTURE_SIDE_MIN, side) for side in copy.size])
            out = io.BytesIO()
            copy.save(out, "JPEG", quality=COPY_QUALITY)
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        return None  # decoders raise all of these
    return out.getvalue() if out.tell() <= PICTURE_BYTES_MAX else None


def _not_judgeable() -> Invalid:
    return Invalid("Content Safety cannot read this.", code="not_judgeable")


def _unavailable(cause: str, retry_after_s: float | None) -> Unavailable:
    wait_s = None if retry_after_s is None else ceil(min(retry_after_s, RETRY_AFTER_S_MAX))
    return Unavailable(
        "Content Safety could not judge this, so it goes no further.",
        retry_after_s=wait_s,
        extra={"cause": cause},
    )
