"""What the HTTP API shows of roles and of the organisation's rules of models."""

from pydantic import Field

from shared.domain.model_rules import NO_RULES, ModelRules
from shared.domain.permissions import BUILT_IN, CLAIM_BY_ROLE, Reaches, Role
from shared.domain.roles import CustomRole
from shared.domain.user_views import ModelRulesView
from shared.domain.views import View


class RoleView(View):
    """A role and what it allows."""

    id: str = Field(examples=["DeptManager", "custom:catalogue-pipeline"])
    name: str
    rank: str = Field(description="the built-in role that it counts as")
    custom: bool
    permissions: dict[str, str] = Field(examples=[{"generations.read": "department"}])
    model_rules: ModelRulesView
    revision: int

    @classmethod
    def built_in(cls, role: Role) -> "RoleView":
        return cls(
            id=CLAIM_BY_ROLE[role],
            name=role.name.replace("_", " ").title(),
            rank=CLAIM_BY_ROLE[role],
            custom=False,
            permissions=_shown(BUILT_IN[role]),
            model_rules=ModelRulesView.of(NO_RULES),
            revision=0,
        )

    @classmethod
    def of(cls, role: CustomRole) -> "RoleView":
        return cls(
            id=role.role_id,
            name=role.name,
            rank=CLAIM_BY_ROLE[role.rank],
            custom=True,
            permissions=_shown(role.reaches),
            model_rules=ModelRulesView.of(role.rules),
            revision=role.revision,
        )


class RoleList(View):
    """Every role of the organisation, the built-in ones first."""

    items: tuple[RoleView, ...]


class OrganisationRulesView(View):
    """What the organisation says of models, for people and roles that say nothing."""

    model_rules: ModelRulesView
    revision: int

    @classmethod
    def of(cls, rules: ModelRules, revision: int) -> "OrganisationRulesView":
        return cls(model_rules=ModelRulesView.of(rules), revision=revision)


def _shown(reaches: Reaches) -> dict[str, str]:
    return {str(name): reach.name.lower() for name, reach in sorted(reaches.items())}
