"""How a request says who it comes from: the Authorization header, or our cookies."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import azure.functions as func

from functions.http_routes import BY_NAME
from shared.wiring import services

if TYPE_CHECKING:
    from shared.domain.browsers import BrowserRequest
    from shared.domain.identity import Caller, Principal
    from shared.services.callers import Demand
    from shared.services.sessions import OpenSession

SESSION_COOKIE: Final = "__Host-eig_session"
DEVICE_COOKIE: Final = "__Host-eig_device"
SIGN_IN_COOKIE: Final = "__Host-eig_sign_in"
CSRF_HEADER: Final = "X-CSRF-Token"
COOKIES_CHARS_MAX: Final = 8_192  # ours have 700
SIGN_IN_AGE_S: Final = 600
DEVICE_AGE_S: Final = 400 * 86_400  # the longest that browsers keep a cookie


@dataclass
class Identity:
    """Who a request comes from; `cookies` go out with whatever the answer is."""

    principal: "Principal | None" = None  # proven, also when it is then not let in
    caller: "Caller | None" = None  # of the directory, also when it is then not let in
    session: "OpenSession | None" = None
    cookies: list[str] = field(default_factory=list)


async def identify(
    request: func.HttpRequest, route: str | None, correlation_id: str, found: Identity
) -> None:
    """Fill `found` in; raises what refuses the caller, after the session's cookie was put there."""
    from shared.domain.access_decisions import Decisions
    from shared.domain.users import known_caller
    from shared.services.callers import Credentials

    cookies = cookies_of(request)
    shown = Credentials(
        request.headers.get("Authorization"),
        browser_of(request, cookies),
        cookies.get(SESSION_COOKIE),
    )
    demand = _demand(route)
    callers = services().callers
    who = await callers.authenticate(shown, demand, correlation_id)
    found.principal, found.session = who.principal, who.session
    if who.session and who.session.token:
        found.cookies.append(session_cookie(who.session.token.text()))
    user = await callers.recognise(who)
    known = known_caller(who.principal, user)
    found.caller = replace(known, decisions=Decisions()) if known else None
    await callers.admit(who, user, shown, demand, correlation_id)


def put_cookies(response: func.HttpResponse, identity: Identity) -> None:
    """Send the session's cookie along, unless the answer itself says something of it."""
    said = {each.partition("=")[0] for each in response.headers.get_all("Set-Cookie")}
    for cookie in identity.cookies:
        if cookie.partition("=")[0] not in said:
            response.headers.add("Set-Cookie", cookie)


def cookies_of(request: func.HttpRequest) -> dict[str, str]:
    """Our cookies; none of them if one comes twice, for then somebody else may have set it."""
    header = request.headers.get("Cookie") or ""
    if len(header) > COOKIES_CHARS_MAX:
        return {}
    pairs = [part.strip().partition("=") for part in header.split(";")]
    ours = [(name, value) for name, _, value in pairs if name.startswith("__Host-eig_")]
    found = dict(ours)
    return found if len(found) == len(ours) else {}


def browser_of(request: func.HttpRequest, cookies: dict[str, str]) -> "BrowserRequest":
    from shared.domain.browsers import BrowserRequest

    headers = request.headers
    forwarded = headers.get("X-Azure-ClientIP") or headers.get("X-Forwarded-For") or ""
    return BrowserRequest(
        method=request.method or "",
        device_secret=cookies.get(DEVICE_COOKIE),
        agent=headers.get("User-Agent") or "",
        address=forwarded.rpartition(",")[2].strip(),
        origin=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
        csrf_token=headers.get(CSRF_HEADER),
    )


def session_cookie(text: str) -> str:
    """Without an age: it ends with the browser, if not before."""
    return _cookie(SESSION_COOKIE, text, "Strict")


def device_cookie(text: str) -> str:
    """Lax, like the next one: the way back from the issuer is a request from another site."""
    return _cookie(DEVICE_COOKIE, text, "Lax", DEVICE_AGE_S)


def sign_in_cookie(text: str) -> str:
    return _cookie(SIGN_IN_COOKIE, text, "Lax", SIGN_IN_AGE_S)


def no_cookie(name: str) -> str:
    return _cookie(name, "", "Strict", 0)


def _cookie(name: str, value: str, same_site: str, age_s: int | None = None) -> str:
    age = "" if age_s is None else f"; Max-Age={age_s}"
    return f"{name}={value}; Path=/{age}; Secure; HttpOnly; SameSite={same_site}"


def _demand(route: str | None) -> "Demand":
    from shared.services.callers import Demand

    if route is None:
        return Demand()
    row = BY_NAME[route]
    return Demand(row.lets_apps_in, row.steps_up, row.rotates)
