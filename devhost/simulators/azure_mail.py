"""A stand-in for the mail endpoint of Azure Communication Services, for the real SDK.

It checks the HMAC of each request, keeps what was submitted and reports an operation as Running
once and then as Succeeded, or as `PUT /_control/mail` says. Nothing is sent. State is in memory.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

ACCESS_KEY = base64.b64encode(b"local-demo-mail-key").decode()  # opens this stand-in only
RETRY_AFTER_S = 30
RECIPIENTS_MAX = 50
SIGNED_HEADERS = "x-ms-date;host;x-ms-content-sha256"
ENDS = ("Succeeded", "Failed", "Canceled")


@dataclass
class Submission:
    """One accepted request; a repeated operation id is a second one."""

    operation_id: str
    message: dict[str, Any]


@dataclass
class MailDesk:
    """What was submitted and how operations end; its methods answer requests."""

    end: str = "Succeeded"
    refuse_status: int | None = None  # the answer to every submission, instead of 202
    submissions: list[Submission] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)  # operation id -> status requests

    async def send(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not _is_signed(request, body):
            return _error(401, "Denied", "Denied by the resource provider.")
        if self.refuse_status is not None:
            return _error(self.refuse_status, "Refused", "As the control asked.")
        try:
            operation_id = str(UUID(request.headers.get("Operation-Id") or str(uuid4())))
            message = json.loads(body)
        except ValueError:
            return _error(400, "BadRequest", "Operation-Id or body is not readable.")
        fault = _fault(message)
        if fault:
            return _error(400, "BadRequest", fault)
        self.submissions.append(Submission(operation_id, message))
        headers = {
            "Operation-Location": f"{request.url.origin()}/emails/operations/{operation_id}",
            "Retry-After": str(RETRY_AFTER_S),
        }
        answer = {"id": operation_id, "status": "Running", "error": None}
        return web.json_response(answer, status=202, headers=headers)

    async def status(self, request: web.Request) -> web.Response:
        if not _is_signed(request, b""):
            return _error(401, "Denied", "Denied by the resource provider.")
        operation_id = request.match_info["operation"]
        if all(each.operation_id != operation_id for each in self.submissions):
            return _error(404, "NotFound", "There is no such operation.")
        self.asked[operation_id] = self.asked.get(operation_id, 0) + 1
        ended = self.asked[operation_id] > 1
        document = {"id": operation_id, "status": self.end if ended else "Running", "error": None}
        headers = {} if ended else {"Retry-After": str(RETRY_AFTER_S)}
        return web.json_response(document, headers=headers)

    async def configure(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if wanted.get("end", "Succeeded") not in ENDS:
            return web.json_response({"error": f"end is one of {ENDS}"}, status=400)
        self.end = wanted.get("end", "Succeeded")
        self.refuse_status = wanted.get("refuse_status")
        return web.json_response({"end": self.end, "refuse_status": self.refuse_status})

    async def show(self, _: web.Request) -> web.Response:
        return web.json_response({"submissions": [asdict(each) for each in self.submissions]})


def add_azure_mail(app: web.Application) -> None:
    """Adds the two routes of the service and the controls."""
    desk = MailDesk()
    app.router.add_post("/emails:send", desk.send)
    app.router.add_get("/emails/operations/{operation}", desk.status)
    app.router.add_put("/_control/mail", desk.configure)
    app.router.add_get("/_control/mail", desk.show)


def _is_signed(request: web.Request, body: bytes) -> bool:
    """Whether the request carries the HMAC that the access key gives."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    date = request.headers.get("x-ms-date", "")
    signed = f"{request.method}\n{request.path_qs}\n{date};{request.host};{digest}"
    key = base64.b64decode(ACCESS_KEY)
    signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
    expected = f"HMAC-SHA256 SignedHeaders={SIGNED_HEADERS}&Signature={signature}"
    return hmac.compare_digest(request.headers.get("Authorization", ""), expected)


def _fault(message: Any) -> str | None:
    if not isinstance(message, dict) or not message.get("senderAddress"):
        return "senderAddress is missing."
    to = message.get("recipients", {}).get("to", [])
    if not 1 <= len(to) <= RECIPIENTS_MAX or not all(each.get("address") for each in to):
        return "recipients.to is missing or too long."
    content = message.get("content", {})
    if not content.get("subject") or not (content.get("plainText") or content.get("html")):
        return "content is incomplete."
    return None


def _error(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": text}}, status=status)
