"""What must hold of limits, grants, rollover, alerts and freezes, besides the money itself."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from shared.domain.alerts import alert_document_id, thresholds_of
from shared.domain.budget_policies import policy_partition
from shared.domain.budgets import CEILING_OF_WARN, read_budget
from shared.domain.freezes import (
    Freeze,
    Target,
    freeze_partition,
    read_freeze,
    targets_of_models,
)
from shared.domain.ids import Partition, operation_of
from shared.errors import InvariantBroken
from tests.builders import TENANT
from tests.fakes.cosmos_container import FakeContainer, Item
from tests.proofs.invariants import Checker

NEXT_PERIOD = "202612"  # of the histories, which begin in November

FROZEN_WITHIN = timedelta(seconds=5)  # the promise: from the switch to the last start


class LimitChecker:
    """Watches what may be spent, and what must stop spending."""

    def __init__(
        self, container: FakeContainer, checker: Checker, now: Callable[[], datetime]
    ) -> None:
        self._container = container
        self._expect = checker.expect
        self._now = now
        self._raised: Counter[tuple[str, str]] = Counter()  # alerts by partition and id
        self._reached: set[tuple[str, str]] = set()
        self._cut: set[tuple[str, str]] = set()  # budgets whose limit could not fall any further
        self._frozen_at: dict[str, datetime] = {}  # time of day when a freeze was committed

    def after_commit(self, partition_key: str, changed: Mapping[str, Item | None]) -> None:
        """Look at every document that a commit has changed."""
        for item_id, document in changed.items():
            if document is None:
                continue
            kind = document["type"]
            if kind == "budget":
                self._check_limits(partition_key, item_id, document)
                if document["granted_micros"]:
                    self._check_granted(document, self._raises(partition_key))
            elif kind == "carry_over":
                self._check_carried(partition_key, document)
            elif kind == "alert":
                self._count_alert(partition_key, item_id)
            elif kind == "freeze":
                self._frozen_at[item_id] = self._now()
            elif kind == "hold":
                self._check_admitted(partition_key, document)
            elif kind == "attempt" and document["owner"] == "worker":
                self._check_begun(partition_key, document)

    def check_the_end(self) -> None:
        """Grants are in their limits, policies in force, alerts raised."""
        for partition_key, partition in self._container.partitions.items():
            budgets = [d for d in partition.values() if d["type"] == "budget"]
            raises = self._raises(partition_key)
            for budget in budgets:
                self._check_granted(budget, raises)
                self._check_made_up(partition_key, budget)
                self._check_alerts(partition_key, budget)
        for place, count in self._raised.items():
            self._expect("alerts", count == 1, lambda p=place, c=count: f"{p} was raised {c} times")
            self._expect(
                "alerts", place in self._reached, lambda p=place: f"{p} was raised, not reached"
            )

    def check_policies(self, present: Mapping[str, Partition]) -> None:
        """Each department's newest budgets follow the policies that stand.

        They are those of the present period, or of the next one if the clock was put back.
        """
        for department_id, partition in present.items():
            following = f"{department_id}|{NEXT_PERIOD}"
            partition_key = following if following in self._container.partitions else partition.key
            key = policy_partition(department_id).key
            for policy in self._container.partitions.get(key, {}).values():
                budget_id = policy["id"].replace("policy:", "budget:", 1)
                budget = self._container.peek(partition_key, budget_id)
                if policy["type"] == "policy" and budget is not None:
                    self._expect(
                        "policy",
                        budget["policy_revision"] == policy["revision"],
                        lambda b=budget, p=policy: (
                            f"{b['id']} in {b['pk']} follows revision"
                            f" {b['policy_revision']} of {p['revision']}"
                        ),
                    )

    def _check_limits(self, partition_key: str, item_id: str, budget: Item) -> None:
        if budget["limit_micros"] == 0:
            self._cut.add((partition_key, item_id))
        bounded = budget["limit_micros"] + budget["overdraft_micros"]
        warns = budget["mode"] == "warn"
        self._expect(
            "limits",
            budget["ceiling_micros"] == (CEILING_OF_WARN if warns else bounded),
            lambda: f"{item_id} has a ceiling of {budget['ceiling_micros']}, not of {bounded}",
        )
        if self._container.before_last_change(partition_key, item_id) is None:
            carried = self._carried_into(partition_key, item_id)
            self._expect(
                "rollover",
                budget["limit_micros"] == budget["base_micros"] + carried,
                lambda: f"{item_id} opens with {budget['limit_micros']}, carried {carried}",
            )
        self._reached |= {(partition_key, each) for each in self._alerts_of(budget)}

    def _carried_into(self, partition_key: str, budget_id: str) -> int:
        department_id, _, period = partition_key.partition("|")
        before = datetime.strptime(period, "%Y%m") - timedelta(days=1)  # noqa: DTZ007
        carry_id = budget_id.replace("budget:", "carry:", 1)
        carried = self._container.peek(f"{department_id}|{before:%Y%m}", carry_id)
        return int(carried["amount_micros"]) if carried else 0

    def _check_carried(self, partition_key: str, entry: Item) -> None:
        if entry["amount_micros"] == 0:
            return  # it is fixed that nothing rolls over: no budget is touched
        budget_id = entry["id"].replace("carry:", "budget:", 1)
        before = self._container.before_last_change(partition_key, budget_id)
        after = self._container.peek(partition_key, budget_id)
        taken = before["limit_micros"] - after["limit_micros"] if before and after else None
        self._expect(
            "rollover",
            taken == entry["amount_micros"],
            lambda: f"{entry['id']} carries {entry['amount_micros']}, {taken} was taken",
        )

    def _raises(self, partition_key: str) -> list[tuple[Item, int]]:
        partition = self._container.partitions[partition_key]
        return [raised for d in partition.values() for raised in _raises_of(d, partition)]

    def _check_granted(self, budget: Item, raises: Sequence[tuple[Item, int]]) -> None:
        """What stands in a limit for this period only is the sum of grants and approvals."""
        scope = {"kind": budget["scope_kind"], "scope_id": budget["scope_id"]}
        granted = sum(amount for raised, amount in raises if raised == scope)
        self._expect(
            "grants",
            budget["granted_micros"] == granted,
            lambda: f"{budget['id']} was granted {budget['granted_micros']}, not {granted}",
        )

    def _check_made_up(self, partition_key: str, budget: Item) -> None:
        """A limit is the policy's, and what grants and rollover have made of it."""
        if (partition_key, budget["id"]) in self._cut:
            return
        own = budget["base_micros"] + budget["granted_micros"]
        carried = self._carried_into(partition_key, budget["id"])
        entry = self._container.peek(partition_key, budget["id"].replace("budget:", "carry:", 1))
        carried -= entry["amount_micros"] if entry else 0
        self._expect(
            "limits",
            budget["limit_micros"] == own + carried,
            lambda: f"{budget['id']} has {budget['limit_micros']}, not {own} and {carried} carried",
        )

    def _check_alerts(self, partition_key: str, budget: Item) -> None:
        for alert_id in self._alerts_of(budget):
            self._expect(
                "alerts",
                self._raised[partition_key, alert_id] == 1,
                lambda a=alert_id: f"{a} in {partition_key} is reached, not raised",
            )

    def _alerts_of(self, budget: Item) -> list[str]:
        """The alerts that a budget calls for as it stands."""
        used = budget["reserved_micros"] + budget["spent_micros"]
        if 100 * used < budget["limit_micros"] * min(budget["alert_thresholds"]):
            return []  # most budgets call for none, and reading them takes a while
        try:
            reached = thresholds_of([read_budget(budget)])
        except InvariantBroken as broken:
            self._expect("I2", False, lambda b=broken: f"{budget['id']}: {b.detail}")
            return []
        return [alert_document_id(each.scope, threshold) for each, threshold in reached]

    def _count_alert(self, partition_key: str, item_id: str) -> None:
        if self._container.before_last_change(partition_key, item_id) is None:
            self._raised[partition_key, item_id] += 1

    def _check_admitted(self, partition_key: str, hold: Item) -> None:
        if self._container.before_last_change(partition_key, hold["id"]) is None:
            department = Target("department", partition_key.partition("|")[0])
            self._check_frozen(hold["id"], [department], hold["created_at"])

    def _check_begun(self, partition_key: str, marker: Item) -> None:
        if self._container.before_last_change(partition_key, marker["id"]) is not None:
            return
        record = self._container.peek(partition_key, f"g:{marker['generation_id']}")
        models = targets_of_models([_model_asked(record, marker)]) if record else ()
        department = Target("department", partition_key.partition("|")[0])
        self._check_frozen(marker["id"], [department, *models], marker["created_at"])

    def _check_frozen(self, what: str, targets: list[Target], asked_at: str) -> None:
        """Nobody looks at freezes that are older than STALE_MAX; these were thrown before that."""
        at = datetime.fromisoformat(asked_at)
        if at > self._now():
            return  # a late write of before the clock was set back: it cannot be dated
        for target in (Target("global"), *targets):
            freeze = self._freeze(target)
            known = self._frozen_at.get(target.document_id)
            if freeze is not None and known is not None and freeze.stands(at):
                self._expect(
                    "frozen",
                    at <= known + FROZEN_WITHIN,
                    lambda t=target: f"{what} although {t.text} is frozen",
                )

    def _freeze(self, target: Target) -> Freeze | None:
        found = self._container.peek(freeze_partition(TENANT).key, target.document_id)
        return read_freeze(found) if found else None


def _model_asked(record: Item, marker: Item) -> str:
    """Whose turn an attempt is: after a fallback it is no more the first choice's."""
    route = record["route"]
    return str(route["candidates"][marker["candidate"]]["model"] if route else record["model"])


def _raises_of(document: Item, partition: Mapping[str, Item]) -> list[tuple[Item, int]]:
    """The scopes whose limit this document raises as it stands, and by how much.

    An approval pays for its own work only: for what is open of it, and for what it has cost.
    """
    if document["type"] == "grant":
        stays = document["amount_micros"] if document["status"] == "active" else 0
        amount = document["surcharge_micros"] + stays
        return [(scope, amount) for scope in document["scopes"]]
    if document["type"] == "hold" and document["raised"]:
        spent = sum(
            each["amount_micros"]
            for each in partition.values()
            if each["type"] == "resolution" and each["operation_id"] == document["operation_id"]
        )
        spent += sum(
            each["amount_micros"]
            for each in partition.values()
            if each["type"] == "adjustment"
            and each["amount_micros"] < 0
            and each["refers_to"]
            and operation_of(each["refers_to"]) == document["operation_id"]
        )
        return [(scope, document["remaining_micros"] + spent) for scope in document["raised"]]
    return []
