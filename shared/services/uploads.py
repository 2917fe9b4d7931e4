"""Files dropped into the upload container: a slot per file, a batch per file version."""

import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_files import BatchRow, errors_csv, file_format_of, parse_batch_file
from shared.domain.batch_plans import Acceptance, BatchSource
from shared.domain.budgets import Charge
from shared.domain.identity import (
    CLAIM_BY_ROLE,
    ROLE_BY_CLAIM,
    Caller,
    Permission,
    Principal,
    Reach,
    require,
    require_reach,
)
from shared.domain.ids import Partition, operation_id, partition_of
from shared.domain.ledger import Document, partition_for
from shared.domain.users import caller_of
from shared.domain.views import UploadSlotView
from shared.domain.work import owner_of
from shared.errors import FieldFault, NotFound, PolicyDenied, Rejected
from shared.ports import (
    BatchFiles,
    Clock,
    Directory,
    Orchestrations,
    Records,
    UploadedFile,
    Uploads,
)
from shared.services.batch_admission import BatchOrder
from shared.services.batch_planning import ERRORS_FILE
from shared.services.batches import NO_BATCHES, Batches
from shared.services.calendars import Calendars

SLOT_LIFETIME = timedelta(hours=1)
SOURCE_KIND = "upload"

logger = logging.getLogger("eig.uploads")


@dataclass(frozen=True)
class UploadSlots:
    """Hands out upload links and turns what arrives into batches."""

    uploads: Uploads
    records: Records
    files: BatchFiles
    directory: Directory
    calendars: Calendars
    batches: Batches
    clock: Clock

    async def create(
        self,
        caller: Caller,
        file_name: str,
        charge: Charge,
        acceptance: Acceptance,
        correlation_id: str,
    ) -> UploadSlotView:
        """A write-only link for one file, bound to the caller and to who will pay for it."""
        require_reach(caller, Permission.BATCHES_CREATE, Reach.OWN, NO_BATCHES)
        file_format_of(file_name)
        now = self.clock.now()
        partition = await self.calendars.partition(caller.department_id)
        slot_id = operation_id(partition, "slot", self.clock.new_id())
        expires_at = now + SLOT_LIFETIME
        slot = {
            "id": f"slot:{slot_id}",
            "pk": partition.key,
            "type": "slot",
            "slot_id": slot_id,
            "file_name": file_name,
            "tenant_id": caller.tenant_id,
            "object_id": caller.principal.object_id,
            "user_key": caller.key,
            "role": CLAIM_BY_ROLE[caller.role],
            "kind": caller.principal.kind,
            "department_id": caller.department_id,
            "project_id": charge.project_id,
            "cost_centre_id": charge.cost_centre_id,
            "acceptance": acceptance,
            "created_at": now.isoformat(),
            "expires_at": expires_at.isoformat(),
        }
        event = AuditEvent(
            action="slot.created",
            object_id=slot_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=now.isoformat(),
            correlation_id=correlation_id,
        )
        await self.records.create_slot(slot, event)
        link = await self.uploads.slot_link(slot_id, file_name, expires_at)
        return _slot_view(slot, link)

    async def get(self, caller: Caller, slot_id: str) -> UploadSlotView:
        """A slot the caller may see, and the batches that its files became."""
        slot = await self.records.slot(slot_id) if partition_of(slot_id) else None
        if slot is None:
            raise NotFound("There is no such upload slot.")
        require(caller, Permission.BATCHES_READ, owner_of(slot), "upload slot")
        # A file may arrive in the period after its slot was made: the batch then lives there.
        made_in = partition_for(slot_id)
        calendar = await self.calendars.of(made_in.department_id)
        after = Partition(made_in.department_id, calendar.following(made_in.period))
        batches = await self.records.batches_of_slot(slot_id, [made_in, after])
        return _slot_view(slot, None, tuple(batch["batch_id"] for batch in batches))

    async def accept(self, path: str, correlation_id: str, orchestrations: Orchestrations) -> None:
        """Start the batch of a file at `{slot}/{name}`, or write down why it cannot start.

        A file that cannot be used never raises, so that it is not delivered again and again.
        """
        slot_id, _, file_name = path.partition("/")
        slot = await self.records.slot(slot_id) if partition_of(slot_id) else None
        if slot is None:
            await self._refuse_unclaimed(path)
            return
        file = await self.uploads.open(path)
        if file is None:
            return  # deleted since: there is nothing to charge anybody for
        try:
            order = await self._order(slot, file_name, file, correlation_id)
            if await self.records.batch(order.batch_id) is None:
                logger.info("upload accepted", extra={"batch_id": order.batch_id})
            try:
                await self.batches.submit(await self._by_owner_of_today(order), orchestrations)
            except Rejected as refusal:
                logger.info("upload rejected", extra={"code": refusal.problem_code})
                await self._write_errors(order.batch_id, refusal)
                await self.batches.reject(order, refusal)
        finally:
            file.stream.close()

    async def _by_owner_of_today(self, order: BatchOrder) -> BatchOrder:
        """The order under what its owner may do now: the file may come long after its link."""
        principal = order.caller.principal
        caller = caller_of(principal, await self.directory.user(principal))
        if caller.department_id != order.caller.department_id:
            raise PolicyDenied(
                "The owner of the upload slot no longer belongs to its department.",
                code="unknown_user",
            )
        return replace(order, caller=caller)

    async def _order(
        self, slot: Document, file_name: str, file: UploadedFile, correlation_id: str
    ) -> BatchOrder:
        role, kind = ROLE_BY_CLAIM[slot["role"]], slot["kind"]
        principal = Principal(slot["tenant_id"], slot["object_id"], role, kind)
        slot_id = slot["slot_id"]
        # The file's own time, not ours: a file that is delivered again keeps its batch id.
        calendar = await self.calendars.of(slot["department_id"])
        partition = Partition(slot["department_id"], calendar.period_at(file.last_modified))
        batch_id = operation_id(partition, SOURCE_KIND, slot_id, file_name, file.etag)

        def read_rows() -> Iterator[BatchRow]:
            return parse_batch_file(file.stream, file_format_of(file_name))

        caller = Caller(principal, slot["department_id"])
        return BatchOrder(
            caller=caller,
            charge=caller.charge(slot["project_id"], slot["cost_centre_id"]),
            batch_id=batch_id,
            source=BatchSource(SOURCE_KIND, slot_id, file_name, file.etag),
            content_hash=f"{slot_id}/{file_name}@{file.etag}",
            read_rows=read_rows,
            correlation_id=correlation_id,
            acceptance=slot["acceptance"],
        )

    async def _refuse_unclaimed(self, path: str) -> None:
        logger.warning("upload outside any slot")
        folder = f"unclaimed/{hashlib.sha256(path.encode()).hexdigest()[:32]}"
        refusal = NotFound("The file is in no upload slot; ask for one and use its link.")
        await self._write_errors(folder, refusal)

    async def _write_errors(self, folder: str, refusal: Rejected) -> None:
        faults = refusal.faults or (FieldFault("", refusal.detail),)
        line = int(refusal.extra.get("line") or 0)
        row = BatchRow(row=0, line=line, item_id="", request=None, faults=tuple(faults))
        await self.files.put_result(
            folder, ERRORS_FILE, "text/csv; charset=utf-8", _encoded(errors_csv([row]))
        )


def _slot_view(
    slot: Document, upload_url: str | None, batch_ids: tuple[str, ...] = ()
) -> UploadSlotView:
    return UploadSlotView(
        id=slot["slot_id"],
        file_name=slot["file_name"],
        upload_url=upload_url,
        expires_at=slot["expires_at"],
        batch_ids=batch_ids,
    )


async def _encoded(lines: Iterator[str]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line.encode()
