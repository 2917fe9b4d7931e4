"""How refusals of the SCIM endpoint look (RFC 7644, 3.12)."""

from pydantic import Field

from shared.domain.views import View


class ScimError(View):
    """A refusal; the protocol writes the status as a text."""

    schemas: tuple[str, ...]
    status: str = Field(examples=["400"])
    detail: str
    scimType: str = Field(default="", examples=["invalidFilter"])  # noqa: N815 - SCIM's name
