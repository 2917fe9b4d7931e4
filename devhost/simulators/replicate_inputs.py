"""What a create request of the Replicate simulator may say: bodies, model inputs, headers.

Inputs are checked as the hosted service does, by JSON schema, with the words of its validator.
Stricter than the service, so that a mistake is seen: inputs that the model does not have are
refused, and so are SDXL sizes on which the real model fails later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devhost.simulators.invoice import FLUX_SCHNELL, OFFICIAL_USD_MICROS_PER_IMAGE, SDXL
from devhost.simulators.pictures import JPEG, PNG, WEBP

SDXL_VERSION = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc"
HIDDEN_VERSION = "hidden"  # what the service shows for official models

# Width and height by aspect ratio: the table of the model's source, replicate/cog-flux.
FLUX_SIZES = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "3:4": (896, 1152),
    "4:3": (1152, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}
FLUX_1_1_PRO = "black-forest-labs/flux-1.1-pro"
FLUX_2_PRO = "black-forest-labs/flux-2-pro"
SINGLE_OUTPUT_MODELS = (FLUX_1_1_PRO, FLUX_2_PRO)  # their output is no list
FLUX_FORMATS = {"webp": WEBP, "jpg": JPEG, "png": PNG}
SDXL_EDGE_MIN = 64
SDXL_EDGE_MAX = 1536  # more than any SDXL size in use; bounds the drawing work
SDXL_EDGE_STEP = 8  # the model's latent space is an eighth of the picture

WAIT_S_DEFAULT = 60
CANCEL_AFTER_S_MIN = 5  # the service's documented minimum
_PREFER = re.compile(r"wait(?:=([1-9]|[1-5][0-9]|60))?")
_CANCEL_AFTER = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s?)?")
_SCHEDULERS = (
    "DDIM",
    "DPMSolverMultistep",
    "HeunDiscrete",
    "KarrasDPM",
    "K_EULER_ANCESTRAL",
    "K_EULER",
    "PNDM",
)
_REFINERS = ("no_refiner", "expert_ensemble_refiner", "base_image_refiner")
_WEBHOOK_FIELDS = ("webhook", "webhook_events_filter")
_SDXL_NOT_EMULATED = ("image", "mask", "replicate_weights")


@dataclass(frozen=True)
class InvalidField:
    """One violation, as it is listed in `invalid_fields`; `field` is empty for the body itself."""

    field: str
    type: str
    description: str


class InputError(ValueError):
    """The request is refused with 422."""

    def __init__(self, title: str, detail: str, fields: tuple[InvalidField, ...] = ()) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail
        self.fields = fields


class NotEmulatedError(ValueError):
    """The real service can do this, the simulator cannot; the text is a sentence."""


@dataclass(frozen=True)
class PictureOrder:
    """A checked input: what to draw. `seed` is None if the client sent none."""

    model: str
    version: str
    prompt: str
    seed: int | None
    width: int
    height: int
    num_outputs: int
    format: str
    extension: str


Check = Callable[[Any], tuple[str, str] | None]  # (violation type, description), or None


def parse_body(raw: bytes, fields: tuple[str, ...]) -> dict[str, Any]:
    """The create request as an object that has `fields`; raises InputError."""
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
        json.dumps(body, ensure_ascii=False).encode()  # an escaped half of a surrogate pair cannot
    except (ValueError, RecursionError):
        raise InputError("Invalid JSON", "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InputError("Invalid JSON", "The request body must be a JSON object.")
    allowed = {*fields, "stream", *_WEBHOOK_FIELDS}  # stream is deprecated and without effect
    found = [_missing("", name) for name in fields if name not in body]
    found += [_unknown("", name) for name in body if name not in allowed]
    if "version" in fields and "version" in body and not isinstance(body["version"], str):
        found.append(InvalidField("version", *_wrong_type("string", body["version"])))
    if "input" in body and not isinstance(body["input"], dict):
        found.append(InvalidField("input", *_wrong_type("object", body["input"])))
    if found:
        raise _violations(found)
    return body


def model_of_version(version: str) -> str:
    """The model that `version` of a create request names; raises InputError."""
    if version in (SDXL_VERSION, f"{SDXL}:{SDXL_VERSION}"):
        return SDXL
    if version in OFFICIAL_USD_MICROS_PER_IMAGE:
        return version
    raise InputError(
        "Invalid version or not permitted",
        "The specified version does not exist (or perhaps you don't have permission to use it?)",
    )


def parse_input(model: str, values: dict[str, Any]) -> PictureOrder:
    """Checks a model's input; raises InputError, or NotEmulatedError for pictures as input."""
    return _parse_sdxl(values) if model == SDXL else _parse_official(model, values)


def parse_wait_s(prefer: str | None) -> int | None:
    """Seconds to hold the request open, or None; raises InputError."""
    if prefer is None:
        return None
    match = _PREFER.fullmatch(prefer)
    if match is None:
        raise InputError("Invalid Prefer header", "Prefer must be wait or wait=1 to wait=60.")
    return int(match[1] or WAIT_S_DEFAULT)


def parse_cancel_after_s(cancel_after: str | None) -> int | None:
    """The deadline in seconds after creation (`90`, `90s`, `1m30s`), or None; raises InputError."""
    if cancel_after is None:
        return None
    match = _CANCEL_AFTER.fullmatch(cancel_after)
    if match is None or not cancel_after:
        raise InputError(
            "Invalid Cancel-After header", "Cancel-After must be a duration such as 90s or 1m30s."
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    deadline_s = 3600 * hours + 60 * minutes + seconds
    if deadline_s < CANCEL_AFTER_S_MIN:
        raise InputError(
            "Invalid Cancel-After header",
            f"Cancel-After must be at least {CANCEL_AFTER_S_MIN} seconds.",
        )
    return deadline_s


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _violations(found: list[InvalidField]) -> InputError:
    lines = [
        f"- {item.field}: {item.description}\n" if item.field else f"- {item.description}\n"
        for item in found
    ]
    return InputError("Input validation failed", "".join(lines), tuple(found))


def _missing(parent: str, name: str) -> InvalidField:
    return InvalidField(parent, "required", f"{name} is required")


def _unknown(parent: str, name: str) -> InvalidField:
    return InvalidField(
        parent, "additional_property_not_allowed", f"Additional property {name} is not allowed"
    )


def _wrong_type(expected: str, value: Any) -> tuple[str, str]:
    return "invalid_type", f"Invalid type. Expected: {expected}, given: {_json_type(value)}"


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    names = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _string(value: Any) -> tuple[str, str] | None:
    return None if isinstance(value, str) else _wrong_type("string", value)


def _boolean(value: Any) -> tuple[str, str] | None:
    return None if isinstance(value, bool) else _wrong_type("boolean", value)


def _one_of(name: str, choices: tuple[str, ...]) -> Check:
    def check(value: Any) -> tuple[str, str] | None:
        if value in choices:
            return None
        listed = ", ".join(f'"{choice}"' for choice in choices)
        return "enum", f"{name} must be one of the following: {listed}"

    return check


def _number(low: float, high: float) -> Check:
    return _bounded("number", low, high)


def _integer(low: float | None = None, high: float | None = None) -> Check:
    return _bounded("integer", low, high)


def _bounded(kind: str, low: float | None, high: float | None) -> Check:
    accepted = ("integer",) if kind == "integer" else ("integer", "number")

    def check(value: Any) -> tuple[str, str] | None:
        if _json_type(value) not in accepted:
            return _wrong_type(kind, value)
        if low is not None and value < low:
            return "number_gte", f"Must be greater than or equal to {low:g}"
        if high is not None and value > high:
            return "number_lte", f"Must be less than or equal to {high:g}"
        return None

    return check


def _edge(value: Any) -> tuple[str, str] | None:
    problem = _integer(SDXL_EDGE_MIN, SDXL_EDGE_MAX)(value)
    if problem is None and value % SDXL_EDGE_STEP:
        return "multiple_of", f"Must be a multiple of {SDXL_EDGE_STEP}"
    return problem


# Type, choices and limits of the published schema of SDXL_VERSION.
_SDXL_CHECKS: Mapping[str, Check] = {
    "prompt": _string,
    "negative_prompt": _string,
    "width": _edge,
    "height": _edge,
    "num_outputs": _integer(1, 4),
    "scheduler": _one_of("scheduler", _SCHEDULERS),
    "num_inference_steps": _integer(1, 500),
    "guidance_scale": _number(1, 50),
    "prompt_strength": _number(0, 1),
    "seed": _integer(),
    "refine": _one_of("refine", _REFINERS),
    "high_noise_frac": _number(0, 1),
    "refine_steps": _integer(),
    "apply_watermark": _boolean,
    "lora_scale": _number(0, 1),
    "disable_safety_checker": _boolean,
}
_FLUX_CHECKS: Mapping[str, Check] = {
    "prompt": _string,
    "aspect_ratio": _one_of("aspect_ratio", tuple(FLUX_SIZES)),
    "num_outputs": _integer(1, 4),
    "num_inference_steps": _integer(1, 4),
    "seed": _integer(),
    "output_format": _one_of("output_format", tuple(FLUX_FORMATS)),
    "output_quality": _integer(0, 100),
    "go_fast": _boolean,
    "megapixels": _one_of("megapixels", ("1", "0.25")),
    "disable_safety_checker": _boolean,
}


# The official models beyond schnell make one picture.
_ONE_PICTURE_CHECKS: Mapping[str, Check] = {
    "prompt": _string,
    "aspect_ratio": _one_of("aspect_ratio", tuple(FLUX_SIZES)),
    "seed": _integer(),
    "output_format": _one_of("output_format", tuple(FLUX_FORMATS)),
    "output_quality": _integer(0, 100),
}
_OFFICIAL_CHECKS: Mapping[str, Mapping[str, Check]] = {
    FLUX_SCHNELL: _FLUX_CHECKS,
    FLUX_1_1_PRO: {
        **_ONE_PICTURE_CHECKS,
        "safety_tolerance": _integer(1, 6),
        "prompt_upsampling": _boolean,
    },
    FLUX_2_PRO: {**_ONE_PICTURE_CHECKS, "safety_tolerance": _integer(1, 5)},
    "stability-ai/stable-diffusion-3.5-large": {**_ONE_PICTURE_CHECKS, "cfg": _number(1, 10)},
}


def _check(values: dict[str, Any], checks: Mapping[str, Check], required: tuple[str, ...]) -> None:
    found = [_missing("input", name) for name in required if name not in values]
    for name, value in values.items():
        if name not in checks:
            found.append(_unknown("input", name))
        elif problem := checks[name](value):
            found.append(InvalidField(f"input.{name}", *problem))
    if found:
        raise _violations(found)


def _parse_sdxl(values: dict[str, Any]) -> PictureOrder:
    for name in _SDXL_NOT_EMULATED:
        if name in values:
            raise NotEmulatedError(f"The SDXL input {name} is not emulated: only text to image is.")
    _check(values, _SDXL_CHECKS, ())
    return PictureOrder(
        model=SDXL,
        version=SDXL_VERSION,
        prompt=values.get("prompt", "An astronaut riding a rainbow unicorn"),
        seed=_whole(values.get("seed")),
        width=int(values.get("width", 1024)),
        height=int(values.get("height", 1024)),
        num_outputs=int(values.get("num_outputs", 1)),
        format=PNG,
        extension="png",
    )


def _parse_official(model: str, values: dict[str, Any]) -> PictureOrder:
    _check(values, _OFFICIAL_CHECKS[model], ("prompt",))
    width, height = FLUX_SIZES[values.get("aspect_ratio", "1:1")]
    edge_divisor = 2 if values.get("megapixels") == "0.25" else 1
    extension = values.get("output_format", "webp")
    return PictureOrder(
        model=model,
        version=HIDDEN_VERSION,
        prompt=values["prompt"],
        seed=_whole(values.get("seed")),
        width=width // edge_divisor,
        height=height // edge_divisor,
        num_outputs=int(values.get("num_outputs", 1)),
        format=FLUX_FORMATS[extension],
        extension=extension,
    )


def _whole(seed: int | float | None) -> int | None:
    return None if seed is None else int(seed)
