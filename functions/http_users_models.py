"""What requests about people must look like."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from functions.http_model_names import check_models, check_providers
from functions.http_models import PAGE_MAX, Body, Flag, Query, Whole
from functions.http_reasons import REASON_PATTERN
from shared.domain.directory import PeopleFilter
from shared.domain.identity import PrincipalKind
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.model_rules import NAMED_MAX, ModelRules, Word
from shared.domain.users import NAME_CHARS_MAX, Personal, Tier, UserStatus
from shared.services.users import UserOrder

GUID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ROLE_PATTERN = (
    r"^(StandardUser|PowerUser|DeptManager|OrgAdmin|SuperAdmin|custom:[a-z][a-z0-9-]{1,39})$"
)
SEARCH_CHARS_MAX = 200
_Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=REASON_PATTERN)]
_Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$")]
_Words = Annotated[dict[_Key, Word], Field(max_length=NAMED_MAX)]


class ModelRulesRequest(Body):
    """Which models and providers may be used; what is not named is left to farther rules."""

    models: _Words = Field(default={}, examples=[{"gpt-image-2": "allow"}])
    providers: _Words = Field(default={}, examples=[{"replicate": "deny"}])
    otherwise: Word | None = None

    @field_validator("models")
    @classmethod
    def _are_models(cls, value: dict[str, Word]) -> dict[str, Word]:
        check_models(value)
        return value

    @field_validator("providers")
    @classmethod
    def _are_providers(cls, value: dict[str, Word]) -> dict[str, Word]:
        check_providers(value)
        return value

    def rules(self) -> ModelRules:
        return ModelRules(dict(self.models), dict(self.providers), self.otherwise)


class UserChange(Body):
    """An account as a whole; what is left out takes its default."""

    department: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$", examples=["marketing"])
    kind: PrincipalKind = "person"
    role: str = Field(default="StandardUser", pattern=ROLE_PATTERN)
    tier: Tier = "standard"
    cost_centre: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    user_name: _Name | None = Field(default=None, description="the sign-in name")
    display_name: _Name | None = None
    email: _Name | None = None
    external_id: _Name | None = None
    model_rules: ModelRulesRequest = ModelRulesRequest()

    def order(self) -> UserOrder:
        return UserOrder(
            department_id=self.department,
            role_id=self.role,
            kind=self.kind,
            tier=self.tier,
            cost_centre_id=self.cost_centre,
            personal=Personal(self.user_name, self.display_name, self.email),
            external_id=self.external_id,
            rules=self.model_rules.rules(),
        )


class UserRequest(UserChange):
    """Somebody new."""

    id: str = Field(
        pattern=GUID_PATTERN, description="object id of the account at the identity provider"
    )


class StatusRequest(Body):
    """Let somebody in, or no longer."""

    status: Literal["active", "disabled"]
    reason: str | None = Field(default=None, max_length=200, pattern=REASON_PATTERN)


class UsersQuery(Query):
    """Which people are wanted."""

    department: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    role: str | None = Field(default=None, pattern=ROLE_PATTERN)
    status: UserStatus | None = None
    kind: PrincipalKind | None = None
    search: str | None = Field(
        default=None, max_length=SEARCH_CHARS_MAX, description="whole words of names and addresses"
    )
    continuation: str | None = Field(default=None, max_length=4_000)
    limit: Whole = Field(default=50, ge=1, le=PAGE_MAX)

    def wanted(self) -> PeopleFilter:
        return PeopleFilter(
            department_id=self.department,
            role_id=self.role,
            status=self.status,
            kind=self.kind,
            with_deleted=self.status == "deleted",
        )


class ChangesQuery(Query):
    """Which page of a history."""

    continuation: Whole | None = Field(default=None, ge=2, le=10**8)


class ImportQuery(Query):
    """Whether an import is tried or carried out."""

    dry_run: Flag = True
