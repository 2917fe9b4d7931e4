"""Metrics through OpenTelemetry to Application Insights; nothing is imported while they are off."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from shared.domain.vitals import COUNTERS, DIMENSIONS, GAUGES, Reading
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, MeterProvider

EXPORT_INTERVAL_MS: Final = 60_000  # gauges are measured once a minute
logger = logging.getLogger("eig.metrics")


class Metrics:
    """Takes readings and counts; without a connection it takes them and does nothing.

    The host sends requests, traces and logs to the same place by itself; only what it cannot know
    goes this way. The SDK is loaded by the first value and costs a worker some 0.4 s once.
    """

    def __init__(self, connection: str | None, provider: "MeterProvider | None" = None) -> None:
        """`provider` takes the place of Application Insights, for tests."""
        self._connection = connection
        self._provider = provider
        self._gauges: dict[str, Histogram] = {}
        self._counters: dict[str, Counter] = {}

    @property
    def is_on(self) -> bool:
        """Whether anybody looks at the values; if not, they need not be measured."""
        return bool(self._connection or self._provider)

    def record(self, readings: Iterable[Reading]) -> None:
        """Take the present values of gauges."""
        if not self.is_on:
            return
        self._open()
        for reading in readings:
            self._gauges[reading.name].record(reading.value, _checked(dict(reading.attributes)))

    def count(self, name: str, **attributes: str) -> None:
        """Add one to a counter."""
        if not self.is_on:
            return
        self._open()
        self._counters[name].add(1, _checked(attributes))

    def _open(self) -> None:
        if self._gauges:
            return
        if self._provider is None:
            self._provider = _to_application_insights(str(self._connection))
        meter = self._provider.get_meter("eig")
        self._counters = {name: meter.create_counter(name) for name in COUNTERS}
        # The exporter repeats a gauge for as long as the worker lives, and the timer that measures
        # moves from worker to worker: old values would stand beside new ones. A histogram does not.
        self._gauges = {name: meter.create_histogram(name) for name in GAUGES}


def _checked(attributes: dict[str, str]) -> dict[str, str]:
    unknown = set(attributes) - set(DIMENSIONS)
    if unknown:
        raise InvariantBroken(f"Metrics have no dimension {', '.join(sorted(unknown))}.")
    return attributes


def _to_application_insights(connection: str) -> "MeterProvider":
    """Exports by the app's identity; what cannot be sent is dropped, not kept on disk."""
    from azure.identity import DefaultAzureCredential
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    options: dict[str, Any] = {"disable_offline_storage": True}
    exporter = AzureMonitorMetricExporter(
        connection_string=connection, credential=DefaultAzureCredential(), **options
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EXPORT_INTERVAL_MS)
    return MeterProvider(metric_readers=[reader])
