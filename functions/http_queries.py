"""Query strings before anybody reads them: each parameter once, and only where there are some."""

from typing import Final
from urllib.parse import parse_qsl

import azure.functions as func

from functions.http_addresses import routes_at
from functions.http_routes import API
from shared.domain.json_objects import field_path
from shared.errors import FieldFault, Invalid

QUERY_CHARS_MAX: Final = 8_192


def check_query(request: func.HttpRequest) -> None:
    """Raise Invalid for a parameter that comes twice, or at a route of ours that takes none.

    The host joins repeated parameters with commas, whatever the case of their names. Clients of
    OpenAI and of SCIM send parameters of their own.
    """
    url = request.url or ""
    if "?" not in url:
        return
    if len(url) > QUERY_CHARS_MAX:
        raise Invalid("The query string is too long.", code="query_too_long")
    query = url.partition("?")[2].partition("#")[0]
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    folded = [name.casefold() for name in names]
    if twice := sorted({name for name in names if folded.count(name.casefold()) > 1}):
        faults = [FieldFault(field_path(name), "send it once") for name in twice]
        raise Invalid("A parameter comes more than once.", faults=faults)
    if names and _takes_none(request):
        faults = [FieldFault(field_path(name), "leave it out") for name in names]
        raise Invalid("This address takes no parameters.", faults=faults)


def _takes_none(request: func.HttpRequest) -> bool:
    route = routes_at(request.url or "").get(request.method or "")
    return route is not None and route.root == API and not route.query
