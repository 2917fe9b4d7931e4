"""The lines of a stored ledger entry: one for each attempt, so that each provider gets its own.

An entry from before there were lines is its own and only line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.money import checked_micros
from shared.errors import InvariantBroken


@dataclass(frozen=True)
class EntryLine:
    """What one attempt was booked at; pictures belong to the last one."""

    attempt: int
    model: str
    provider: str
    status: str
    failure: str | None
    images: int
    amount_micros: int
    usd_micros: int
    list_usd_micros: int
    estimated: bool
    request_id: str | None
    job_id: str | None


def entry_lines(document: Mapping[str, Any]) -> tuple[EntryLine, ...]:
    """Every line of a `resolution`; raises InvariantBroken if it is not their sum."""
    stored = document.get("lines") or [document]
    lines = tuple(_line(each, document["images"] if each is stored[-1] else 0) for each in stored)
    for name in ("amount_micros", "usd_micros", "list_usd_micros"):
        if sum(getattr(line, name) for line in lines) != document[name]:
            raise InvariantBroken(f"The {name} of a ledger entry is not the sum of its lines.")
    return lines


def booked_lines(document: Mapping[str, Any]) -> tuple[EntryLine, ...]:
    """The lines that cost something, and the last one, which says how it ended."""
    *others, last = entry_lines(document)
    return (*(line for line in others if line.amount_micros or line.usd_micros), last)


def provider_share(document: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """An entry as one provider sees it: its own lines only, and every reference in them.

    Without a line of that provider, nothing was booked for it.
    """
    own = [line for line in entry_lines(document) if line.provider == provider]
    named = [line for line in own if line.request_id or line.job_id] or own
    last = named[-1] if named else None
    references = {reference for line in own for reference in (line.request_id, line.job_id)}
    return {
        **document,
        "provider": provider,
        "last_provider": document["provider"],
        "model": last.model if last else document["model"],
        "amount_micros": sum(line.amount_micros for line in own),
        "usd_micros": sum(line.usd_micros for line in own),
        "estimated": any(line.estimated for line in own),
        "request_id": last.request_id if last else None,
        "job_id": last.job_id if last else None,
        "references": sorted(each for each in references if each),
    }


def _line(stored: Mapping[str, Any], images: int) -> EntryLine:
    usd = checked_micros(int(stored["usd_micros"]), "usd_micros")
    listed = stored.get("list_usd_micros")
    return EntryLine(
        attempt=int(stored["attempt"]),
        model=stored["model"],
        provider=stored["provider"],
        status=stored["status"],
        failure=stored["failure"],
        images=int(images),
        amount_micros=checked_micros(int(stored["amount_micros"]), "amount_micros"),
        usd_micros=usd,
        list_usd_micros=usd if listed is None else checked_micros(int(listed), "list_usd_micros"),
        estimated=bool(stored["estimated"]),
        request_id=stored["request_id"],
        job_id=stored["job_id"],
    )
