"""The verifiable audit log over HTTP, and the receipts that it proves."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

TEXT = "text/plain"
BYTES = "application/octet-stream"
bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.GET_AUDIT_CHECKPOINT)
@bp.route(route=path_of(names.GET_AUDIT_CHECKPOINT), methods=["GET"], auth_level=ANONYMOUS)
async def get_audit_checkpoint(req: func.HttpRequest) -> func.HttpResponse:
    """GET /audit-log/checkpoint"""

    async def act(call: Call) -> func.HttpResponse:
        note = await services().audit_log.checkpoint(call.known_caller)
        return func.HttpResponse(note, mimetype=TEXT)

    return await handle(req, act)


@bp.function_name(names.LIST_AUDIT_KEYS)
@bp.route(route=path_of(names.LIST_AUDIT_KEYS), methods=["GET"], auth_level=ANONYMOUS)
async def list_audit_keys(req: func.HttpRequest) -> func.HttpResponse:
    """GET /audit-log/keys"""

    async def act(_: Call) -> func.HttpResponse:
        return json_response(await services().audit_log.keys())

    return await handle(req, act)


@bp.function_name(names.GET_AUDIT_FILE)
@bp.route(route=path_of(names.GET_AUDIT_FILE), methods=["GET"], auth_level=ANONYMOUS)
async def get_audit_file(req: func.HttpRequest) -> func.HttpResponse:
    """GET /audit-log/files"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_audit_log_models import FileQuery

        name = call.query(FileQuery).name
        content = await services().audit_log.file(call.known_caller, name)
        return func.HttpResponse(content, mimetype=BYTES)

    return await handle(req, act)


@bp.function_name(names.GET_AUDIT_ENTRY)
@bp.route(route=path_of(names.GET_AUDIT_ENTRY), methods=["GET"], auth_level=ANONYMOUS)
async def get_audit_entry(req: func.HttpRequest) -> func.HttpResponse:
    """GET /audit-log/entries"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_audit_log_models import EntryQuery

        wanted = call.query(EntryQuery)
        return json_response(
            await services().audit_log.entries(call.known_caller, wanted.event_id, wanted.partition)
        )

    return await handle(req, act)


@bp.function_name(names.GET_INCLUSION_PROOF)
@bp.route(route=path_of(names.GET_INCLUSION_PROOF), methods=["GET"], auth_level=ANONYMOUS)
async def get_inclusion_proof(req: func.HttpRequest) -> func.HttpResponse:
    """GET /audit-log/inclusion"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_audit_log_models import InclusionQuery

        index = call.query(InclusionQuery).index
        proof = await services().audit_log.inclusion(call.known_caller, index)
        return func.HttpResponse(proof, mimetype=TEXT)

    return await handle(req, act)


@bp.function_name(names.GET_CONSISTENCY_PROOF)
@bp.route(route=path_of(names.GET_CONSISTENCY_PROOF), methods=["GET"], auth_level=ANONYMOUS)
async def get_consistency_proof(req: func.HttpRequest) -> func.HttpResponse:
    """GET /audit-log/consistency"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_audit_log_models import ConsistencyQuery

        sizes = call.query(ConsistencyQuery)
        return json_response(
            await services().audit_log.consistency(call.known_caller, sizes.old, sizes.new)
        )

    return await handle(req, act)


@bp.function_name(names.GET_EVIDENCE)
@bp.route(route=path_of(names.GET_EVIDENCE), methods=["GET"], auth_level=ANONYMOUS)
async def get_evidence(req: func.HttpRequest) -> func.HttpResponse:
    """GET /generations/{id}/evidence"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().evidence.receipt(call.known_caller, call.path("id")))

    return await handle(req, act)
