"""What the settings of identity mean together: issuers, sessions, and what may not be combined."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.domain.access_tokens import CONTEXTS
from shared.domain.sessions import GOVERNMENT, PROFILES, SessionPolicy
from shared.domain.token_issuers import TokenIssuer

if TYPE_CHECKING:
    from shared.settings import Settings

_ORIGIN: Final = re.compile(
    r"https://[a-z0-9.-]+(:\d{1,5})?|http://(127\.0\.0\.1|localhost):\d{1,5}"
)


def issuers_of(settings: "Settings") -> tuple[TokenIssuer, ...]:
    """Ours first, then the further ones."""
    home = TokenIssuer(
        issuer=settings.token_issuer,
        tenant_id=settings.token_tenant_id,
        audience=settings.token_audience,
        scope=settings.token_scope,
        authorized_parties=settings.token_authorized_parties,
        app_role=settings.token_app_role,
        step_up_context=settings.step_up_context,
    )
    return (home, *settings.token_issuers)


def session_policy_of(settings: "Settings") -> SessionPolicy:
    """The profile's, with a shorter idle time where one is set."""
    policy = PROFILES[settings.session_profile]
    return replace(policy, idle=min(settings.session_idle or policy.idle, policy.idle))


def check_identity(settings: "Settings", faults: list[str]) -> None:
    """Add what is wrong, without any value."""
    if settings.session_profile not in PROFILES:
        faults.append(f"EIG_SESSION_PROFILE is none of {', '.join(PROFILES)}")
    if settings.step_up_context not in {None, *CONTEXTS}:
        faults.append("EIG_STEP_UP_CONTEXT is no authentication context (c1 to c99)")
    origin = settings.public_origin
    if origin and not _ORIGIN.fullmatch(origin):
        faults.append("EIG_PUBLIC_ORIGIN is not https://host in lower case, and nothing behind it")
    if not all(map(_ORIGIN.fullmatch, settings.cors_origins)):  # neither "*" nor "null"
        faults.append("EIG_CORS_ORIGINS holds something that is not https://host in lower case")
    if settings.sign_in_client_id and not origin:
        faults.append("EIG_SIGN_IN_CLIENT_ID goes with EIG_PUBLIC_ORIGIN")
    issuers = issuers_of(settings)
    if settings.session_profile == GOVERNMENT:
        faults += [f"{name} is needed by {GOVERNMENT}" for name in _left_open(settings, issuers)]
    names, tenants = {each.issuer for each in issuers}, {each.tenant_id for each in issuers}
    if len(names) < len(issuers) or len(tenants) < len(issuers):
        faults.append("EIG_TOKEN_ISSUERS names an issuer or a tenant twice")


def _left_open(settings: "Settings", issuers: tuple[TokenIssuer, ...]) -> list[str]:
    """What the profile of governments does not leave to chance, by the name of the setting."""
    home, *further = issuers
    wanted = {
        "EIG_TOKEN_AUTHORIZED_PARTIES": home.authorized_parties,
        "EIG_STEP_UP_CONTEXT": home.step_up_context,
        "EIG_STEP_UP_AGE_MAX_S": settings.step_up_age_max,
        "authorized_parties and step_up_context in EIG_TOKEN_ISSUERS": all(
            each.authorized_parties and each.step_up_context for each in further
        ),
    }
    return [name for name, value in wanted.items() if not value]
