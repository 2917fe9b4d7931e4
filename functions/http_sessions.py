"""Browser sessions over HTTP: sign in at the issuer, come back, see one's devices, sign out."""

import html

import azure.functions as func

from functions import names
from functions.http_auth import (
    SESSION_COOKIE,
    SIGN_IN_COOKIE,
    browser_of,
    cookies_of,
    device_cookie,
    no_cookie,
    session_cookie,
    sign_in_cookie,
)
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # credentials are checked at our own edge
HTML = "text/html"


@bp.function_name(names.SIGN_IN)
@bp.route(route=path_of(names.SIGN_IN), methods=["GET"], auth_level=ANONYMOUS)
async def sign_in(req: func.HttpRequest) -> func.HttpResponse:
    """GET /auth/login"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_sessions_models import SignInQuery
        from shared.services.sign_ins import SignInWish

        query = call.query(SignInQuery)
        session = cookies_of(req).get(SESSION_COOKIE)
        wish = SignInWish(query.return_to, query.step_up, session)
        url, pending = await services().sign_ins.begin(wish)
        response = _page("Sign in", url, 302)
        response.headers["Location"] = url
        response.headers.add("Set-Cookie", sign_in_cookie(pending.cookie()))
        return response

    return await handle(req, act, public=True)


@bp.function_name(names.SIGN_IN_CALLBACK)
@bp.route(route=path_of(names.SIGN_IN_CALLBACK), methods=["GET"], auth_level=ANONYMOUS)
async def sign_in_callback(req: func.HttpRequest) -> func.HttpResponse:
    """GET /auth/callback"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_sessions_models import CallbackQuery

        query, cookies = call.query(CallbackQuery), cookies_of(req)
        done = await services().sign_ins.complete(
            cookies.get(SIGN_IN_COOKIE, ""),
            query.state,
            query.code,
            browser_of(req, cookies),
            correlation_id=call.correlation_id,
        )
        response = _page("Signed in", done.return_to, 200)
        for cookie in (
            session_cookie(done.token_text),
            device_cookie(done.device_secret),
            no_cookie(SIGN_IN_COOKIE),
        ):
            response.headers.add("Set-Cookie", cookie)
        return response

    return await handle(req, act, public=True)


@bp.function_name(names.GET_SESSION)
@bp.route(route=path_of(names.GET_SESSION), methods=["GET"], auth_level=ANONYMOUS)
async def get_session(req: func.HttpRequest) -> func.HttpResponse:
    """GET /auth/session"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(services().session_desk.current(call.known_caller, call.session))

    return await handle(req, act, route=names.GET_SESSION)


@bp.function_name(names.REFRESH_SESSION)
@bp.route(route=path_of(names.REFRESH_SESSION), methods=["POST"], auth_level=ANONYMOUS)
async def refresh_session(req: func.HttpRequest) -> func.HttpResponse:
    """POST /auth/refresh"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(services().session_desk.current(call.known_caller, call.session))

    return await handle(req, act, route=names.REFRESH_SESSION)


@bp.function_name(names.SIGN_OUT)
@bp.route(route=path_of(names.SIGN_OUT), methods=["POST"], auth_level=ANONYMOUS)
async def sign_out(req: func.HttpRequest) -> func.HttpResponse:
    """POST /auth/logout"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().session_desk.sign_out(call.session, call.correlation_id)
        response = json_response(view)
        response.headers.add("Set-Cookie", no_cookie(SESSION_COOKIE))
        return response

    return await handle(req, act, route=names.SIGN_OUT)


@bp.function_name(names.LIST_SESSIONS)
@bp.route(route=path_of(names.LIST_SESSIONS), methods=["GET"], auth_level=ANONYMOUS)
async def list_sessions(req: func.HttpRequest) -> func.HttpResponse:
    """GET /sessions"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().session_desk.list(call.known_caller, call.session))

    return await handle(req, act)


@bp.function_name(names.REVOKE_SESSION)
@bp.route(route=path_of(names.REVOKE_SESSION), methods=["DELETE"], auth_level=ANONYMOUS)
async def revoke_session(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /sessions/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        await services().session_desk.revoke(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return func.HttpResponse(status_code=204)

    return await handle(req, act)


@bp.function_name(names.REVOKE_SESSIONS)
@bp.route(route=path_of(names.REVOKE_SESSIONS), methods=["DELETE"], auth_level=ANONYMOUS)
async def revoke_sessions(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /sessions"""

    async def act(call: Call) -> func.HttpResponse:
        caller = call.known_caller
        person = caller.principal.object_id
        view = await services().session_desk.revoke_all(caller, person, call.correlation_id)
        return json_response(view)

    return await handle(req, act)


@bp.function_name(names.REVOKE_USER_SESSIONS)
@bp.route(route=path_of(names.REVOKE_USER_SESSIONS), methods=["DELETE"], auth_level=ANONYMOUS)
async def revoke_user_sessions(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /users/{id}/sessions"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().session_desk.revoke_all(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return json_response(view)

    return await handle(req, act, route=names.REVOKE_USER_SESSIONS)


def _page(title: str, url: str, status: int) -> func.HttpResponse:
    """A page that moves on by itself.

    The way back from the issuer must end in a page: browsers hold back a Strict cookie from all
    redirects of a navigation that another site began, but not from what our own page does next.
    """
    where = html.escape(url, quote=True)
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="refresh" content="0;url={where}"><a href="{where}">Continue</a></html>'
    )
    return func.HttpResponse(body, status_code=status, mimetype=HTML)
