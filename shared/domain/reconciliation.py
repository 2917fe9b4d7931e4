"""Comparing what a provider bills with what the ledger booked, request by request. Pure.

Lines and entries that speak of the same generation form one group, found by generation id, job id
or request id. A group belongs to the day of its first line, or, without a line, to the day of its
entry: so each line and each entry counts on exactly one day, whichever order they come in.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from shared.domain.attempts import Usage

DRIFT_BP_MAX: Final = 1_000_000  # basis points; also what is billed for a model nobody booked
ROUNDING_USD_MICROS: Final = 1_000  # differences up to a tenth of a cent never stop a model
_BASIS_POINTS: Final = 10_000

Standing = Literal[
    "matched",
    "amount_differs",
    "amount_unknown",  # the export names the request but neither price nor full quantity
    "billed_not_booked",
    "booked_not_billed",
    "unknown",  # nobody knew if the provider worked; this line says so
    "pending",  # still running
]
Judged = frozenset({"matched", "amount_differs", "billed_not_booked", "booked_not_billed"})


@dataclass(frozen=True)
class BilledLine:
    """One priced quantity in a provider's export; no reference at all means a daily sum."""

    provider: str
    model: str | None  # ours; None for one that we do not have
    day: date
    item: str  # what was metered, in the provider's words
    usd_micros: int | None  # None: the export says how much was used, not what it costs
    usage: Usage | None = None
    is_priced: bool = True  # a price row of ours knows what was metered
    generation_id: str | None = None
    request_id: str | None = None
    job_id: str | None = None

    @property
    def reference(self) -> str | None:
        """How the line names its request; None for a daily sum."""
        return self.generation_id or self.job_id or self.request_id


@dataclass(frozen=True)
class BookedEntry:
    """What the ledger booked for one generation, corrections included."""

    generation_id: str
    provider: str
    model: str
    day: date  # on which it was closed
    usd_micros: int
    estimated: bool  # booked without knowing: a difference is expected, it is no drift
    request_id: str | None = None
    job_id: str | None = None
    references: tuple[str, ...] = ()  # request and job ids of every attempt that was booked


@dataclass(frozen=True)
class OpenWork:
    """A generation that has no entry yet: running, or ended without anybody knowing how."""

    generation_id: str
    model: str
    unknown: bool
    job_ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Item:
    """How one generation, or one line that nobody claims, stands."""

    standing: Standing
    key: str  # generation id, or the line's own reference
    generation_id: str | None
    provider: str
    model: str | None
    billed_usd_micros: int
    is_billed_known: bool  # False: some line names no amount
    booked_usd_micros: int
    estimated: bool
    request_id: str | None
    job_id: str | None
    lines: int


@dataclass(frozen=True)
class ModelFigures:
    """One model's day. Drift compares what was booked for certain with what was billed for it."""

    model: str
    counts: Mapping[str, int]
    billed_usd_micros: int
    booked_usd_micros: int
    drift_usd_micros: int  # signed: above zero, the provider bills more than we booked
    drift_basis: int  # what was booked for certain
    drift_bp: int
    daily_sum: bool  # the export names no requests: only the sums were compared


@dataclass(frozen=True)
class Unpriced:
    """Something billed that no price row of ours covers."""

    model: str | None
    item: str
    usd_micros: int
    lines: int


@dataclass(frozen=True)
class Comparison:
    """One provider's day."""

    provider: str
    day: date
    items: tuple[Item, ...]
    models: tuple[ModelFigures, ...]
    unpriced: tuple[Unpriced, ...]


def compare(
    provider: str,
    day: date,
    lines: Iterable[BilledLine],
    entries: Iterable[BookedEntry],
    open_work: Iterable[OpenWork] = (),
) -> Comparison:
    """Compare a day; lines and entries of the days around it settle what belongs to which day."""
    groups = _groups(lines, entries, open_work)
    sums = [line for line in groups.sums if line.day == day]
    summed_models = {line.model for line in sums}
    items = []
    for key in sorted(groups.keys()):
        item = groups.item(provider, key, day)
        if item is None:
            continue
        if item.standing == "booked_not_billed" and item.model in summed_models:
            continue  # the export has no line of its own for any request of this model
        items.append(item)
    booked_in_sums = [
        entry
        for entry in groups.entries.values()
        if entry.model in summed_models
        and entry.day == day
        and not groups.lines.get(entry.generation_id)
    ]
    return Comparison(
        provider=provider,
        day=day,
        items=tuple(items),
        models=_figures(items, sums, booked_in_sums),
        unpriced=_unpriced(line for line in groups.all_lines() if line.day == day),
    )


def drift_of(billed: int, booked: int) -> int:
    """|billed - booked| / booked in basis points, rounded down, at most DRIFT_BP_MAX."""
    difference = abs(billed - booked)
    if difference == 0:
        return 0
    if booked == 0:
        return DRIFT_BP_MAX
    return min(DRIFT_BP_MAX, difference * _BASIS_POINTS // booked)


def drifts(figures: ModelFigures, threshold_bp: int) -> bool:
    """Whether a model's prices can no longer be trusted."""
    return figures.drift_bp > threshold_bp and abs(figures.drift_usd_micros) > ROUNDING_USD_MICROS


class _Groups:
    """Lines, entries and open work, put together by what they refer to."""

    def __init__(self) -> None:
        self.lines: dict[str, list[BilledLine]] = defaultdict(list)
        self.entries: dict[str, BookedEntry] = {}
        self.open_work: dict[str, OpenWork] = {}
        self.sums: list[BilledLine] = []

    def keys(self) -> set[str]:
        return {*self.lines, *self.entries}

    def all_lines(self) -> list[BilledLine]:
        return [*self.sums, *(line for group in self.lines.values() for line in group)]

    def item(self, provider: str, key: str, day: date) -> Item | None:
        """How a group stands; None if it belongs to another day."""
        lines = self.lines.get(key, [])
        entry = self.entries.get(key)
        days = [line.day for line in lines]
        if entry is not None and not days:
            days = [entry.day]
        if min(days) != day:
            return None
        work = self.open_work.get(key)
        known = next((line.generation_id for line in lines if line.generation_id), None)
        models = sorted({line.model for line in lines if line.model})
        sources: list[BilledLine | BookedEntry] = [*sorted(lines, key=_order)]
        sources = [entry, *sources] if entry else sources
        return Item(
            standing=_standing(lines, entry, work),
            key=key,
            generation_id=key if entry or work else known,
            provider=provider,
            model=entry.model if entry else (models[0] if models else None),
            billed_usd_micros=sum(line.usd_micros or 0 for line in lines),
            is_billed_known=all(line.usd_micros is not None for line in lines),
            booked_usd_micros=entry.usd_micros if entry else 0,
            estimated=entry.estimated if entry else False,
            request_id=next((s.request_id for s in sources if s.request_id), None),
            job_id=next((s.job_id for s in sources if s.job_id), None),
            lines=len(lines),
        )


def _groups(
    lines: Iterable[BilledLine], entries: Iterable[BookedEntry], open_work: Iterable[OpenWork]
) -> _Groups:
    groups = _Groups()
    groups.entries = {entry.generation_id: entry for entry in entries}
    groups.open_work = {work.generation_id: work for work in open_work}
    named = sorted(lines, key=_order)
    owners = _owners(groups, named)
    for line in named:
        if line.reference is None:
            groups.sums.append(line)
            continue
        known = [r for r in (line.job_id, line.request_id) if r and r in owners]
        owner = line.generation_id or (owners[known[0]] if known else line.reference)
        groups.lines[owner].append(line)
    return groups


def _owners(groups: _Groups, lines: Sequence[BilledLine]) -> dict[str, str]:
    """Generation ids by job and request ids; entries know best, then open work, then lines."""
    claims: list[tuple[str | None, str]] = []
    for _, entry in sorted(groups.entries.items()):
        own = (entry.job_id, entry.request_id, *entry.references)
        claims += [(reference, entry.generation_id) for reference in own]
    for _, work in sorted(groups.open_work.items()):
        claims += [(job_id, work.generation_id) for job_id in work.job_ids]
    for line in lines:
        if line.generation_id:
            claims += [(line.job_id, line.generation_id), (line.request_id, line.generation_id)]
    owners: dict[str, str] = {}
    for reference, generation_id in claims:
        if reference:
            owners.setdefault(reference, generation_id)
    return owners


def _standing(
    lines: Sequence[BilledLine], entry: BookedEntry | None, work: OpenWork | None
) -> Standing:
    if entry is None and (work is None or not work.unknown):
        return "pending" if work else "billed_not_booked"
    if any(line.usd_micros is None for line in lines):
        return "amount_unknown"
    if entry is None:
        return "unknown"
    billed = sum(line.usd_micros or 0 for line in lines)
    if billed == entry.usd_micros:
        return "matched"
    return "amount_differs" if lines else "booked_not_billed"


def _figures(
    items: Sequence[Item], sums: Sequence[BilledLine], booked_in_sums: Sequence[BookedEntry]
) -> tuple[ModelFigures, ...]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    billed: Counter[str] = Counter()
    booked: Counter[str] = Counter()
    certain_billed: Counter[str] = Counter()
    certain_booked: Counter[str] = Counter()
    for item in items:
        model = item.model or "?"
        counts[model][item.standing] += 1
        billed[model] += item.billed_usd_micros
        booked[model] += item.booked_usd_micros
        if item.standing in Judged and not item.estimated:
            certain_billed[model] += item.billed_usd_micros
            certain_booked[model] += item.booked_usd_micros
    summed = {line.model or "?" for line in sums}
    for line in sums:
        billed[line.model or "?"] += line.usd_micros or 0
        certain_billed[line.model or "?"] += line.usd_micros or 0
    for entry in booked_in_sums:
        booked[entry.model] += entry.usd_micros
        certain_booked[entry.model] += entry.usd_micros
    return tuple(
        ModelFigures(
            model=model,
            counts=dict(sorted(counts[model].items())),
            billed_usd_micros=billed[model],
            booked_usd_micros=booked[model],
            drift_usd_micros=certain_billed[model] - certain_booked[model],
            drift_basis=certain_booked[model],
            drift_bp=drift_of(certain_billed[model], certain_booked[model]),
            daily_sum=model in summed,
        )
        for model in sorted({*billed, *booked, *counts, *summed})
    )


def _unpriced(lines: Iterable[BilledLine]) -> tuple[Unpriced, ...]:
    found: dict[tuple[str, str], list[BilledLine]] = defaultdict(list)
    for line in lines:
        if line.model is None or not line.is_priced:
            found[(line.model or "", line.item)].append(line)
    return tuple(
        Unpriced(
            model=model or None,
            item=item,
            usd_micros=sum(line.usd_micros or 0 for line in group),
            lines=len(group),
        )
        for (model, item), group in sorted(found.items())
    )


def _order(line: BilledLine) -> tuple[str, ...]:
    """An order of lines that does not depend on how they arrived."""
    names = (line.generation_id, line.job_id, line.request_id, line.model, line.item)
    return (str(line.day), *(name or "" for name in names))
