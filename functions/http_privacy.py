"""The privacy screen over HTTP: policies, dry runs, overrides."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import location_of, path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.GET_PRIVACY_POLICY)
@bp.route(route=path_of(names.GET_PRIVACY_POLICY), methods=["GET"], auth_level=ANONYMOUS)
async def get_privacy_policy(req: func.HttpRequest) -> func.HttpResponse:
    """GET /privacy/policies/{department}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().privacy_policies.get(call.known_caller, call.path("department"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act)


@bp.function_name(names.PUT_PRIVACY_POLICY)
@bp.route(route=path_of(names.PUT_PRIVACY_POLICY), methods=["PUT"], auth_level=ANONYMOUS)
async def put_privacy_policy(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /privacy/policies/{department}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_privacy_models import PrivacyPolicyRequest

        owner = call.path("department")
        view = await services().privacy_policies.put(
            call.known_caller,
            owner,
            call.body(PrivacyPolicyRequest).policy(owner),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_PRIVACY_POLICY)


@bp.function_name(names.SCREEN_TEXT)
@bp.route(route=path_of(names.SCREEN_TEXT), methods=["POST"], auth_level=ANONYMOUS)
async def screen_text(req: func.HttpRequest) -> func.HttpResponse:
    """POST /privacy/screenings"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_privacy_models import ScreeningRequest

        wish = call.body(ScreeningRequest)
        draft = wish.draft.policy(call.known_caller.department_id) if wish.draft else None
        view = await services().screenings.preview(
            call.known_caller, wish.text, draft, call.correlation_id
        )
        return json_response(view)

    return await handle(req, act)


@bp.function_name(names.CREATE_PRIVACY_OVERRIDE)
@bp.route(route=path_of(names.CREATE_PRIVACY_OVERRIDE), methods=["POST"], auth_level=ANONYMOUS)
async def create_privacy_override(req: func.HttpRequest) -> func.HttpResponse:
    """POST /privacy/overrides"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_privacy_models import PrivacyOverrideRequest

        view = await services().privacy_overrides.create(
            call.known_caller, call.body(PrivacyOverrideRequest).order(), call.correlation_id
        )
        where = {"Location": location_of(names.GET_PRIVACY_OVERRIDE, view.id)}
        return json_response(view, 201, where)

    return await handle(req, act, route=names.CREATE_PRIVACY_OVERRIDE)


@bp.function_name(names.LIST_PRIVACY_OVERRIDES)
@bp.route(route=path_of(names.LIST_PRIVACY_OVERRIDES), methods=["GET"], auth_level=ANONYMOUS)
async def list_privacy_overrides(req: func.HttpRequest) -> func.HttpResponse:
    """GET /privacy/overrides"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_privacy_models import PrivacyOverridesQuery

        department = call.query(PrivacyOverridesQuery).department
        return json_response(await services().privacy_overrides.list(call.known_caller, department))

    return await handle(req, act)


@bp.function_name(names.GET_PRIVACY_OVERRIDE)
@bp.route(route=path_of(names.GET_PRIVACY_OVERRIDE), methods=["GET"], auth_level=ANONYMOUS)
async def get_privacy_override(req: func.HttpRequest) -> func.HttpResponse:
    """GET /privacy/overrides/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().privacy_overrides.get(call.known_caller, call.path("id"))
        return json_response(view)

    return await handle(req, act)


@bp.function_name(names.APPROVE_PRIVACY_OVERRIDE)
@bp.route(route=path_of(names.APPROVE_PRIVACY_OVERRIDE), methods=["POST"], auth_level=ANONYMOUS)
async def approve_privacy_override(req: func.HttpRequest) -> func.HttpResponse:
    """POST /privacy/overrides/{id}/approvals"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().privacy_overrides.approve(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return json_response(view)

    return await handle(req, act, route=names.APPROVE_PRIVACY_OVERRIDE)


@bp.function_name(names.END_PRIVACY_OVERRIDE)
@bp.route(route=path_of(names.END_PRIVACY_OVERRIDE), methods=["DELETE"], auth_level=ANONYMOUS)
async def end_privacy_override(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /privacy/overrides/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().privacy_overrides.end(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return json_response(view)

    return await handle(req, act)
