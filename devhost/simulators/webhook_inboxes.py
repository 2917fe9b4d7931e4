"""A receiver of webhooks after Standard Webhooks: records, verifies and, when told to, refuses.

`POST /webhooks/{inbox}` receives. `PUT /_control/webhooks/{inbox}` says which secrets are known and
how the next deliveries are answered, `GET` shows what came, `DELETE` forgets. State is in memory.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

RECORDS_MAX = 1_000  # of one inbox; the oldest are dropped
TOLERANCE_S = 300  # how far the timestamp may be from now
SECRET_PREFIX = "whsec_"  # noqa: S105 - how the spec marks secrets


class InboxRule(BaseModel):
    """How an inbox answers; the first `fail_times` deliveries get `status`, the others 204."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secrets: tuple[str, ...] = ()  # none: nothing is verified
    fail_times: int = Field(default=0, ge=0)
    status: int = Field(default=503, ge=300, le=599)
    retry_after_s: int | None = Field(default=None, ge=0)


@dataclass(frozen=True)
class Delivery:
    """One request as it came, and how it was answered."""

    webhook_id: str
    timestamp: str
    verified: bool | None
    answered: int
    body: str
    headers: dict[str, str]


@dataclass
class Inbox:
    """What one address received."""

    rule: InboxRule = field(default_factory=InboxRule)
    failed: int = 0
    deliveries: list[Delivery] = field(default_factory=list)

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        """Records a delivery; returns the status of the answer."""
        verified = is_verified(self.rule.secrets, headers, body) if self.rule.secrets else None
        status = 401 if verified is False else 204
        if status == 204 and self.failed < self.rule.fail_times:
            self.failed += 1
            status = self.rule.status
        self.deliveries.append(
            Delivery(
                webhook_id=headers.get("webhook-id", ""),
                timestamp=headers.get("webhook-timestamp", ""),
                verified=verified,
                answered=status,
                body=body.decode("utf-8", "replace"),
                headers=headers,
            )
        )
        del self.deliveries[:-RECORDS_MAX]
        return status


def is_verified(secrets: tuple[str, ...], headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures was made with one of the secrets, a short time ago."""
    message_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE_S:
        return False
    signed = f"{message_id}.{sent}.".encode() + body
    given = headers.get("webhook-signature", "").split()
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if any(hmac.compare_digest(f"v1,{digest}", each) for each in given):
            return True
    return False


def add_webhook_inboxes(app: web.Application) -> None:
    """Adds the receiving route and its controls."""
    inboxes: dict[str, Inbox] = defaultdict(Inbox)

    async def receive(request: web.Request) -> web.Response:
        inbox = inboxes[request.match_info["inbox"]]
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = inbox.receive(headers, await request.read())
        answer = web.Response(status=status)
        if status == inbox.rule.status and inbox.rule.retry_after_s is not None:
            answer.headers["Retry-After"] = str(inbox.rule.retry_after_s)
        if 300 <= status < 400:
            answer.headers["Location"] = str(request.url.with_path("/webhooks/redirected"))
        return answer

    async def configure(request: web.Request) -> web.Response:
        try:
            rule = InboxRule.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        inbox = inboxes[request.match_info["inbox"]]
        inbox.rule, inbox.failed = rule, 0
        return web.json_response(rule.model_dump())

    async def show(request: web.Request) -> web.Response:
        inbox = inboxes[request.match_info["inbox"]]
        return web.json_response({"deliveries": [asdict(each) for each in inbox.deliveries]})

    async def forget(request: web.Request) -> web.Response:
        removed = inboxes.pop(request.match_info["inbox"], None)
        return web.json_response({"removed": len(removed.deliveries) if removed else 0})

    app.router.add_post("/webhooks/{inbox}", receive)
    app.router.add_put("/_control/webhooks/{inbox}", configure)
    app.router.add_get("/_control/webhooks/{inbox}", show)
    app.router.add_delete("/_control/webhooks/{inbox}", forget)
