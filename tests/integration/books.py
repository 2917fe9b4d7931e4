"""The books, recomputed from the documents and compared with the providers' invoices.

Read through the official Cosmos DB SDK, with none of the app's code.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from devhost.resources import read_resources
from tests.audit_texts import check_kept
from tests.integration.api import Json, until
from tests.integration.cloud import Cloud
from tests.integration.sealed import open_prompts

SETTLE_TIMEOUT_S = 60.0
# Events that follow from what happened on the way, not from how a record stands at the end.
ALSO_ALLOWED = (
    "access.",
    "adjustment.",
    "admission.denied.",
    "alert",
    "allocation.",
    "approval.",
    "audit.",
    "batch.cancel_requested",
    "batch.deferred",
    "batch.dropped",
    "batch.indeterminate",
    "budget.",
    "case.",
    "data_key.",
    "department.",
    "model_rules.",
    "organisation.",
    "role.",
    "user.",
    "users.",
    "freeze.",
    "generation.deferred",
    "generation.dropped",
    "grant.",
    "hold.",
    "image.rehydrated",
    "override.",
    "privacy",
    "provider_batch.",
    "provider.opened",
    "provider.closed",
    "rate_limit.denied.",
    "routing",
    "reconciliation.",
    "session.",
    "sign_in.denied",
    "rehydration.",
    "retention.",
    "statement.",
    "transfer.",
    "generation.cancel_requested",
    "generation.indeterminate",
    "generation.raised.",
)
TYPES = ("budget", "hold", "resolution", "adjustment", "generation", "batch", "policy")
PAYER_FIELDS = {
    "department": "department_id",
    "user": "user_key",
    "project": "project_id",
    "cost_centre": "cost_centre_id",
}


@dataclass
class Partition:
    """The documents of one department and period, or of its policies, by type."""

    budgets: list[Json] = field(default_factory=list)
    holds: dict[str, Json] = field(default_factory=dict)
    resolutions: list[Json] = field(default_factory=list)
    adjustments: list[Json] = field(default_factory=list)
    policies: list[Json] = field(default_factory=list)
    generations: dict[str, Json] = field(default_factory=dict)
    batches: list[Json] = field(default_factory=list)

    def add(self, document: Json) -> None:
        if document["type"] == "budget":
            self.budgets.append(document)
        elif document["type"] == "hold":
            self.holds[document["operation_id"]] = document
        elif document["type"] == "resolution":
            self.resolutions.append(document)
        elif document["type"] == "adjustment":
            self.adjustments.append(document)
        elif document["type"] == "policy":
            self.policies.append(document)
        elif document["type"] == "generation":
            self.generations[document["generation_id"]] = document
        else:
            self.batches.append(document)


async def read_partitions(cloud: Cloud) -> dict[str, Partition]:
    """Every partition of the ledger by its key."""
    partitions: dict[str, Partition] = defaultdict(Partition)
    for kind in TYPES:
        for document in await cloud.documents("ledger", "c.type = @kind", kind=kind):
            partitions[document["pk"]].add(document)
    found = [each for one in partitions.values() for each in one.generations.values()]
    await open_prompts(cloud, found)
    return partitions


async def wait_until_settled(cloud: Cloud) -> None:
    """Until no hold is open and no batch runs: all work has ended, what was unknown is booked.

    On a target that is not ours unknown outcomes are held for a day; they may stay.
    """

    async def open_work() -> set[str]:
        await cloud.fire("LedgerSweep")
        holds = await cloud.documents("ledger", "c.type = 'hold' AND c.open_rows > 0")
        batches = await cloud.documents("ledger", "c.type = 'batch' AND c.status = 'running'")
        work = {hold["operation_id"] for hold in holds} | {b["batch_id"] for b in batches}
        if cloud.stack is None:
            unknown = await cloud.documents("ledger", "c.status = 'indeterminate'")
            work -= {each["batch_id"] or each["generation_id"] for each in unknown}
        return work

    await until(open_work, lambda work: not work, SETTLE_TIMEOUT_S)


async def check_books(cloud: Cloud) -> None:
    """Every invariant of docs/ledger.md that the stored documents can show."""
    partitions = await read_partitions(cloud)
    for key, partition in partitions.items():
        check_budgets(key, partition)
        check_holds(partition)
        check_batches(partition)
    if cloud.simulators_url:
        check_invoice(partitions, await cloud.invoice_lines())


async def check_trail(cloud: Cloud) -> None:
    """Runs the audit relay until every outbox is empty, then checks the whole log."""
    await wait_until_copied(cloud)
    slots = await cloud.documents("ledger", "c.type = 'slot'")
    check_audit(await read_partitions(cloud), await cloud.documents("audit"), slots)


async def check_all(cloud: Cloud) -> None:
    """What must hold of a cloud once its work has settled."""
    await wait_until_settled(cloud)
    await check_books(cloud)
    await check_trail(cloud)


async def wait_until_copied(cloud: Cloud) -> None:
    """Runs the audit relay until every outbox is empty."""
    containers = [each.id for each in read_resources().containers if each.id != "audit"]

    async def outbox() -> list[Json]:
        await cloud.fire("AuditRelay")
        return [
            waiting
            for container in containers
            for waiting in await cloud.documents(container, "c.type = 'outbox'")
        ]

    await until(outbox, lambda waiting: not waiting)


def check_audit(partitions: dict[str, Partition], documents: list[Json], slots: list[Json]) -> None:
    """Each change of state that the ledger shows has its event, and no event is there twice."""
    events = [document["event"] for document in documents]
    for event in events:
        check_kept(event)
    assert max(Counter(event["event_id"] for event in events).values(), default=1) == 1
    found = Counter((event["object_id"], event["action"]) for event in events)
    expected = Counter((slot["slot_id"], "slot.created") for slot in slots)
    for key, partition in partitions.items():
        for budget in partition.budgets:
            expected[(budget_object(key, budget), "budget.opened")] += 1
        for policy in partition.policies:
            for revision in range(1, policy["revision"] + 1):
                changed, deleted = (
                    (budget_object(key, policy), f"budget.{what}.{revision}")
                    for what in ("changed", "deleted")
                )
                expected[deleted if deleted in found else changed] += 1
                assert not (changed in found and deleted in found)
        batches = {batch["batch_id"]: batch for batch in partition.batches}
        for operation_id in partition.holds:
            kind = "batch" if operation_id in batches else "generation"
            expected[(operation_id, f"{kind}.admitted")] += 1
        for entry in partition.resolutions:
            expected[(entry["generation_id"], "generation.closed")] += 1
        for batch in batches.values():
            never_started = "starts_at" in batch and batch["batch_id"] not in partition.holds
            if batch["status"] != "running" and not never_started:
                expected[(batch["batch_id"], f"batch.{batch['status']}")] += 1
            if batch["cancel_requested"]:
                expected[(batch["batch_id"], "batch.cancel_requested")] += 1
    assert expected <= found, expected - found
    others = {action for _, action in found - expected}
    assert all(action.startswith(ALSO_ALLOWED) for action in others), others


def budget_object(key: str, document: Json) -> str:
    """What audit events call a budget or its policy."""
    scope = f"{document['scope_kind']}:{document['scope_id']}"
    return f"budget:{key.replace('|', ':')}:{scope}"


def check_budgets(key: str, partition: Partition) -> None:
    """I1, I2, I3: counters are the sums of the entries, within the ceiling, never negative."""
    by_hold: Counter[str] = Counter()
    for entry in partition.resolutions:
        by_hold[entry["operation_id"]] += entry["amount_micros"]
    for budget in partition.budgets:
        paying = [
            hold
            for hold in partition.holds.values()
            if {"kind": budget["scope_kind"], "scope_id": budget["scope_id"]} in hold["scopes"]
        ]
        reserved = sum(hold["remaining_micros"] for hold in paying)
        spent = sum(by_hold[hold["operation_id"]] for hold in paying)
        field_name = PAYER_FIELDS[budget["scope_kind"]]
        spent += sum(
            entry["amount_micros"]
            for entry in partition.adjustments
            if entry[field_name] == budget["scope_id"]
        )
        shown = (budget["reserved_micros"], budget["spent_micros"])
        assert shown == (reserved, spent), f"{key} {budget['id']}"
        assert all(type(value) is int and value >= 0 for value in shown)
        assert sum(shown) <= budget["high_micros"]
        assert budget["high_micros"] >= budget["ceiling_micros"] >= 0
        if budget["mode"] == "hard":
            assert budget["ceiling_micros"] == budget["limit_micros"]


def check_holds(partition: Partition) -> None:
    """I5: a generation has one entry; a hold is what is left of it."""
    ids = [entry["generation_id"] for entry in partition.resolutions]
    assert len(set(ids)) == len(ids)
    held: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for entry in partition.resolutions:
        held[entry["operation_id"]] += entry["held_micros"]
        rows[entry["operation_id"]] += 1
        record = partition.generations[entry["generation_id"]]
        assert record["status"] == entry["status"]
        assert record["cost"]["amount_micros"] == entry["amount_micros"] <= entry["held_micros"]
        assert entry["amount_micros"] == sum(line["amount_micros"] for line in entry["lines"])
        assert record["cost"]["usd_micros"] == entry["usd_micros"]
        assert len(record["images"]) == entry["images"]
    for operation_id, hold in partition.holds.items():
        assert hold["remaining_micros"] == hold["amount_micros"] - held[operation_id]
        assert hold["open_rows"] == hold["rows"] - rows[operation_id]
    assert set(held) <= set(partition.holds)


def check_batches(partition: Partition) -> None:
    """The progress of a batch is the count of its records, its spending the sum of its entries."""
    for batch in partition.batches:
        records = [
            record
            for record in partition.generations.values()
            if record["batch_id"] == batch["batch_id"]
        ]
        counted = Counter(record["status"] for record in records)
        assert {name: n for name, n in batch["counts"].items() if n} == dict(counted)
        entries = [e for e in partition.resolutions if e["operation_id"] == batch["batch_id"]]
        assert batch["spent_micros"] == sum(entry["amount_micros"] for entry in entries)
        assert batch["images"] == sum(entry["images"] for entry in entries)


def check_invoice(partitions: dict[str, Partition], lines: list[Json]) -> None:
    """I4: each entry is what the provider billed for it; only what is unknown is booked higher."""
    entries: dict[str, Json] = {}  # by generation id, by job id, and by prompt if both were lost
    unresolved: set[str] = set()  # prompts whose money is still held
    for partition in partitions.values():
        for record in partition.generations.values():
            if record["status"] in ("queued", "indeterminate"):
                unresolved.add(prompt_sha256(record))
        for entry in partition.resolutions:
            entries[prompt_sha256(partition.generations[entry["generation_id"]])] = entry
            entries[entry["generation_id"]] = entry
            for line in entry["lines"]:  # a fallback leaves jobs at several providers
                if line["job_id"]:
                    entries[line["job_id"]] = entry
    billed: Counter[str] = Counter()
    by_provider: Counter[tuple[str, str]] = Counter()
    for line in lines:
        found = entries.get(reference_of(line)) or entries.get(line["prompt_sha256"])
        if found is not None:
            billed[found["generation_id"]] += line["usd_micros"]
            by_provider[found["generation_id"], line["provider"]] += line["usd_micros"]
        else:
            assert line["prompt_sha256"] in unresolved, f"no entry for {line}"
    for entry in entries.values():
        if booked_at_maximum(entry):
            assert billed[entry["generation_id"]] <= entry["usd_micros"], entry
        else:
            assert billed[entry["generation_id"]] == entry["usd_micros"], entry
            for provider in entry["providers"]:
                own = [line for line in entry["lines"] if line["provider"] == provider]
                booked = sum(line["usd_micros"] for line in own)
                assert by_provider[entry["generation_id"], provider] == booked, entry


def prompt_sha256(record: Json) -> str:
    """How invoice lines name the prompt of a generation."""
    return hashlib.sha256(str(record["request"]["prompt"]).encode()).hexdigest()


def booked_at_maximum(entry: Json) -> bool:
    """An entry whose provider did not say what it billed; a refusal's price is stated instead."""
    return bool(entry["estimated"]) and entry["failure"] != "content_rejected"


def invoiced_usd_micros(lines: list[Json]) -> Counter[str]:
    """What was billed, by the reference of `reference_of`."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals[reference_of(line)] += line["usd_micros"]
    return totals


def reference_of(line: Json) -> str:
    """Whom an invoice line bills: a job id (Replicate) or a generation id (Azure OpenAI)."""
    return str(line["job_id"] or (line["client_request_id"] or "").rpartition(":")[0])
