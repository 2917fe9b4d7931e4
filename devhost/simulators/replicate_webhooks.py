"""Webhooks that the simulated Replicate sends when a run ends (Standard Webhooks).

A failed delivery is tried again with the same id; redirects are not followed. What is still to be
sent is kept in memory: a kill -9 loses it, as it may at the real service, and polling goes on.
Only the event `completed` is sent.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from devhost.simulators.invoice import REPLICATE
from devhost.simulators.replicate_inputs import InputError, InvalidField
from devhost.simulators.replicate_predictions import PROCESSING, Prediction, find_prediction
from devhost.simulators.state import SimulatorState

_KEY = b"simulated-webhook-signing-secret"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(_KEY).decode()
EVENTS = ("start", "output", "logs", "completed")
LOOK_S = 0.02  # how often a run is looked at by the simulators' clock
TRIES_MAX = 4
FIRST_PAUSE_S = 0.2  # doubles each time
TRY_TIMEOUT_S = 5.0
LATE_S = 600  # older than receivers accept
PENDING_MAX = 10_000


@dataclass(frozen=True)
class Event:
    """One message; `forged` signs it with another key, `late_s` dates it back."""

    event_id: str
    body: bytes
    forged: bool = False
    late_s: int = 0

    def headers(self) -> dict[str, str]:
        """Those of one try: the id stays, the time is that of the try."""
        timestamp = int(time.time()) - self.late_s
        signed = f"{self.event_id}.{timestamp}.".encode() + self.body
        key = b"somebody else's key" if self.forged else _KEY
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return {
            "content-type": "application/json",
            "webhook-id": self.event_id,
            "webhook-timestamp": str(timestamp),
            # A second entry, as during a rotation of the secret.
            "webhook-signature": f"v1,{base64.b64encode(b'0' * 32).decode()} v1,{digest}",
        }


def parse_webhook(body: dict[str, Any]) -> str | None:
    """The address for the end of the run, or None; raises InputError."""
    url, events = body.get("webhook"), body.get("webhook_events_filter")
    if events is not None and not (
        isinstance(events, list) and all(event in EVENTS for event in events)
    ):
        raise _invalid("webhook_events_filter", f"must be some of {', '.join(EVENTS)}")
    if url is None:
        return None
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    is_local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        raise _invalid("webhook", "must be an HTTPS address")
    return str(url) if events is None or "completed" in events else None


def _invalid(field: str, sentence: str) -> InputError:
    found = InvalidField(field, "invalid", sentence)
    return InputError("Input validation failed", f"- {field}: {sentence}\n", (found,))


class Webhooks:
    """The deliveries that are under way."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._sending: set[asyncio.Task[None]] = set()

    def watch(self, prediction: Prediction, url: str) -> None:
        """Sends word to `url` when the prediction has ended."""
        if len(self._sending) >= PENDING_MAX:
            return
        task = asyncio.create_task(self._tell(prediction, url))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def stop(self, _: web.Application) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _tell(self, watched: Prediction, url: str) -> None:
        prediction = watched
        while self._state.clock.now_s() < prediction.ended_s:
            await asyncio.sleep(LOOK_S)
            prediction = find_prediction(self._state, watched.id) or watched
        timeout = aiohttp.ClientTimeout(total=TRY_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for event in self._events(prediction):
                await self._deliver(session, url, event)

    def _events(self, prediction: Prediction) -> list[Event]:
        name = prediction.scenario.name
        document = prediction.as_json(self._state.options.origin, self._state.clock.now_s())
        body = json.dumps(document).encode()
        event = Event(
            f"msg_{secrets.token_hex(12)}",
            body,
            forged=name == "webhook_forged",
            late_s=LATE_S if name == "webhook_late" else 0,
        )
        if name == "webhook_lost":
            return []
        if name == "webhook_doubled":
            return [event, event]
        if name == "webhook_disordered":
            earlier = {**document, "status": PROCESSING, "output": None}
            before = Event(f"msg_{secrets.token_hex(12)}", json.dumps(earlier).encode())
            return [event, before]
        return [event]

    async def _deliver(self, session: aiohttp.ClientSession, url: str, event: Event) -> None:
        pause_s = FIRST_PAUSE_S
        for _ in range(TRIES_MAX):
            try:
                async with session.post(
                    url, data=event.body, headers=event.headers(), allow_redirects=False
                ) as answer:
                    delivered = 200 <= answer.status < 300
            except (aiohttp.ClientError, TimeoutError):
                delivered = False
            outcome = "webhook delivered" if delivered else "webhook refused"
            self._state.outcomes[f"{REPLICATE} {outcome}"] += 1
            if delivered:
                return
            await asyncio.sleep(pause_s)
            pause_s *= 2
