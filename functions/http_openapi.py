"""OpenAPI 3.1, generated from the route table and the models that check the requests."""

import json
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import azure.functions as func
from pydantic import BaseModel

from functions import names
from functions.http_routes import PREFIX, ROUTES, Route, path_of
from functions.http_support import JSON, PROBLEM, Call, handle

COMMON_ERRORS = (401, 403, 500, 503)
bp = func.Blueprint()
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "instance", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable; decide by this"},
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
    from pydantic.json_schema import models_json_schema  # slow to import, rarely asked for

    models = _models()
    references, definitions = models_json_schema(
        [(model, mode) for model, mode in models], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        operation = _operation(route, references)
        paths.setdefault(f"/api/{PREFIX}{route.path}", {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EIG",
            "version": "1",
            "description": "Enterprise image generation: who may, what it costs, who pays.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": {**definitions["$defs"], "Problem": PROBLEM_SCHEMA},
        },
    }


def _models() -> list[tuple[type[BaseModel], Any]]:
    bodies = {route.body for route in ROUTES if route.body}
    responses = {route.response for route in ROUTES if route.response}
    ordered = sorted(bodies, key=lambda model: model.__name__)
    return [(model, "validation") for model in ordered] + [
        (model, "serialization") for model in sorted(responses, key=lambda model: model.__name__)
    ]


def _operation(route: Route, references: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route, references),
    }
    if route.public:
        operation["security"] = []
    if route.body:
        content: dict[str, Any] = {JSON: {"schema": references[(route.body, "validation")]}}
        for media_type in route.other_bodies:
            content[media_type] = {"schema": {"type": "string"}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query:
        schema = route.query.model_json_schema()
        for name, description in schema["properties"].items():
            parameters.append(
                {"name": name, "in": "query", "required": False, "schema": description}
            )
    if route.idempotent:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "same key and body: same answer; other body: 422",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    if route.name == names.SUBMIT_GENERATION:
        parameters.append(
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "description": "wait=N answers with the finished result within N seconds (<= 100)",
                "schema": {"type": "string", "pattern": "^wait=[0-9]{1,3}$"},
            }
        )
    return parameters


def _responses(route: Route, references: dict[Any, Any]) -> dict[str, Any]:
    schema: Any = {"type": "object"}
    if route.response:
        schema = references[(route.response, "serialization")]
    content: dict[str, Any] = {JSON: {"schema": schema}}
    for media_type in route.other_responses:
        content[media_type] = {"schema": {}}
    responses: dict[str, Any] = {}
    for status in (route.status, *route.other_statuses):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    common = (500,) if route.public else COMMON_ERRORS
    for status in sorted({*common, *route.errors}):
        responses.setdefault(
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    return responses
