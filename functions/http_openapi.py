"""OpenAPI 3.1, generated from the two route tables and the models that check the requests."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions import names
from functions.http_auth import CSRF_HEADER, SESSION_COOKIE
from functions.http_bootstrap import SECRET_HEADER
from functions.http_routes import API, ROUTES, SCIM, Route, path_of
from functions.http_support import JSON, PATH_ID_CHARS_MAX, PROBLEM, Call, handle
from shared.domain.problem_codes import PROBLEM_CODES

if TYPE_CHECKING:
    from pydantic import BaseModel

    from functions.http_operation import Operation

SAFE_METHODS = frozenset({"GET", "HEAD"})
SECURITY_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "an access token of Microsoft Entra ID; then cookies are not looked at",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "a browser that signed in at /api/v1/auth/login, and its device cookie",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "csrf_token of GET /api/v1/auth/session",
    },
    "provisioning": {
        "type": "http",
        "scheme": "bearer",
        "description": "the secret of the identity provider's provisioning app",
    },
    "bootstrap": {"type": "apiKey", "in": "header", "name": SECRET_HEADER},
}
PATH_ID_SCHEMA = {"type": "string", "minLength": 1, "maxLength": PATH_ID_CHARS_MAX}
COMMON_ERRORS = (401, 403, 431, 500, 503)
bp = func.Blueprint()
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "instance", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {
            "type": "string",
            "enum": sorted(PROBLEM_CODES),
            "description": "stable; decide by this, and by the status if it is newer than you are",
        },
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "retryable": {"type": "boolean"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


@bp.function_name(names.OPENAPI)
@bp.route(route=path_of(names.OPENAPI), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """GET /openapi.json"""

    async def act(call: Call) -> func.HttpResponse:
        return func.HttpResponse(json.dumps(openapi_document()), mimetype=JSON)

    return await handle(req, act, public=True)


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """The whole document; built once per worker."""
    from pydantic.json_schema import models_json_schema

    from functions.http_operations import OPERATIONS

    references, definitions = models_json_schema(
        _models(OPERATIONS.values()), ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        described = _described(route, OPERATIONS[route.name], references)
        paths.setdefault(f"/{path_of(route.name)}", {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EIG",
            "version": "1",
            "description": "Enterprise image generation: who may, what it costs, who pays.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": SECURITY_SCHEMES,
            "schemas": {**definitions["$defs"], "Problem": PROBLEM_SCHEMA},
        },
    }


def _models(operations: "Iterable[Operation]") -> "list[tuple[type[BaseModel], Any]]":
    operations = list(operations)
    bodies = {each.body for each in operations if each.body}
    responses = {each.response for each in operations if each.response}
    responses |= {each.error for each in operations if each.error}
    ordered = sorted(bodies, key=lambda model: model.__name__)
    return [(model, "validation") for model in ordered] + [
        (model, "serialization") for model in sorted(responses, key=lambda model: model.__name__)
    ]


def _described(route: Route, operation: "Operation", references: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": operation.summary,
        "parameters": _parameters(route, operation),
        "responses": _responses(route, operation, references),
        "security": _security(route),
    }
    if operation.body:
        content: dict[str, Any] = {
            operation.media_type: {
                "schema": references[(operation.body, "validation")],
                "example": operation.example,
            }
        }
        for media_type in operation.other_bodies:
            content[media_type] = {"schema": {"type": "string"}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _security(route: Route) -> list[dict[str, list[str]]]:
    """The ways in which a caller may show who they are; none where nobody is asked."""
    if route.root == SCIM:
        return [{"provisioning": []}]
    if route.name == names.BOOTSTRAP:
        return [{"bootstrap": []}]
    if route.public:
        return []
    csrf: dict[str, list[str]] = {} if route.method in SAFE_METHODS else {"csrf": []}
    return [{"token": []}, {"session": [], **csrf}]


def _parameters(route: Route, operation: "Operation") -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": PATH_ID_SCHEMA}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if operation.query:
        schema = operation.query.model_json_schema()
        for name, description in schema["properties"].items():
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", ()),
                    "schema": description,
                }
            )
    if operation.idempotent:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "same key and body: same answer; other body: 422",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    if operation.conditional:
        needed = 428 in operation.errors
        for name in ("If-Match", "If-None-Match") if needed else ("If-Match",):
            parameters.append(
                {
                    "name": name,
                    "in": "header",
                    "required": False,
                    "description": "one of the two: the ETag that was read, or * to create"
                    if needed
                    else "the ETag that was read, if no other revision is meant",
                    "schema": {"type": "string"},
                }
            )
    if route.name == names.SUBMIT_GENERATION:
        parameters.append(
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "description": "wait=N answers with the finished result within N seconds (<= 100);"
                " other preferences are ignored",
                "schema": {"type": "string", "examples": ["wait=60"]},
            }
        )
    return parameters


def _responses(route: Route, operation: "Operation", references: dict[Any, Any]) -> dict[str, Any]:
    schema: Any = {"type": "object"}
    if operation.response:
        schema = references[(operation.response, "serialization")]
    content: dict[str, Any] = {operation.media_type: {"schema": schema}}
    for media_type in operation.other_responses:
        content[media_type] = {"schema": {}}
    responses: dict[str, Any] = {}
    for status in (operation.status, *operation.other_statuses):
        described = {"description": HTTPStatus(status).phrase}
        has_body = status != HTTPStatus.NO_CONTENT
        responses[str(status)] = described | ({"content": content} if has_body else {})
    refusal: Any = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if operation.error:
        refusal = {operation.media_type: {"schema": references[(operation.error, "serialization")]}}
    common = (431, 500) if route.public else COMMON_ERRORS
    reading = (406,) if route.method == "GET" else ()
    naming = (404,) if "{" in route.path else ()
    asking = (422,) if route.root == API else ()  # with parameters that it does not take
    for status in sorted({*common, *reading, *naming, *asking, *operation.errors}):
        responses.setdefault(
            str(status),
            {"description": HTTPStatus(status).phrase, "content": refusal},
        )
    return responses
