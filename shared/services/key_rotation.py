"""Moves all data keys, of every tenant, to the newest wrapping key, while the app goes on."""

import logging
from dataclasses import dataclass
from typing import Final

from shared.domain.data_keys import DataKey, data_key_event
from shared.errors import EigError
from shared.ports import Clock
from shared.ports.field_keys import DataKeys, KeyWrapper

PAGE_KEYS: Final = 100  # read at a time; one after the other is re-wrapped, far below any limit

logger = logging.getLogger("eig.key_rotation")


@dataclass
class RotationReport:
    """What one run did: `left` keys still need an older version of the wrapping key."""

    kek: str
    rewrapped: int = 0
    left: int = 0


@dataclass(frozen=True)
class KeyRotation:
    """Each key is re-wrapped alone, on the condition that it stands as it was read.

    Texts do not change, so whoever reads meanwhile uses the old or the new wrapping of the same
    key. A run that died is run again; a run with nothing to do changes nothing.
    """

    keys: DataKeys
    wrapper: KeyWrapper
    clock: Clock

    async def run(self) -> RotationReport:
        """Re-wrap what an older version wraps; the old version may go when nothing is left."""
        report = RotationReport(await self.wrapper.newest())
        after = ""
        while True:  # each turn begins after the last person of the one before
            page = await self.keys.wrapped_otherwise(report.kek, after, PAGE_KEYS)
            for key in page:
                await self._rewrap(key, report)
            if len(page) < PAGE_KEYS:
                return report
            after = page[-1].subject.user_key

    async def _rewrap(self, key: DataKey, report: RotationReport) -> None:
        if key.wrapped is None:
            return
        try:
            secret = await self.wrapper.unwrap(key.wrapped)
            wrapped = await self.wrapper.wrap(secret)
            after = key.rewrapped(wrapped)
            now = self.clock.now().isoformat()
            event = data_key_event(after, f"rewrapped.{after.revision}", now, self.clock.new_id())
            done = wrapped.kek == report.kek and await self.keys.rewrap(key, wrapped, event)
        except EigError:  # one key that cannot be unwrapped must not keep the others
            logger.exception("a data key was not re-wrapped")  # not whose: that is a person
            done = False
        if done:
            report.rewrapped += 1
        else:
            report.left += 1
