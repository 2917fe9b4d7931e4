"""Single generations: admit, show, list, wait for, cancel."""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import date

from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest, request_hash, resolve_request
from shared.domain.history import GenerationFilter, HistoryCursor, HistoryRange
from shared.domain.identity import (
    CLAIM_BY_ROLE,
    Caller,
    Ownership,
    Permission,
    Reach,
    require,
    require_reach,
)
from shared.domain.ids import Partition, operation_of, partition_of
from shared.domain.ledger import Document, Hold, Reservation, partition_for
from shared.domain.parked_work import WAITING
from shared.domain.policy_versions import policy_version
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.routes import route_in_audit
from shared.domain.routing import routed
from shared.domain.routing_policies import RoutingRules
from shared.domain.views import TERMINAL, GenerationList, GenerationView, generation_view
from shared.domain.work import WorkItem, owner_of
from shared.domain.would_fit import would_fit
from shared.errors import (
    BudgetExceeded,
    Conflict,
    Invalid,
    NotFound,
    PolicyDenied,
    Rejected,
    Unavailable,
)
from shared.ports import (
    Clock,
    Directory,
    Orchestrations,
    Records,
)
from shared.services.admission import Admission
from shared.services.attempts import Attempts
from shared.services.overage import Overage, Wanted
from shared.services.privacy import PrivacyScreen, Requester, ScreenedRequest
from shared.services.routing import Routing
from shared.services.settlements import Settlements
from shared.services.work import WorkItems

WAIT_PAUSE_S = 0.05
WAIT_PAUSE_S_MAX = 2.0
PAGES_PER_CALL_MAX = 36  # partitions looked at for one history page: bounds its cost
NO_GENERATIONS = "Your role does not generate pictures."
NO_SUCH = "There is no such generation."

logger = logging.getLogger("eig.generations")


@dataclass(frozen=True)
class Generations:
    """One picture request from admission to its end."""

    admission: Admission
    records: Records
    directory: Directory
    work: WorkItems
    attempts: Attempts
    settlements: Settlements
    catalogues: PriceCatalogues
    routing: Routing
    clock: Clock
    overage: Overage | None = None  # nobody to ask in proofs of money alone
    privacy: PrivacyScreen | None = None  # nothing to hide in such proofs

    async def submit(
        self,
        caller: Caller,
        request: GenerationRequest,
        charge: Charge,
        *,
        key: str | None,
        correlation_id: str,
        orchestrations: Orchestrations,
    ) -> GenerationView:
        """Screen, price, reserve, start; the same key and body give the same generation."""
        require_reach(caller, Permission.GENERATIONS_CREATE, Reach.OWN, NO_GENERATIONS)
        asked = self.asked_hash(caller, request, charge)
        generation_id = await self.admission.operation_id(caller, "generation", key)
        try:
            item, rules = await self._routed(caller, request, charge, generation_id, correlation_id)
        except (Invalid, PolicyDenied) as refusal:  # what was admitted before goes on
            if not await self._was_admitted(generation_id, asked):
                await self._note_no_route(caller, generation_id, correlation_id, refusal)
                raise
            return await self._replay(generation_id, orchestrations)
        screened = await self._screened(caller, generation_id, item.request, asked, correlation_id)
        if screened is None:
            return await self._replay(generation_id, orchestrations)
        held = policy_version(privacy=screened.policy_version, routing=rules.version)
        item = replace(item, request=screened.request, privacy=screened.kept, policy_version=held)
        wanted = _reservation(item, asked)
        try:
            reserved = await self.admission.reserve(caller, wanted, quietly=True)
        except BudgetExceeded as refusal:
            return await self._beyond_budget(caller, item, refusal, orchestrations, asked=asked)
        if reserved:
            await self._start(generation_id, orchestrations)
            return generation_view(item.record())
        return await self._replay(generation_id, orchestrations)

    async def is_awaited(self, caller: Caller, key: str, answered_since: str) -> bool:
        """Whether whoever asked under a key may still be without an answer.

        So it is if nothing was admitted (yet), while it goes on, and for a while after its end.
        """
        generation_id = await self.admission.operation_id(caller, "generation", key)
        record = await self.records.generation(generation_id)
        ended_at = record["completed_at"] if record else None
        return ended_at is None or ended_at >= answered_since

    async def get(self, caller: Caller, generation_id: str) -> GenerationView:
        """One generation the caller may see; NotFound for everything else."""
        return await self._shown(await self._visible(caller, generation_id))

    async def wait(self, caller: Caller, generation_id: str, seconds: int) -> GenerationView:
        """Like `get`, after `seconds` or as soon as it has ended, or waits for something longer."""
        deadline = asyncio.get_running_loop().time() + seconds
        pause_s = WAIT_PAUSE_S
        record = await self._visible(caller, generation_id)
        settled = TERMINAL | WAITING
        while record["status"] not in settled and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, WAIT_PAUSE_S_MAX)
            record = await self._visible(caller, generation_id)
        return await self._shown(record)

    async def cancel(
        self, caller: Caller, generation_id: str, correlation_id: str
    ) -> GenerationView:
        """Stop a generation before its provider is called; afterwards it is too late (409)."""
        record = await self._visible(caller, generation_id, Permission.GENERATIONS_CANCEL)
        if record["batch_id"]:
            raise Conflict("Cancel the batch instead.", code="part_of_batch")
        if record["status"] == "canceled":
            return generation_view(record)
        if record["status"] in WAITING and self.overage is not None:
            if await self.overage.cancel(caller, record, correlation_id):
                return await self.get(caller, generation_id)
            raise Conflict("It is being started; try again.", code="already_started")
        if record["status"] != "queued":
            raise Conflict("It has ended already.", code="already_ended")
        item = await self.work.find(generation_id)
        report = await self.attempts.cancel(item)
        if report is None:
            raise Conflict("The provider is working on it already.", code="already_submitted")
        event = AuditEvent(
            action="generation.cancel_requested",
            object_id=generation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
        )
        await self.admission.ledger.note_event(partition_for(generation_id), event)
        await self.settlements.settle(item.operation_id, [report])
        return await self.get(caller, generation_id)

    async def history(
        self,
        caller: Caller,
        wanted: GenerationFilter,
        *,
        since: date | None,
        until: date | None,
        continuation: str | None,
        limit: int,
    ) -> GenerationList:
        """One page of what the caller may see, month by month, newest first within each."""
        wanted = replace(wanted, tenant_id=caller.tenant_id)
        window = HistoryRange.of(since, until, self.clock.now().date())
        if caller.reach(Permission.GENERATIONS_READ) < Reach.DEPARTMENT:
            if wanted.user_key not in (None, caller.key):
                return GenerationList(items=(), continuation=None)
            wanted = replace(wanted, user_key=caller.key)
        departments = [caller.department_id]
        if caller.reach(Permission.GENERATIONS_READ) >= Reach.ORGANISATION:
            departments = sorted(await self.directory.departments())
        calendars = [await self.admission.calendars.of(each) for each in departments]
        oldest = [calendar.period_of_month(window.oldest) for calendar in calendars]
        window = replace(window, oldest=min(oldest, default=window.oldest))
        cursor = HistoryCursor.parse(continuation, window, departments)
        found: list[GenerationView] = []
        for _ in range(PAGES_PER_CALL_MAX):
            if cursor is None or len(found) >= limit:
                break
            page = await self.records.generations(
                Partition(cursor.department_id, cursor.period),
                wanted,
                cursor.store_token,
                limit - len(found),
            )
            found += [generation_view(document) for document in page.documents]
            cursor = cursor.after(page.continuation, window, departments)
        return GenerationList(items=tuple(found), continuation=cursor.text() if cursor else None)

    def asked_hash(self, caller: Caller, request: GenerationRequest, charge: Charge) -> str:
        """What a repeat under the same key must match: the request and its payers as asked for.

        The texts are in it by their keyed hashes: nobody can guess what the screen has covered.
        A model that is named gives its own defaults; who serves the rest may differ each time.
        """
        wanted = request if request.is_routed else resolve_request(request)[0]
        fields = wanted.model_dump(mode="json", exclude=None if request.is_routed else {"routing"})
        if self.privacy is not None:
            fields |= self.privacy.keyed_texts(request)
        return request_hash("generation", fields, caller.named_payers(charge))

    async def _routed(
        self,
        caller: Caller,
        request: GenerationRequest,
        charge: Charge,
        generation_id: str,
        correlation_id: str,
    ) -> tuple[WorkItem, RoutingRules]:
        """The work that a request makes, at the prices and on the route of this moment.

        With it the rules that the route was found by.
        """
        now = self.clock.now()
        around = await self.routing.surroundings(caller, now)
        route = routed(request, around)
        wanted = route.candidates[0].request(request)
        item = WorkItem(
            generation_id=generation_id,
            request=wanted,
            quote=around.quote(wanted, 0),
            owner=Ownership(caller.tenant_id, caller.department_id, caller.key),
            actor_role=CLAIM_BY_ROLE[caller.role],
            correlation_id=correlation_id,
            created_at=now.isoformat(),
            project_id=charge.project_id,
            cost_centre_id=charge.cost_centre_id,
            planned_route=route,
        )
        return item, around.rules

    async def _note_no_route(
        self, caller: Caller, generation_id: str, correlation_id: str, refusal: Rejected
    ) -> None:
        """Leave an audit event where somebody's rules, and not the request, were in the way."""
        if isinstance(refusal, Invalid) and refusal.problem_code != "no_candidate":
            return
        excluded = refusal.extra.get("excluded", ())
        event = AuditEvent(
            action=f"routing.denied.{self.clock.new_id()}",
            object_id=generation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=refusal.problem_code,
            details={
                "model": refusal.extra.get("model"),
                "excluded": ",".join(f"{each['model']}:{each['code']}" for each in excluded),
            },
        )
        await self.admission.ledger.note_event(partition_for(generation_id), event)

    async def _was_admitted(self, generation_id: str, asked: str) -> bool:
        hold = await self.admission.ledger.hold(generation_id)
        return hold is not None and hold.request_hash == asked

    async def _screened(
        self,
        caller: Caller,
        generation_id: str,
        request: GenerationRequest,
        asked: str,
        correlation_id: str,
    ) -> ScreenedRequest | None:
        """The request as it may leave; None if it was admitted before, whatever holds now."""
        if self.privacy is None:
            return ScreenedRequest(request)
        who = Requester.of(caller, generation_id, correlation_id)
        screened = await self.privacy.screen(who, request)
        if screened.refusal is not None and await self._was_admitted(generation_id, asked):
            return None
        await self.privacy.note(who, screened)
        if screened.refusal is not None:
            raise screened.refusal
        return screened

    async def _beyond_budget(
        self,
        caller: Caller,
        item: WorkItem,
        refusal: BudgetExceeded,
        orchestrations: Orchestrations,
        *,
        asked: str,
    ) -> GenerationView:
        """Let it wait if its budgets say so; otherwise refuse, and say what would fit."""
        wanted = Wanted(
            kind="generation",
            operation_id=item.generation_id,
            correlation_id=item.correlation_id,
            summary={"model": item.request.model, "count": item.request.count},
            reservation=lambda new_id: _reservation(replace(item, generation_id=new_id), asked),
        )
        waits_under = None
        if self.overage is not None:
            waits_under = await self.overage.take(caller, refusal, wanted, orchestrations)
        if waits_under is not None:
            return await self._replay(waits_under, orchestrations)
        await self.admission.note_denial(caller, _reservation(item, asked), refusal)
        available_micros = int(refusal.extra.get("available_micros") or 0)
        catalogue = self.catalogues.at(self.clock.now())
        refusal.extra["would_fit"] = would_fit(item.request, catalogue, available_micros)
        raise refusal

    async def _replay(self, generation_id: str, orchestrations: Orchestrations) -> GenerationView:
        record = await self.records.generation(generation_id)
        if record is None and self.overage is not None:
            moved_to = await self.overage.followed(generation_id, orchestrations)
            record = await self.records.generation(moved_to) if moved_to else None
        if record is None:
            raise Unavailable("The generation could not be read yet.", retry_after_s=1)
        if record["status"] == "queued":  # the first answer may have died before the start
            await self._start(generation_id, orchestrations)
        return generation_view(record)

    async def _start(self, generation_id: str, orchestrations: Orchestrations) -> None:
        """Start it, or leave that to the sweep: the money is reserved, so it will be done."""
        try:
            await orchestrations.start_generation(generation_id)
        except Exception:
            logger.exception("start left to the sweep", extra={"generation_id": generation_id})

    async def _shown(self, record: Document) -> GenerationView:
        """A record as its owner sees it: running from its first attempt on."""
        started = (
            record["status"] == "queued"
            and await self.records.attempt(record["generation_id"], 1) is not None
        )
        return generation_view(record, started=started)

    async def _visible(
        self,
        caller: Caller,
        generation_id: str,
        permission: Permission = Permission.GENERATIONS_READ,
    ) -> Document:
        if partition_of(generation_id) is None:
            raise NotFound(NO_SUCH)
        record = await self.records.generation(generation_id)
        if record is None:
            raise NotFound(NO_SUCH)
        require(caller, permission, owner_of(record), "generation")
        return record


def _reservation(item: WorkItem, asked: str) -> Reservation:
    owner = item.owner
    hold = Hold(
        operation_id=operation_of(item.generation_id),
        rows=1,
        amount_micros=item.quote.amount_micros,
        usd_micros=item.quote.usd_micros,
        scopes=item.charge.scopes(),
        request_hash=asked,
        tenant_id=owner.tenant_id,
        user_key=owner.user_key,
        created_at=item.created_at,
    )
    event = AuditEvent(
        action="generation.admitted",
        object_id=item.generation_id,
        actor=owner.user_key,
        actor_role=item.actor_role,
        outcome="success",
        occurred_at=item.created_at,
        correlation_id=item.correlation_id,
        details={
            "model": item.request.model,
            "reserved_micros": item.quote.amount_micros,
            "price_version": item.quote.price_version,
            "exchange_rate_version": item.quote.exchange_rate_version,
            "policy_version": item.policy_version,
            **route_in_audit(item.route),
        },
    )
    return Reservation(hold=hold, record=item.record(), event=event)
