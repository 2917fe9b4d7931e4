"""What must hold when all is over: sums, ends, records, batches, audit events and invoices."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.cosmos_container import FakeContainer, Item
from tests.proofs.invariants import Checker, charged_budgets

_OPEN = ("queued", "indeterminate")
# A batch that waited and came to nothing: no row was ever carried out.
_NEVER_STARTED = ("awaiting_approval", "deferred", "failed", "canceled", "rejected")


class Endings:
    """The checks of one container after faults have stopped and the sweep has run."""

    def __init__(self, container: FakeContainer, checker: Checker) -> None:
        self._container = container
        self._checker = checker
        self._expect = checker.expect

    def check(self, copied: Mapping[str, object]) -> None:
        """Check every partition; `copied` are the events of the audit log."""
        for partition_key, partition in self._container.partitions.items():
            by_type: dict[str, list[Item]] = {}
            for document in partition.values():
                by_type.setdefault(document["type"], []).append(document)
            self._check_money(by_type)
            self._check_records(partition_key, by_type)
            self._check_audit(partition, by_type, copied)

    def _check_money(self, by_type: Mapping[str, Sequence[Item]]) -> None:
        holds, entries = by_type.get("hold", ()), by_type.get("resolution", ())
        of_hold: dict[str, list[Item]] = {hold["operation_id"]: [] for hold in holds}
        for entry in entries:
            own = of_hold.get(entry["operation_id"])
            self._expect("I5", own is not None, lambda e=entry: f"{e['id']} ends no hold")
            if own is not None:
                own.append(entry)
            self._check_exact(entry)
        booked = Counter(each["adjustment_id"] for each in by_type.get("adjustment", ()))
        for adjustment_id, times in booked.items():
            self._expect(
                "once", times == 1, lambda a=adjustment_id, t=times: f"{a} is booked {t} times"
            )
        for hold in holds:
            self._check_hold(hold, of_hold[hold["operation_id"]])
        for budget in by_type.get("budget", ()):
            self._check_sums(budget, holds, of_hold, by_type.get("adjustment", ()))

    def _check_hold(self, hold: Item, entries: Sequence[Item]) -> None:
        charged = [f"budget:{scope['kind']}:{scope['scope_id']}" for scope in hold["scopes"]]
        self._expect(
            "charge",
            all(charged_budgets(entry) == charged for entry in entries),
            lambda: f"{hold['id']} and its entries charge different budgets",
        )
        held = sum(entry["held_micros"] for entry in entries)
        self._expect(
            "I5",
            len(entries) == hold["rows"] and hold["open_rows"] == 0,
            lambda: f"{hold['id']}: {len(entries)} entries for {hold['rows']} rows",
        )
        self._expect(
            "I5",
            held == hold["amount_micros"] and hold["remaining_micros"] == 0,
            lambda: f"{hold['id']}: {held} ended of {hold['amount_micros']}",
        )

    def _check_exact(self, entry: Item) -> None:
        """Each attempt has its line; what was metered is booked to the micro, at its provider, and
        what was estimated covers the invoice."""
        invoice = self._checker.attempts_of(entry["generation_id"])
        lines = {line["attempt"]: line for line in entry["lines"]}
        self._expect(
            "lines",
            entry["amount_micros"] == sum(line["amount_micros"] for line in lines.values())
            and len(lines) == len(entry["lines"])
            and lines.keys() >= {n for n, each in invoice.items() if each.usd_micros},
            lambda: f"{entry['id']} has the lines {sorted(lines)}, billed were {invoice}",
        )
        for attempt, line in lines.items():
            found = invoice.get(attempt)
            billed = self._checker.aud(found.usd_micros) if found else 0
            booked = line["amount_micros"]
            self._expect(
                "I4",
                booked >= billed if line["estimated"] else booked == billed,
                lambda n=attempt, a=booked, b=billed: (
                    f"{entry['id']} books {a} for attempt {n}, the invoice says {b}"
                ),
            )
            self._expect(
                "lines",
                found is None or found.provider == line["provider"],
                lambda n=attempt: f"{entry['id']} books attempt {n} at another provider",
            )

    def _check_sums(
        self,
        budget: Item,
        holds: Sequence[Item],
        of_hold: Mapping[str, Sequence[Item]],
        adjustments: Sequence[Item],
    ) -> None:
        scope = {"kind": budget["scope_kind"], "scope_id": budget["scope_id"]}
        own = [hold for hold in holds if scope in hold["scopes"]]
        reserved = sum(hold["remaining_micros"] for hold in own)
        spent = sum(e["amount_micros"] for hold in own for e in of_hold[hold["operation_id"]])
        spent += sum(
            each["amount_micros"] for each in adjustments if budget["id"] in charged_budgets(each)
        )
        self._expect(
            "I3",
            (budget["reserved_micros"], budget["spent_micros"]) == (reserved, spent),
            lambda: (
                f"{budget['id']} says {budget['reserved_micros']} + {budget['spent_micros']},"
                f" its entries {reserved} + {spent}"
            ),
        )
        self._expect(
            "I6",
            budget["reserved_micros"] == 0,
            lambda: f"{budget['id']} keeps {budget['reserved_micros']} reserved",
        )

    def _check_records(self, partition_key: str, by_type: Mapping[str, Sequence[Item]]) -> None:
        for entry in by_type.get("resolution", ()):
            record = self._container.peek(partition_key, f"g:{entry['generation_id']}")
            said = record and (
                record["status"],
                (record["cost"] or {}).get("amount_micros"),
                len(record["images"]),
            )
            self._expect(
                "record",
                said == (entry["status"], entry["amount_micros"], entry["images"]),
                lambda e=entry, r=said: f"the record of {e['id']} says {r}",
            )
            case = self._container.peek(partition_key, f"case:{entry['generation_id']}")
            self._expect(
                "case",
                case is not None or _reason_of(record) != "outcome_unknown",
                lambda e=entry: f"{e['id']} books the maximum without a case",
            )
        for record in by_type.get("generation", ()):
            self._expect(
                "I6",
                record["status"] not in _OPEN,
                lambda r=record: f"{r['id']} stays {r['status']}",
            )
        for batch in by_type.get("batch", ()):
            own = [
                e for e in by_type.get("resolution", ()) if e["operation_id"] == batch["batch_id"]
            ]
            self._check_batch(batch, own)

    def _check_batch(self, batch: Item, entries: Sequence[Item]) -> None:
        if not entries and batch["status"] in _NEVER_STARTED:
            return
        counts: dict[str, Any] = dict.fromkeys(batch["counts"], 0)
        counts |= Counter(entry["status"] for entry in entries)
        spent = sum(entry["amount_micros"] for entry in entries)
        self._expect(
            "batch",
            (batch["counts"], batch["spent_micros"]) == (counts, spent),
            lambda: f"{batch['id']} says {batch['counts']}, its entries {counts}",
        )
        self._expect(
            "I6",
            batch["status"] in ("completed", "canceled"),
            lambda: f"{batch['id']} stays {batch['status']}",
        )

    def _check_audit(
        self,
        partition: Mapping[str, Item],
        by_type: Mapping[str, Sequence[Item]],
        copied: Mapping[str, object],
    ) -> None:
        """Every change of money has left its audit event, in the log or on its way there."""
        waiting = {each["event"]["event_id"] for each in by_type.get("outbox", ())}
        for document in partition.values():
            for wanted in _events_of(document, partition):
                self._expect(
                    "audit",
                    wanted in copied or wanted in waiting,
                    lambda w=wanted: f"{w} is missing",
                )


def _reason_of(record: Item | None) -> str | None:
    failure = record and record["failure"]
    return failure["reason"] if failure else None


def _events_of(document: Item, partition: Mapping[str, Item]) -> list[str]:
    """The audit events that must have been written together with a document."""
    kind, status = document["type"], document.get("status")
    if kind == "resolution":
        return [f"{document['generation_id']}:generation.closed"]
    if kind == "hold":
        what = "batch" if f"batch:{document['operation_id']}" in partition else "generation"
        return [f"{document['operation_id']}:{what}.admitted"]
    if kind == "moved_hold":
        return [f"{document['operation_id']}:{document['kind']}.deferred"]
    if kind == "adjustment" and document["kind"] != "surcharge":
        return [f"{document['adjustment_id']}:adjustment.booked"]
    if kind == "approval":
        ended = [status] if status in ("rejected", "expired", "canceled") else []
        return [f"{document['operation_id']}:approval.{each}" for each in ("requested", *ended)]
    if kind == "grant":
        names = [f"grant.{document['kind']}"]
        names += ["grant.ended"] if status == "ended" else []
        names += ["adjustment.booked"] if document["surcharge_micros"] else []
        return [f"{document['grant_id']}:{name}" for name in names]
    return []
