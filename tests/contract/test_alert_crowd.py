"""64 spenders on the emulator, through the real SDK: lost answers, dead noters, one alert each."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_alert_channels import CosmosAlertChannels
from shared.adapters.cosmos_alerts import CosmosAlerts
from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.budgets import Scope
from shared.domain.ids import operation_id
from shared.errors import Unavailable
from shared.services.admission import Admission
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from tests import builders
from tests.builders import PARTITION
from tests.contract.cosmos_account import Account, open_account
from tests.fakes.alerts import FakeAlertOrchestrations
from tests.fakes.clock import FakeClock
from tests.fakes.directory import FakeDirectory

SPENDERS, WORKERS = 64, 4
PRICE_MICROS = 10_000
DEAD_EVERY = 5  # every fifth spender's worker dies between the reservation and its alerts
SENDS_MAX = 10


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        if opened.emulator is None:
            pytest.skip("loses answers on purpose: needs the emulator")
        database = await opened.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        yield opened


class Worker:
    """The shipped services of one worker, with a connection and a memory of its own."""

    def __init__(self, account: Account) -> None:
        self.connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        clock, directory = FakeClock(), FakeDirectory(departments=[PARTITION.department_id])
        self.ledger = CosmosLedger(self.connection)
        self.alerts = Alerts(
            CosmosAlerts(self.connection), CosmosAlertChannels(self.connection), directory, clock
        )
        policies = CosmosBudgetPolicies(self.connection)
        calendars = Calendars(policies, directory, clock)
        periods = BudgetPeriods(policies, calendars, clock)
        self.admission = Admission(self.ledger, calendars, periods, clock, self.alerts)

    async def spend(self, number: int) -> None:
        """One request, sent until there is an answer."""
        caller = builders.caller(number % 3)
        work = builders.item(
            operation_id(PARTITION, str(number)), quote=builders.quote(PRICE_MICROS), owner=caller
        )
        reservation = builders.reservation(work)
        for _ in range(SENDS_MAX):
            try:
                if number % DEAD_EVERY == 0:
                    await self.ledger.reserve(reservation)
                else:
                    await self.admission.reserve(caller, reservation)
            except Unavailable:
                continue
            return
        raise AssertionError("no answer")


async def lose_answers(account: Account) -> None:
    fault = {"match": "POST .*/ledger/docs", "kind": "answer_lost", "probability": 0.1, "seed": 7}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{account.endpoint}/_control/faults", json=fault) as answer,
    ):
        assert answer.status < 300, await answer.text()


async def test_a_crowd_on_the_emulator_raises_each_threshold_once(account: Account) -> None:
    workers = [Worker(account) for _ in range(WORKERS)]
    share = -(-SPENDERS // 3) * PRICE_MICROS
    limits = {Scope("user", builders.caller(n).key): share for n in range(3)}
    limits[Scope("department", PARTITION.department_id)] = SPENDERS * PRICE_MICROS
    await builders.open_budgets(workers[0].connection, PARTITION, limits)
    await lose_answers(account)
    await asyncio.gather(*(workers[n % WORKERS].spend(n) for n in range(SPENDERS)))
    await asyncio.gather(
        *(each.alerts.sweep([PARTITION], FakeAlertOrchestrations()) for each in workers)
    )
    await workers[0].alerts.sweep([PARTITION], FakeAlertOrchestrations())
    container = await workers[0].connection.container("ledger")
    found = [
        each
        async for each in container.query_items(
            "SELECT c.id, c.type FROM c WHERE c.type IN ('alert', 'outbox')",
            partition_key=PARTITION.key,
        )
    ]
    raised = Counter(each["id"] for each in found if each["type"] == "alert")
    noted = [each["id"] for each in found if each["id"].endswith(":budget.alert")]
    department = f"alert:department:{PARTITION.department_id}"
    people = [f"alert:user:{builders.caller(n).key}" for n in range(3)]
    expected = {f"{department}:{t}" for t in (80, 90, 100)}
    expected |= {f"{person}:{t}" for person in people for t in (80, 90)}
    expected |= {f"{people[0]}:100"}  # 22 requests, the others 21
    assert set(raised) == expected
    assert len(noted) == len(set(noted)) == len(expected)
    for worker in workers:
        await worker.connection.aclose()
