"""What Replicate's requests and answers say: pure, for models by version and official ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from shared.adapters.providers.failures import (
    failure_of_status,
    is_checker_refusal,
    is_definite,
    text_of,
)
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.attempts import (
    Billed,
    Failure,
    ImageOrder,
    NotDelivered,
    Unknown,
    Usage,
)

PREDICT_TIME_S_MAX: Final = Decimal(86_400)  # runs are cut off after 30 minutes; more is damage
JOB_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
SUCCEEDED: Final = "succeeded"
ENDINGS: Final = frozenset({SUCCEEDED, "failed", "canceled", "aborted"})
INLINE: Final = "data:"  # how an output begins that is the picture itself

_SEED_IN_LOGS: Final = re.compile(r"Using seed: (\d{1,10})\b")
_OUT_OF_MEMORY: Final = re.compile(r"out of memory", re.IGNORECASE)
_VERSION: Final = re.compile(r"[0-9a-f]{64}")
_OUTPUT_FORMATS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp"}

Prediction = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """A prediction in a terminal status, and what it costs."""

    order: ImageOrder
    job_id: str
    prediction: Prediction

    @property
    def per_picture(self) -> bool:
        return "/" in self.order.provider_model

    def addresses(self) -> list[str]:
        """The outputs: a list, or a single one; at most as many as were ordered."""
        output = self.prediction.get("output")
        outputs = output if isinstance(output, list) else [output]
        return [item for item in outputs if isinstance(item, str)][: self.order.count]

    def seed(self) -> int | None:
        """The seed of the run, for each of its pictures: from the logs, else the one we sent."""
        match = _SEED_IN_LOGS.search(text_of(self.prediction, "logs"))
        return int(match[1]) if match else self.order.seed

    def model_version(self) -> str:
        """What ran, as the service names it; of an official model it hides the version."""
        version = text_of(self.prediction, "version")
        return version if _VERSION.fullmatch(version) else self.order.provider_model

    def usage(self, images: int) -> Usage | None:
        """What is billed for this run; None if a time-billed one does not state its time."""
        seconds = self._predict_time_s()
        if seconds is None and not self.per_picture:
            return None
        return Usage(seconds=seconds or Decimal(0), images=images)

    def without_picture(
        self, failure: Failure, reason: str, billed: Billed | None = None, images: int = 0
    ) -> NotDelivered:
        """A definite end. By default a run is billed for its time, if it is billed by time."""
        if billed is None:
            billed = Billed.NOTHING if self.per_picture or not self._ran() else Billed.USAGE
        usage = self.usage(images) if billed is Billed.USAGE else None
        if billed is Billed.USAGE and usage is None:
            billed = Billed.MAXIMUM
        return NotDelivered(failure, billed, reason, usage=usage, job_id=self.job_id)

    def _ran(self) -> bool:
        return bool(self.prediction.get("started_at")) or self._predict_time_s() is not None

    def _predict_time_s(self) -> Decimal | None:
        metrics = self.prediction.get("metrics")
        value = metrics.get("predict_time") if isinstance(metrics, Mapping) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        seconds = Decimal(str(value))  # by way of its digits: a float's exact value has 50 of them
        return seconds if seconds.is_finite() and 0 <= seconds <= PREDICT_TIME_S_MAX else None


def inline_outputs(prediction: Prediction) -> list[str]:
    """The outputs that are pictures themselves, as a held submission answers; none otherwise."""
    output = prediction.get("output")
    outputs = output if isinstance(output, list) else [output]
    texts = [item for item in outputs if isinstance(item, str) and item.startswith(INLINE)]
    return texts if len(texts) == len(outputs) else []


def submission(order: ImageOrder) -> tuple[str, dict[str, Any]]:
    """The path and body of the create request."""
    inputs: dict[str, Any] = {"prompt": order.prompt}
    if order.count > 1:  # one is what every model makes; some know no other number
        inputs["num_outputs"] = order.count
    if order.seed is not None:
        inputs["seed"] = order.seed
    if "/" in order.provider_model:
        inputs["aspect_ratio"] = order.provider_size
        inputs["output_format"] = _OUTPUT_FORMATS[order.output_format]
        return f"/models/{order.provider_model}/predictions", {"input": inputs}
    width, height = order.provider_size.split("x")
    inputs |= {"width": int(width), "height": int(height)}
    if order.negative_prompt is not None:
        inputs["negative_prompt"] = order.negative_prompt
    return "/predictions", {"version": order.provider_model, "input": inputs}


def job_id_of(answer: object) -> str | NotDelivered:
    """The id in the answer to a create. Without it the run goes on, billed, out of our sight."""
    job_id = answer.get("id") if isinstance(answer, Mapping) else None
    if isinstance(job_id, str) and JOB_ID.fullmatch(job_id):
        return job_id
    return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, "malformed_answer")


def refused_submission(
    status: int, headers: Mapping[str, str], answer: object
) -> NotDelivered | Unknown:
    """An error answer to a create; the body is a problem document with a `detail`."""
    if not is_definite(status, answer):
        return Unknown("gateway_error")
    failure = failure_of_status(status)
    retry_after_s = None
    if failure in (Failure.RATE_LIMITED, Failure.TRANSIENT):
        retry_after_s = parse_retry_after_s(headers, text_of(answer, "detail"))
    return NotDelivered(failure, Billed.NOTHING, f"http_{status}", retry_after_s=retry_after_s)


def failed_run(ended: Ended) -> NotDelivered:
    """A failed run: refused by the model's own checker, out of memory, or crashed."""
    text = text_of(ended.prediction, "error")
    if is_checker_refusal(text):
        return ended.without_picture(Failure.CONTENT_REJECTED, "picture_refused")
    if _OUT_OF_MEMORY.search(text):
        return ended.without_picture(Failure.TRANSIENT, "out_of_memory")
    return ended.without_picture(Failure.MALFORMED, "run_failed")
