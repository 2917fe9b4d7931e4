"""Durable entities, the basic part: operations run one batch at a time per entity."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from typing import Any

from azure.functions import EntityContext

from devhost.host.durable_actions import Operation, OperationKind
from devhost.host.durable_activities import Inboxes
from devhost.host.durable_history import EventType, event
from devhost.host.durable_store import Instance
from devhost.host.invocation import FunctionRunner
from devhost.host.loading import AppFunctions
from devhost.host.state_file import StateFile

_log = logging.getLogger(__name__)

BATCH_MAX = 50  # maxEntityOperationBatchSize on the Consumption plans


@dataclass(frozen=True)
class _Request:
    """One waiting operation; a call has a request id and a caller, a signal has none."""

    id: int
    name: str
    input: str | None
    request_id: str | None
    caller_id: str | None
    caller_execution_id: str | None


class EntityWorker:
    """Runs waiting entity operations; entity ids look like `@name@key` with a lower-case name."""

    def __init__(self, state: StateFile, functions: AppFunctions, runner: FunctionRunner) -> None:
        self._state = state
        self._functions = functions
        self._runner = runner
        self._inboxes: Inboxes | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, inboxes: Inboxes) -> None:
        self._inboxes = inboxes
        rows = self._state.execute("SELECT DISTINCT entity_id FROM entity_operations").fetchall()
        for (entity_id,) in rows:
            self.wake(entity_id)

    async def stop(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def send(self, row: Instance, operation: Operation) -> None:
        """Stores an orchestrator's call or signal; part of the caller's transaction."""
        is_call = operation.kind is OperationKind.ENTITY_CALL
        self._insert(
            str(operation.instance_id),
            operation.name,
            json.dumps(operation.input),
            operation.request_id if is_call else None,
            row if is_call else None,
        )

    def signal(self, entity_id: str, name: str, input_text: str | None) -> None:
        """Stores a client's signal and runs it."""
        self._insert(entity_id, name, input_text, None, None)
        self.wake(entity_id)

    def state(self, entity_id: str) -> str | None:
        """The entity's state as a JSON text; None when the entity does not exist."""
        row = self._state.execute(
            "SELECT state FROM entities WHERE entity_id = ?", (entity_id,)
        ).fetchone()
        return row[0] if row else None

    def entities(self, limit: int) -> list[tuple[str, float]]:
        """Entity ids with the time of their last operation."""
        return self._state.execute(
            "SELECT entity_id, updated_at FROM entities ORDER BY entity_id LIMIT ?", (limit,)
        ).fetchall()

    def wake(self, entity_id: str) -> None:
        """Runs what waits for the entity, unless it is running already (it looks again)."""
        if entity_id not in self._running:
            task = asyncio.create_task(self._drain(entity_id))
            self._running[entity_id] = task
            task.add_done_callback(lambda _: self._running.pop(entity_id, None))

    def _insert(
        self,
        entity_id: str,
        name: str,
        input_text: str | None,
        request_id: str | None,
        caller: Instance | None,
    ) -> None:
        self._state.execute(
            "INSERT INTO entity_operations (entity_id, name, input, request_id, caller_id, "
            "caller_execution_id) VALUES (?,?,?,?,?,?)",
            (
                entity_id,
                name,
                input_text,
                request_id,
                caller.instance_id if caller else None,
                caller.execution_id if caller else None,
            ),
        )

    async def _drain(self, entity_id: str) -> None:
        while requests := self._waiting(entity_id):
            try:
                answer = await self._invoke(entity_id, requests)
            except Exception as error:
                _log.exception("entity=%s the entity function failed", entity_id)
                answer = _all_failed(self.state(entity_id), requests, error)
            self._commit(entity_id, requests, answer)

    def _waiting(self, entity_id: str) -> list[_Request]:
        rows = self._state.execute(
            "SELECT id, name, input, request_id, caller_id, caller_execution_id "
            "FROM entity_operations WHERE entity_id = ? ORDER BY id LIMIT ?",
            (entity_id, BATCH_MAX),
        )
        return [_Request(*row) for row in rows]

    async def _invoke(self, entity_id: str, requests: list[_Request]) -> dict[str, Any]:
        _, name, key = entity_id.split("@", 2)
        function = self._functions.entity(name)
        if function is None:
            raise LookupError(f"The function '{name}' doesn't exist or is not an entity function.")
        state = self.state(entity_id)
        payload = {
            "self": {"name": name, "key": key},
            "exists": state is not None,
            "state": state,
            "batch": [
                {"name": r.name, "input": r.input, "isSignal": r.request_id is None}
                for r in requests
            ],
        }
        context = EntityContext(json.dumps(payload))
        text = await self._runner.run(function, {str(function.trigger["name"]): context})
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _commit(self, entity_id: str, requests: list[_Request], answer: dict[str, Any]) -> None:
        if self._inboxes is None:
            return
        now_s, replies = time.time(), []
        with self._state.transaction():
            if answer["entityExists"]:
                self._state.execute(
                    "INSERT OR REPLACE INTO entities (entity_id, state, updated_at) VALUES (?,?,?)",
                    (entity_id, answer["entityState"] or "null", now_s),
                )
            else:
                self._state.execute("DELETE FROM entities WHERE entity_id = ?", (entity_id,))
            for request, result in zip(requests, answer["results"], strict=True):
                self._state.execute("DELETE FROM entity_operations WHERE id = ?", (request.id,))
                if request.caller_id is None or not self._inboxes.accepts(
                    request.caller_id, str(request.caller_execution_id)
                ):
                    continue
                reply = {"result": result["result"]}
                if result["isError"]:
                    reply["exceptionType"] = "Error"
                item = event(
                    EventType.EVENT_RAISED,
                    now_s,
                    Name=request.request_id,
                    Input=json.dumps(reply),
                )
                self._state.execute(
                    "INSERT INTO inbox (instance_id, event) VALUES (?,?)",
                    (request.caller_id, json.dumps(item)),
                )
                replies.append((request.caller_id, item))
        for caller_id, item in replies:
            self._inboxes.deliver(caller_id, item)


def _all_failed(state: str | None, requests: list[_Request], error: Exception) -> dict[str, Any]:
    failed = {"isError": True, "result": json.dumps(str(error))}
    return {
        "entityExists": state is not None,
        "entityState": state,
        "results": [failed for _ in requests],
    }
