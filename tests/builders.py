"""Arranges what tests need: callers, requests, work items, holds and how they end."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from shared.adapters.cosmos import LEDGER_CONTAINER, CosmosConnection, create_once
from shared.domain.attempt_markers import AttemptMarker, MarkerOwner
from shared.domain.attempts import AttemptReport, StoredImage
from shared.domain.audit_events import AuditEvent
from shared.domain.batch_plans import BatchSource, BatchTotals, batch_record
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope, budget_document, charged_scopes
from shared.domain.generations import GenerationRequest, request_hash, resolve_request
from shared.domain.identity import Caller, Ownership, Principal, Role
from shared.domain.ids import Partition, operation_id, operation_of, row_generation_id
from shared.domain.ledger import Hold, Reservation, Resolution
from shared.domain.price_catalogues import PriceCatalogues, parse_catalogues
from shared.domain.prices import PriceCatalogue, Quote
from shared.domain.routing import Surroundings
from shared.domain.settlements import resolution_for
from shared.domain.work import WorkItem
from shared.services.routing import EVERY_PROVIDER, Routing

TENANT = "11111111-1111-4111-8111-111111111111"
DEPARTMENT = "marketing"
PARTITION = Partition(DEPARTMENT, "202611")
CREATED_AT = datetime(2026, 11, 15, 12, tzinfo=UTC).isoformat()
CLOSED_AT = datetime(2026, 11, 15, 12, 1, tzinfo=UTC).isoformat()
_PRICES = Path(__file__).parent.parent / "shared" / "prices.json"


@cache
def catalogues() -> PriceCatalogues:
    """The price versions and exchange rates that ship."""
    return parse_catalogues(json.loads(_PRICES.read_text()))


def catalogue() -> PriceCatalogue:
    """What ships, as it is in force when the items here were admitted."""
    return catalogues().at(datetime.fromisoformat(CREATED_AT))


def surroundings(**changes: Any) -> Surroundings:
    """How things stand when nothing is in the way of any model."""
    values: dict[str, Any] = {
        "quote": catalogue().quote,
        "day": datetime.fromisoformat(CREATED_AT).date(),
        "configured": EVERY_PROVIDER,
    }
    return Surroundings(**(values | changes))


def routing() -> Routing:
    """Routing where nobody restricts anything."""
    return Routing(catalogues())


def caller(
    number: int = 1, department_id: str = DEPARTMENT, role: Role = Role.STANDARD_USER
) -> Caller:
    """Person `number` of a department; the same number is the same person."""
    object_id = f"00000000-0000-4000-8000-{number:012d}"
    return Caller(Principal(TENANT, object_id, role), department_id)


def request(model: str = "gpt-image-2", **fields: Any) -> GenerationRequest:
    """A resolved request for one small picture."""
    values = {"model": model, "prompt": "a lighthouse at dawn"} | fields
    return resolve_request(GenerationRequest(**values))[0]


def routed(model: str, **wishes: Any) -> GenerationRequest:
    """A request that others may carry out as well, with these wishes for routing."""
    values = {"model": model, "prompt": "a lighthouse at dawn", "routing": wishes}
    return GenerationRequest.model_validate(values)


async def open_budgets(
    connection: CosmosConnection, partition: Partition, limits_micros: Mapping[Scope, int]
) -> None:
    """Open a period with hard limits."""
    container = await connection.container(LEDGER_CONTAINER)
    for scope, limit_micros in limits_micros.items():
        budget = BudgetPolicy(scope, limit_micros).opening(partition.period)
        await create_once(container, budget_document(partition, budget))


def single_id(seed: str = "one", partition: Partition = PARTITION) -> str:
    """A generation id that is also its operation id."""
    return operation_id(partition, "test", seed)


def item(
    generation_id: str | None = None,
    wanted: GenerationRequest | None = None,
    quote: Quote | None = None,
    owner: Caller | None = None,
    item_id: str | None = None,
) -> WorkItem:
    """A work item as it was admitted."""
    wanted = wanted or request()
    owner = owner or caller()
    return WorkItem(
        generation_id=generation_id or single_id(),
        request=wanted,
        quote=quote or catalogue().quote(wanted),
        owner=Ownership(owner.tenant_id, owner.department_id, owner.key),
        actor_role="StandardUser",
        correlation_id="c-1",
        created_at=CREATED_AT,
        item_id=item_id,
    )


def quote(amount_micros: int, usd_micros: int | None = None) -> Quote:
    """A quote at one AUD per USD, so that both amounts can be the same number."""
    usd = amount_micros if usd_micros is None else usd_micros
    return Quote(usd, amount_micros, "p-1", "x-1", aud_per_usd_micros=1_000_000)


def event(object_id: str, action: str = "generation.admitted") -> AuditEvent:
    return AuditEvent(
        action=action,
        object_id=object_id,
        actor=caller().key,
        actor_role="StandardUser",
        outcome="success",
        occurred_at=CREATED_AT,
        correlation_id="c-1",
    )


def hold(work: WorkItem, scopes: tuple[Scope, ...] | None = None, **changes: Any) -> Hold:
    """The hold of a single generation."""
    values: dict[str, Any] = {
        "operation_id": operation_of(work.generation_id),
        "rows": 1,
        "amount_micros": work.quote.amount_micros,
        "usd_micros": work.quote.usd_micros,
        "scopes": scopes or charged_scopes(work.owner.department_id, work.owner.user_key),
        "request_hash": request_hash(work.request.model_dump(mode="json")),
        "tenant_id": work.owner.tenant_id,
        "user_key": work.owner.user_key,
        "created_at": work.created_at,
    }
    return Hold(**(values | changes))


def reservation(work: WorkItem, **changes: Any) -> Reservation:
    """What `reserve` commits for a single generation."""
    return Reservation(hold(work, **changes), work.record(), event(work.generation_id))


def rows(batch_id: str, amounts_micros: list[int], owner: Caller | None = None) -> list[WorkItem]:
    """The rows of a batch, each with its own price."""
    return [
        item(
            row_generation_id(batch_id, number),
            quote=quote(amount),
            owner=owner,
            item_id=f"row-{number}",
        )
        for number, amount in enumerate(amounts_micros, start=1)
    ]


def batch_reservation(batch_id: str, work: list[WorkItem]) -> Reservation:
    """What `reserve` commits for a batch."""
    totals = BatchTotals(
        rows=len(work),
        valid_rows=len(work),
        usd_micros=sum(each.quote.usd_micros for each in work),
        amount_micros=sum(each.quote.amount_micros for each in work),
    )
    record = batch_record(
        batch_id,
        work[0].owner,
        work[0].charge,
        BatchSource("inline"),
        totals,
        created_at=CREATED_AT,
        correlation_id="c-1",
        price_version="p-1",
        plan="plan-1",
    )
    held = hold(
        work[0],
        operation_id=batch_id,
        rows=totals.valid_rows,
        amount_micros=totals.amount_micros,
        usd_micros=totals.usd_micros,
    )
    return Reservation(held, record, event(batch_id, "batch.admitted"))


def picture(index: int = 0) -> StoredImage:
    return StoredImage(
        index=index,
        sha256="0" * 64,
        size_bytes=100,
        content_type="image/png",
        width=8,
        height=8,
    )


def report(work: WorkItem, ending: str = "delivered", **fields: Any) -> AttemptReport:
    """How an attempt at this item ended; a delivery has one picture."""
    values: dict[str, Any] = {
        "generation_id": work.generation_id,
        "attempt": 1,
        "ending": ending,
        "images": (picture(),) if ending == "delivered" else (),
    }
    return AttemptReport(**(values | fields))


def resolution(work: WorkItem, ending: str = "delivered", **fields: Any) -> Resolution:
    """The end of one generation."""
    return resolution_for(work, report(work, ending, **fields), CLOSED_AT)


def marker(
    work: WorkItem, attempt: int = 1, owner: MarkerOwner = "worker", holder: str = "w-1"
) -> AttemptMarker:
    return AttemptMarker(
        work.generation_id, attempt, owner, holder, CREATED_AT, correlation_id=work.correlation_id
    )
