"""Pictures as blobs in memory, and their records over the in-memory container of the ledger."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_picture_records import CosmosPictureRecords
from shared.domain.blob_paths import (
    HELD,
    HOLD_REVISION_TAG,
    HOLD_TAG,
    NOT_HELD,
    RETENTION_TAG,
    UNDECIDED,
    PictureName,
)
from shared.domain.budget_policies import policy_partition
from shared.domain.legal_holds import LegalHold, read_hold
from shared.domain.rehydrations import Rehydration, read_rehydration
from shared.domain.storage_prices import Priority
from shared.domain.storage_tiers import StoredBlob
from shared.errors import NotFound, Unavailable
from shared.ports import Clock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import NOT_DONE, Fault, Faults, NoFaults


class FakePictureStorage:
    """Blobs by picture; unlike Azurite, what is rehydrated takes until `arrive`."""

    def __init__(self, clock: Clock, faults: Faults | None = None) -> None:
        self.blobs: dict[PictureName, StoredBlob] = {}
        self.thumbnails: dict[PictureName, bytes] = {}
        self.started: list[tuple[PictureName, Priority]] = []
        self.touched: list[PictureName] = []
        self._clock = clock
        self._faults: Faults = faults or NoFaults()

    def arrive(self) -> None:
        """Everything that is on its way back is there."""
        now = self._clock.now()
        for name, blob in self.blobs.items():
            if blob.rehydrating:
                self.blobs[name] = replace(blob, tier="cold", rehydrating=False, tier_changed=now)

    async def state(self, picture: PictureName) -> StoredBlob | None:
        found: StoredBlob | None = await self._do("state", lambda: self.blobs.get(picture))
        return found

    async def rehydrate(self, picture: PictureName, priority: Priority) -> None:
        def start() -> None:
            if picture not in self.blobs:
                raise NotFound("The picture has been deleted.")
            self.blobs[picture] = replace(self.blobs[picture], rehydrating=True)
            self.started.append((picture, priority))

        await self._do("rehydrate", start)

    async def touch(self, picture: PictureName) -> None:
        self.touched.append(picture)

    async def set_hold(self, picture: PictureName, revision: int, *, held: bool) -> None:
        def tag() -> None:
            blob = self.blobs.get(picture)
            if blob is not None and int(blob.tags.get(HOLD_REVISION_TAG, 0)) <= revision:
                decided = {HOLD_TAG: HELD if held else NOT_HELD, HOLD_REVISION_TAG: str(revision)}
                self.blobs[picture] = replace(blob, tags={**blob.tags, **decided})

        await self._do("set_hold", tag)

    async def undecided(self) -> Sequence[PictureName]:
        return [n for n, blob in self.blobs.items() if blob.tags.get(RETENTION_TAG) == UNDECIDED]

    async def decide(self, picture: PictureName, retention: str) -> None:
        blob = self.blobs[picture]
        if blob.tags.get(RETENTION_TAG) == UNDECIDED:
            self.blobs[picture] = replace(blob, tags={**blob.tags, RETENTION_TAG: retention})

    async def pictures(self, department_id: str) -> AsyncIterator[StoredBlob]:
        for name, blob in self.blobs.items():
            if name.partition.department_id == department_id:
                yield blob

    async def thumbnail(self, picture: PictureName) -> bytes | None:
        return self.thumbnails.get(picture)

    async def put_thumbnail(self, picture: PictureName, content: bytes) -> None:
        self.thumbnails[picture] = content

    async def _do(self, call: str, work: Callable[[], Any]) -> Any:
        fault = await self._faults.next(call)
        if fault in NOT_DONE:
            raise Unavailable("The picture store did not answer.")
        found = work()
        if fault is Fault.LOST:
            raise Unavailable("The picture store did not answer.")
        if fault is Fault.CRASH_AFTER:
            raise self._faults.crash(call)
        return found


class FakePictureRecords(CosmosPictureRecords):
    """Point reads and writes are the adapter's; its queries are filters here."""

    def __init__(self, connection: FakeConnection, clock: Clock) -> None:
        super().__init__(connection.as_connection(), clock)
        self._scanned = connection.container("ledger")

    async def open_rehydrations(self, department_id: str) -> Sequence[Rehydration]:
        found = await self._scan(
            department_id, lambda d: d["type"] == "rehydration" and d["open"] is True
        )
        return [read_rehydration(each) for each in found]

    async def unapplied_holds(self, department_id: str) -> Sequence[LegalHold]:
        found = await self._scan(
            department_id, lambda d: d["type"] == "legal_hold" and d["applied"] is False
        )
        return [read_hold(each) for each in found]

    async def holds(self, department_id: str, after: str) -> Sequence[LegalHold]:
        found = await self._scan(department_id, lambda d: d["type"] == "legal_hold")
        behind = [hold for hold in map(read_hold, found) if hold.image_id > after]
        return sorted(behind, key=lambda hold: hold.image_id)

    async def _scan(self, department_id: str, wanted: Callable[[Any], bool]) -> Sequence[Any]:
        key = policy_partition(department_id).key
        return await answered(lambda: self._scanned.scan(key, wanted))
