"""What requests about roles must look like."""

from typing import Annotated, Literal

from pydantic import Field

from functions.http_models import Body
from functions.http_reasons import REASON_PATTERN
from functions.http_users_models import ModelRulesRequest
from shared.domain.permissions import ROLE_BY_CLAIM, Permission, Reach
from shared.services.roles import RoleOrder

_Reach = Literal["own", "department", "organisation"]
_Rank = Literal["StandardUser", "PowerUser", "DeptManager", "OrgAdmin"]
_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=REASON_PATTERN)]


class RoleRequest(Body):
    """A custom role as a whole."""

    name: _Name
    rank: _Rank = Field(description="the built-in role that it counts as; below the giver's own")
    permissions: dict[Permission, _Reach] = Field(
        examples=[{"generations.create": "own", "generations.read": "own"}]
    )
    model_rules: ModelRulesRequest = ModelRulesRequest()

    def order(self) -> RoleOrder:
        return RoleOrder(
            name=self.name,
            rank=ROLE_BY_CLAIM[self.rank],
            reaches={name: Reach[reach.upper()] for name, reach in self.permissions.items()},
            rules=self.model_rules.rules(),
        )
