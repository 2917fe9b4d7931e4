"""Blob triggers: finds new blob versions by polling, delivers each at least once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiohttp import web
from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.functions.meta import Datum

from devhost.host.blob_receipts import BlobReceipts, DueBlob
from devhost.host.blob_source import BlobSource
from devhost.host.blob_webhook import BlobWebhook
from devhost.host.converters import decode
from devhost.host.invocation import FunctionRunner
from devhost.host.loading import LoadedFunction
from devhost.host.state_file import StateFile

_log = logging.getLogger(__name__)

POLL_S = 0.5
SCAN_SHARE = 2  # rest at least this many times as long as the last listing took
UNREACHABLE_S = 2.0  # between attempts while the storage account does not answer
CONCURRENT_MAX = 4  # blobs in memory at once, each up to the trigger's own size


class BlobTrigger:
    """One blob function: what is found goes into the receipts, what is due there is delivered."""

    def __init__(self, function: LoadedFunction, state: StateFile, runner: FunctionRunner) -> None:
        self.function = function
        self.source = BlobSource(function)
        self.receipts = BlobReceipts(state, function.name)
        self._runner = runner
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._unreachable = False

    async def loop(self, polls: bool) -> None:
        """Runs until cancelled; without polling only the webhook finds blobs."""
        while True:
            pause_s = await self._scan() if polls else POLL_S
            self.deliver_due()
            await asyncio.sleep(pause_s)

    async def stop(self) -> None:
        """Abandons running deliveries: their receipts still wait at the next start."""
        for task in self._in_flight.values():
            task.cancel()
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
        await self.source.close()

    def deliver_due(self) -> None:
        """Starts what is due, as far as there are free slots; called again after each delivery."""
        if len(self._in_flight) >= CONCURRENT_MAX:
            return
        for blob in self.receipts.due(2 * CONCURRENT_MAX):
            if len(self._in_flight) >= CONCURRENT_MAX:
                return
            if blob.path not in self._in_flight:
                self._in_flight[blob.path] = asyncio.create_task(self._deliver(blob))

    async def _scan(self) -> float:
        started_s = time.monotonic()
        try:
            async for page in self.source.pages():
                self.receipts.found(page)
        except AzureError as error:
            self._note_unreachable(error)
            return UNREACHABLE_S
        if self._unreachable:
            self._unreachable = False
            _log.info("function=%s the storage account answers again", self.function.name)
        return max(POLL_S, SCAN_SHARE * (time.monotonic() - started_s))

    def _note_unreachable(self, error: AzureError) -> None:
        if not self._unreachable:
            self._unreachable = True
            _log.warning(
                "function=%s cannot list %s: %s; will try again every %s s",
                self.function.name,
                self.source.container,
                error.message,
                UNREACHABLE_S,
            )

    async def _deliver(self, blob: DueBlob) -> None:
        try:
            await self._invoke(blob)
        finally:
            del self._in_flight[blob.path]
        self.deliver_due()

    async def _invoke(self, blob: DueBlob) -> None:
        try:
            content, metadata = await self.source.read(blob.path, blob.etag)
            await self._runner.run(self.function, {self._parameter: self._value(content, metadata)})
        except (ResourceNotFoundError, ResourceModifiedError):
            self.receipts.forget(blob)
        except Exception as error:  # the boundary to user code
            _log.exception("function=%s failed on blob %s", self.function.name, blob.path)
            if not self.receipts.failed(blob, f"{type(error).__name__}: {error}"):
                _log.error("function=%s gives up blob %s: poison", self.function.name, blob.path)
        else:
            self.receipts.delivered(blob)
            _log.info("function=%s processed blob %s", self.function.name, blob.path)

    @property
    def _parameter(self) -> str:
        return str(self.function.trigger["name"])

    def _value(self, content: bytes, metadata: dict[str, Datum]) -> Any:
        annotation = self.function.plan.annotations.get(self._parameter)
        if annotation is bytes:
            return content
        if annotation is str:
            return content.decode("utf-8")
        return decode("blobTrigger", Datum(type="bytes", value=content), metadata)


class BlobTriggers:
    """All blob triggers of the app, and the Event Grid webhook that feeds them as in Azure."""

    def __init__(
        self, functions: list[LoadedFunction], state: StateFile, runner: FunctionRunner
    ) -> None:
        self._triggers = [BlobTrigger(function, state, runner) for function in functions]
        self._tasks: list[asyncio.Task[None]] = []

    def add_routes(self, app: web.Application) -> None:
        BlobWebhook({t.function.name.casefold(): t for t in self._triggers}).add_routes(app)

    def start(self, polls: bool) -> None:
        """Raises HostStartError when it shall poll and a connection setting is missing."""
        for trigger in self._triggers:
            if polls:
                trigger.source.service()
            self._tasks.append(asyncio.create_task(trigger.loop(polls)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for trigger in self._triggers:
            await trigger.stop()

    def stats(self) -> dict[str, dict[str, int]]:
        """Receipts by state, for each function."""
        return {trigger.function.name: trigger.receipts.counts() for trigger in self._triggers}
