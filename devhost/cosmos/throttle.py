"""Throttling to a provisioned throughput, as a bucket of one second's request units."""

from __future__ import annotations

import math
from collections.abc import Callable

from devhost.cosmos.errors import RU_BUDGET_EXCEEDED, ServiceError


class Throttle:
    """Admits requests while the bucket is not empty; the last one may overdraw it.

    `provisioned_ru` is RU per second; None admits everything.
    """

    def __init__(self, provisioned_ru: float | None, monotonic: Callable[[], float]) -> None:
        self._provisioned_ru = provisioned_ru
        self._monotonic = monotonic
        self._level = provisioned_ru or 0.0
        self._filled_at = monotonic()

    def admit(self) -> None:
        """Raises 429 with the time after which a request would be admitted."""
        rate = self._provisioned_ru
        if rate is None:
            return
        now = self._monotonic()
        self._level = min(rate, self._level + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._level <= 0:
            wait_ms = math.ceil(-self._level / rate * 1000) + 1
            raise ServiceError(
                429,
                "Request rate is large. More Request Units may be needed, so no changes were made.",
                substatus=RU_BUDGET_EXCEEDED,
                headers={"x-ms-retry-after-ms": str(wait_ms)},
            )

    def charge(self, request_units: float) -> None:
        self._level -= request_units
