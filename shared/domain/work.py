"""A work item: one generation to carry out, with all that its settlement needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Ownership
from shared.domain.ids import operation_of, row_of
from shared.domain.ledger import generation_document_id, partition_for
from shared.domain.models import MODELS
from shared.domain.prices import Quote
from shared.domain.sealed_fields import ERASED


@dataclass(frozen=True)
class WorkItem:
    """One generation as it was admitted: request, quote, owner and origin."""

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

    @property
    def charge(self) -> Charge:
        """Who pays for it."""
        return Charge(
            self.owner.department_id, self.owner.user_key, self.project_id, self.cost_centre_id
        )

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
            "privacy": dict(self.privacy) if self.privacy else None,
            "correlation_id": self.correlation_id,
            "created_at": self.created_at,
            "status": "queued",
            "cost": None,
            "failure": None,
            "images": [],
            "attempts": 0,
            "completed_at": None,
            "unknown_since": None,
            "provider_refs": None,
            "prompt_salt": None,
        }


def read_work_item(record: Mapping[str, Any]) -> WorkItem:
    """The work item of a stored generation record."""
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
    )


def owner_of(record: Mapping[str, Any]) -> Ownership:
    """Whose record this is."""
    return Ownership(
        tenant_id=record["tenant_id"],
        department_id=record["department_id"],
        user_key=record["user_key"],
    )
