"""The invariants of the ledger, checked against what stands in the container."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from shared.domain.attempts import ImageOrder
from shared.domain.budgets import charged_scopes
from shared.domain.ids import operation_of
from shared.domain.ledger import partition_for
from shared.domain.money import MICROS_MAX
from tests.fakes.cosmos_container import FakeContainer, Item
from tests.fakes.providers import FakeProvider

SHOWN_MAX = 5  # violations listed in a message; the first one is the one to look at


class Checker:
    """Collects violations: after every commit, at every provider call, and at the end."""

    def __init__(self, container: FakeContainer, aud_per_usd_micros: int) -> None:
        self.violations: list[str] = []
        self._container = container
        self._rate = aud_per_usd_micros
        self._billed_aud: Counter[tuple[str, str]] = Counter()  # by partition and budget
        self._invoice: dict[str, int] = {}  # micro-USD by generation

    def broken(self, invariant: str, detail: str) -> None:
        self.violations.append(f"{invariant}: {detail}")

    def after_commit(self, partition_key: str, changed: Mapping[str, Item | None]) -> None:
        """I1, I2 and I4, at every commit."""
        for item_id, document in changed.items():
            if document is None:
                continue
            if item_id.startswith("budget:"):
                self._check_budget(partition_key, document)
            elif item_id.startswith("h:"):
                self._check_counters(item_id, document, ("remaining_micros", "open_rows"))
            elif item_id.startswith("x:"):
                self._check_covered(document["generation_id"], document["amount_micros"])

    def before_work(self, order: ImageOrder) -> None:
        """I8: a durable hold and a durable marker, before the provider does anything."""
        partition_key = partition_for(order.generation_id).key
        if self._container.peek(partition_key, f"h:{operation_of(order.generation_id)}") is None:
            self.broken("I8", f"{order.generation_id} was sent without a hold")
        marker_id = f"a:{order.generation_id}:{order.attempt}"
        marker = self._container.peek(partition_key, marker_id)
        if marker is None or marker["owner"] != "worker":
            self.broken("I8", f"{marker_id} was sent without a marker of a worker")

    def after_billing(self, provider: FakeProvider, order: ImageOrder) -> None:
        """I4 at the moment the invoice grows, and one submission per marker."""
        at = (order.generation_id, order.attempt)
        if provider.submitted[at] > 1:
            self.broken("once", f"attempt {at} was submitted {provider.submitted[at]} times")
        partition_key = partition_for(order.generation_id).key
        self._bill(partition_key, order.generation_id, provider.invoice[order.generation_id])
        resolution = self._container.peek(partition_key, f"x:{order.generation_id}")
        if resolution is not None:
            self._check_covered(order.generation_id, resolution["amount_micros"])
        for budget in self._budgets_of(partition_key, order.generation_id):
            self._check_budget(partition_key, budget)

    def at_the_end(self) -> None:
        """I3, I5, I6, and that records, batches and audit events agree with the entries."""
        for partition_key, partition in self._container.partitions.items():
            documents = list(partition.values())
            holds = [d for d in documents if d["type"] == "hold"]
            entries = [d for d in documents if d["type"] == "resolution"]
            for hold in holds:
                self._check_hold(hold, [e for e in entries if _of(e, hold)])
            for budget in (d for d in documents if d["type"] == "budget"):
                self._check_sums(budget, holds, entries)
            for entry in entries:
                self._check_record(partition_key, entry)
            for record in documents:
                if record["type"] == "generation" and record["status"] in _OPEN:
                    self.broken("end", f"{record['generation_id']} stays {record['status']}")
                if record["type"] == "batch":
                    own = [e for e in entries if e["operation_id"] == record["batch_id"]]
                    self._check_batch(record, own)

    def check_audit(self, copied: Mapping[str, object]) -> None:
        """Every hold and every entry has left its audit event, in the log or on its way there."""
        for partition in self._container.partitions.values():
            waiting = {d["event"]["event_id"] for d in partition.values() if d["type"] == "outbox"}
            for document in partition.values():
                wanted = _event_of(document)
                if wanted and wanted not in copied and wanted not in waiting:
                    self.broken("audit", f"{wanted} is missing")

    def _bill(self, partition_key: str, generation_id: str, usd_micros: int) -> None:
        before = self._aud(self._invoice.get(generation_id, 0))
        self._invoice[generation_id] = usd_micros
        more = self._aud(usd_micros) - before
        for budget in self._budgets_of(partition_key, generation_id):
            self._billed_aud[partition_key, budget["id"]] += more

    def _budgets_of(self, partition_key: str, generation_id: str) -> list[Item]:
        hold = self._container.peek(partition_key, f"h:{operation_of(generation_id)}")
        if hold is None:
            return []
        scopes = charged_scopes(partition_key.split("|", maxsplit=1)[0], hold["user_key"])
        found = [self._container.peek(partition_key, scope.document_id) for scope in scopes]
        return [budget for budget in found if budget is not None]

    def _aud(self, usd_micros: int) -> int:
        return -(-usd_micros * self._rate // 1_000_000)

    def _check_counters(self, item_id: str, document: Item, names: tuple[str, ...]) -> None:
        for name in names:
            value = document[name]
            if type(value) is not int or not 0 <= value <= MICROS_MAX:
                self.broken("I2", f"{item_id} has {name} = {value!r}")

    def _check_budget(self, partition_key: str, budget: Item) -> None:
        self._check_counters(budget["id"], budget, ("reserved_micros", "spent_micros"))
        used = budget["reserved_micros"] + budget["spent_micros"]
        if used > budget["limit_micros"]:
            self.broken("I1", f"{budget['id']} uses {used} of {budget['limit_micros']}")
        billed = self._billed_aud[partition_key, budget["id"]]
        if billed > used:
            self.broken("I4", f"{budget['id']} covers {used} of {billed} that are billed")

    def _check_covered(self, generation_id: str, amount_micros: int) -> None:
        billed = self._aud(self._invoice.get(generation_id, 0))
        if billed > amount_micros:
            self.broken("I4", f"{generation_id} is booked at {amount_micros}, billed {billed}")

    def _check_hold(self, hold: Item, entries: list[Item]) -> None:
        what = hold["operation_id"]
        held = sum(entry["held_micros"] for entry in entries)
        if len(entries) != hold["rows"] or hold["open_rows"] != 0:
            self.broken("I5", f"{what}: {len(entries)} entries for {hold['rows']} rows")
        if held != hold["amount_micros"] or hold["remaining_micros"] != 0:
            self.broken("I5", f"{what}: {held} ended of {hold['amount_micros']}")

    def _check_sums(self, budget: Item, holds: list[Item], entries: list[Item]) -> None:
        own = {h["operation_id"] for h in holds if _charges(h, budget)}
        reserved = sum(h["remaining_micros"] for h in holds if h["operation_id"] in own)
        spent = sum(e["amount_micros"] for e in entries if e["operation_id"] in own)
        if (budget["reserved_micros"], budget["spent_micros"]) != (reserved, spent):
            self.broken("I3", f"{budget['id']} is not the sum of its entries")
        if budget["reserved_micros"] != 0:
            self.broken("I6", f"{budget['id']} keeps {budget['reserved_micros']} reserved")

    def _check_record(self, partition_key: str, entry: Item) -> None:
        record = self._container.peek(partition_key, f"g:{entry['generation_id']}")
        if record is None:
            self.broken("record", f"{entry['generation_id']} has an entry and no record")
            return
        cost = record["cost"] or {}
        recorded = (record["status"], cost.get("amount_micros"), len(record["images"]))
        if recorded != (entry["status"], entry["amount_micros"], entry["images"]):
            self.broken("record", f"{entry['generation_id']} says {recorded}, not as its entry")

    def _check_batch(self, batch: Item, entries: list[Item]) -> None:
        what = batch["batch_id"]
        counts: dict[str, Any] = dict.fromkeys(batch["counts"], 0)
        counts |= Counter(entry["status"] for entry in entries)
        if counts != batch["counts"]:
            self.broken("batch", f"{what} counts {batch['counts']}, its entries {counts}")
        if batch["spent_micros"] != sum(entry["amount_micros"] for entry in entries):
            self.broken("batch", f"{what} has another sum than its entries")
        if batch["status"] not in ("completed", "canceled"):
            self.broken("batch", f"{what} stays {batch['status']}")


_OPEN = ("queued", "indeterminate")


def _of(entry: Item, hold: Item) -> bool:
    return bool(entry["operation_id"] == hold["operation_id"])


def _charges(hold: Item, budget: Item) -> bool:
    scope = {"kind": budget["scope_kind"], "scope_id": budget["scope_id"]}
    return scope in hold["scopes"]


def _event_of(document: Item) -> str | None:
    """The audit event that must have been written together with a document."""
    if document["type"] == "resolution":
        return f"{document['generation_id']}:generation.closed"
    if document["type"] == "batch":
        return f"{document['batch_id']}:batch.admitted"
    if document["type"] == "generation" and document["batch_id"] is None:
        return f"{document['generation_id']}:generation.admitted"
    return None
