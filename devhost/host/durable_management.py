"""What clients may do to instances: start, raise events, suspend, terminate, purge, restart."""

from __future__ import annotations

import json
import re
import time
import uuid

from devhost.host.durable_engine import DurableEngine
from devhost.host.durable_history import EventType, event
from devhost.host.durable_store import Instance, InstanceQuery, Status
from devhost.host.durable_turn import unknown_orchestrator
from devhost.host.loading import AppFunctions

INSTANCE_ID_CHARS_MAX = 256
PURGE_PAGE = 200  # instances deleted per transaction

_BAD_ID = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")


class BadRequestError(Exception):
    """The request makes no sense: 400."""


class NotFoundError(Exception):
    """There is no such instance: 404."""


class GoneError(Exception):
    """The instance has finished already: 410."""


class AlreadyRunningError(Exception):
    """A running instance has this id: 500, as the durable extension answers."""


class InstanceManagement:
    """The operations of a durable client, each durable when the call returns."""

    def __init__(
        self, engine: DurableEngine, functions: AppFunctions, default_version: str | None
    ) -> None:
        self._engine = engine
        self._functions = functions
        self._default_version = default_version

    def start(
        self, name: str, instance_id: str | None, input_json: str, version: str | None
    ) -> str:
        """Starts an orchestrator and returns the instance id."""
        function = self._functions.orchestrator(name)
        if function is None:
            raise BadRequestError(unknown_orchestrator(self._functions, name))
        chosen_id = instance_id or uuid.uuid4().hex
        _check_id(chosen_id)
        existing = self._engine.instance(chosen_id)
        if existing is not None and not existing.status.is_finished:
            raise AlreadyRunningError(
                f"An Orchestration instance with the status {existing.status} already exists."
            )
        self._engine.create(
            chosen_id, function.durable_name, input_json, version or self._default_version, None
        )
        self._engine.wake(chosen_id)
        return chosen_id

    def raise_event(self, instance_id: str, name: str, input_text: str | None) -> None:
        """Buffers an event for an instance; its name must be spelt as the orchestrator does."""
        row = self._running(instance_id)
        item = event(EventType.EVENT_RAISED, time.time(), Name=name, Input=input_text)
        self._engine.store.post(row.instance_id, item)
        self._engine.deliver(row.instance_id, item)

    def terminate(self, instance_id: str, reason: str) -> None:
        row = self._running(instance_id)
        item = event(EventType.EXECUTION_TERMINATED, time.time(), Input=reason)
        self._engine.store.post(row.instance_id, item)
        self._engine.deliver(row.instance_id, item)

    def suspend(self, instance_id: str, reason: str) -> None:
        row = self._running(instance_id)
        if row.status is not Status.SUSPENDED:
            item = event(EventType.EXECUTION_SUSPENDED, time.time(), Reason=reason)
            self._engine.set_status(row, Status.SUSPENDED, item)

    def resume(self, instance_id: str, reason: str) -> None:
        row = self._running(instance_id)
        if row.status is Status.SUSPENDED:
            item = event(EventType.EXECUTION_RESUMED, time.time(), Reason=reason)
            self._engine.set_status(row, Status.RUNNING, item)

    def restart(self, instance_id: str, with_new_id: bool) -> str:
        """Starts the orchestrator of an instance again, with the same input."""
        row = self._known(instance_id)
        chosen_id = None if with_new_id else instance_id
        return self.start(row.name, chosen_id, row.input, row.version)

    def purge(self, instance_id: str) -> int:
        """Deletes an instance whatever its status, as the Azure Storage backend does."""
        self._known(instance_id)
        self._purge([instance_id])
        return 1

    def purge_where(self, query: InstanceQuery) -> int:
        """Deletes every matching instance and returns how many there were."""
        deleted = 0
        while page := self._engine.store.instances(query, PURGE_PAGE):
            self._purge([row.instance_id for row in page])
            deleted += len(page)
        return deleted

    def _purge(self, instance_ids: list[str]) -> None:
        with self._engine.store.transaction():
            for instance_id in instance_ids:
                self._engine.forget(instance_id)
                self._engine.store.purge(instance_id)

    def _known(self, instance_id: str) -> Instance:
        row = self._engine.instance(instance_id)
        if row is None:
            raise NotFoundError(instance_id)
        return row

    def _running(self, instance_id: str) -> Instance:
        row = self._known(instance_id)
        if row.status.is_finished:
            raise GoneError(instance_id)
        return row


def input_text(body: bytes) -> str:
    """The request body as a JSON text, `null` when empty; raises BadRequestError."""
    if not body:
        return "null"
    try:
        return json.dumps(json.loads(body))
    except ValueError as error:
        raise BadRequestError(f"Only application/json request content is supported: {error}") from (
            error
        )


def _check_id(instance_id: str) -> None:
    if len(instance_id) > INSTANCE_ID_CHARS_MAX:
        raise BadRequestError(f"An instance id has at most {INSTANCE_ID_CHARS_MAX} characters.")
    if instance_id.startswith("@"):
        raise BadRequestError("An instance id must not start with '@'.")
    if _BAD_ID.search(instance_id):
        raise BadRequestError(
            "An instance id must not contain '/', '\\', '#', '?' or control characters."
        )
