"""Predictions of the Replicate simulator: their life by the clock, their storage, their price.

A prediction's whole life is decided when it is created and saved; its status at any moment follows
from the clock, so that polling, restarts and kill -9 change neither the status nor the bill.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

from devhost.simulators.clock import iso_utc
from devhost.simulators.invoice import (
    REPLICATE,
    SDXL,
    BilledCall,
    Charge,
    official_charge,
    prompt_sha256,
    sdxl_charge,
)
from devhost.simulators.pictures import PictureRequest
from devhost.simulators.replicate_inputs import SINGLE_OUTPUT_MODELS, PictureOrder
from devhost.simulators.scenarios import Scenario
from devhost.simulators.state import SimulatorState

API_PATH = "/replicate/v1"
DELIVERY_PATH = "/replicate-delivery"
RETENTION_S = 3600  # inputs, outputs and logs are deleted this long after the end
QUEUED_SHARE = 0.2  # of the delay; the rest is the run
PREDICT_TIME_MS_MIN = 1200  # for one picture; recorded SDXL runs took 3.8 to 5.5 s
PREDICT_TIME_MS_MAX = 3000
RANDOM_SEED_MAX = 2**32 - 1

STARTING = "starting"
PROCESSING = "processing"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELED = "canceled"
ABORTED = "aborted"

NSFW_SDXL = "NSFW content detected. Try running it again, or try a different prompt."
NSFW_FLUX = (
    "All generated images contained NSFW content. Try running it again with a different prompt."
)
FLAGGED = (
    "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
)
CRASHED = "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"


@dataclass(frozen=True)
class Prediction:
    """One prediction and its decided life, in Unix seconds of the simulators' clock.

    `started_s` is None if it ends before it starts. `pictures` is how many it makes, and bills,
    even if a scenario keeps them from the client.
    """

    id: str
    order: PictureOrder
    input: dict[str, Any]
    scenario: Scenario
    created_s: float
    started_s: float | None
    ended_s: float
    ending: str
    pictures: int
    predict_time_ms: int
    error: str | None = None

    def status(self, now_s: float) -> str:
        if now_s >= self.ended_s:
            return self.ending
        return STARTING if self.started_s is None or now_s < self.started_s else PROCESSING

    def is_removed(self, now_s: float) -> bool:
        """Whether the retention time is over."""
        return now_s >= self.ended_s + RETENTION_S

    def has_pictures(self, now_s: float) -> bool:
        return self.status(now_s) == SUCCEEDED and not self.is_removed(now_s)

    def seed(self) -> int:
        """The seed that was sent, or the one that the id stands for."""
        if self.order.seed is not None:
            return self.order.seed
        return _hash_number(self.id) % (RANDOM_SEED_MAX + 1)

    def picture(self, number: int) -> PictureRequest:
        """What to draw for output `number`, counted from 0."""
        order = self.order
        seed = self.seed() + number
        return PictureRequest(order.prompt, seed, order.width, order.height, order.format)

    def canceled(self, at_s: float) -> Prediction:
        """The same prediction, stopped at `at_s`: it is billed for the time it ran."""
        started_s = None if self.started_s is None or at_s < self.started_s else self.started_s
        ran_ms = 0 if started_s is None else round((at_s - started_s) * 1000)
        return replace(
            self,
            started_s=started_s,
            ended_s=at_s,
            ending=CANCELED,
            pictures=0,
            predict_time_ms=ran_ms,
            error=None,
        )

    def charges(self) -> list[Charge]:
        """What the whole life costs: SDXL by time, FLUX by picture; nothing is a free end."""
        if self.order.model == SDXL:
            return [sdxl_charge(self.predict_time_ms)] if self.predict_time_ms else []
        return [official_charge(self.order.model, self.pictures)] if self.pictures else []

    def as_json(self, origin: str, now_s: float) -> dict[str, Any]:
        """The prediction object as a poll answers it."""
        status = self.status(now_s)
        ended = now_s >= self.ended_s
        removed = self.is_removed(now_s)
        answer: dict[str, Any] = {
            "id": self.id,
            "model": self.order.model,
            "version": self.order.version,
            "input": {} if removed else self.input,
            "logs": None if removed else self._logs(ended),
            "output": self._addresses(origin) if self.has_pictures(now_s) else None,
            "data_removed": removed,
            "error": self.error if ended else None,
            "status": status,
            "created_at": iso_utc(self.created_s),
            "urls": {
                "get": f"{origin}{API_PATH}/predictions/{self.id}",
                "cancel": f"{origin}{API_PATH}/predictions/{self.id}/cancel",
            },
        }
        if self.started_s is not None and now_s >= self.started_s:
            answer["started_at"] = iso_utc(self.started_s)
        if ended:
            answer["completed_at"] = iso_utc(self.ended_s)
            answer["metrics"] = self._metrics()
        return answer

    def _logs(self, ended: bool) -> str:
        if not ended or self.started_s is None:
            return ""
        return f"Using seed: {self.seed()}\nPrompt: {self.order.prompt}\n"

    def _metrics(self) -> dict[str, float]:
        """Seconds; total is queue and predict time, which the short simulated delay does not show.

        A run that never started has no predict time.
        """
        if self.started_s is None:
            return {"total_time": round(self.ended_s - self.created_s, 3)}
        predict_time_s = round(self.predict_time_ms / 1000, 3)
        queued_s = self.started_s - self.created_s
        return {"predict_time": predict_time_s, "total_time": round(queued_s + predict_time_s, 3)}

    def _addresses(self, origin: str) -> list[str] | str | None:
        name, params = self.scenario.name, self.scenario.params
        if name == "malformed" and params["shape"] == "missing_data":
            return None
        folder = f"{origin}{DELIVERY_PATH}/{self.id}"
        if name == "wrong_output_host":
            folder = f"https://{params['host']}/pbxt/{self.id}"
        files = [f"{folder}/out-{number}.{self.order.extension}" for number in range(self.pictures)]
        return files[0] if self.order.model in SINGLE_OUTPUT_MODELS else files


def plan_prediction(
    *,
    prediction_id: str,
    order: PictureOrder,
    values: dict[str, Any],
    scenario: Scenario,
    created_s: float,
    delay_s: float,
    deadline_s: float | None,
) -> Prediction:
    """Decides the life of a new prediction; `deadline_s` counts from its creation."""
    started_s, ended_s = _times(scenario, created_s, delay_s)
    pictures, ending, error = _end(scenario, order)
    planned = Prediction(
        id=prediction_id,
        order=order,
        input=values,
        scenario=scenario,
        created_s=created_s,
        started_s=started_s,
        ended_s=ended_s,
        ending=ending,
        pictures=pictures,
        predict_time_ms=_predict_time_ms(order, deadline_s),
        error=error,
    )
    if scenario.name == "aborted":
        return _aborted(planned, ended_s)
    if deadline_s is None or created_s + deadline_s >= ended_s:
        return planned
    deadline_at_s = created_s + deadline_s
    if deadline_at_s < started_s:
        return _aborted(planned, deadline_at_s)
    return planned.canceled(deadline_at_s)


def _times(scenario: Scenario, created_s: float, delay_s: float) -> tuple[float, float]:
    if scenario.name == "slow":
        delay_s = scenario.number("seconds")
    queued_s = delay_s * QUEUED_SHARE
    run_s = delay_s - queued_s
    if scenario.name == "slow_start":
        queued_s = scenario.number("seconds")
    return created_s + queued_s, created_s + queued_s + run_s


def _end(scenario: Scenario, order: PictureOrder) -> tuple[int, str, str | None]:
    """How many pictures are made, the last status, and the error text."""
    if scenario.name == "content_filter":
        return 0, FAILED, FLAGGED
    if scenario.name == "failed":
        return 0, FAILED, CRASHED
    pictures = order.num_outputs
    if scenario.name == "nsfw":
        pictures = 0
    if scenario.name == "fewer_images":
        pictures = max(0, pictures - int(scenario.number("missing")))
    if pictures == 0:  # the model's checker drops pictures, and fails when none is left
        return 0, FAILED, NSFW_SDXL if order.model == SDXL else NSFW_FLUX
    return pictures, SUCCEEDED, None


def _aborted(planned: Prediction, at_s: float) -> Prediction:
    return replace(planned.canceled(at_s), started_s=None, ending=ABORTED, predict_time_ms=0)


def _predict_time_ms(order: PictureOrder, deadline_s: float | None) -> int:
    """Billed time, from prompt and sent seed: the simulated delay does not change a bill.

    Within the deadline, because the real service stops a run there.
    """
    span = PREDICT_TIME_MS_MAX - PREDICT_TIME_MS_MIN + 1
    one_picture_ms = PREDICT_TIME_MS_MIN + _hash_number(f"{order.seed}|{order.prompt}") % span
    predict_time_ms = one_picture_ms * order.num_outputs
    return predict_time_ms if deadline_s is None else min(predict_time_ms, round(deadline_s * 1000))


def _hash_number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def save_prediction(state: SimulatorState, prediction: Prediction) -> None:
    """Stores a new prediction; when this returns, a kill -9 does not lose it."""
    with state.database:
        state.database.execute(
            "INSERT INTO predictions (id, document) VALUES (?, ?)",
            (prediction.id, json.dumps(asdict(prediction))),
        )


def find_prediction(state: SimulatorState, prediction_id: str) -> Prediction | None:
    """The prediction, settled if it has ended; None if there is none."""
    row = state.database.execute(
        "SELECT document, settled FROM predictions WHERE id = ?", (prediction_id,)
    ).fetchone()
    if row is None:
        return None
    prediction = _from_document(row["document"])
    if not row["settled"]:
        _settle(state, prediction)
    return prediction


def newest_predictions(
    state: SimulatorState, before: int | None, limit: int
) -> list[tuple[int, Prediction]]:
    """Predictions with their position in the list, newest first, that came before a position."""
    settle_due(state)
    rows = state.database.execute(
        "SELECT rowid, document FROM predictions WHERE rowid < ? ORDER BY rowid DESC LIMIT ?",
        (before if before is not None else sys.maxsize, limit),
    ).fetchall()
    return [(int(row["rowid"]), _from_document(row["document"])) for row in rows]


def cancel_prediction(state: SimulatorState, prediction_id: str) -> Prediction | None:
    """Stops it now and bills the time it ran; one that has ended stays as it is."""
    prediction = find_prediction(state, prediction_id)
    now_s = state.clock.now_s()
    if prediction is None or now_s >= prediction.ended_s:
        return prediction
    canceled = prediction.canceled(now_s)
    with state.database:
        state.database.execute(
            "UPDATE predictions SET document = ? WHERE id = ? AND settled = 0",
            (json.dumps(asdict(canceled)), prediction_id),
        )
    return canceled


def settle_due(state: SimulatorState) -> None:
    """Puts every prediction that has ended on the invoice; call it before the invoice is read."""
    rows = state.database.execute(
        "SELECT document FROM predictions WHERE settled = 0 ORDER BY rowid"
    ).fetchall()
    for row in rows:
        _settle(state, _from_document(row["document"]))


def _settle(state: SimulatorState, prediction: Prediction) -> None:
    """Invoices an ended prediction, dated with its end, exactly once."""
    if state.clock.now_s() < prediction.ended_s:
        return
    with state.database:
        marked = state.database.execute(
            "UPDATE predictions SET settled = 1 WHERE id = ? AND settled = 0", (prediction.id,)
        )
        if marked.rowcount == 1:
            state.invoice.insert(_billed_call(prediction), prediction.charges(), prediction.ended_s)


def _billed_call(prediction: Prediction) -> BilledCall:
    return BilledCall(
        provider=REPLICATE,
        model=prediction.order.model,
        prompt_sha256=prompt_sha256(prediction.order.prompt),
        request_id=prediction.id,
        client_request_id=None,
        job_id=prediction.id,
    )


def _from_document(document: str) -> Prediction:
    values = json.loads(document)
    order = PictureOrder(**values.pop("order"))
    scenario = Scenario(**values.pop("scenario"))
    return Prediction(order=order, scenario=scenario, **values)
