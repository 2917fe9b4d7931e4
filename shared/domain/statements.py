"""Chargeback statements: what a department is charged for a period, closed once and never changed.

    seal     patch the department's budget: no hold is open, and from now on nothing may be booked
    issue    create the statement if its total is what the budget says was spent

Every hold, resolution and adjustment patches the department's budget, so one number on it closes
the whole period. Sealing first makes the entries stand still; reading them afterwards, under the
session that sealed, cannot miss one. A crash between the two leaves a sealed period, which is
issued by asking again.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import CURRENCY, Scope
from shared.domain.entries import Entry
from shared.domain.focus import (
    FOCUS_VERSION,
    Bill,
    canonical,
    charge_line,
    csv_header,
    csv_line,
)
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import equal
from shared.domain.spend import SpendSum
from shared.errors import InvariantBroken

STATEMENT_VERSION: Final = 1
OPEN, SEALED, ISSUED = (
    0,
    1,
    2,
)  # `sealed` of a department's budget; only OPEN lets anything be booked
PART_BYTES: Final = 256 * 1024  # of a file on its way to storage


@dataclass(frozen=True)
class Closing:
    """How far the closing of a period has come; micro-AUD."""

    reserved_micros: int
    spent_micros: int
    sealed: int


@dataclass(frozen=True)
class Statement:
    """What was charged, by whom it was closed, and the checksums that keep it so."""

    bill: Bill
    period: str
    totals: SpendSum
    adjustments: int  # of the entries, those that no generation stands for
    closed_at: str
    closed_by: str
    lines_sha256: str
    csv_sha256: str
    json_sha256: str

    @property
    def partition(self) -> Partition:
        return Partition(self.bill.department_id, self.period)


def bill_of(tenant_id: str, partition: Partition, start: date, end: date) -> Bill:
    """What the lines of a period's statement share; `end` is the day after the last."""
    statement_id = f"{partition.department_id}-{partition.period}"
    return Bill(statement_id, tenant_id, partition.department_id, start, end)


def statement_document_id(period: str) -> str:
    return f"statement:{period}"


def seal_operations(partition: Partition, event: AuditEvent) -> list[Operation]:
    """The transaction that lets nothing be booked any more; refused while a hold is open."""
    step = {"op": "set", "path": "/sealed", "value": SEALED}
    idle = equal({"reserved_micros": 0, "sealed": OPEN})
    return [
        Patch(_budget_id(partition), (step,), idle),
        Create(outbox_document(partition, event)),
    ]


def reseal_operation(partition: Partition) -> Operation:
    """Write what a sealed period says already; refused unless it is sealed."""
    step = {"op": "set", "path": "/sealed", "value": SEALED}
    return Patch(_budget_id(partition), (step,), equal({"reserved_micros": 0, "sealed": SEALED}))


def issue_operations(statement: Statement, event: AuditEvent) -> list[Operation]:
    """The transaction that issues: refused unless the counters say what the lines add up to."""
    step = {"op": "set", "path": "/sealed", "value": ISSUED}
    spent = statement.totals.amount_micros
    adds_up = equal({"reserved_micros": 0, "sealed": SEALED, "spent_micros": spent})
    return [
        Patch(_budget_id(statement.partition), (step,), adds_up),
        Create(statement_document(statement)),
        Create(outbox_document(statement.partition, event)),
    ]


def statement_document(statement: Statement) -> Document:
    return {
        "id": statement_document_id(statement.period),
        "pk": statement.partition.key,
        "type": "statement",
        **_stated(statement),
        "csv_sha256": statement.csv_sha256,
        "json_sha256": statement.json_sha256,
    }


def read_statement(document: Mapping[str, Any]) -> Statement:
    return Statement(
        bill=Bill(
            document["statement_id"],
            document["tenant_id"],
            document["department_id"],
            date.fromisoformat(document["starts_on"]),
            date.fromisoformat(document["ends_before"]),
        ),
        period=document["period"],
        totals=SpendSum(**{name: int(value) for name, value in document["totals"].items()}),
        adjustments=int(document["adjustments"]),
        closed_at=document["closed_at"],
        closed_by=document["closed_by"],
        lines_sha256=document["lines_sha256"],
        csv_sha256=document["csv_sha256"],
        json_sha256=document["json_sha256"],
    )


class StatementWriter:
    """Writes the files of one statement, entry by entry in the order of their ids.

    What it writes depends on the entries and on who closed when, so writing again gives the same
    bytes. Memory does not grow with the number of entries.
    """

    def __init__(self, bill: Bill, period: str, closed_at: str, closed_by: str) -> None:
        self._draft = Statement(bill, period, SpendSum(), 0, closed_at, closed_by, "", "", "")
        self._totals = SpendSum()
        self._adjustments = 0
        self._lines, self._csv, self._json = (hashlib.sha256() for _ in range(3))

    async def written(self, entries: AsyncIterator[Entry], file: str) -> AsyncIterator[bytes]:
        """The bytes of one file (`csv` or `json`); all checksums are made on the way."""
        buffer = bytearray()
        async for text_csv, text_json in self._texts(entries):
            self._csv.update(text_csv)
            self._json.update(text_json)
            buffer += text_csv if file == "csv" else text_json
            if len(buffer) >= PART_BYTES:
                yield bytes(buffer)
                buffer.clear()
        yield bytes(buffer)

    def statement(self) -> Statement:
        """The statement over everything that was written."""
        return replace(
            self._draft,
            totals=self._totals,
            adjustments=self._adjustments,
            lines_sha256=self._lines.hexdigest(),
            csv_sha256=self._csv.hexdigest(),
            json_sha256=self._json.hexdigest(),
        )

    async def _texts(self, entries: AsyncIterator[Entry]) -> AsyncIterator[tuple[bytes, bytes]]:
        yield csv_header().encode(), b'{"lines":[\n'
        separator = b""
        async for entry in entries:
            line = charge_line(entry, self._draft.bill)
            if line["x_AmountMicros"] != entry.amount_micros:
                raise InvariantBroken("A line of a statement is not its ledger entry.")
            text = canonical(line)
            self._totals.add(entry)
            self._adjustments += entry.kind != "usage"
            self._lines.update(text)
            yield csv_line(line).encode(), separator + text
            separator = b","
        stated = json.dumps(_stated(self.statement()), sort_keys=True, separators=(",", ":"))
        yield b"", b'],"statement":' + stated.encode() + b"}\n"


def _stated(statement: Statement) -> dict[str, Any]:
    """What the statement says of itself, in its document and in its JSON file."""
    bill = statement.bill
    return {
        "version": STATEMENT_VERSION,
        "statement_id": bill.statement_id,
        "tenant_id": bill.tenant_id,
        "department_id": bill.department_id,
        "period": statement.period,
        "starts_on": bill.start.isoformat(),
        "ends_before": bill.end.isoformat(),
        "currency": CURRENCY,
        "focus_version": FOCUS_VERSION,
        "totals": asdict(statement.totals),
        "adjustments": statement.adjustments,
        "closed_at": statement.closed_at,
        "closed_by": statement.closed_by,
        "lines_sha256": statement.lines_sha256,
    }


def _budget_id(partition: Partition) -> str:
    return Scope("department", partition.department_id).document_id
