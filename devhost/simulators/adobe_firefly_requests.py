"""What a Firefly request may say: the fields and limits of Adobe's specification 3.0.0.

Stricter than its schema, which does not enforce the list of sizes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

IMAGE5 = "image5"
IMAGE3_SIZES = (
    (2048, 2048),
    (1024, 1024),
    (2304, 1792),
    (1792, 2304),
    (2688, 1536),
    (2688, 1512),
    (1344, 768),
    (1344, 756),
    (1152, 896),
    (896, 1152),
)
IMAGE4_SIZES = ((2048, 2048), (2304, 1792), (1792, 2304), (2688, 1536), (1440, 2560))
V3_SIZES = {
    "image3": IMAGE3_SIZES,
    "image4_standard": IMAGE4_SIZES,
    "image4_ultra": IMAGE4_SIZES,
}
V3_PROMPT_CHARS_MAX = 1024
V4_PROMPT_CHARS_MAX = 1500
VARIATIONS_MAX = 4
# Adobe does not state the pixels of Image 5: squares of this edge, cut to the ratio.
RESOLUTION_EDGES = {"1MP": 1024, "2.4MP": 1536, "4MP": 2048}
ASPECT_RATIOS = {"1:1": (1, 1), "4:3": (4, 3), "3:4": (3, 4), "16:9": (16, 9), "9:16": (9, 16)}


class FieldError(ValueError):
    """A 422: where the fault is, what it is, and the kind as the service's validator names it."""

    def __init__(self, loc: str, message: str, kind: str) -> None:
        super().__init__(message)
        self.loc = loc
        self.message = message
        self.kind = kind


class BodyError(ValueError):
    """A 400: the body is empty or no JSON object; the text is the error code."""


@dataclass(frozen=True)
class FireflyOrder:
    """A checked request; `seeds` are empty if the client sent none."""

    model: str
    prompt: str
    images: int
    width: int
    height: int
    seeds: tuple[int, ...]


Check = Callable[[Any], bool]


def parse_object(raw: bytes) -> dict[str, Any]:
    if not raw:
        raise BodyError("empty_input_body")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise BodyError("bad_request") from None
    if not isinstance(body, dict):
        raise BodyError("bad_request")
    return body


def parse_v3(model: str, body: Mapping[str, Any]) -> FireflyOrder:
    """A request for Image 3 or 4; raises FieldError."""
    if model not in V3_SIZES:
        raise FieldError("x-model-version", "value is not a valid model", "type_error.enum")
    known = {"prompt", "negativePrompt", "numVariations", "seeds", "size"}
    _require_known(body, known)
    _text(body, "negativePrompt", V3_PROMPT_CHARS_MAX)
    images = _whole(body, "numVariations", VARIATIONS_MAX)
    seeds = _seeds(body)
    if seeds and images is not None and images != len(seeds):
        raise FieldError("seeds", "as many seeds as numVariations are needed", "value_error")
    width, height = _size(body.get("size"), V3_SIZES[model])
    prompt = _required_prompt(body, V3_PROMPT_CHARS_MAX)
    return FireflyOrder(model, prompt, images or len(seeds) or 1, width, height, seeds)


def parse_v4(model: str, body: Mapping[str, Any]) -> FireflyOrder:
    """A request for Image 5; raises FieldError."""
    if model != IMAGE5:
        raise FieldError("x-model-version", "value is not a valid model", "type_error.enum")
    known = {
        "prompt",
        "modelId",
        "aspectRatio",
        "resolutionLevel",
        "numVariations",
        "seeds",
        "modelSpecificPayload",
    }
    _require_known(body, known)
    if body.get("modelId", "firefly_image") != "firefly_image":
        raise FieldError("modelId", "permitted: 'firefly_image'", "type_error.enum")
    _whole(body, "numVariations", 1)
    seeds = _seeds(body)
    if len(seeds) > 1:
        raise FieldError(
            "seeds", "ensure this value has at most 1 items", "value_error.list.max_items"
        )
    ratio = _choice(body, "aspectRatio", (*ASPECT_RATIOS, "auto"), "1:1")
    edge = RESOLUTION_EDGES[_choice(body, "resolutionLevel", tuple(RESOLUTION_EDGES), "2.4MP")]
    across, down = ASPECT_RATIOS.get(ratio, (1, 1))
    longest = max(across, down)
    prompt = _required_prompt(body, V4_PROMPT_CHARS_MAX)
    return FireflyOrder(model, prompt, 1, edge * across // longest, edge * down // longest, seeds)


def _require_known(body: Mapping[str, Any], known: set[str]) -> None:
    for name in body:
        if name not in known:
            raise FieldError(name, "extra fields not simulated", "value_error.extra")


def _required_prompt(body: Mapping[str, Any], chars_max: int) -> str:
    if not body.get("prompt"):
        raise FieldError("prompt", "field required", "value_error.missing")
    return _text(body, "prompt", chars_max)


def _text(body: Mapping[str, Any], name: str, chars_max: int) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise FieldError(name, "str type expected", "type_error.str")
    if len(value) > chars_max:
        message = f"ensure this value has at most {chars_max} characters"
        raise FieldError(name, message, "value_error.any_str.max_length")
    return value


def _whole(body: Mapping[str, Any], name: str, high: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise FieldError(name, "value is not a valid integer", "type_error.integer")
    if value > high:
        message = f"ensure this value is less than or equal to {high}"
        raise FieldError(name, message, "value_error.number.not_le")
    return value


def _seeds(body: Mapping[str, Any]) -> tuple[int, ...]:
    value = body.get("seeds")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(seed) is int for seed in value):
        raise FieldError("seeds", "value is not a valid list of integers", "type_error.list")
    if not 1 <= len(value) <= VARIATIONS_MAX or len(set(value)) != len(value):
        raise FieldError("seeds", "1 to 4 different seeds are allowed", "value_error.list")
    return tuple(value)


def _size(value: object, allowed: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    if value is None:
        return 2048, 2048
    if not isinstance(value, dict) or set(value) != {"width", "height"}:
        raise FieldError("size", "width and height are required", "value_error")
    size = (value["width"], value["height"])
    if size not in allowed:
        raise FieldError("size", "this size is not supported by the model", "value_error")
    return size


def _choice(body: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    value = body.get(name, default)
    if value not in choices:
        permitted = ", ".join(repr(choice) for choice in choices)
        message = f"value is not a valid enumeration member; permitted: {permitted}"
        raise FieldError(name, message, "type_error.enum")
    return str(value)
