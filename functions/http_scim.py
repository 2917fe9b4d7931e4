"""SCIM 2.0 over HTTP, for identity providers: its own token, media type and errors."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import azure.functions as func

from functions import names
from functions.http_routes import location_of, path_of
from functions.http_scim_errors import SCIM_JSON, scim_problem
from functions.http_support import Call, handle
from shared.domain.json_objects import RepeatedNameError, unique_names
from shared.errors import EigError, ScimRefused
from shared.wiring import services

if TYPE_CHECKING:
    from shared.domain.scim import Shown

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the token of the provisioning app is checked at our edge
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")
Act = Callable[[Call], Awaitable[func.HttpResponse]]


def _guarded(req: func.HttpRequest, act: Act) -> Act:
    """The same act behind the token of the provisioning app, refusals in the protocol's words."""

    async def guarded(call: Call) -> func.HttpResponse:
        try:
            services().provisioning.check_token(req.headers.get("Authorization"))
            return await act(call)
        except EigError as error:
            if error.status >= 500:
                raise
            return scim_problem(error)

    return guarded


def _answer(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype=SCIM_JSON, headers=dict(headers or {})
    )


def _body(call: Call) -> dict[str, Any]:
    from shared.domain.scim import BODY_BYTES_MAX

    if call.media_type() not in (SCIM_JSON, "application/json"):
        raise ScimRefused("invalidSyntax", f"Send the body as {SCIM_JSON}.")
    try:
        body = json.loads(call.raw_body(BODY_BYTES_MAX), object_pairs_hook=unique_names)
    except RepeatedNameError as error:
        twice = error.fault.field.strip("/") or "A name"
        raise ScimRefused("invalidSyntax", f"{twice} is written twice in an object.") from None
    except (ValueError, RecursionError):
        raise ScimRefused("invalidSyntax", "The body is no JSON.") from None
    if not isinstance(body, dict):
        raise ScimRefused("invalidSyntax", "The body is no JSON object.")
    return body


def _resource(call: Call, shown: "Shown", status: int = 200) -> func.HttpResponse:
    from shared.domain.scim import chosen, resource, version_of

    location = _location(shown)
    version = version_of(shown.revision)
    if call.request.method == "GET" and call.request.headers.get("If-None-Match") == version:
        return func.HttpResponse(status_code=304, headers={"ETag": version})
    params = call.request.params
    body = chosen(
        resource(shown, location), params.get("attributes"), params.get("excludedAttributes")
    )
    return _answer(body, status, {"ETag": version, "Location": location})


def _location(shown: "Shown") -> str:
    origin = services().settings.public_origin or ""
    return origin + location_of(names.SCIM_GET_USER, shown.object_id)


def _number(call: Call, name: str, default: int) -> int:
    text = call.request.params.get(name) or str(default)
    if _WHOLE.fullmatch(text) is None:
        raise ScimRefused("invalidValue", f"{name} is a whole number.")
    return int(text)


def _expected(call: Call) -> int | None:
    from shared.domain.scim import read_version

    return read_version(call.request.headers.get("If-Match"))


@bp.function_name(names.SCIM_CONFIG)
@bp.route(route=path_of(names.SCIM_CONFIG), methods=["GET"], auth_level=ANONYMOUS)
async def scim_config(req: func.HttpRequest) -> func.HttpResponse:
    """GET /ServiceProviderConfig"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.scim_schemas import SERVICE_PROVIDER_CONFIG

        return _answer(SERVICE_PROVIDER_CONFIG)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_RESOURCE_TYPES)
@bp.route(route=path_of(names.SCIM_RESOURCE_TYPES), methods=["GET"], auth_level=ANONYMOUS)
async def scim_resource_types(req: func.HttpRequest) -> func.HttpResponse:
    """GET /ResourceTypes"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.scim_schemas import RESOURCE_TYPES

        return _answer(RESOURCE_TYPES)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_SCHEMAS)
@bp.route(route=path_of(names.SCIM_SCHEMAS), methods=["GET"], auth_level=ANONYMOUS)
async def scim_schemas(req: func.HttpRequest) -> func.HttpResponse:
    """GET /Schemas"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.scim_schemas import SCHEMAS

        return _answer(SCHEMAS)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_LIST_USERS)
@bp.route(route=path_of(names.SCIM_LIST_USERS), methods=["GET"], auth_level=ANONYMOUS)
async def scim_list_users(req: func.HttpRequest) -> func.HttpResponse:
    """GET /Users"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.scim import PER_PAGE_MAX, chosen, listing, read_filter, resource

        start = max(1, _number(call, "startIndex", 1))
        count = max(0, _number(call, "count", PER_PAGE_MAX))
        params = call.request.params
        if params.get("filter"):
            found = await services().provisioning.find(*read_filter(params["filter"]))
            total, found = len(found), found[start - 1 : start - 1 + count]
        else:
            total, found = await services().provisioning.list(start, count)
        picked = (params.get("attributes"), params.get("excludedAttributes"))
        shown = [chosen(resource(each, _location(each)), *picked) for each in found]
        return _answer(listing(shown, total, start))

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_CREATE_USER)
@bp.route(route=path_of(names.SCIM_CREATE_USER), methods=["POST"], auth_level=ANONYMOUS)
async def scim_create_user(req: func.HttpRequest) -> func.HttpResponse:
    """POST /Users"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.scim import read_resource

        wanted = read_resource(_body(call))
        shown = await services().provisioning.create(wanted, call.correlation_id)
        return _resource(call, shown, 201)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_GET_USER)
@bp.route(route=path_of(names.SCIM_GET_USER), methods=["GET"], auth_level=ANONYMOUS)
async def scim_get_user(req: func.HttpRequest) -> func.HttpResponse:
    """GET /Users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return _resource(call, await services().provisioning.get(call.path("id")))

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_PUT_USER)
@bp.route(route=path_of(names.SCIM_PUT_USER), methods=["PUT"], auth_level=ANONYMOUS)
async def scim_put_user(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /Users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.scim import read_resource

        shown = await services().provisioning.replace(
            call.path("id"), read_resource(_body(call)), _expected(call), call.correlation_id
        )
        return _resource(call, shown)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_PATCH_USER)
@bp.route(route=path_of(names.SCIM_PATCH_USER), methods=["PATCH"], auth_level=ANONYMOUS)
async def scim_patch_user(req: func.HttpRequest) -> func.HttpResponse:
    """PATCH /Users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        shown = await services().provisioning.patch(
            call.path("id"), _body(call), _expected(call), call.correlation_id
        )
        return _resource(call, shown)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)


@bp.function_name(names.SCIM_DELETE_USER)
@bp.route(route=path_of(names.SCIM_DELETE_USER), methods=["DELETE"], auth_level=ANONYMOUS)
async def scim_delete_user(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /Users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        await services().provisioning.delete(call.path("id"), _expected(call), call.correlation_id)
        return func.HttpResponse(status_code=204)

    return await handle(req, _guarded(req, act), public=True, refuse=scim_problem)
