"""`/runtime/webhooks/blobs`: blob events as Event Grid posts them, in both of its schemas."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web
from azure.core.exceptions import AzureError

from devhost.host.blob_receipts import BlobReceipts
from devhost.host.blob_source import BlobSource

_log = logging.getLogger(__name__)

PATH = "/runtime/webhooks/blobs"
FUNCTION_PREFIX = "Host.Functions."
BLOB_CREATED = "Microsoft.Storage.BlobCreated"
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"

_SUBJECT_CONTAINERS, _SUBJECT_BLOBS = "/containers/", "/blobs/"


class Target(Protocol):
    """A blob trigger, as far as the webhook needs it."""

    source: BlobSource
    receipts: BlobReceipts

    def deliver_due(self) -> None:
        """Starts what is due."""


class BlobWebhook:
    """Looks up the blob of each event and hands it to the function's receipts."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._targets = targets

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, self._post)
        app.router.add_route("OPTIONS", PATH, _allow)

    async def _post(self, request: web.Request) -> web.Response:
        name = request.query.get("functionName", "").removeprefix(FUNCTION_PREFIX)
        target = self._targets.get(name.casefold())
        if target is None:
            return web.Response(status=404, text=f"There is no blob function '{name}'.")
        try:
            events = _events(await request.read())
        except ValueError as error:
            return web.Response(status=400, text=f"The body is not an event: {error}")
        if request.headers.get("aeg-event-type") == "SubscriptionValidation" or (
            events and events[0].get("eventType") == VALIDATION
        ):
            code = events[0]["data"]["validationCode"]
            return web.json_response({"validationResponse": code})
        try:
            for event in events:
                await _take(target, event)
        except AzureError as error:
            return web.Response(status=503, text=f"The storage account does not answer: {error}")
        target.deliver_due()
        return web.Response(status=202)


async def _allow(request: web.Request) -> web.Response:
    """The handshake of a CloudEvents subscription."""
    origin = request.headers.get("WebHook-Request-Origin", "*")
    return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


def _events(body: bytes) -> list[dict[str, Any]]:
    content = json.loads(body)
    events = content if isinstance(content, list) else [content]
    if not events or not all(isinstance(event, dict) for event in events):
        raise ValueError("expected a CloudEvent or an array of events")
    return events


async def _take(target: Target, event: dict[str, Any]) -> None:
    kind = event.get("type") or event.get("eventType")
    if kind != BLOB_CREATED:
        _log.info("ignored a blob event of type %s", kind)
        return
    container, blob_name = _parse_subject(str(event.get("subject", "")))
    if container != target.source.container or not target.source.matches(blob_name):
        _log.info("ignored a blob event for %s/%s: no match", container, blob_name)
        return
    etag = await target.source.etag(blob_name)
    if etag is not None:
        target.receipts.found([(f"{container}/{blob_name}", etag)])


def _parse_subject(subject: str) -> tuple[str, str]:
    """Container and name of `/blobServices/default/containers/{c}/blobs/{path}`."""
    _, _, rest = subject.partition(_SUBJECT_CONTAINERS)
    container, _, blob_name = rest.partition(_SUBJECT_BLOBS)
    return container, blob_name
