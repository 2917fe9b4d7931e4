"""What the HTTP API shows of people."""

from typing import Literal

from pydantic import Field

from shared.domain.ledger import Document
from shared.domain.model_rules import ModelRules, Word
from shared.domain.users import Personal, Tier, User, UserSource, UserStatus
from shared.domain.views import View


class ModelRulesView(View):
    """Which models and providers may be used; the nearest rules that say anything decide."""

    models: dict[str, Word] = Field(examples=[{"gpt-image-2": "allow"}])
    providers: dict[str, Word] = Field(examples=[{"replicate": "deny"}])
    otherwise: Word | None = Field(description="of what is not named")

    @classmethod
    def of(cls, rules: ModelRules) -> "ModelRulesView":
        return cls(**rules.as_json())


class UserView(View):
    """A person or a pipeline of the organisation."""

    id: str = Field(description="object id of the account at the identity provider")
    kind: Literal["person", "service"]
    department_id: str
    role: str = Field(description="a built-in role, or a custom one", examples=["PowerUser"])
    status: UserStatus
    tier: Tier = Field(description="of rate limits")
    cost_centre_id: str | None
    user_name: str | None
    display_name: str | None
    email: str | None
    external_id: str | None
    model_rules: ModelRulesView
    source: UserSource
    created_at: str
    changed_at: str
    revision: int

    @classmethod
    def of(cls, user: User, personal: Personal) -> "UserView":
        return cls(
            id=user.object_id,
            kind=user.kind,
            department_id=user.department_id,
            role=user.role_id,
            status=user.status,
            tier=user.tier,
            cost_centre_id=user.cost_centre_id,
            **personal.as_json(),
            external_id=user.external_id,
            model_rules=ModelRulesView.of(user.rules),
            source=user.source,
            created_at=user.created_at,
            changed_at=user.changed_at,
            revision=user.revision,
        )


class UserList(View):
    """A page of people in order of their ids."""

    items: tuple[UserView, ...]
    continuation: str | None


class ChangeView(View):
    """One change of an object of the directory."""

    revision: int
    action: str = Field(examples=["user.moved"])
    by: str = Field(description="identity key of a person, or system:{what}")
    role: str
    at: str
    reason: str | None
    details: dict[str, str | int | bool | None]

    @classmethod
    def of(cls, document: Document) -> "ChangeView":
        return cls(
            revision=document["revision"],
            action=document["action"],
            by=document["actor"],
            role=document["actor_role"],
            at=document["changed_at"],
            reason=document["reason"],
            details=document["details"],
        )


class ChangeList(View):
    """A page of changes, newest first."""

    items: tuple[ChangeView, ...]
    continuation: str | None


class ImportRowView(View):
    """What one row of an import is at fault for."""

    row: int = Field(description="of the file, the line of names being 1")
    field: str
    message: str


class ImportView(View):
    """What an import did, or would do."""

    dry_run: bool
    rows: int
    created: int
    updated: int
    unchanged: int
    failed: int
    errors: tuple[ImportRowView, ...] = Field(description="of the first rows at fault")
