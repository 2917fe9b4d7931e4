"""Jobs of the Firefly simulator: their life by the clock, their storage, their price.

A job's whole life is decided when it is created and saved; its status at any moment follows from
the clock, so that looking at it, restarts and kill -9 change neither the status nor the bill.
Adobe does not say what a job costs that failed: here it costs what its pictures would have cost.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from devhost.simulators.adobe_firefly_requests import FireflyOrder
from devhost.simulators.invoice import FIREFLY, BilledCall, Charge, firefly_charge, prompt_sha256
from devhost.simulators.pictures import JPEG, PictureRequest
from devhost.simulators.scenarios import Scenario
from devhost.simulators.state import SimulatorState

API_PATH = "/adobe-firefly"
OUTPUTS_PATH = "/adobe-firefly-outputs"
ADDRESS_LIFETIME_S = 3600  # of an output
PENDING_SHARE = 0.2  # of the delay; the rest is the run
SUCCEEDED = "succeeded"
CANCELLED = "cancelled"  # as the specification spells it


@dataclass(frozen=True)
class FireflyJob:
    """One job and its decided life, in Unix seconds of the simulators' clock."""

    id: str
    order: FireflyOrder
    scenario: Scenario
    created_s: float
    running_s: float
    ended_s: float
    ending: str
    pictures: int
    error_code: str | None = None

    def status(self, now_s: float) -> str:
        if now_s >= self.ended_s:
            return self.ending
        return "pending" if now_s < self.running_s else "running"

    def has_pictures(self, now_s: float) -> bool:
        return self.status(now_s) == SUCCEEDED and now_s < self.ended_s + ADDRESS_LIFETIME_S

    def seed(self, number: int) -> int:
        """The seed of output `number`: as sent, or one that the id stands for."""
        if self.order.seeds:
            return self.order.seeds[number]
        digest = hashlib.sha256(f"{self.id}|{number}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def picture(self, number: int) -> PictureRequest:
        order = self.order
        return PictureRequest(order.prompt, self.seed(number), order.width, order.height, JPEG)

    def charge(self) -> Charge:
        """What the whole life costs; a job that ended without pictures costs all it was to make."""
        return firefly_charge(self.pictures or self.order.images)

    def as_json(self, origin: str, now_s: float) -> dict[str, Any]:
        """The answer to a look at the job."""
        status = self.status(now_s)
        answer: dict[str, Any] = {"status": status, "jobId": self.id}
        if status == SUCCEEDED:
            answer["result"] = self._result(origin)
        elif self.error_code is not None and now_s >= self.ended_s:
            answer["error_code"] = self.error_code
            answer["message"] = "The job ended without pictures."
        return answer

    def _result(self, origin: str) -> dict[str, Any]:
        name, params = self.scenario.name, self.scenario.params
        result: dict[str, Any] = {
            "size": {"width": self.order.width, "height": self.order.height},
            "contentClass": "photo",
            "promptHasDeniedWords": name == "denied_words",
            "promptHasBlockedArtists": False,
        }
        if name == "malformed" and params["shape"] == "missing_data":
            return result
        folder = f"{origin}{OUTPUTS_PATH}/{self.id}"
        if name == "wrong_output_host":
            folder = f"https://{params['host']}/{self.id}"
        result["outputs"] = [
            {
                "seed": self.seed(number),
                "image": {"url": f"{folder}/{number}.jpg?X-Amz-Expires={ADDRESS_LIFETIME_S}"},
            }
            for number in range(self.pictures)
        ]
        return result


def shard_origin(origin: str) -> str:
    """Where jobs are looked at: another host than the one that takes submissions."""
    return origin.replace("127.0.0.1", "localhost")


def plan_job(
    job_id: str, order: FireflyOrder, scenario: Scenario, created_s: float, delay_s: float
) -> FireflyJob:
    """Decides the life of a new job."""
    if scenario.name == "slow":
        delay_s = scenario.number("seconds")
    pictures, ending, error_code = _end(scenario, order)
    return FireflyJob(
        id=job_id,
        order=order,
        scenario=scenario,
        created_s=created_s,
        running_s=created_s + delay_s * PENDING_SHARE,
        ended_s=created_s + delay_s,
        ending=ending,
        pictures=pictures,
        error_code=error_code,
    )


def _end(scenario: Scenario, order: FireflyOrder) -> tuple[int, str, str | None]:
    """How many pictures are made, the last status, and the error code."""
    if scenario.name == "content_filter":
        return 0, "failed", "prompt_unsafe"
    if scenario.name == "failed":
        return 0, "failed", "runtime_error"
    if scenario.name == "job_timeout":
        return 0, "timeout", "timeout_error"
    pictures = order.images
    if scenario.name == "fewer_images":
        pictures = max(0, pictures - int(scenario.number("missing")))
    if pictures == 0:
        return 0, "failed", "image_unsafe"
    return pictures, SUCCEEDED, None


def save_job(state: SimulatorState, job: FireflyJob) -> None:
    """Stores a new job; when this returns, a kill -9 does not lose it."""
    with state.database:
        state.database.execute(
            "INSERT INTO firefly_jobs (id, document) VALUES (?, ?)",
            (job.id, json.dumps(asdict(job))),
        )


def find_job(state: SimulatorState, job_id: str) -> FireflyJob | None:
    row = state.database.execute(
        "SELECT document FROM firefly_jobs WHERE id = ?", (job_id,)
    ).fetchone()
    return None if row is None else _from_document(row["document"])


def cancel_job(state: SimulatorState, job: FireflyJob) -> None:
    """Ends a job now; one that has ended stays as it is."""
    now_s = state.clock.now_s()
    if now_s >= job.ended_s:
        return
    ended = replace(job, ended_s=now_s, ending=CANCELLED, pictures=0, error_code=None)
    with state.database:
        state.database.execute(
            "UPDATE firefly_jobs SET document = ? WHERE id = ? AND settled = 0",
            (json.dumps(asdict(ended)), job.id),
        )


def settle_due_jobs(state: SimulatorState) -> None:
    """Puts every job that has ended on the invoice; call it before the invoice is read."""
    rows = state.database.execute(
        "SELECT document FROM firefly_jobs WHERE settled = 0 ORDER BY rowid"
    ).fetchall()
    for row in rows:
        job = _from_document(row["document"])
        if state.clock.now_s() >= job.ended_s:
            _settle(state, job)


def _settle(state: SimulatorState, job: FireflyJob) -> None:
    with state.database:
        marked = state.database.execute(
            "UPDATE firefly_jobs SET settled = 1 WHERE id = ? AND settled = 0", (job.id,)
        )
        if marked.rowcount == 1:
            state.invoice.insert(billed_call(job.order, job.id), [job.charge()], job.ended_s)


def billed_call(order: FireflyOrder, job_id: str) -> BilledCall:
    return BilledCall(
        provider=FIREFLY,
        model=order.model,
        prompt_sha256=prompt_sha256(order.prompt),
        request_id=job_id,
        client_request_id=None,
        job_id=job_id,
    )


def _from_document(document: str) -> FireflyJob:
    values = json.loads(document)
    ordered = values.pop("order")
    order = FireflyOrder(**{**ordered, "seeds": tuple(ordered["seeds"])})
    scenario = Scenario(**values.pop("scenario"))
    return FireflyJob(order=order, scenario=scenario, **values)
