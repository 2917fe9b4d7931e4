"""Pictures over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.errors import PayloadTooLarge
from shared.wiring import services

CONTENT_BYTES_MAX = 25 * 1024 * 1024  # an HTTP answer is built in memory; larger ones go by link
THUMBNAIL_TYPE = "image/webp"
bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.GET_IMAGE)
@bp.route(route=path_of(names.GET_IMAGE), methods=["GET"], auth_level=ANONYMOUS)
async def get_image(req: func.HttpRequest) -> func.HttpResponse:
    """GET /images/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().image_details.get(call.known_caller, call.path("id")))

    return await handle(req, act, route=names.GET_IMAGE)


@bp.function_name(names.GET_IMAGE_CONTENT)
@bp.route(route=path_of(names.GET_IMAGE_CONTENT), methods=["GET"], auth_level=ANONYMOUS)
async def get_image_content(req: func.HttpRequest) -> func.HttpResponse:
    """GET /images/{id}/content"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import ContentQuery, ImageLinkView

        if call.query(ContentQuery).delivery == "link":
            url, expires_at = await services().images.link(call.known_caller, call.path("id"))
            return json_response(ImageLinkView(url=url, expires_at=expires_at.isoformat()))
        content = await services().images.content(call.known_caller, call.path("id"))
        if content.size_bytes > CONTENT_BYTES_MAX:
            raise PayloadTooLarge("The picture is too large to send; ask with ?delivery=link.")
        body = b"".join([chunk async for chunk in content.chunks])
        return func.HttpResponse(body, mimetype=content.content_type)

    return await handle(req, act, route=names.GET_IMAGE_CONTENT)


@bp.function_name(names.GET_IMAGE_THUMBNAIL)
@bp.route(route=path_of(names.GET_IMAGE_THUMBNAIL), methods=["GET"], auth_level=ANONYMOUS)
async def get_image_thumbnail(req: func.HttpRequest) -> func.HttpResponse:
    """GET /images/{id}/thumbnail"""

    async def act(call: Call) -> func.HttpResponse:
        content = await services().thumbnails.get(call.known_caller, call.path("id"))
        return func.HttpResponse(content, mimetype=THUMBNAIL_TYPE)

    return await handle(req, act, route=names.GET_IMAGE_THUMBNAIL)
