"""Webhooks that a provider sends us (Standard Webhooks): who signed them, and which job ended."""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.domain.webhooks import Message, signature

BODY_BYTES_MAX: Final = 1024 * 1024  # a prediction with its logs; usually 3 KB
TOLERANCE_S: Final = 300  # the spec's advice: an older delivery may be a replay
SIGNATURES_MAX: Final = 8  # one for each secret that is valid; two during a rotation
_EVENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_JOB_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_ENDINGS: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})


@dataclass(frozen=True)
class Delivery:
    """One webhook as it arrived; nothing in it is believed before its signature was checked."""

    event_id: str
    timestamp_s: int
    signatures: tuple[str, ...]
    body: bytes


def read_delivery(headers: Mapping[str, str], body: bytes) -> Delivery | None:
    """The delivery that these headers (in lower case) describe; None if one of them is amiss."""
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not (_EVENT_ID.fullmatch(event_id) and _TIMESTAMP.fullmatch(timestamp)):
        return None
    signatures = tuple(headers.get("webhook-signature", "").split(" ")[:SIGNATURES_MAX])
    return Delivery(event_id, int(timestamp), signatures, body)


def is_recent(delivery: Delivery, now_s: float) -> bool:
    return abs(now_s - delivery.timestamp_s) <= TOLERANCE_S


def is_signed(delivery: Delivery, secret: str) -> bool:
    """Whether any of the signatures was made with this secret; takes the same time for each."""
    expected = signature(secret, Message(delivery.event_id, delivery.body), delivery.timestamp_s)
    matches = [
        hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
        for given in delivery.signatures
    ]
    return any(matches)


def ended_job(delivery: Delivery) -> str | None:
    """The id of the job that has ended; None for any other event. Nothing else is read."""
    try:
        document = json.loads(delivery.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, Mapping):
        return None
    job_id, status = document.get("id"), document.get("status")
    if not isinstance(job_id, str) or not isinstance(status, str):
        return None
    return job_id if status in _ENDINGS and _JOB_ID.fullmatch(job_id) else None
