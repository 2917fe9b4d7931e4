"""What a history is made of, so that the proofs can show that they reach every kind of event."""

from collections.abc import Iterator

from shared.domain.settlements import OUTCOME_UNKNOWN
from tests.fakes.cosmos_container import Item
from tests.proofs.histories import Verdict

# Kinds that a run of a thousand histories must contain; the runner fails if one is missing.
EXPECTED = frozenset(
    {
        "fallback: after a billed failure",
        "fallback: could not be paid",
        "fallback: delivered",
        "fallback: the hold was raised",
        "fallback: unknown at the end",
        "end: fewer pictures than ordered",
        "end: succeeded",
        "end: refused",
        "end: failed",
        "end: canceled",
        "failure: auth_or_config",
        "failure: canceled, billed",
        "failure: content_rejected, billed",
        "failure: custody, billed",
        "failure: invalid_request",
        "failure: malformed, billed",
        "failure: provider_blocked",
        "failure: quota_exhausted",
        "failure: rate_limited",
        "failure: timeout",
        "failure: timeout, billed",
        "failure: transient",
        "failure: transient, billed",
        "job resumed: Delivered",
        "job resumed: NotDelivered",
        "job resumed: Unknown",
        "case: outcome_unknown",
        "marker: second attempt of a worker",
        "marker: of a sweeper",
        "marker: of a canceller",
        "batch: completed",
        "batch: canceled",
        "cancel: accepted",
        "cancel: too late",
        "clock: jumps back",
        "clock: jumps forward",
        "clock: two periods",
        "duplicate: activity delivered twice at once",
        "duplicate: key sent again with another payload",
        "duplicate: request repeated under its key",
        "duplicate: two payloads race for one key",
        "fault: crash_after",
        "fault: crash_before",
        "fault: late",
        "fault: lost",
        "fault: refused",
        "fault: throttled",
        "fault: unreachable",
        "jobs: several at once",
        "orchestration lost",
        "refused by the budget of a department",
        "refused by the budget of a user",
        "sweep while work runs: restarted",
        "sweep: booked_at_maximum",
        "sweep: finished",
        "sweep: released",
        "sweep: resolved",
        "sweep: restarted",
    }
)


def kinds_of(verdict: Verdict) -> set[str]:
    """Every kind of event that this history contains."""
    world = verdict.world
    kinds = set(world.chaos.seen)
    for provider in world.providers.values():
        kinds.update(f"job resumed: {outcome}" for outcome in provider.resumed)
    for jump in world.clock.jumps:
        kinds.add("clock: jumps forward" if jump.by_s > 0 else "clock: jumps back")
    partitions = [p for p in world.container.partitions.values() if p]
    periods = {d["period"] for p in partitions for d in p.values() if d["type"] == "budget"}
    if len(periods) > 1:
        kinds.add("clock: two periods")
    holds = 0
    for partition in partitions:
        for document in partition.values():
            holds += document["type"] == "hold"
            kinds.update(_kinds_of_document(document))
    if holds > 1:
        kinds.add("jobs: several at once")
    return kinds


def _kinds_of_lines(entry: Item) -> Iterator[str]:
    """What became of fallbacks."""
    *earlier, last = entry["lines"]
    if entry["raised_micros"]:
        yield "fallback: the hold was raised"
    if last["candidate"] and last["status"] == "succeeded":
        yield "fallback: delivered"
    if last["candidate"] and any(line["amount_micros"] for line in earlier):
        yield "fallback: after a billed failure"


def _kinds_of_record(record: Item) -> Iterator[str]:
    """What providers answered, and how the last of them left it."""
    reason = (record["failure"] or {}).get("reason")
    known = record["lines"]
    if reason == OUTCOME_UNKNOWN:
        *known, last = known
        if last["candidate"]:
            yield "fallback: unknown at the end"
    if reason == "fallback_not_affordable":
        yield "fallback: could not be paid"
    for line in known:
        if line["failure"]:
            yield f"failure: {line['failure']}" + (", billed" if line["usd_micros"] else "")
    if 0 < len(record["images"]) < record["request"]["count"]:
        yield "end: fewer pictures than ordered"


def _kinds_of_document(document: Item) -> Iterator[str]:
    kind = document["type"]
    if kind == "resolution":
        yield f"end: {document['status']}"
        yield from _kinds_of_lines(document)
    elif kind == "generation":
        yield from _kinds_of_record(document)
    elif kind == "case":
        yield f"case: {document['kind']}"
    elif kind == "batch":
        yield f"batch: {document['status']}"
    elif kind == "attempt":
        if document["owner"] != "worker":
            yield f"marker: of a {document['owner']}"
        elif document["attempt"] > 1:
            yield "marker: second attempt of a worker"
