"""A work item: one generation to carry out, with all that its settlement needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Ownership
from shared.domain.ids import operation_of, row_of
from shared.domain.ledger import generation_document_id, partition_for
from shared.domain.models import MODELS
from shared.domain.prices import Quote
from shared.domain.prompt_cuts import prompt_warnings
from shared.domain.routes import Candidate, Route, pinned_route, read_route
from shared.domain.sealed_fields import ERASED
from shared.domain.waiting_lines import Priority


@dataclass(frozen=True)
class WorkItem:
    """One generation as it was admitted: request, quote, route, owner and origin.

    `request` and `quote` are those of the route's first candidate.
    """

    generation_id: str
    request: GenerationRequest
    quote: Quote
    owner: Ownership
    actor_role: str
    correlation_id: str
    created_at: str
    item_id: str | None = None
    project_id: str | None = None
    cost_centre_id: str | None = None
    privacy: Mapping[str, Any] | None = None  # what the privacy screen found and covered
    # Marks of the approvals that let it start; None: admitted by a version that kept none.
    approvals: tuple[str, ...] | None = ()
    may_wait: bool = False  # a row whose deadline leaves time for a provider batch
    planned_route: Route | None = None  # None: its own model, and no other
    policy_version: str | None = None  # what it was admitted by; the event keeps it, no record

    @property
    def charge(self) -> Charge:
        """Who pays for it."""
        return Charge(
            self.owner.department_id, self.owner.user_key, self.project_id, self.cost_centre_id
        )

    @property
    def priority(self) -> Priority:
        """Its rank where there is too little for everybody."""
        if row_of(self.generation_id) is None:
            return Priority.INTERACTIVE
        return Priority.WAITING if self.may_wait else Priority.BATCH

    @property
    def operation_id(self) -> str:
        return operation_of(self.generation_id)

    @property
    def is_erased(self) -> bool:
        """Its prompt can be read no more, so that nothing can be asked of a provider."""
        return self.request.prompt == ERASED

    @property
    def provider(self) -> str:
        return MODELS[self.request.model].provider

    @property
    def route(self) -> Route:
        """Who may carry it out, in order."""
        return self.planned_route or pinned_route(self.request, self.quote)

    def candidate(self, index: int) -> Candidate:
        return self.route.candidates[index]

    def request_of(self, index: int) -> GenerationRequest:
        """The request as candidate `index` carries it out."""
        return self.request if index == 0 else self.candidate(index).request(self.request)

    def quote_of(self, index: int) -> Quote:
        """What candidate `index` may cost at most, at the rate and the prices of the admission."""
        candidate = self.candidate(index)
        return replace(
            self.quote, usd_micros=candidate.usd_micros, amount_micros=candidate.amount_micros
        )

    def warnings_of(self, index: int) -> tuple[str, ...]:
        """What candidate `index` is known beforehand to do otherwise than asked."""
        return prompt_warnings(self.request_of(index))

    def record(self) -> dict[str, Any]:
        """The generation record at admission; its last fields change when it ends."""
        row = row_of(self.generation_id)
        return {
            "id": generation_document_id(self.generation_id),
            "pk": partition_for(self.generation_id).key,
            "type": "generation",
            "generation_id": self.generation_id,
            "batch_id": self.operation_id if row is not None else None,
            "row": row,
            "item_id": self.item_id,
            "tenant_id": self.owner.tenant_id,
            "department_id": self.owner.department_id,
            "user_key": self.owner.user_key,
            "project_id": self.project_id,
            "cost_centre_id": self.cost_centre_id,
            "actor_role": self.actor_role,
            "request": self.request.model_dump(mode="json"),
            "model": self.request.model,
            "provider": self.provider,
            "quote": vars(self.quote),
            "route": self.planned_route.as_json() if self.planned_route else None,
            "privacy": dict(self.privacy) if self.privacy else None,
            "approvals": None if self.approvals is None else list(self.approvals),
            "correlation_id": self.correlation_id,
            "created_at": self.created_at,
            "status": "queued",
            "cost": None,
            "failure": None,
            "images": [],
            "attempts": 0,
            "lines": [],
            "warnings": list(self.warnings_of(0)),
            "usage": None,
            "completed_at": None,
            "unknown_since": None,
            "provider_refs": None,
            "prompt_salt": None,
        }


def read_work_item(record: Mapping[str, Any]) -> WorkItem:
    """The work item of a stored generation record."""
    route = record.get("route")
    return WorkItem(
        generation_id=record["generation_id"],
        request=GenerationRequest.model_validate(record["request"]),
        quote=Quote(**record["quote"]),
        owner=owner_of(record),
        actor_role=record["actor_role"],
        correlation_id=record["correlation_id"],
        created_at=record["created_at"],
        item_id=record["item_id"],
        project_id=record["project_id"],
        cost_centre_id=record["cost_centre_id"],
        privacy=record.get("privacy"),
        approvals=read_approval_marks(record),
        planned_route=read_route(route) if route else None,
    )


def read_approval_marks(record: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The marks in the record of a generation or of a batch; None if it was kept without."""
    marks = record.get("approvals")
    return None if marks is None else tuple(marks)


def owner_of(record: Mapping[str, Any]) -> Ownership:
    """Whose record this is."""
    return Ownership(
        tenant_id=record["tenant_id"],
        department_id=record["department_id"],
        user_key=record["user_key"],
    )
