"""What the HTTP API shows of freezes."""

from pydantic import Field

from shared.domain.freezes import Freeze
from shared.domain.views import View


class FreezeView(View):
    """One switch as it stands."""

    target: str = Field(description="what is frozen", examples=["provider:replicate"])
    reason: str
    by: str = Field(description="identity key of a person, or system:{what}")
    since: str = Field(description="of a lifted freeze: when it was lifted")
    ends_at: str | None = Field(description="when it ends by itself")
    lifted: bool
    revision: int = Field(description="counts every change of this switch")

    @classmethod
    def of(cls, freeze: Freeze) -> "FreezeView":
        return cls(
            target=freeze.target.text,
            reason=freeze.reason,
            by=freeze.actor,
            since=freeze.since,
            ends_at=freeze.ends_at,
            lifted=freeze.lifted,
            revision=freeze.revision,
        )


class FreezeList(View):
    """Everything that is frozen now and concerns the caller."""

    items: tuple[FreezeView, ...]
