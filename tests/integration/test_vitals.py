"""The timer that measures, on the running database, with the exporter in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from functions.timer_vitals import measure_vitals
from shared import wiring
from shared.domain import vitals
from shared.metrics import Metrics
from shared.settings import load_settings
from shared.wiring import Services
from tests.integration.api import Person, order
from tests.integration.cloud import Cloud


def exported(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], int]]]:
    data: Any = reader.get_metrics_data()
    return {
        metric.name: [(dict(each.attributes), each.max) for each in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.fixture
def measured(own_cloud: Cloud) -> Iterator[tuple[Services, InMemoryMetricReader]]:
    """The app's own services on the stack's settings, with metrics that stay here."""
    reader = InMemoryMetricReader()
    services = Services(load_settings(own_cloud.environment))
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    services.__dict__["metrics"] = Metrics(None, provider)
    wiring.install(services)
    yield services, reader
    wiring.install(None)
    provider.shutdown()


async def test_timer_publishes_what_the_ledger_says(
    own_cloud: Cloud, ava: Person, measured: tuple[Services, InMemoryMetricReader]
) -> None:
    services, reader = measured
    await ava.generate(order())
    await measure_vitals._function.get_user_function()(None)
    await services.aclose()
    found = exported(reader)
    assert set(found) == set(vitals.GAUGES)
    budgets = await own_cloud.documents(
        "ledger", "c.type = 'budget' AND c.scope_kind = 'department'"
    )
    spent = {each["pk"]: each["spent_micros"] for each in budgets}
    told = {
        f"{attributes['department']}|{attributes['period']}": value
        for attributes, value in found[vitals.BUDGET_SPENT]
    }
    assert max(told.values()) > 0
    assert told.items() <= spent.items()
    assert {value for _, value in found[vitals.AUDIT_LAG]} <= set(range(60))
