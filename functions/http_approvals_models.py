"""What requests about approvals must look like."""

from typing import Literal

from pydantic import Field

from functions.http_models import Body, Query
from functions.http_reasons import REASON_PATTERN
from shared.domain.approvals import COMMENT_CHARS_MAX, Decision


class ApprovalsQuery(Query):
    """Whose approvals, and whether decided ones as well."""

    show: Literal["to_decide", "mine"] = "to_decide"
    status: Literal["pending", "any"] = "pending"


class DecisionRequest(Body):
    """One person's decision."""

    decision: Decision
    comment: str = Field(default="", max_length=COMMENT_CHARS_MAX, pattern=REASON_PATTERN)
