"""Reading an image request as strictly as the service does: credential, route, body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from devhost.simulators.azure_openai_errors import (
    AzureRefusal,
    access_denied,
    body_too_large,
    deployment_not_found,
    invalid_request,
    resource_not_found,
)
from devhost.simulators.azure_openai_models import AZURE_MODELS, AzureModel
from devhost.simulators.invoice import GPT_IMAGE_2
from devhost.simulators.pictures import JPEG, PNG
from devhost.simulators.state import SimulatorState

BEARER = "bearer "
AUTO = "auto"
DEFAULT_SIZE = "1024x1024"  # what `auto` becomes
DEFAULT_QUALITY = "medium"

PROMPT_CHARS_MAX = 32_000
BODY_BYTES_MAX = 512 * 1024  # the longest prompt with each character escaped as \uXXXX\uXXXX
IMAGES_MAX = 10
COMPRESSION_MAX = 100
EDGE_MULTIPLE_PX = 16
EDGE_PX_MAX = 3840
AREA_PX_MIN = 655_360
AREA_PX_MAX = 8_294_400
ASPECT_MAX = 3

V1_API_VERSIONS = ("v1", "preview")
DATED_API_VERSION = re.compile(r"20\d\d-\d\d-\d\d(-preview)?")
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
CHOICES = {
    "output_format": (PNG, JPEG),
    "background": (AUTO, "opaque", "transparent"),
    "moderation": (AUTO, "low"),
}
TEXT_FIELDS = ("user", "safety_identifier")
FIELDS = {
    "model",
    "prompt",
    "n",
    "size",
    "quality",
    "output_compression",
    *CHOICES,
    *TEXT_FIELDS,
}
NOT_SIMULATED = ("stream", "partial_images")  # the service has them, the simulator does not


@dataclass(frozen=True)
class AzureImageRequest:
    """A valid request; `size` and `quality` may still be `auto`."""

    deployment: str
    prompt: str
    images: int
    size: str
    quality: str
    output_format: str
    background: str


def require_credential(headers: Mapping[str, str], state: SimulatorState) -> None:
    """Raises AzureRefusal unless the key or the bearer token is plausible."""
    credential = headers.get("api-key", "").strip()
    authorization = headers.get("authorization", "")
    if not credential and authorization.lower().startswith(BEARER):
        credential = authorization[len(BEARER) :].strip()
    if state.refuses(credential):
        raise access_denied()


async def read_image_request(
    request: web.Request, route_deployment: str | None
) -> AzureImageRequest:
    """The request as one value; raises AzureRefusal. `route_deployment` is None on the v1 route."""
    _require_api_version(request.query.get("api-version"), route_deployment)
    if route_deployment is not None and route_deployment not in AZURE_MODELS:
        raise deployment_not_found()
    document = _parse_object(await _read_body(request))
    deployment = route_deployment
    if deployment is None:
        deployment = _named_deployment(document.get("model"))
    elif "model" in document:
        message = f"Unknown model: {document['model']!r}. The deployment is named by the address."
        raise invalid_request(message, "model")
    return parse_image_request(document, AZURE_MODELS[deployment])


def _require_api_version(version: str | None, route_deployment: str | None) -> None:
    if route_deployment is not None:
        if version is None or DATED_API_VERSION.fullmatch(version) is None:
            raise resource_not_found()
    elif version is not None and version not in V1_API_VERSIONS:
        message = f"api-version must be one of {', '.join(V1_API_VERSIONS)} on a /v1 path."
        raise invalid_request(message, "api-version")


async def _read_body(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise body_too_large(BODY_BYTES_MAX)
    return bytes(body)


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_request("The body must be a JSON object.", None, "invalid_json")
    return document


def _named_deployment(model: object) -> str:
    if not isinstance(model, str) or not model:
        raise _missing("model")
    if model not in AZURE_MODELS:
        raise deployment_not_found()
    return model


def parse_image_request(
    document: dict[str, Any], model: AzureModel = AZURE_MODELS[GPT_IMAGE_2]
) -> AzureImageRequest:
    """The checked fields of a body; its `model` is checked elsewhere. Raises AzureRefusal."""
    _require_known_fields(document)
    chosen = {name: _choice(document, name, choices) for name, choices in CHOICES.items()}
    quality = _choice(document, "quality", (AUTO, *model.qualities))
    for name in TEXT_FIELDS:
        if not isinstance(document.get(name, ""), str | None):
            raise invalid_request(f"{name} must be a string.", name)
    output_format = chosen["output_format"] or PNG
    background = chosen["background"] or AUTO
    _require_consistent(document, output_format, background)
    return AzureImageRequest(
        deployment=model.name,
        prompt=_prompt(document),
        images=_whole_number(document, "n", 1, IMAGES_MAX, default=1),
        size=_size(document, model),
        quality=quality or AUTO,
        output_format=output_format,
        background="transparent" if background == "transparent" else "opaque",
    )


def _require_known_fields(document: dict[str, Any]) -> None:
    for name in document:
        if name in NOT_SIMULATED:
            raise invalid_request(f"The simulator does not support {name}.", name, "not_simulated")
        if name not in FIELDS:
            message = f"Unknown parameter: {name!r}."
            raise invalid_request(message, name, "unknown_parameter")


def _prompt(document: dict[str, Any]) -> str:
    prompt = document.get("prompt")
    if prompt is None:
        raise _missing("prompt")
    if not isinstance(prompt, str) or not 1 <= len(prompt) <= PROMPT_CHARS_MAX:
        message = f"prompt must be a string of 1 to {PROMPT_CHARS_MAX} characters."
        raise invalid_request(message, "prompt")
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise invalid_request("prompt has half of a surrogate pair.", "prompt")
    return prompt


def _choice(document: dict[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    value = document.get(name)
    if value is not None and value not in choices:
        known = ", ".join(choices)
        raise invalid_request(f"Invalid value: {value!r}. Supported values are: {known}.", name)
    return value


def _whole_number(document: dict[str, Any], name: str, low: int, high: int, default: int) -> int:
    value = document.get(name)
    if value is None:
        return default
    if type(value) is not int or not low <= value <= high:
        raise invalid_request(f"{name} must be a whole number from {low} to {high}.", name)
    return value


def _require_consistent(document: dict[str, Any], output_format: str, background: str) -> None:
    compression = _whole_number(document, "output_compression", 0, COMPRESSION_MAX, COMPRESSION_MAX)
    if output_format == PNG and compression != COMPRESSION_MAX:
        message = f"output_compression below {COMPRESSION_MAX} needs output_format jpeg."
        raise invalid_request(message, "output_compression")
    if output_format == JPEG and background == "transparent":
        raise invalid_request("A transparent background needs output_format png.", "background")


def _size(document: dict[str, Any], model: AzureModel) -> str:
    size = document.get("size")
    if size is None or size == AUTO:
        return AUTO
    parts = SIZE.fullmatch(size) if isinstance(size, str) else None
    if parts is None:
        raise invalid_request(f"Invalid size {size!r}: must be auto or WIDTHxHEIGHT.", "size")
    problem = _size_problem(int(parts[1]), int(parts[2]))
    if problem is not None:
        raise invalid_request(f"Invalid size {size!r}: {problem}.", "size")
    if size not in model.tokens:
        known = ", ".join(model.tokens)
        message = f"The simulator knows no token count for size {size}, only for {known}."
        raise invalid_request(message, "size", "not_simulated")
    return str(size)


def _size_problem(width_px: int, height_px: int) -> str | None:
    short_px, long_px = sorted((width_px, height_px))
    if width_px % EDGE_MULTIPLE_PX or height_px % EDGE_MULTIPLE_PX:
        return f"both edges must be multiples of {EDGE_MULTIPLE_PX}"
    if long_px > EDGE_PX_MAX:
        return f"no edge may be longer than {EDGE_PX_MAX}"
    if long_px > ASPECT_MAX * short_px:
        return f"the ratio must be between 1:{ASPECT_MAX} and {ASPECT_MAX}:1"
    if not AREA_PX_MIN <= width_px * height_px <= AREA_PX_MAX:
        return f"the area must be from {AREA_PX_MIN} to {AREA_PX_MAX} pixels"
    return None


def _missing(name: str) -> AzureRefusal:
    message = f"Missing required parameter: {name!r}."
    return invalid_request(message, name, "missing_required_parameter")
