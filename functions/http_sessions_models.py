"""What the routes of browser sessions take."""

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.sign_ins import RETURN_CHARS_MAX


class SignInQuery(BaseModel):
    """Where to go afterwards, and whether more proof is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    return_to: str = Field("/", max_length=RETURN_CHARS_MAX, description="a path of this site")
    step_up: bool = Field(False, description="for a request answered with step_up_required")


class CallbackQuery(BaseModel):
    """What the issuer sends along; it may add more."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: str = Field("", max_length=512)
    code: str | None = Field(None, max_length=8_192, description="missing when the issuer refused")
