"""Provider batches on trial: the services over a fake store, image store and providers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_provider_batches import CosmosProviderBatchClaims
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Usage
from shared.domain.batch_plans import BatchChunk, PlannedQuote, PlannedRow
from shared.domain.budgets import charged_scopes
from shared.domain.ids import operation_id, row_generation_id
from shared.domain.provider_batches import (
    BatchLine,
)
from shared.services.attempts import Attempts
from shared.services.provider_batch_results import ProviderBatchResults
from shared.services.provider_batches import (
    Look,
    ProviderBatches,
    ProviderBatchTimes,
)
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.settlements import Settlements
from shared.services.work import WorkItems
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.batch_provider import FakeBatchProvider
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Crashed, Fault, NoFaults
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import PNG, FakeProvider, Work
from tests.fakes.records import FakeRecords

BATCH_ID = operation_id(builders.PARTITION, "test", "batch")
USD_MICROS = 5_880 + 25  # 196 output tokens and 5 of the prompt
HALF_USD_MICROS = 2_953  # rounded up
USAGE = Usage(input_tokens=5, output_tokens=196, images=1)
DELIVERED = Work(Delivered((), USAGE, request_id="r-1"), USD_MICROS, (PNG,))
BUSY = Work(NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "http_429"), 0)
REFUSED = Work(NotDelivered(Failure.CONTENT_REJECTED, Billed.OUTPUT, "prompt_refused"), 5_880)
WINDOW = timedelta(hours=23)
LIMIT_MICROS = 10_000_000


class Restarts(NoFaults):
    """The process dies at call number `at`, before or after its work; every other call works."""

    def __init__(self, at: int | None = None, fault: Fault = Fault.CRASH_BEFORE) -> None:
        self.calls: list[str] = []
        self._at, self._fault = at, fault

    async def next(self, call: str) -> Fault:
        self.calls.append(call)
        if len(self.calls) - 1 != self._at:
            return Fault.NONE
        if self._fault is Fault.CRASH_BEFORE:
            raise Crashed(call)
        return self._fault


class Interleaved(NoFaults):
    """Everything works, and at every call others get their turn."""

    async def next(self, call: str) -> Fault:
        await asyncio.sleep(0)
        return Fault.NONE


@dataclass
class Bench:
    """The service with a batch of `rows` rows that may wait, reserved at the full price."""

    rows: int = 3
    script: Callable[[BatchLine], Work] = lambda line: DELIVERED
    faults: Any = field(default_factory=NoFaults)
    instant: bool = True
    cancel: bool = False
    frozen_s: float | None = None
    plain_rows: int = 0

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.connection = FakeConnection(self.faults)
        self.container = self.connection.container("ledger")
        connection = self.connection.as_connection()
        self.ledger = CosmosLedger(connection)
        self.records = FakeRecords(self.connection)
        self.files = FakeBatchFiles()
        self.images = FakeImageStore(self.faults)
        self.work = WorkItems(self.records, self.files)
        self.sync = FakeProvider("azure_openai", lambda _: DELIVERED, faults=self.faults)
        self.provider = FakeBatchProvider(
            self.script, self.clock, self.faults, self.instant, before_work=self._check_markers
        )
        claims = CosmosProviderBatchClaims(connection)
        self.results = ProviderBatchResults(self.provider, claims, self.clock)
        self.attempts = Attempts(
            ledger=self.ledger,
            images=self.images,
            providers={"azure_openai": self.sync},
            catalogues=builders.catalogues(),
            gate=ProviderGate({"azure_openai": GateLimit(100, 60_000)}, self.clock),
            clock=self.clock,
            end_user_salt="salt",
            batched=self.results.outcome_of,
        )
        self.settlements = Settlements(self.ledger, self.work, self.clock)
        self.batches = ProviderBatches(
            results=self.results,
            ledger=self.ledger,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            is_cancel_requested=self._is_canceled,
            pause_s=self._pause_s,
            times=ProviderBatchTimes(WINDOW, timedelta(seconds=60)),
            clock=self.clock,
        )

    async def _is_canceled(self, batch_id: str) -> bool:
        return self.cancel

    async def _pause_s(self, item: object) -> float | None:
        return self.frozen_s

    def _check_markers(self, line: BatchLine) -> None:
        """I8: nothing is sent without a durable marker that says where its evidence is."""
        found = self.document(f"a:{line.order.generation_id}:{line.order.attempt}")
        assert found["owner"] == "worker"
        assert found["job_id"] == "batch:0"

    async def open(self) -> "Bench":
        wanted = builders.request(quality="low")
        quote = builders.catalogue().quote(wanted)
        priced = PlannedQuote(usd_micros=quote.usd_micros, amount_micros=quote.amount_micros)
        planned = tuple(
            PlannedRow(
                row=number,
                item_id=f"row-{number}",
                request=wanted,
                quote=priced,
                deadline="24h" if number <= self.rows else None,
            )
            for number in range(1, self.rows + self.plain_rows + 1)
        )
        items = [
            builders.item(row_generation_id(BATCH_ID, row.row), wanted, quote, item_id=row.item_id)
            for row in planned
        ]
        owner = items[0].owner
        chunk = BatchChunk(
            batch_id=BATCH_ID,
            plan="plan-1",
            tenant_id=owner.tenant_id,
            department_id=owner.department_id,
            user_key=owner.user_key,
            actor_role="StandardUser",
            correlation_id="c-1",
            created_at=builders.CREATED_AT,
            price_version=quote.price_version,
            exchange_rate_version=quote.exchange_rate_version,
            aud_per_usd_micros=quote.aud_per_usd_micros,
            rows=planned,
        )
        await self.files.put_chunk(0, chunk)
        limits = dict.fromkeys(charged_scopes(owner.department_id, owner.user_key), LIMIT_MICROS)
        connection = self.connection.as_connection()
        await builders.open_budgets(connection, builders.PARTITION, limits)
        await self.ledger.reserve(builders.batch_reservation(BATCH_ID, items))
        return self

    def document(self, document_id: str) -> dict[str, Any]:
        found = self.container.peek(builders.PARTITION.key, document_id)
        assert found is not None, document_id
        return found

    def documents(self, prefix: str) -> list[dict[str, Any]]:
        found = self.container.partitions[builders.PARTITION.key]
        return [found[name] for name in sorted(found) if name.startswith(prefix)]

    async def submit(self) -> Look:
        return await self.batches.submit(BATCH_ID, 0)

    async def look(self, *, stop: bool = False) -> Look:
        return await self.batches.look(BATCH_ID, 0, stop=stop)

    async def collect(self) -> list[tuple[int, int]]:
        return list((await self.batches.collect(BATCH_ID, 0)).left)

    async def go_on(self, left: list[tuple[int, int]], *, stop: bool = False) -> None:
        """What the orchestrator does with the rows that a provider batch left."""
        reports = []
        for row, first in left:
            attempt = first
            item = await self.work.find(row_generation_id(BATCH_ID, row))
            if stop:
                reports.append(await self.attempts.stop(item, "canceller"))
            else:
                report = await self.attempts.run(item, attempt)
                while report.ending in ("retry", "again"):
                    attempt += report.ending == "retry"
                    report = await self.attempts.run(item, attempt)
                reports.append(report)
        if reports:
            await self.settlements.settle(BATCH_ID, reports)

    async def whole(self) -> None:
        """The orchestration from its beginning, as the sweep starts it again after a crash."""
        looked = await self.submit()
        for _ in range(100):
            if looked.stage == "over":
                break
            self.clock.advance(60)
            looked = await self.look()
        await self.go_on(await self.collect())

    def check_books(self) -> None:
        """Each row ended once; the ledger is the invoices; nothing is reserved any more."""
        entries = self.documents("x:")
        assert [entry["row"] for entry in entries] == list(range(1, self.rows + 1))
        synchronous = sum(self.sync.invoice.values())
        billed = sum(self.provider.invoice.values()) + synchronous
        assert sum(entry["usd_micros"] for entry in entries) == billed
        spent = sum(entry["amount_micros"] for entry in entries)
        for budget in self.documents("budget:"):
            assert (budget["reserved_micros"], budget["spent_micros"]) == (0, spent)
        assert self.document(f"h:{BATCH_ID}")["remaining_micros"] == 0
