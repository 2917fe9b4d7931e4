"""HTTP functions: routes, converters, and a window to the durable client."""

import json
import time

import azure.durable_functions as df
import azure.functions as func
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

bp = df.Blueprint()


def _answer(function: str, req: func.HttpRequest) -> func.HttpResponse:
    body = req.get_body()
    content = {
        "function": function,
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "header": req.headers.get("X-Sample"),
        "size": len(body),
        "head": body[:20].decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


@bp.route(route="echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("echo", req)


@bp.route(route="items/{id:int}", methods=["GET"])
async def item_by_number(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("item_by_number", req)


@bp.route(route="items/special", methods=["GET"])
async def item_special(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("item_special", req)


@bp.route(route="items/{name}", methods=["GET"])
async def item_by_name(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("item_by_name", req)


@bp.route(route="items/{name}", methods=["DELETE"])
async def item_delete(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("item_delete", req)


@bp.route(route="files/{*rest}", methods=["GET"])
async def files(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("files", req)


@bp.route(route="maybe/{word:alpha?}", methods=["GET"])
async def maybe(req: func.HttpRequest) -> func.HttpResponse:
    return _answer("maybe", req)


@bp.route(methods=["GET"])
def plain_text(req: func.HttpRequest) -> str:
    return "just text"


@bp.route(methods=["POST"])
async def json_body(req: func.HttpRequest) -> func.HttpResponse:
    try:
        return func.HttpResponse(json.dumps(req.get_json()), status_code=201)
    except ValueError:
        return func.HttpResponse("bad json", status_code=400)


@bp.route(methods=["GET"])
async def returns_none(req: func.HttpRequest) -> func.HttpResponse:
    return None


@bp.route(methods=["GET"])
async def returns_dict(req: func.HttpRequest) -> func.HttpResponse:
    return {"a": 1}


@bp.route(methods=["GET"])
async def raises(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("secret detail")


@bp.route(methods=["GET"])
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(b"", status_code=204, headers={"X-Answer": "42"})
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2; SameSite=Strict")
    return response


@bp.route(methods=["GET"])
def sync_context(req: func.HttpRequest, context: func.Context) -> str:
    time.sleep(0.2)
    return f"{context.function_name} {len(context.invocation_id)}"


@bp.route(methods=["GET"])
def blocks_a_thread(req: func.HttpRequest) -> str:
    time.sleep(30)
    return "too late"


@bp.route(route="client/{operation}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def client_call(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Calls one method of the SDK's client with the arguments in the body."""
    arguments = req.get_json()
    method = getattr(client, req.route_params["operation"])
    try:
        result = await method(**arguments)
    except Exception as error:
        return func.HttpResponse(str(error), status_code=409)
    return func.HttpResponse(json.dumps(_plain(result)), mimetype="application/json")


@bp.route(route="start/{name}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_json() if req.get_body() else {}
    instance_id = await client.start_new(
        req.route_params["name"], body.get("id"), body.get("input")
    )
    return client.create_check_status_response(req, instance_id)


@bp.route(route="run/{name}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def run_and_wait(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    instance_id = await client.start_new(req.route_params["name"], None, req.get_json())
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance_id, 5000, 50
    )


@bp.route(route="entity/{name}/{key}", methods=["GET", "POST"])
@bp.durable_client_input(client_name="client")
async def entity(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    entity_id = df.EntityId(req.route_params["name"], req.route_params["key"])
    if req.method == "POST":
        await client.signal_entity(entity_id, req.params["op"], req.get_json())
        return func.HttpResponse(status_code=202)
    answer = await client.read_entity_state(entity_id)
    return func.HttpResponse(
        json.dumps({"exists": answer.entity_exists, "state": answer.entity_state})
    )


def _plain(result: object) -> object:
    if isinstance(result, list):
        return [_plain(item) for item in result]
    if hasattr(result, "instances_deleted"):
        return result.instances_deleted
    if isinstance(result, DurableOrchestrationStatus):
        return result.to_json() if result else None
    return result
