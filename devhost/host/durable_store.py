"""Durable Functions state as rows: instances, history, inboxes, pending activities and timers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from devhost.host.durable_actions import Operation
from devhost.host.durable_history import Event
from devhost.host.state_file import StateFile


class Status(StrEnum):
    """Runtime status of an instance, spelt as the status API spells it."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"

    @property
    def is_finished(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.TERMINATED)


@dataclass
class Parent:
    """Which task of which execution waits for a sub-orchestration."""

    instance_id: str
    execution_id: str
    task_id: int


@dataclass
class Instance:
    """One row of `instances`; input, output and custom status are JSON texts."""

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    status: Status
    input: str
    output: str | None
    custom_status: str | None
    created_at: float
    updated_at: float
    parent: Parent | None
    actions_seen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PendingActivity:
    """One activity that has been scheduled and whose result is not committed."""

    id: int
    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str | None


@dataclass(frozen=True)
class InstanceQuery:
    """Filter of a list or a purge; times are epoch seconds, `after` is the last row of a page."""

    created_from: float | None = None
    created_to: float | None = None
    statuses: tuple[str, ...] = ()
    id_prefix: str | None = None
    after: tuple[float, str] | None = None


_COLUMNS = (
    "instance_id, execution_id, name, version, status, input, output, custom_status, created_at, "
    "updated_at, parent_id, parent_execution_id, parent_task_id, actions_seen"
)


class DurableStore:
    """The SQL of the durable engine; the caller groups calls into transactions."""

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self.transaction = state.transaction

    # instances

    def save_instance(self, row: Instance) -> None:
        """Inserts or replaces the whole row."""
        parent = row.parent
        self._state.execute(
            f"INSERT OR REPLACE INTO instances ({_COLUMNS}) "  # noqa: S608 - constant columns
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                row.instance_id,
                row.execution_id,
                row.name,
                row.version,
                row.status.value,
                row.input,
                row.output,
                row.custom_status,
                row.created_at,
                row.updated_at,
                parent.instance_id if parent else None,
                parent.execution_id if parent else None,
                parent.task_id if parent else None,
                " ".join(row.actions_seen),
            ),
        )

    def set_status(self, instance_id: str, status: Status, now_s: float) -> None:
        self._state.execute(
            "UPDATE instances SET status = ?, updated_at = ? WHERE instance_id = ?",
            (status.value, now_s, instance_id),
        )

    def instance(self, instance_id: str) -> Instance | None:
        row = self._state.execute(
            f"SELECT {_COLUMNS} FROM instances WHERE instance_id = ?",  # noqa: S608
            (instance_id,),
        ).fetchone()
        return _instance(row) if row else None

    def instances(self, query: InstanceQuery, limit: int) -> list[Instance]:
        """The oldest `limit` matching instances, by creation time and id."""
        where, values = _conditions(query)
        rows = self._state.execute(
            f"SELECT {_COLUMNS} FROM instances WHERE {where} "  # noqa: S608
            "ORDER BY created_at, instance_id LIMIT ?",
            (*values, limit),
        )
        return [_instance(row) for row in rows]

    def count_by_status(self) -> dict[str, int]:
        return dict(
            self._state.execute("SELECT status, COUNT(*) FROM instances GROUP BY status").fetchall()
        )

    def purge(self, instance_id: str) -> None:
        """Deletes every trace of an instance, whatever its status."""
        self.delete_work(instance_id)
        for table in ("instances", "episodes", "activities"):
            self._state.execute(
                f"DELETE FROM {table} WHERE instance_id = ?",  # noqa: S608
                (instance_id,),
            )

    # history and inbox

    def append_episode(self, instance_id: str, number: int, events: str) -> None:
        self._state.execute(
            "INSERT INTO episodes (instance_id, number, events) VALUES (?,?,?)",
            (instance_id, number, events),
        )

    def episodes(self, instance_id: str) -> list[str]:
        rows = self._state.execute(
            "SELECT events FROM episodes WHERE instance_id = ? ORDER BY number", (instance_id,)
        )
        return [row[0] for row in rows]

    def delete_episodes(self, instance_id: str) -> None:
        self._state.execute("DELETE FROM episodes WHERE instance_id = ?", (instance_id,))

    def post(self, instance_id: str, item: Event) -> None:
        """Puts an event into the inbox of an instance."""
        self._state.execute(
            "INSERT INTO inbox (instance_id, event) VALUES (?,?)",
            (instance_id, json.dumps(item, separators=(",", ":"))),
        )

    def inbox(self, instance_id: str) -> list[tuple[int, Event]]:
        rows = self._state.execute(
            "SELECT id, event FROM inbox WHERE instance_id = ? ORDER BY id", (instance_id,)
        )
        return [(row[0], json.loads(row[1])) for row in rows]

    def delete_inbox(self, ids: Iterable[int]) -> None:
        self._state.execute_many("DELETE FROM inbox WHERE id = ?", [(item,) for item in ids])

    def instances_with_inbox(self) -> list[str]:
        rows = self._state.execute("SELECT instance_id FROM inbox GROUP BY instance_id")
        return [row[0] for row in rows]

    def delete_work(self, instance_id: str) -> None:
        """Forgets the inbox and the timers of an instance whose execution is over."""
        for table in ("inbox", "durable_timers"):
            self._state.execute(
                f"DELETE FROM {table} WHERE instance_id = ?",  # noqa: S608
                (instance_id,),
            )

    # activities

    def add_activity(self, instance: Instance, operation: Operation) -> int:
        cursor = self._state.execute(
            "INSERT INTO activities (instance_id, execution_id, task_id, name, input) "
            "VALUES (?,?,?,?,?)",
            (
                instance.instance_id,
                instance.execution_id,
                operation.id,
                operation.name,
                operation.input,
            ),
        )
        return int(cursor.lastrowid or 0)

    def activity(self, activity_id: int) -> PendingActivity | None:
        row = self._state.execute(
            "SELECT id, instance_id, execution_id, task_id, name, input FROM activities "
            "WHERE id = ?",
            (activity_id,),
        ).fetchone()
        return PendingActivity(*row) if row else None

    def activity_ids(self) -> list[int]:
        return [row[0] for row in self._state.execute("SELECT id FROM activities ORDER BY id")]

    def remove_activity(self, activity_id: int) -> bool:
        """Whether the activity was still pending: a second delivery finds it gone."""
        return (
            self._state.execute("DELETE FROM activities WHERE id = ?", (activity_id,)).rowcount == 1
        )

    # timers

    def add_timer(self, instance: Instance, operation: Operation) -> None:
        self._state.execute(
            "INSERT INTO durable_timers (instance_id, execution_id, task_id, fire_at) "
            "VALUES (?,?,?,?)",
            (instance.instance_id, instance.execution_id, operation.id, operation.fire_at_s),
        )

    def remove_timer(self, instance_id: str, execution_id: str, task_id: int) -> None:
        self._state.execute(
            "DELETE FROM durable_timers WHERE instance_id = ? AND execution_id = ? AND task_id = ?",
            (instance_id, execution_id, task_id),
        )

    def next_timer_at(self) -> float | None:
        earliest: float | None = self._scalar("SELECT MIN(fire_at) FROM durable_timers")
        return earliest

    def due_timers(self, now_s: float, limit: int) -> list[tuple[str, str, int, float]]:
        return self._state.execute(
            "SELECT instance_id, execution_id, task_id, fire_at FROM durable_timers "
            "WHERE fire_at <= ? ORDER BY fire_at LIMIT ?",
            (now_s, limit),
        ).fetchall()

    def depths(self) -> dict[str, int]:
        """How much work of each kind waits."""
        return {
            table: int(self._scalar(f"SELECT COUNT(*) FROM {table}") or 0)  # noqa: S608
            for table in ("inbox", "activities", "durable_timers", "entity_operations")
        }

    def _scalar(self, sql: str) -> Any:
        return self._state.execute(sql).fetchone()[0]


def _instance(row: tuple[Any, ...]) -> Instance:
    parent = Parent(row[10], row[11], row[12]) if row[10] is not None else None
    return Instance(
        instance_id=row[0],
        execution_id=row[1],
        name=row[2],
        version=row[3],
        status=Status(row[4]),
        input=row[5],
        output=row[6],
        custom_status=row[7],
        created_at=row[8],
        updated_at=row[9],
        parent=parent,
        actions_seen=row[13].split(),
    )


def _conditions(query: InstanceQuery) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []
    if query.created_from is not None:
        parts.append("created_at >= ?")
        values.append(query.created_from)
    if query.created_to is not None:
        parts.append("created_at <= ?")
        values.append(query.created_to)
    if query.statuses:
        parts.append(f"status IN ({','.join('?' * len(query.statuses))})")
        values.extend(query.statuses)
    if query.id_prefix:
        parts.append("substr(instance_id, 1, ?) = ?")
        values.extend((len(query.id_prefix), query.id_prefix))
    if query.after is not None:
        parts.append("(created_at, instance_id) > (?, ?)")
        values.extend(query.after)
    return " AND ".join(parts), values
