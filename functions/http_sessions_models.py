"""What the routes of browser sessions take."""

from pydantic import ConfigDict, Field

from functions.http_models import Flag, Query
from shared.domain.sign_ins import RETURN_CHARS_MAX


class SignInQuery(Query):
    """Where to go afterwards, and whether more proof is wanted."""

    return_to: str = Field("/", max_length=RETURN_CHARS_MAX, description="a path of this site")
    step_up: Flag = Field(False, description="for a request answered with step_up_required")


class CallbackQuery(Query):
    """What the issuer sends along; it may add more."""

    model_config = ConfigDict(extra="ignore")

    state: str = Field("", max_length=512)
    code: str | None = Field(None, max_length=8_192, description="missing when the issuer refused")
