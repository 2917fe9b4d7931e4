"""Whether this worker can reach what it needs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from shared.domain.views import HealthView

CHECK_TIMEOUT_S = 5.0

Check = Callable[[], Awaitable[object]]
logger = logging.getLogger("eig.health")


@dataclass(frozen=True)
class Health:
    """Readiness checks by name, each one cheap read, and the age of what must be renewed."""

    checks: Mapping[str, Check]
    ages: Mapping[str, Callable[[], bool]]  # True when somebody should renew it; work goes on

    async def ready(self) -> HealthView:
        """Run all checks at once; a check that raises or takes too long has failed."""
        names = list(self.checks)
        results = await asyncio.gather(*(self._passes(name) for name in names))
        found: dict[str, Literal["ok", "stale", "failed"]] = {
            name: "ok" if passed else "failed" for name, passed in zip(names, results, strict=True)
        }
        for name, is_stale in self.ages.items():
            found[name] = "stale" if is_stale() else "ok"
        return HealthView(status="ok" if all(results) else "degraded", checks=found)

    async def _passes(self, name: str) -> bool:
        try:
            await asyncio.wait_for(self.checks[name](), CHECK_TIMEOUT_S)
        except Exception:
            logger.warning("readiness check failed", extra={"code": name}, exc_info=True)
            return False
        return True
