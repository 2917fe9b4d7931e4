"""Reports and chargeback statements, from real generations to the page that finance reads."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from devhost.local_settings import home_tenant_id
from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.budget_policies import BudgetPolicy, budget_object_id
from shared.domain.budgets import charged_scopes
from shared.domain.identity import Caller, Principal, Role
from shared.domain.ids import Partition, operation_id
from shared.domain.periods import add_months
from tests import builders
from tests.integration.api import Json, Person, order
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "archive"
PRICE = 60_000
TODAY = datetime.now(UTC).date()
THIS_MONTH = f"{TODAY:%Y%m}"
LAST_MONTH = add_months(THIS_MONTH, -1)
TOMORROW = {"until": (TODAY + timedelta(days=1)).isoformat()}


@pytest.fixture(scope="module")
async def archive(own_cloud: Cloud) -> AsyncIterator[Partition]:
    """A department with two generations last month, booked by the ledger itself."""
    file = organisation(DEPARTMENT, 50_000_000, [50_000_000])
    await own_cloud.seed(file)
    partition = Partition(DEPARTMENT, LAST_MONTH)
    principal = Principal(home_tenant_id(), file["users"][0]["object_id"], Role.STANDARD_USER)
    owner = Caller(principal, DEPARTMENT)
    settings = own_cloud.environment
    account = CosmosAccount(settings["EIG_COSMOS_ENDPOINT"], "eig", settings["EIG_COSMOS_KEY"])
    connection = CosmosConnection(account)
    policies, ledger = CosmosBudgetPolicies(connection), CosmosLedger(connection)
    for scope in charged_scopes(DEPARTMENT, owner.key):
        opened = builders.event(budget_object_id(partition, scope), "budget.opened")
        budget = BudgetPolicy(scope, 50_000_000).opening(LAST_MONTH)
        await policies.open(partition, budget, opened)
    for seed in ("one", "two"):
        generation_id = operation_id(partition, seed)
        work = builders.item(generation_id, quote=builders.quote(PRICE), owner=owner)
        await ledger.reserve(builders.reservation(work))
        # Estimated, because no provider was called and so none will bill it.
        ended = builders.resolution(work, usd_micros=PRICE, estimated=True)
        await ledger.resolve(work.operation_id, [ended])
    yield partition
    await connection.aclose()


async def spend(person: Person, **wanted: str) -> Json:
    return (await person.get("/reports/spend", wanted)).json()


def rows_of(report: Json) -> dict[tuple[str | None, ...], Json]:
    return {tuple(row["group"]): row["spend"] for row in report["rows"]}


async def entries_of(cloud: Cloud, key: str) -> list[Json]:
    """The ledger's own entries, read without the app."""
    return await cloud.documents(
        "ledger", "c.pk = @key AND c.type IN ('resolution', 'adjustment')", key=key
    )


async def test_generation_shows_up_in_the_spend_of_its_day(ava: Person) -> None:
    before = rows_of(await spend(ava, by="model,day"))
    ended = await ava.generate(order())
    after = rows_of(await spend(ava, by="model,day"))
    group = ("gpt-image-2", ended["created_at"][:10])
    earlier = before.get(group, {"entries": 0, "amount_micros": 0})
    assert after[group]["entries"] - earlier["entries"] == 1
    added = after[group]["amount_micros"] - earlier["amount_micros"]
    assert added == ended["cost"]["amount_micros"]


async def test_spend_is_the_sum_of_the_ledger(ledger: Cloud, olga: Person, ava: Person) -> None:
    await ava.generate(order())
    report = await spend(olga, by="department,user,model,day", department="marketing")
    entries = await entries_of(ledger, f"marketing|{THIS_MONTH}")
    assert report["total"]["entries"] == len(entries)
    booked = sum(entry["amount_micros"] for entry in entries)
    assert report["total"]["amount_micros"] == booked
    assert sum(row["spend"]["amount_micros"] for row in report["rows"]) == booked
    budget = (await olga.get("/budgets/department:marketing")).json()
    assert budget["spent_micros"] == booked


async def test_csv_of_spend_adds_up_like_its_json(mia: Person, ava: Person) -> None:
    await ava.generate(order())
    answer = await mia.get("/reports/spend", {"by": "user", "format": "csv", **TOMORROW})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    report = await spend(mia, by="user")
    total = sum(int(line["amount_micros"]) for line in lines)
    assert total == report["total"]["amount_micros"]


async def test_everyone_sees_what_concerns_them(ava: Person, ben: Person, mia: Person) -> None:
    await ben.generate(order())
    own, department = await spend(ava, by="user"), await spend(mia, by="user")
    assert len(own["rows"]) <= 1
    assert len(department["rows"]) >= 2
    (await ava.get("/reports/spend", {"department": "design"})).problem(404, "not_found")
    (await mia.get("/reports/finance", {"department": "design"})).problem(404, "not_found")
    for path in ("/reports/burn-down", "/reports/anomalies", "/reports/finance", "/statements"):
        (await ava.get(path)).problem(403, "policy_denied")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"by": "weather"}, "/by"),
        ({"by": "day,day"}, "/by"),
        ({"since": "1"}, "/since"),
        ({"since": "2020-01-01"}, "/until"),
        ({"department": "Ünknown"}, "/department"),
        ({"format": "pdf"}, "/format"),
    ],
)
async def test_report_that_cannot_be_made_answers_422(
    olga: Person, wanted: dict[str, str], field: str
) -> None:
    answer = await olga.get("/reports/spend", wanted)
    answer.problem(422, "invalid")
    assert answer.fields() == {field}


async def test_young_department_gets_no_forecast_but_the_reason(mia: Person, ava: Person) -> None:
    await ava.generate(order())
    report = (await mia.get("/reports/burn-down")).json()
    assert report["forecast"] is None
    assert report["no_forecast_because"].startswith("Not enough history")
    assert report["spent_micros"] > 0
    assert (await mia.get("/reports/anomalies")).json()["items"] == []


async def test_finance_page_is_one_file_within_its_policy(mia: Person, ava: Person) -> None:
    ended = await ava.generate(order())
    answer = await mia.get("/reports/finance")
    page = answer.content.decode()
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in page and " style=" not in page
    assert page.count("<svg") >= 2
    assert ended["requested_by"] in page
    assert "Not enough to go on" in page


async def test_running_period_is_not_closed(olga: Person, ava: Person) -> None:
    await ava.generate(order())
    body = {"department": "marketing", "period": THIS_MONTH}
    (await olga.post("/statements", body)).problem(409, "period_running")


async def test_only_an_org_admin_closes(mia: Person) -> None:
    body = {"department": "marketing", "period": LAST_MONTH}
    (await mia.post("/statements", body)).problem(403, "policy_denied")


async def test_period_is_closed_once_and_stays_as_it_was_issued(
    own_cloud: Cloud, archive: Partition, olga: Person
) -> None:
    path = f"/statements/{DEPARTMENT}/{LAST_MONTH}"
    (await olga.get(path)).problem(404, "not_found")
    body = {"department": DEPARTMENT, "period": LAST_MONTH}
    issued = (await olga.post("/statements", body)).json()
    entries = await entries_of(own_cloud, archive.key)
    booked = sum(entry["amount_micros"] for entry in entries)
    assert issued["totals"]["amount_micros"] == booked == 2 * PRICE
    assert (await olga.post("/statements", body)).json() == issued
    shown = (await olga.get("/statements", {"department": DEPARTMENT})).json()["items"]
    assert [each["statement"] for each in shown if each["period"] == LAST_MONTH] == [issued]

    document = (await olga.get(path)).json()
    assert sum(line["x_AmountMicros"] for line in document["lines"]) == booked
    for line in document["lines"]:
        assert line["BillingCurrency"] == "AUD"
        assert line["BillingPeriodStart"] == f"{LAST_MONTH[:4]}-{LAST_MONTH[4:]}-01T00:00:00Z"
        assert line["BilledCost"] == "0.060000"
    answer = await olga.get(path, {"format": "csv"})
    assert hashlib.sha256(answer.content).hexdigest() == issued["csv_sha256"]
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {line["x_EntryId"] for line in lines} == {entry["id"] for entry in entries}
    stored = await own_cloud.result_file(f"statements/{DEPARTMENT}", f"{LAST_MONTH}.csv")
    assert stored == answer.content

    page = await olga.get("/reports/finance", {"department": DEPARTMENT, "period": LAST_MONTH})
    assert issued["lines_sha256"] in page.content.decode()
    events = await own_cloud.documents("audit")
    waiting = await own_cloud.documents("ledger", "c.type = 'outbox'")
    actions = [
        each["event"]["action"]
        for each in [*events, *waiting]
        if each["event"]["object_id"] == f"{DEPARTMENT}-{LAST_MONTH}"
    ]
    assert sorted(set(actions)) == ["statement.issued", "statement.sealed"]
    assert json.loads(json.dumps(document["statement"]))["closed_at"] == issued["closed_at"]
