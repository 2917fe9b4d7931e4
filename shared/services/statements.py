"""Chargeback statements: closing a department's period, and handing out what was closed."""

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

from shared.domain.audit_events import AuditEvent
from shared.domain.entries import Entry
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.ids import Partition
from shared.domain.periods import MONTH_PATTERN
from shared.domain.statement_views import (
    PeriodList,
    PeriodState,
    PeriodView,
    StatementView,
    statement_view,
)
from shared.domain.statements import OPEN, Closing, Statement, StatementWriter, bill_of
from shared.errors import Conflict, FieldFault, Invalid, InvariantBroken, NotFound, PolicyDenied
from shared.ports import BatchFiles, Clock, Directory, Ledger, Records
from shared.ports.entries import Entries
from shared.ports.statements import Statements
from shared.services.allocations import Allocations
from shared.services.calendars import Calendars

NO_SUCH = "There is no such statement."
OPEN_NAMED_MAX = 20  # holds that a refusal names; it also says how many there are
PERIODS_LISTED = 13  # of one department: a year of months and the present one
FileFormat = Literal["csv", "json"]
_CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@dataclass(frozen=True)
class ChargebackStatements:
    """Closes periods, and reads statements after checking that they still are what was issued."""

    entries: Entries
    statements: Statements
    ledger: Ledger
    records: Records
    files: BatchFiles
    directory: Directory
    calendars: Calendars
    allocations: Allocations
    clock: Clock

    async def close(
        self, caller: Caller, department_id: str, period: str, correlation_id: str
    ) -> StatementView:
        """Close a period that has ended and issue its statement; one that is closed stays so.

        What the organisation had allocated to it and nobody used goes back. A repeat finishes what
        a worker that died has left.

        Raises Conflict naming what is still open, PolicyDenied for anybody but an Org Admin.
        """
        await self._require_admin(caller, department_id, period, correlation_id)
        if not await self.directory.has_department(caller.tenant_id, department_id):
            raise NotFound("There is no such department.")
        start, end = await self._bounds(department_id, period)
        partition = Partition(department_id, period)
        statement = await self.statements.statement(partition)
        if statement is None:
            statement = await self._issue(caller, partition, start, end, correlation_id)
        await self._write(statement, "csv")
        await self._write(statement, "json")
        await self.allocations.release_unused(department_id, period)
        return statement_view(statement)

    async def file(
        self, caller: Caller, department_id: str, period: str, file: FileFormat
    ) -> bytes:
        """A statement as it was issued, byte for byte.

        Raises InvariantBroken if the file or the ledger no longer says what the statement says.
        """
        if re.fullmatch(MONTH_PATTERN, period) is None:
            raise NotFound(NO_SUCH)
        await self._require_sight(caller, department_id)
        partition = Partition(department_id, period)
        statement = await self.statements.statement(partition)
        if statement is None:
            raise NotFound(NO_SUCH)
        closing = await self.statements.closing(partition)
        if closing is None or closing.spent_micros != statement.totals.amount_micros:
            raise InvariantBroken("The ledger no longer adds up to a statement that was issued.")
        body = await self.files.result(_folder(statement), f"{period}.{file}")
        if body is None:  # the worker died between issuing and writing
            await self._write(statement, file)
            body = await self.files.result(_folder(statement), f"{period}.{file}")
        if body is None or hashlib.sha256(body).hexdigest() != _checksum(statement, file):
            raise InvariantBroken("A statement's file is not what was issued.")
        return body

    async def periods(self, caller: Caller, department_id: str | None) -> PeriodList:
        """A department's last periods; for an Org Admin who names none, each one's last two."""
        everywhere = caller.reach(Permission.STATEMENTS_READ) >= Reach.ORGANISATION
        if not everywhere or department_id is not None:
            wanted = department_id or caller.department_id
            await self._require_sight(caller, wanted)
            return PeriodList(items=tuple(await self._periods(wanted, PERIODS_LISTED)))
        items: list[PeriodView] = []
        for each in await self.directory.departments():
            if await self.directory.has_department(caller.tenant_id, each):
                items += await self._periods(each, 2)
        return PeriodList(items=tuple(items))

    async def _issue(
        self, caller: Caller, partition: Partition, start: date, end: date, correlation_id: str
    ) -> Statement:
        today = self.clock.now().date()
        if today < end:
            raise Conflict(
                f"The period ends on {end.isoformat()}; it can be closed from then on.",
                code="period_running",
                extra={"ends_before": end.isoformat()},
            )
        sealed = self._event(caller, partition, "statement.sealed", correlation_id, {})
        if not await self.statements.seal(partition, sealed):
            raise await self._still_open(partition)
        bill = bill_of(caller.tenant_id, partition, start, end)
        writer = StatementWriter(bill, partition.period, self.clock.now().isoformat(), caller.key)
        async for _ in writer.written(self._entries(partition, start, end), "json"):
            pass  # the first time through only adds up and makes the checksums
        statement = writer.statement()
        details: dict[str, str | int | bool | None] = {
            **asdict(statement.totals),
            "adjustments": statement.adjustments,
            "lines_sha256": statement.lines_sha256,
        }
        issued = self._event(caller, partition, "statement.issued", correlation_id, details)
        return await self.statements.issue(statement, issued)

    async def _write(self, statement: Statement, file: FileFormat) -> None:
        """Write a file from the ledger; it must come out as it was issued."""
        bill = statement.bill
        writer = StatementWriter(bill, statement.period, statement.closed_at, statement.closed_by)
        entries = self._entries(statement.partition, bill.start, bill.end)
        await self.files.put_result(
            _folder(statement),
            f"{statement.period}.{file}",
            _CONTENT_TYPES[file],
            writer.written(entries, file),
        )
        if writer.statement() != statement:
            raise InvariantBroken("The entries of a closed period are not what they were.")

    async def _entries(self, partition: Partition, start: date, end: date) -> AsyncIterator[Entry]:
        async for entry in self.entries.of(partition):
            yield entry.within(start, end)

    async def _still_open(self, partition: Partition) -> Conflict:
        """Name the holds that are open, and the generations that nobody knows the end of."""
        now = self.clock.now().isoformat()
        holds = await self.records.open_holds(partition, now)
        unknown = await self.records.unknown_generations(partition, now)
        closing = await self.statements.closing(partition)
        return Conflict(
            "Work of this period is still open: wait for it, or decide its reconciliation cases.",
            code="period_has_open_work",
            extra={
                "reserved_micros": closing.reserved_micros if closing else 0,
                "open_holds": [hold.operation_id for hold in holds[:OPEN_NAMED_MAX]],
                "open_holds_total": len(holds),
                "indeterminate": [each["generation_id"] for each in unknown[:OPEN_NAMED_MAX]],
                "indeterminate_total": len(unknown),
            },
        )

    async def _periods(self, department_id: str, number: int) -> list[PeriodView]:
        calendar = await self.calendars.of(department_id)
        today = self.clock.now().date()
        period = calendar.period_at(today)
        shown = []
        for _ in range(number):
            partition = Partition(department_id, period)
            closing = await self.statements.closing(partition)
            statement = await self.statements.statement(partition) if closing else None
            end = calendar.end(period)
            shown.append(
                PeriodView(
                    department_id=department_id,
                    period=period,
                    starts_on=calendar.start(period),
                    ends_before=end,
                    state=_state(closing, statement, is_over=today >= end),
                    reserved_micros=closing.reserved_micros if closing else 0,
                    spent_micros=closing.spent_micros if closing else 0,
                    statement=statement_view(statement) if statement else None,
                )
            )
            period = calendar.previous(period)
        return shown

    async def _bounds(self, department_id: str, period: str) -> tuple[date, date]:
        calendar = await self.calendars.of(department_id)
        if not calendar.is_period(period):
            fault = FieldFault("/period", "name the first month of a period of this department")
            raise Invalid("This department has no period that starts then.", faults=[fault])
        return calendar.start(period), calendar.end(period)

    async def _require_sight(self, caller: Caller, department_id: str) -> None:
        if caller.reach(Permission.STATEMENTS_READ) < Reach.DEPARTMENT:
            raise PolicyDenied("Statements are for Dept Managers and Org Admins.")
        own = department_id == caller.department_id
        if not own and (
            caller.reach(Permission.STATEMENTS_READ) < Reach.ORGANISATION
            or not await self.directory.has_department(caller.tenant_id, department_id)
        ):
            raise NotFound(NO_SUCH)

    async def _require_admin(
        self, caller: Caller, department_id: str, period: str, correlation_id: str
    ) -> None:
        if caller.reach(Permission.STATEMENTS_CLOSE) >= Reach.ORGANISATION:
            return
        own = await self.calendars.partition(caller.department_id)
        event = AuditEvent(
            action=f"statement.denied.{self.clock.new_id()}",
            object_id=f"{department_id}-{period}",
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=PolicyDenied.code,
        )
        await self.ledger.note_event(own, event)
        raise PolicyDenied("Only an Org Admin closes a period.")

    def _event(
        self,
        caller: Caller,
        partition: Partition,
        action: str,
        correlation_id: str,
        details: dict[str, str | int | bool | None],
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=f"{partition.department_id}-{partition.period}",
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            details=details,
        )


def _state(closing: Closing | None, statement: Statement | None, *, is_over: bool) -> PeriodState:
    if statement is not None:
        return "issued"
    if closing is None:
        return "unused"
    if closing.sealed != OPEN:
        return "sealed"
    return "ended" if is_over else "running"


def _folder(statement: Statement) -> str:
    return f"statements/{statement.bill.department_id}"


def _checksum(statement: Statement, file: FileFormat) -> str:
    return statement.csv_sha256 if file == "csv" else statement.json_sha256
