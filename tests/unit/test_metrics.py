import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from shared.domain import vitals
from shared.domain.vitals import Reading
from shared.errors import InvariantBroken
from shared.metrics import Metrics

DELTA = AggregationTemporality.DELTA
MARKETING = {"department": "marketing", "period": "202611"}


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    found = InMemoryMetricReader({Counter: DELTA, Histogram: DELTA})  # as Azure's exporter asks
    yield found
    found.shutdown()


@pytest.fixture
def metrics(reader: InMemoryMetricReader) -> Metrics:
    return Metrics(None, MeterProvider(metric_readers=[reader], shutdown_on_exit=False))


def exported(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: [
            (dict(point.attributes or {}), point.value if hasattr(point, "value") else point.max)
            for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_gauge_shows_each_department(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    sales = MARKETING | {"department": "sales"}
    metrics.record([Reading(vitals.HOLDS_OPEN, 3, MARKETING), Reading(vitals.HOLDS_OPEN, 7, sales)])
    found = exported(reader)[vitals.HOLDS_OPEN]
    assert sorted(found, key=str) == [(MARKETING, 3), (sales, 7)]


def test_gauge_that_is_not_measured_again_is_not_sent_again(
    metrics: Metrics, reader: InMemoryMetricReader
) -> None:
    metrics.record([Reading(vitals.AUDIT_LAG, 90)])
    assert exported(reader)[vitals.AUDIT_LAG] == [({}, 90)]
    assert vitals.AUDIT_LAG not in exported(reader)


def test_attempts_are_counted_by_provider_and_ending(
    metrics: Metrics, reader: InMemoryMetricReader
) -> None:
    for ending in ("delivered", "delivered", "timeout"):
        metrics.count(vitals.PROVIDER_ATTEMPTS, provider="replicate", ending=ending)
    found = exported(reader)[vitals.PROVIDER_ATTEMPTS]
    assert {attributes["ending"]: value for attributes, value in found} == {
        "delivered": 2,
        "timeout": 1,
    }


def test_dimension_that_is_not_listed_is_refused(metrics: Metrics) -> None:
    with pytest.raises(InvariantBroken, match="user"):
        metrics.count(vitals.PROVIDER_ATTEMPTS, user="u-1")
    with pytest.raises(InvariantBroken, match="prompt"):
        metrics.record([Reading(vitals.AUDIT_LAG, 1, {"prompt": "a lighthouse"})])


def test_without_a_connection_values_are_taken_and_nothing_is_loaded() -> None:
    code = (
        "from shared.metrics import Metrics\n"
        "from shared.domain.vitals import AUDIT_LAG, PROVIDER_ATTEMPTS, Reading\n"
        "import sys\n"
        "before = set(sys.modules)\n"
        "off = Metrics(None)\n"
        "off.record([Reading(AUDIT_LAG, 1)]); off.count(PROVIDER_ATTEMPTS, provider='x')\n"
        "assert not off.is_on\n"
        "print([n for n in sys.modules if n.startswith(('opentelemetry', 'azure'))])\n"
        "assert set(sys.modules) == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_connection_turns_metrics_on_before_anything_is_loaded() -> None:
    on = Metrics("InstrumentationKey=00000000-0000-0000-0000-000000000000")
    assert on.is_on
