"""The scoring script of our own image endpoint: SDXL by diffusers, from safetensors files only.

Azure Machine Learning calls `init()` once for each worker and `run()` for each request. The bodies
are a contract with `shared/adapters/providers/azure_ml.py`:

    request   {"model", "prompt", "width", "height", "count", "output_format", "seconds_max",
               "seed"?, "negative_prompt"?}; no other field
    200       {"model_version", "seconds": "3.250", "images": [{"b64_json", "seed"}]}
    error     {"error": {"code", "message"}, "seconds"}; codes and statuses: STATUS_OF

`seconds` is the time the device was busy for this request, and is what it costs. Nothing of a
request is logged: neither prompt nor picture leaves but in the answer.
"""

import base64
import io
import json
import logging
import math
import os
import secrets
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MODEL: Final = "stable-diffusion-xl-base-1.0"
MODEL_VERSION_VARIABLE: Final = "EIG_MODEL_VERSION"  # set in deployment.yml beside the model
STEPS: Final = 30
GUIDANCE: Final = 5.0
PROMPT_CHARS_MAX: Final = 4_000
SIDE_MIN, SIDE_MAX, SIDE_STEP = 512, 1_536, 64
PIXELS_MAX: Final = 1_100_000  # what SDXL was trained for; more needs memory that may not be there
COUNT_MAX: Final = 2  # an answer may have 10 MB
SEED_MAX: Final = 2**32 - 1
RUN_SECONDS_MAX: Final = 120  # below the endpoint's own limit in deployment.yml
JPEG_QUALITY: Final = 95
OPTIONAL: Final = frozenset({"seed", "negative_prompt"})
REQUIRED: Final = frozenset(
    {"model", "prompt", "width", "height", "count", "output_format", "seconds_max"}
)
STATUS_OF: Final = {
    "invalid_request": 400,
    "run_failed": 500,
    "run_too_long": 504,
    "out_of_memory": 507,
}
PICKLED: Final = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})

logger = logging.getLogger("eig.scoring")


class InvalidRequest(Exception):
    """A request that is not that of the contract; the text is ours and repeats no input."""


class RunTooLong(Exception):
    """The run was stopped because its seconds were used up."""


class OutOfMemory(Exception):
    """The device had no memory for this run."""


@dataclass(frozen=True)
class ScoringRequest:
    """A checked request."""

    prompt: str
    negative_prompt: str | None
    width: int
    height: int
    count: int
    seed: int
    output_format: str
    seconds_max: int


# Draws all pictures of a request; calls the check after each step, which may raise RunTooLong.
Draw = Callable[[ScoringRequest, Callable[[], None]], list[Any]]


@dataclass(frozen=True)
class Scorer:
    """A loaded pipeline; `draw` gives Pillow images, `clock_s` never goes back."""

    draw: Draw
    model_version: str
    clock_s: Callable[[], float] = time.monotonic

    def score(self, body: bytes | str) -> tuple[int, dict[str, Any]]:
        """The status and body of an answer; never raises for what a request can cause."""
        started_s = self.clock_s()
        try:
            request = read_request(body)
        except InvalidRequest as error:
            return _error("invalid_request", str(error), "0")
        ends_s = started_s + request.seconds_max

        def check() -> None:
            if self.clock_s() >= ends_s:
                raise RunTooLong

        try:
            pictures = self.draw(request, check)
            check()
        except RunTooLong:
            return _error("run_too_long", "The time was used up.", str(request.seconds_max))
        except OutOfMemory:
            return _error("out_of_memory", "No memory left.", self._seconds(started_s, request))
        except Exception as error:
            logger.error("a run failed: %s", _kind_and_places(error))
            return _error("run_failed", "The run failed.", self._seconds(started_s, request))
        images = [
            {"b64_json": _base64(picture, request.output_format), "seed": _seed(request, number)}
            for number, picture in enumerate(pictures)
        ]
        return 200, {
            "model_version": self.model_version,
            "seconds": self._seconds(started_s, request),
            "images": images,
        }

    def _seconds(self, started_s: float, request: ScoringRequest) -> str:
        """Rounded up to a millisecond, and never more than was agreed."""
        spent_ms = math.ceil((self.clock_s() - started_s) * 1_000)
        spent_ms = min(spent_ms, request.seconds_max * 1_000)
        return f"{spent_ms // 1_000}.{spent_ms % 1_000:03d}"


def read_request(body: bytes | str) -> ScoringRequest:
    """Check a request; raises InvalidRequest."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is no JSON.") from None
    if not isinstance(document, dict) or not REQUIRED <= set(document) <= REQUIRED | OPTIONAL:
        raise InvalidRequest("The fields are not those of the contract.")
    if document["model"] != MODEL:
        raise InvalidRequest("This endpoint serves another model.")
    if document["output_format"] not in ("png", "jpeg"):
        raise InvalidRequest("output_format must be png or jpeg.")
    width, height = (_number(document, name, SIDE_MIN, SIDE_MAX) for name in ("width", "height"))
    if width % SIDE_STEP or height % SIDE_STEP or width * height > PIXELS_MAX:
        raise InvalidRequest("This size is not one of the model's.")
    given = document.get("seed")
    seed = (
        secrets.randbelow(SEED_MAX + 1) if given is None else _number(document, "seed", 0, SEED_MAX)
    )
    return ScoringRequest(
        prompt=_text(document, "prompt"),
        negative_prompt=_text(document, "negative_prompt")
        if "negative_prompt" in document
        else None,
        width=width,
        height=height,
        count=_number(document, "count", 1, COUNT_MAX),
        seed=seed,
        output_format=document["output_format"],
        seconds_max=_number(document, "seconds_max", 1, RUN_SECONDS_MAX),
    )


def _number(document: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = document[name]
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequest(f"{name} must be a whole number from {low} to {high}.")
    return value


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not 1 <= len(value) <= PROMPT_CHARS_MAX:
        raise InvalidRequest(f"{name} must have 1 to {PROMPT_CHARS_MAX} characters.")
    return value


def _seed(request: ScoringRequest, number: int) -> int:
    """The seed of one picture of a request, so that each can be drawn again alone."""
    return (request.seed + number) % (SEED_MAX + 1)


def _base64(picture: Any, output_format: str) -> str:
    out = io.BytesIO()
    if output_format == "jpeg":
        picture.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    else:
        picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def _kind_and_places(error: Exception) -> str:
    """What failed and where; the text of an exception may quote a prompt."""
    frames = traceback.extract_tb(error.__traceback__)
    return " ".join([type(error).__name__, *(f"{each.filename}:{each.lineno}" for each in frames)])


def _error(code: str, message: str, seconds: str) -> tuple[int, dict[str, Any]]:
    return STATUS_OF[code], {"error": {"code": code, "message": message}, "seconds": seconds}


def require_safetensors(model_dir: Path) -> None:
    """Refuse a model with pickled weights: loading those runs whatever code they hold."""
    found = sorted(path.name for path in model_dir.rglob("*") if path.suffix in PICKLED)
    if found:
        raise RuntimeError(f"The model holds pickled files: {', '.join(found)}.")
    if not any(model_dir.rglob("*.safetensors")):
        raise RuntimeError("The model holds no safetensors file.")


def load(model_dir: Path) -> Draw:
    """The pipeline on the GPU, from local files only."""
    require_safetensors(model_dir)
    import torch  # type: ignore[import-not-found]
    from diffusers import StableDiffusionXLPipeline  # type: ignore[import-not-found]
    from diffusers.utils import logging as of_diffusers  # type: ignore[import-not-found]
    from transformers.utils import logging as of_transformers  # type: ignore[import-not-found]

    for library in (of_diffusers, of_transformers):
        library.set_verbosity_error()  # their warnings quote what is cut off a prompt

    pipeline = StableDiffusionXLPipeline.from_pretrained(
        model_dir,
        torch_dtype=torch.float16,
        variant="fp16",
        use_safetensors=True,
        local_files_only=True,
        add_watermarker=False,
    ).to("cuda")
    pipeline.set_progress_bar_config(disable=True)

    def draw(request: ScoringRequest, check: Callable[[], None]) -> list[Any]:
        def after_step(_: Any, __: int, ___: Any, kept: dict[str, Any]) -> dict[str, Any]:
            check()
            return kept

        generators = [
            torch.Generator("cuda").manual_seed(_seed(request, number))
            for number in range(request.count)
        ]
        try:
            drawn = pipeline(
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                width=request.width,
                height=request.height,
                num_images_per_prompt=request.count,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                generator=generators,
                callback_on_step_end=after_step,
            )
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory from error
        return list(drawn.images)

    return draw


scorer: Scorer | None = None


def init() -> None:
    """Called once by the inference server before the first request."""
    global scorer  # noqa: PLW0603 - the inference server knows init() and run() only
    root = Path(os.environ["AZUREML_MODEL_DIR"])
    indexes = sorted(root.rglob("model_index.json"))
    if len(indexes) != 1:
        raise RuntimeError("The model folder must hold one diffusers pipeline.")
    scorer = Scorer(load(indexes[0].parent), os.environ[MODEL_VERSION_VARIABLE])


def run(raw_data: str) -> Any:
    """Called by the inference server for each request."""
    from azureml_inference_server_http.api.aml_response import (  # type: ignore[import-not-found]
        AMLResponse,
    )

    if scorer is None:
        raise RuntimeError("init() has not been called.")
    status, body = scorer.score(raw_data)
    return AMLResponse(body, status, json_str=True)
