"""`python -m devhost tiering --days 100`: what the lifecycle rules do to Azurite in that time.

Blobs keep their age: each call looks so many days ahead of the real today. What it moves or deletes
is really moved and deleted, so that the API meets archived pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.storage.blob import BlobProperties, StandardBlobTier
from azure.storage.blob.aio import BlobServiceClient
from rich.console import Console
from rich.table import Table

from devhost.azurite import connection_string
from devhost.lifecycle import Blob, Rules, Step, read_rules, steps
from devhost.ports import Ports
from devhost.resources import read_resources

BLOBS_SHOWN_MAX = 40  # of the table; its last lines count the others
API_VERSION = "2025-11-05"  # the newest that the pinned Azurite knows


@dataclass(frozen=True)
class Moved:
    """A blob and what happened to it."""

    blob: Blob
    steps: list[Step]

    @property
    def end(self) -> str:
        return self.steps[-1].tier or "deleted"

    @property
    def way(self) -> str:
        """`Hot → Cool (day 31) → ...`"""
        stations = [f"{step.tier or 'deleted'} (day {step.day})" for step in self.steps]
        return " → ".join([self.blob.tier, *stations])


@dataclass(frozen=True)
class TieringRun:
    """Everything that one call has looked at and changed."""

    days: int
    looked_at: int
    moved: list[Moved]


async def run_tiering(ports: Ports, days: int, rules: Rules | None = None) -> TieringRun:
    """Carry out the rules of so many days on every blob of the account."""
    rules = read_rules() if rules is None else rules
    now = datetime.now(UTC)
    moved: list[Moved] = []
    looked_at = 0
    async with BlobServiceClient.from_connection_string(
        connection_string(ports), api_version=API_VERSION
    ) as service:
        for container in read_resources().blob_containers:
            async for blob in blobs_of(service, container):
                looked_at += 1
                taken = steps(rules, blob, now, days)
                if taken:
                    await _carry_out(service, blob, taken[-1])
                    moved.append(Moved(blob, taken))
    return TieringRun(days, looked_at, moved)


def show_tiering(run: TieringRun, console: Console) -> None:
    """What changed, as a table."""
    day = (datetime.now(UTC) + timedelta(days=run.days)).date()
    table = Table(title=f"In {run.days} days, on {day}", title_justify="left")
    for title in ("blob", "size", "retention", "hold", "what happens"):
        table.add_column(title, justify="right" if title == "size" else "left", overflow="fold")
    for each in run.moved[:BLOBS_SHOWN_MAX]:
        tags = each.blob.tags
        table.add_row(
            _short(each.blob.path),
            f"{each.blob.size_bytes:,}",
            tags.get("retention", ""),
            tags.get("hold", ""),
            each.way,
        )
    console.print(table)
    ends = Counter(each.end for each in run.moved)
    shown = ", ".join(f"{number} {end}" for end, number in sorted(ends.items())) or "none moved"
    console.print(f"{run.looked_at} blobs looked at: {shown}.")


async def blobs_of(service: BlobServiceClient, container: str) -> AsyncIterator[Blob]:
    """Every blob of a container, as the engine sees it."""
    # All names first: what is moved while a listing runs might be listed twice.
    listing = service.get_container_client(container).list_blobs(include=["tags"])
    for found in [each async for each in listing]:
        yield _blob(container, found)


def _blob(container: str, found: BlobProperties) -> Blob:
    return Blob(
        path=f"{container}/{found.name}",
        tier=str(found.blob_tier or "Hot"),
        size_bytes=int(found.size),
        created=found.creation_time,
        modified=found.last_modified,
        tags=dict(found.tags or {}),
        tier_changed=None if found.blob_tier_inferred else found.blob_tier_change_time,
    )


async def _carry_out(service: BlobServiceClient, blob: Blob, last: Step) -> None:
    container, _, name = blob.path.partition("/")
    client = service.get_blob_client(container, name)
    if last.tier is None:
        await client.delete_blob()
    else:
        await client.set_standard_blob_tier(StandardBlobTier(last.tier))


def _short(path: str) -> str:
    """The path without the middle of its long ids."""
    parts = [part if len(part) <= 24 else f"{part[:16]}…{part[-4:]}" for part in path.split("/")]
    return "/".join(parts)
