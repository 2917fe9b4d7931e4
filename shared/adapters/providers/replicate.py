"""Replicate (SDXL, FLUX): submit a prediction once, poll it, copy the pictures at once.

Spoken over plain HTTP: the official client cannot parse two documented answers (the status
`aborted` and a null `version`). Outputs are deleted one hour after completion.
"""
# aiohttp takes 140 ms to import: only a worker that calls it pays.

import asyncio
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.providers.failures import (
    failure_of_status,
    is_checker_refusal,
    is_definite,
    load_json,
    parse_retry_after_s,
)
from shared.adapters.providers.fetching import (
    Miss,
    download_picture,
    in_slices,
    picture_from_data_uri,
    read_capped,
)
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.errors import EigError
from shared.ports import JobRecorder

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S: Final = 10.0  # a TLS handshake across the world takes less than one second
REQUEST_TIMEOUT_S: Final = 30.0  # Replicate answers a create or a poll in well under a second
DOWNLOAD_TIMEOUT_S: Final = 60.0  # a picture is 1-5 MB
FOLLOW_GRACE_S: Final = 60.0  # past the run's own deadline: its last poll and its downloads
KEEPALIVE_S: Final = 4.0  # shorter than any server's idle limit: see _ready_session
PREDICTION_BYTES_MAX: Final = 64 * 1024 * 1024  # four pictures as data URIs; usually 3 KB
UNREADABLE_POLLS_MAX: Final = 3  # in a row: then the service has a fault that waiting cannot mend
PREDICT_TIME_S_MAX: Final = Decimal(86_400)  # runs are cut off after 30 minutes; more is damage

_JOB_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_SEED_IN_LOGS: Final = re.compile(r"Using seed: (\d{1,10})\b")
_OUT_OF_MEMORY: Final = re.compile(r"out of memory", re.IGNORECASE)
_TERMINAL: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})
_OUTPUT_FORMATS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp"}

Prediction = Mapping[str, Any]


class ReplicateProvider:
    """The ImageProvider for Replicate.

    A model with a `/` in its provider name is an official one: billed per picture, refusals free.
    Any other is a version id: billed by the second, refusals included.
    """

    name = "replicate"

    def __init__(
        self, base_url: str, api_token: str, output_hosts: frozenset[str], poll_interval_s: float
    ) -> None:
        """`base_url` ends in `/v1`; `output_hosts` are the only hosts pictures are fetched from."""
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_token}"}
        self._output_hosts: Set[str] = output_hosts
        self._poll_interval_s = poll_interval_s
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def aclose(self) -> None:
        """Close the connections of the running loop; the next request opens new ones."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Submit one prediction, record its id, and follow it to its end."""
        try:
            submitted = await self._submit(order)
        except asyncio.CancelledError:
            # The request may be billed, and only an Unknown says so to whoever keeps the books.
            return Unknown("cancelled_in_flight")
        if not isinstance(submitted, str):
            return submitted
        try:
            await record_job(submitted)
        except (EigError, asyncio.CancelledError):
            return Unknown("job_not_recorded", submitted)
        return await self.resume(order, submitted)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """Poll a prediction until it ends and fetch its pictures; never submits."""
        if _JOB_ID.fullmatch(job_id) is None:  # it becomes part of an address
            return Unknown("malformed_job_id", job_id)
        try:
            async with asyncio.timeout(order.run_seconds_max + FOLLOW_GRACE_S):
                prediction = await self._follow(job_id)
                if isinstance(prediction, Unknown):
                    return prediction
                return await self._outcome(_Ended(order, job_id, prediction))
        except TimeoutError:
            return Unknown("not_finished_in_time", job_id)
        except asyncio.CancelledError:
            return Unknown("cancelled_in_flight", job_id)

    def _ready_session(self) -> "aiohttp.ClientSession":
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            import aiohttp

            # A connection that the peer is just closing would turn a request that was never read
            # into an unknown outcome: polls share connections, older ones are not used again.
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S
                ),
            )
            self._sessions[loop] = session
        return session

    async def _submit(self, order: ImageOrder) -> str | NotDelivered | Unknown:
        """Send the one paid request and return the job id."""
        import aiohttp

        path, body = _submission(order)
        headers = {**self._headers, "Cancel-After": f"{order.run_seconds_max}s"}
        try:
            async with self._ready_session().post(
                self._base_url + path, json=body, headers=headers, allow_redirects=False
            ) as response:
                answer = load_json(await read_capped(response, PREDICTION_BYTES_MAX) or b"")
                status, answer_headers = response.status, response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
        except TimeoutError:
            return Unknown("no_answer_in_time")
        except aiohttp.ClientError:
            return Unknown("connection_lost")
        if 200 <= status < 300:
            return _job_id(answer)
        return _refused_submission(status, answer_headers, answer)

    async def _follow(self, job_id: str) -> Prediction | Unknown:
        """Poll until the prediction has ended; the caller sets the deadline."""
        unreadable = 0
        while True:
            status, answer, wait_s = await self._poll(job_id)
            if status == 200 and isinstance(answer, Mapping):
                unreadable = 0
                if answer.get("status") in _TERMINAL:
                    return answer
            elif status == 200:
                unreadable += 1
                if unreadable >= UNREADABLE_POLLS_MAX:
                    return Unknown("unreadable_prediction", job_id)
            elif status is not None and status < 500 and status != 429:
                return Unknown(f"poll_http_{status}", job_id)
            await asyncio.sleep(max(wait_s, self._poll_interval_s))

    async def _poll(self, job_id: str) -> tuple[int | None, object, float]:
        """One look: (HTTP status, or None if none came; body; seconds to wait at least)."""
        import aiohttp

        try:
            async with self._ready_session().get(
                f"{self._base_url}/predictions/{job_id}",
                headers=self._headers,
                allow_redirects=False,
            ) as response:
                answer = load_json(await read_capped(response, PREDICTION_BYTES_MAX) or b"")
                wait_s = parse_retry_after_s(response.headers, _text(answer, "detail"))
                return response.status, answer, wait_s or 0.0
        except (aiohttp.ClientError, TimeoutError):
            return None, None, 0.0

    async def _outcome(self, ended: "_Ended") -> ProviderOutcome:
        """Turn an ended prediction into an outcome, fetching the pictures of a success."""
        status = ended.prediction["status"]
        if status == "aborted":  # the deadline passed before a machine was free: free of charge
            return ended.without_picture(Failure.TIMEOUT, "aborted_before_start", Billed.NOTHING)
        if status == "canceled":
            return ended.without_picture(Failure.CANCELED, "canceled")
        if status == "failed":
            return _failed(ended)
        if ended.prediction.get("data_removed") is True:
            # It made pictures, nobody knows how many: as many as were ordered.
            return ended.without_picture(
                Failure.MALFORMED, "output_expired", Billed.USAGE, ended.order.count
            )
        return await self._deliver(ended)

    async def _deliver(self, ended: "_Ended") -> ProviderOutcome:
        addresses = ended.addresses()
        results = [await self._fetch(address) for address in addresses]
        pictures = [result for result in results if isinstance(result, bytes)]
        if Miss.UNREACHABLE in results:  # nothing is lost yet: whoever resumes fetches them all
            return Unknown("output_unreachable", ended.job_id)
        if pictures:
            seed = ended.seed()
            return Delivered(
                tuple(ProviderImage(in_slices(picture), seed) for picture in pictures),
                ended.usage(len(addresses)),
                job_id=ended.job_id,
            )
        reason = "output_expired" if Miss.EXPIRED in results else "no_usable_picture"
        images = len(addresses) or ended.order.count
        return ended.without_picture(Failure.MALFORMED, reason, Billed.USAGE, images)

    async def _fetch(self, address: str) -> bytes | Miss:
        if address.startswith("data:"):
            return picture_from_data_uri(address) or Miss.UNUSABLE
        return await download_picture(
            self._ready_session(), address, self._output_hosts, DOWNLOAD_TIMEOUT_S
        )


@dataclass(frozen=True)
class _Ended:
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
        """The seed that was used: from the logs, else the one we sent."""
        match = _SEED_IN_LOGS.search(_text(self.prediction, "logs"))
        return int(match[1]) if match else self.order.seed

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


def _submission(order: ImageOrder) -> tuple[str, dict[str, Any]]:
    """The path and body of the create request."""
    inputs: dict[str, Any] = {"prompt": order.prompt, "num_outputs": order.count}
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


def _job_id(answer: object) -> str | NotDelivered:
    """The id in the answer to a create. Without it the run goes on, billed, out of our sight."""
    job_id = answer.get("id") if isinstance(answer, Mapping) else None
    if isinstance(job_id, str) and _JOB_ID.fullmatch(job_id):
        return job_id
    return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, "malformed_answer")


def _refused_submission(
    status: int, headers: Mapping[str, str], answer: object
) -> NotDelivered | Unknown:
    """An error answer to a create; the body is a problem document with a `detail`."""
    if not is_definite(status, answer):
        return Unknown("gateway_error")
    failure = failure_of_status(status)
    retry_after_s = None
    if failure in (Failure.RATE_LIMITED, Failure.TRANSIENT):
        retry_after_s = parse_retry_after_s(headers, _text(answer, "detail"))
    return NotDelivered(failure, Billed.NOTHING, f"http_{status}", retry_after_s=retry_after_s)


def _failed(ended: _Ended) -> NotDelivered:
    """A failed run: refused by the model's own checker, out of memory, or crashed."""
    text = _text(ended.prediction, "error")
    if is_checker_refusal(text):
        return ended.without_picture(Failure.CONTENT_REJECTED, "picture_refused")
    if _OUT_OF_MEMORY.search(text):
        return ended.without_picture(Failure.TRANSIENT, "out_of_memory")
    return ended.without_picture(Failure.MALFORMED, "run_failed")


def _text(answer: object, field: str) -> str:
    value = answer.get(field) if isinstance(answer, Mapping) else None
    return value if isinstance(value, str) else ""
