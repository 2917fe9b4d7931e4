"""The invariants of the ledger, checked at every commit and whenever an invoice grows."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.domain.attempts import ImageOrder
from shared.domain.budgets import CEILING_OF_WARN
from shared.domain.ids import operation_of
from shared.domain.ledger import partition_for
from shared.domain.models import MODELS
from shared.domain.money import MICROS_MAX
from tests.fakes.cosmos_container import FakeContainer, Item
from tests.fakes.providers import FakeProvider

SHOWN_MAX = 5  # violations listed in a message; the first one is the one to look at


@dataclass(frozen=True)
class Billed:
    """What one attempt stands at on an invoice."""

    provider: str
    usd_micros: int


class Checker:
    """Collects violations, and counts how often each invariant was looked at."""

    def __init__(self, container: FakeContainer, aud_per_usd_micros: int) -> None:
        self.violations: list[str] = []
        self.checks: Counter[str] = Counter()
        self._container = container
        self._rate = aud_per_usd_micros
        self._billed_aud: Counter[tuple[str, str]] = Counter()  # by partition and budget
        self.invoice: dict[tuple[str, int], Billed] = {}  # by generation and attempt
        self.submitted: Counter[tuple[str, int]] = Counter()  # to whichever provider
        self.content_fallback = False  # what the rules of this world say
        self._adjusted: Counter[tuple[str, str]] = Counter()  # by partition and budget

    def expect(self, invariant: str, holds: bool, detail: Callable[..., str]) -> None:
        """Count one check of an invariant, and keep what is wrong if it does not hold."""
        self.checks[invariant] += 1
        if not holds:
            self.violations.append(f"{invariant}: {detail()}")

    def broken(self, invariant: str, detail: str) -> None:
        """Something that may never happen has happened."""
        self.expect(invariant, False, lambda: detail)

    def after_commit(self, partition_key: str, changed: Mapping[str, Item | None]) -> None:
        """I1, I2 and I4, and that an event tells of it, at every commit."""
        self._check_told(partition_key, changed)
        for item_id, document in changed.items():
            if document is not None and item_id.startswith("j:"):
                for budget_id in charged_budgets(document):
                    self._adjusted[partition_key, budget_id] += document["amount_micros"]
        for item_id, document in changed.items():
            if document is None:
                self.expect(
                    "deletion", item_id.startswith("e:"), lambda i=item_id: f"{i} was deleted"
                )
            elif item_id.startswith("budget:"):
                self._check_step(partition_key, document)
                self._check_budget(partition_key, document)
            elif document["type"] == "hold":
                self._check_counters(document, ("remaining_micros", "open_rows"))
            elif item_id.startswith("x:"):
                self._check_covered(document["generation_id"], document["amount_micros"])

    def before_work(self, order: ImageOrder) -> None:
        """I8: a durable hold and a durable marker, before the provider does anything."""
        partition_key = partition_for(order.generation_id).key
        hold = self._container.peek(partition_key, f"h:{operation_of(order.generation_id)}")
        marker_id = f"a:{order.generation_id}:{order.attempt}"
        marker = self._container.peek(partition_key, marker_id)
        self.expect("I8", hold is not None, lambda: f"{order.generation_id} was sent without hold")
        self.expect(
            "I8",
            marker is not None and marker["owner"] == "worker",
            lambda: f"{marker_id} was sent without a marker of a worker",
        )
        if marker is not None:
            self._check_fallback(order, marker)

    def after_billing(self, provider: FakeProvider, order: ImageOrder) -> None:
        """I4 at the moment the invoice grows, and one submission per marker."""
        at = (order.generation_id, order.attempt)
        self.submitted[at] += 1
        times = self.submitted[at]
        self.expect("once", times == 1, lambda: f"attempt {at} was submitted {times} times")
        partition_key = partition_for(order.generation_id).key
        self._bill(partition_key, at, Billed(provider.name, provider.billed[at]))
        self._check_hold(partition_key, order)
        resolution = self._container.peek(partition_key, f"x:{order.generation_id}")
        if resolution is not None:
            self._check_covered(order.generation_id, resolution["amount_micros"])
        for budget in self.budgets_of(partition_key, order.generation_id):
            self._check_budget(partition_key, budget)

    def billed_aud_micros(self, generation_id: str) -> int:
        """What providers have put on their invoices for a generation, at the rate of the quote."""
        return sum(
            self.aud(billed.usd_micros)
            for (named, _), billed in self.invoice.items()
            if named == generation_id
        )

    def attempts_of(self, generation_id: str) -> dict[int, Billed]:
        """What was billed for each attempt at a generation."""
        return {n: billed for (named, n), billed in self.invoice.items() if named == generation_id}

    def budgets_of(self, partition_key: str, generation_id: str) -> list[Item]:
        """The budgets that a generation's hold charges, as they stand."""
        hold = self._container.peek(partition_key, f"h:{operation_of(generation_id)}")
        scopes = hold["scopes"] if hold else []
        ids = [f"budget:{scope['kind']}:{scope['scope_id']}" for scope in scopes]
        found = [self._container.peek(partition_key, each) for each in ids]
        return [budget for budget in found if budget is not None]

    def _bill(self, partition_key: str, at: tuple[str, int], billed: "Billed") -> None:
        before = self.invoice.get(at)
        self.invoice[at] = billed
        more = self.aud(billed.usd_micros) - (self.aud(before.usd_micros) if before else 0)
        for budget in self.budgets_of(partition_key, at[0]):
            self._billed_aud[partition_key, budget["id"]] += more

    def _check_fallback(self, order: ImageOrder, marker: Item) -> None:
        """An attempt after others knows what those were billed, and that it may follow them."""
        known = {line["attempt"]: line for line in marker["lines"]}
        for attempt, billed in self.attempts_of(order.generation_id).items():
            line = known.get(attempt)
            booked = line["amount_micros"] if line else 0
            self.expect(
                "fallback",
                attempt >= order.attempt or booked >= self.aud(billed.usd_micros),
                lambda n=attempt: f"{marker['id']} forgets what attempt {n} was billed",
            )
        refused = any(line["failure"] == "content_rejected" for line in known.values())
        self.expect(
            "fallback",
            self.content_fallback or not refused,
            lambda: f"{marker['id']} shops around after a refusal for content",
        )
        last = known.get(order.attempt - 1)
        self.expect(
            "fallback",
            last is None
            or last["failure"] not in _OF_THE_ACCOUNT
            or last["provider"] != MODELS[order.model].provider,
            lambda: f"{marker['id']} asks a provider again that has shut out the whole account",
        )

    def _check_hold(self, partition_key: str, order: ImageOrder) -> None:
        """What is billed for the open rows of a hold is covered by that very hold."""
        operation_id = operation_of(order.generation_id)
        hold = self._container.peek(partition_key, f"h:{operation_id}")
        own = {name for name, _ in self.invoice if operation_of(name) == operation_id}
        still = {n for n in own if self._container.peek(partition_key, f"x:{n}") is None}
        billed = sum(map(self.billed_aud_micros, still))
        remaining = hold["remaining_micros"] if hold else 0
        self.expect(
            "I4",
            billed <= remaining,
            lambda: f"h:{operation_id} holds {remaining}, its open rows were billed {billed}",
        )

    def aud(self, usd_micros: int) -> int:
        """Micro-AUD at the rate of the quotes, rounded up."""
        return -(-usd_micros * self._rate // 1_000_000)

    def _check_counters(self, document: Item, names: tuple[str, ...]) -> None:
        for name in names:
            value = document[name]
            self.expect(
                "I2",
                type(value) is int and 0 <= value <= MICROS_MAX,
                lambda n=name, v=value: f"{document['id']} has a {n} of {v!r}",
            )

    def _check_told(self, partition_key: str, changed: Mapping[str, Item | None]) -> None:
        """Whatever changes money or a status has an event in the same transaction."""
        told = any(item_id.startswith("e:") and item for item_id, item in changed.items())
        told = told or self._is_landing(changed)
        for item_id, document in changed.items():
            if document is None or document["type"] not in _TOLD:
                continue
            before = self._container.before_last_change(partition_key, item_id)
            names = _TOLD[document["type"]]
            same = before is not None and all(before.get(n) == document.get(n) for n in names)
            self.expect("told", told or same, lambda i=item_id: f"no event tells of {i}")

    def _is_landing(self, changed: Mapping[str, Item | None]) -> bool:
        """The second half of a move, whose event stands with the first one (audit_log.md)."""
        place = next((d for d in changed.values() if d and d["type"] == "parked_hold"), None)
        return place is not None and any(
            document["type"] == "moved_hold" and document["moved_to"] == place["operation_id"]
            for partition in self._container.partitions.values()
            for document in partition.values()
        )

    def _check_step(self, partition_key: str, budget: Item) -> None:
        """No commit raises what is committed above the ceiling, nor lowers the highest one."""
        before = self._container.before_last_change(partition_key, budget["id"])
        least = max(before["high_micros"] if before else 0, _bounded(budget["ceiling_micros"]))
        high = budget["high_micros"]
        self.expect("I1", high >= least, lambda: f"{budget['id']} forgot a ceiling of {least}")
        used, ceiling = committed(budget), budget["ceiling_micros"]
        more = used - (committed(before) if before else 0)
        raised = ceiling - (before["ceiling_micros"] if before else 0)
        if more > 0:  # a grant's surcharge and an approval raise the limit by what they use
            self.expect(
                "I1",
                used <= ceiling or more <= raised,
                lambda: f"{budget['id']} rose by {more} to {used} of {ceiling}",
            )

    def _check_budget(self, partition_key: str, budget: Item) -> None:
        self._check_counters(budget, ("reserved_micros", "spent_micros"))
        used = committed(budget)
        high = budget["high_micros"]
        self.expect("I1", used <= high, lambda: f"{budget['id']} uses {used} of {high}")
        # An adjustment stands for no generation: neither a surcharge nor a credit covers one.
        covered = used - self._adjusted[partition_key, budget["id"]]
        billed = self._billed_aud[partition_key, budget["id"]]
        self.expect(
            "I4",
            billed <= covered,
            lambda: f"{budget['id']} covers {covered} of {billed} that are billed",
        )

    def _check_covered(self, generation_id: str, amount_micros: int) -> None:
        billed = self.billed_aud_micros(generation_id)
        self.expect(
            "I4",
            billed <= amount_micros,
            lambda: f"{generation_id} is booked at {amount_micros}, billed {billed}",
        )


_OF_THE_ACCOUNT = ("auth_or_config", "quota_exhausted", "provider_blocked")
# What is money or a status, by the type of a document; an event has to tell of its changes.
_STATUS = ("status",)
_TOLD: Mapping[str, tuple[str, ...]] = {
    "budget": (
        *("limit_micros", "ceiling_micros", "granted_micros", "allocated_micros", "mode"),
        *("overage", "reserved_micros", "spent_micros", "sealed"),
    ),
    "hold": ("amount_micros", "remaining_micros", "open_rows"),
    **dict.fromkeys(("generation", "batch", "approval", "parked_hold", "grant", "case"), _STATUS),
    "moved_hold": ("moved_to",),
    "policy": ("revision",),
}
_PAYERS = {
    "department_id": "department",
    "user_key": "user",
    "project_id": "project",
    "cost_centre_id": "cost_centre",
}


def _bounded(ceiling_micros: int) -> int:
    """A budget that only warns has no ceiling to remember."""
    return 0 if ceiling_micros >= CEILING_OF_WARN else ceiling_micros


def charged_budgets(entry: Item) -> list[str]:
    """The ids of the budgets that an entry is charged to, from its own charge fields."""
    return [f"budget:{kind}:{entry[name]}" for name, kind in _PAYERS.items() if entry[name]]


def committed(budget: Item) -> int:
    """What a budget has spent or set aside."""
    return int(budget["reserved_micros"] + budget["spent_micros"])
