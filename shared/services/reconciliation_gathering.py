"""Gathers both sides of one provider's day: the export's lines, the ledger's entries, open work."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from shared.domain.attempts import Billed
from shared.domain.entry_lines import provider_share
from shared.domain.generations import GenerationRequest
from shared.domain.ids import Partition, operation_of, partition_of
from shared.domain.ledger import Document
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.reconciliation import BilledLine, Comparison, OpenWork, compare
from shared.domain.reconciliation_cases import Books
from shared.errors import Conflict
from shared.ports import Clock, Directory, Ledger, Records
from shared.ports.reconciliation import Reconciliations, UsageExport
from shared.services.calendars import Calendars
from shared.services.past_partitions import partitions_since

DAY_AGE_MAX = timedelta(days=400)  # every period since is read for what corrected it
AROUND = timedelta(days=1)  # a run near midnight: its line and its entry lie on neighbouring days


@dataclass(frozen=True)
class GatheredDay:
    """One provider's day as it was gathered for comparison."""

    provider: str
    day: date
    partitions: tuple[Partition, ...]  # where entries and cases of the day may lie
    lines: tuple[BilledLine, ...]
    books: Books
    open_work: tuple[OpenWork, ...]

    def compared(self) -> Comparison:
        return compare(self.provider, self.day, self.lines, self.books.entries(), self.open_work)


@dataclass(frozen=True)
class ReconciliationGathering:
    """Reads; it changes nothing."""

    exports: Mapping[str, UsageExport]
    store: Reconciliations
    records: Records
    ledger: Ledger
    directory: Directory
    calendars: Calendars
    catalogues: PriceCatalogues
    clock: Clock

    async def day(self, provider: str, day: date) -> GatheredDay:
        """Everything about a day; Conflict `export_not_ready` if there is no export of it."""
        days = await self.exports[provider].read(day - AROUND, day + AROUND)
        if day not in days:
            raise Conflict("The provider has not exported this day yet.", code="export_not_ready")
        lines = [self._priced(line) for each in days.values() for line in each]
        since = day - AROUND  # the period before as well: admitted there, closed after its end
        partitions = await partitions_since(since, self.clock.now(), self.directory, self.calendars)
        resolutions = await self._resolutions(partitions, provider, day)
        lines = await self._attributed(partitions, lines)
        work = await self._open_work(partitions, provider)
        await self._look_up(provider, lines, resolutions, work)
        corrected_usd: Counter[str] = Counter()
        for partition in partitions:
            for entry in await self.store.corrections(partition, provider):
                corrected_usd[entry["refers_to"]] += entry["usd_micros"]
        return GatheredDay(
            provider=provider,
            day=day,
            partitions=tuple(partitions),
            lines=tuple(lines),
            books=Books(resolutions, corrected_usd),
            open_work=tuple(work.values()),
        )

    def _priced(self, line: BilledLine) -> BilledLine:
        """A line that says what was used but not what it costs, at our prices of its day."""
        if line.usd_micros is not None or line.usage is None or line.model is None:
            return line
        catalogue = self.catalogues.at(datetime.combine(line.day, time(), UTC))
        if not catalogue.is_priced(line.model):
            return replace(line, is_priced=False)
        request = GenerationRequest(model=line.model, prompt=line.item)
        usd_micros = catalogue.billed_usd_micros(request, Billed.USAGE, line.usage)
        return replace(line, usd_micros=usd_micros)

    async def _resolutions(
        self, partitions: Sequence[Partition], provider: str, day: date
    ) -> dict[str, Document]:
        since, until = (day - AROUND).isoformat(), (day + 2 * AROUND).isoformat()
        return {
            entry["generation_id"]: provider_share(entry, provider)
            for partition in partitions
            for entry in await self.store.entries(partition, provider, since, until)
        }

    async def _attributed(
        self, partitions: Sequence[Partition], lines: Sequence[BilledLine]
    ) -> list[BilledLine]:
        """Name the generation behind each job that one of our attempts recorded."""
        jobs = sorted({line.job_id for line in lines if line.job_id and not line.generation_id})
        owners: dict[str, str] = {}
        if jobs:
            for partition in partitions:
                owners |= await self.store.generations_of_jobs(partition, jobs)
        return [
            replace(line, generation_id=line.generation_id or owners.get(line.job_id or ""))
            for line in lines
        ]

    async def _open_work(
        self, partitions: Sequence[Partition], provider: str
    ) -> dict[str, OpenWork]:
        """Generations whose outcome nobody knows."""
        now = self.clock.now().isoformat()
        work = {}
        for partition in partitions:
            for record in await self.records.unknown_generations(partition, now):
                if record["provider"] == provider:
                    job_id = (record["provider_refs"] or {}).get("job_id")
                    work[record["generation_id"]] = OpenWork(
                        generation_id=record["generation_id"],
                        model=record["model"],
                        unknown=True,
                        job_ids=frozenset([job_id] if job_id else []),
                    )
        return work

    async def _look_up(
        self,
        provider: str,
        lines: Sequence[BilledLine],
        resolutions: dict[str, Document],
        work: dict[str, OpenWork],
    ) -> None:
        """Find the entry, or the open hold, of lines whose generation is in neither set yet."""
        departments = frozenset(await self.directory.departments())
        named = {line.generation_id: line.model for line in lines if line.generation_id}
        for generation_id, model in sorted(named.items()):
            if generation_id in resolutions or generation_id in work:
                continue
            partition = partition_of(generation_id)
            if partition is None or partition.department_id not in departments:
                continue
            entry = await self.store.entry(generation_id)
            if entry is not None:
                resolutions[generation_id] = provider_share(entry, provider)
            elif await self._is_open(generation_id):
                work[generation_id] = OpenWork(generation_id, model or "?", unknown=False)

    async def _is_open(self, generation_id: str) -> bool:
        hold = await self.ledger.hold(operation_of(generation_id))
        return hold is not None  # without an entry, its share of the hold has not been resolved
