"""What requests about alert channels must look like."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from functions.http_models import Body, Query
from shared.domain.alert_channels import ORGANISATION_WIDE, RECIPIENTS_MAX
from shared.domain.alerts import NoticeKind
from shared.domain.egress import URL_CHARS_MAX
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.services.alert_channels import ChannelChange

# Mailbox and domain of plain ASCII: no display names, quoting or comments, and no line breaks.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL_PATTERN = rf"^[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@{_LABEL}(?:\.{_LABEL})+$"

Recipient = Annotated[str, Field(pattern=EMAIL_PATTERN, max_length=254)]


class ChannelsQuery(Query):
    """Whose channels: a department's, or those for the alerts of all departments."""

    owner: str | None = Field(
        default=None,
        pattern=rf"^({DEPARTMENT_ID_PATTERN}|{ORGANISATION_WIDE})$",
        description=f"your own department, another one, or {ORGANISATION_WIDE}",
    )


class AlertChannelRequest(Body):
    """A channel as a whole: a webhook has a url, an e-mail channel recipients."""

    kind: Literal["webhook", "email"]
    enabled: bool = True
    url: str | None = Field(default=None, max_length=URL_CHARS_MAX, description="https, public")
    recipients: tuple[Recipient, ...] = Field(default=(), max_length=RECIPIENTS_MAX)
    events: tuple[NoticeKind, ...] = Field(
        default=(),
        max_length=len(get_args(NoticeKind)),
        description="what it is told of; empty: everything, also what is still to come",
    )
    rotate_secret: bool = Field(
        default=False, description="make a new secret; the one before signs too for 24 hours"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        webhook = self.kind == "webhook"
        if webhook != (self.url is not None):
            raise ValueError("a webhook, and nothing else, has a url")
        if webhook == bool(self.recipients):
            raise ValueError("an e-mail channel, and nothing else, has recipients")
        if self.rotate_secret and not webhook:
            raise ValueError("only a webhook has a secret")
        return self

    def change(self) -> ChannelChange:
        """The same, as the service takes it; a recipient named twice gets one mail."""
        return ChannelChange(
            kind=self.kind,
            enabled=self.enabled,
            url=self.url,
            recipients=tuple(dict.fromkeys(self.recipients)),
            rotate_secret=self.rotate_secret,
            events=tuple(dict.fromkeys(self.events)),
        )
