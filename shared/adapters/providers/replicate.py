"""Replicate: submit a prediction once, follow it, copy the pictures at once.

Spoken over plain HTTP: the official client cannot parse two documented answers (the status
`aborted` and a null `version`). Outputs are deleted one hour after completion.
"""
# aiohttp takes 140 ms to import: only a worker that calls it pays.

import asyncio
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from shared.adapters.answer_bodies import load_json, read_capped
from shared.adapters.providers.credentials import before_sending, newer_credential
from shared.adapters.providers.failures import (
    text_of,
)
from shared.adapters.providers.fetching import (
    Miss,
    download_picture,
    in_slices,
    picture_from_data_uri,
)
from shared.adapters.providers.polling import Look, ended_job
from shared.adapters.providers.replicate_answers import (
    ENDINGS,
    INLINE,
    JOB_ID,
    SUCCEEDED,
    Ended,
    Prediction,
    failed_run,
    inline_outputs,
    job_id_of,
    refused_submission,
    submission,
)
from shared.adapters.providers.sessions import ProviderSessions
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.attempts import (
    CANCELLED_IN_FLIGHT,
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
)
from shared.errors import EigError
from shared.ports import JobRecorder
from shared.ports.job_signals import JobSignals
from shared.ports.secrets import Secret

DOWNLOAD_TIMEOUT_S: Final = 60.0  # a picture is 1-5 MB
FOLLOW_GRACE_S: Final = 60.0  # past the run's own deadline: its last poll and its downloads
PREDICTION_BYTES_MAX: Final = 64 * 1024 * 1024  # four pictures as data URIs; usually 3 KB
# Between polls of a run whose end a webhook tells: often enough for one that is lost.
WEBHOOK_POLL_S: Final = 15.0
SEED_TIMEOUT_S: Final = 5.0  # a run whose pictures we have ends at once; they do not wait for more
SIGNAL_TIMEOUT_S: Final = 2.0  # of one look at the store; a poll takes its place

Answered = tuple[int, Mapping[str, str], object]  # status, headers, JSON body or None


@dataclass(frozen=True)
class ReplicateWebhooks:
    """Where Replicate tells that a run has ended, and where that is then to be read."""

    url: str
    signals: JobSignals


@dataclass(frozen=True)
class _Submitted:
    """An accepted run, as far as the answer to its submission shows it."""

    job_id: str
    prediction: Prediction


class ReplicateProvider:
    """The ImageProvider for Replicate.

    A model with a `/` in its provider name is an official one: billed per picture, refusals free.
    Any other is a version id: billed by the second, refusals included.
    """

    name = "replicate"

    def __init__(
        self,
        base_url: str,
        api_token: Secret,
        output_hosts: frozenset[str],
        poll_interval_s: float,
        *,
        wait_s: int = 0,
        webhooks: ReplicateWebhooks | None = None,
    ) -> None:
        """`base_url` ends in `/v1`; `output_hosts` are the only hosts pictures are fetched from.

        With `wait_s` (1 to 60) a submission is answered with the pictures if they are ready by
        then; until its answer the run has no id that we know, so a crash meanwhile loses it.
        """
        self._base_url = base_url.rstrip("/")
        self._token = api_token
        self._output_hosts: Set[str] = output_hosts
        self._poll_interval_s = poll_interval_s
        self._wait_s = wait_s
        self._webhooks = webhooks
        self._sessions = ProviderSessions(wait_s)

    async def aclose(self) -> None:
        """Close the connections of the running loop; the next request opens new ones."""
        await self._sessions.aclose()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Submit one prediction, record its id, and follow it to its end."""
        token = await before_sending(self._token.value())
        if isinstance(token, NotDelivered):
            return token
        try:
            submitted = await self._submit(order, token)
        except asyncio.CancelledError:
            # The request may be billed, and only an Unknown says so to whoever keeps the books.
            return Unknown(CANCELLED_IN_FLIGHT)
        if not isinstance(submitted, _Submitted):
            return submitted
        try:
            await record_job(submitted.job_id)
        except (EigError, asyncio.CancelledError):
            return Unknown("job_not_recorded", submitted.job_id)
        return await self._follow_to_end(order, submitted)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """Poll a prediction until it ends and fetch its pictures; never submits."""
        if JOB_ID.fullmatch(job_id) is None:  # it becomes part of an address
            return Unknown("malformed_job_id", job_id)
        return await self._follow_to_end(order, _Submitted(job_id, {}))

    async def _follow_to_end(self, order: ImageOrder, submitted: _Submitted) -> ProviderOutcome:
        job_id = submitted.job_id
        try:
            async with asyncio.timeout(order.run_seconds_max + FOLLOW_GRACE_S):
                prediction = await self._ended(order, submitted)
                if isinstance(prediction, Unknown):
                    return prediction
                return await self._outcome(Ended(order, job_id, prediction))
        except TimeoutError:
            return Unknown("not_finished_in_time", job_id)
        except asyncio.CancelledError:
            return Unknown(CANCELLED_IN_FLIGHT, job_id)

    async def _ended(self, order: ImageOrder, submitted: _Submitted) -> Prediction | Unknown:
        """The prediction at its end. Pictures inside the first answer are the end of the work.

        Such an answer states neither the run's time nor its seed yet: it is followed for the time
        where that is the price, and for a moment for a seed that we did not send.
        """
        job_id, first = submitted.job_id, submitted.prediction
        if text_of(first, "status") in ENDINGS:
            return first
        inline = inline_outputs(first)
        if not inline:
            return await self._follow(job_id)
        held = Ended(order, job_id, first)
        known: Prediction | Unknown = {}
        if not held.per_picture:
            known = await self._follow(job_id)
        elif held.seed() is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SEED_TIMEOUT_S):
                    known = await self._follow(job_id)
        told = {} if isinstance(known, Unknown) else known
        return {**first, **told, "status": SUCCEEDED, "output": inline, "data_removed": False}

    async def _submit(self, order: ImageOrder, token: str) -> _Submitted | NotDelivered | Unknown:
        """Send the one paid request."""
        import aiohttp

        path, body = submission(order)
        if self._webhooks is not None:
            body |= {"webhook": self._webhooks.url, "webhook_events_filter": ["completed"]}
        headers = {"Cancel-After": f"{order.run_seconds_max}s"}
        if self._wait_s:
            headers["Prefer"] = f"wait={self._wait_s}"
        try:
            status, answer_headers, answer = await self._send(token, "POST", path, headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
        except TimeoutError:
            return Unknown("no_answer_in_time")
        except aiohttp.ClientError:
            return Unknown("connection_lost")
        if not 200 <= status < 300:
            return refused_submission(status, answer_headers, answer)
        job_id = job_id_of(answer)
        if isinstance(job_id, NotDelivered) or not isinstance(answer, Mapping):
            return job_id if isinstance(job_id, NotDelivered) else Unknown("malformed_answer")
        return _Submitted(job_id, answer)

    async def _follow(self, job_id: str) -> Prediction | Unknown:
        """Poll until the prediction has ended; the caller sets the deadline."""
        if self._webhooks is None:
            return await self._poll_to_end(job_id)
        signals = self._webhooks.signals
        await _or_none(signals.expect(job_id))
        try:
            return await self._poll_to_end(job_id)
        finally:
            await _or_none(signals.forget(job_id))

    async def _poll_to_end(self, job_id: str) -> Prediction | Unknown:
        async def pause(wait_s: float) -> None:
            await self._pause(job_id, max(wait_s, self._poll_interval_s))

        return await ended_job(job_id, ENDINGS, self._poll, pause)

    async def _pause(self, job_id: str, pause_s: float) -> None:
        """Wait before the next poll: until a webhook tells the end, or as long as without any."""
        await asyncio.sleep(pause_s)
        if self._webhooks is None:
            return
        clock = asyncio.get_running_loop()
        until_s = clock.time() + WEBHOOK_POLL_S - pause_s
        while not await _or_none(self._webhooks.signals.is_told(job_id)):
            await asyncio.sleep(self._poll_interval_s)
            if clock.time() >= until_s:
                return

    async def _poll(self, job_id: str) -> Look:
        import aiohttp

        try:
            token, path = await self._token.value(), f"/predictions/{job_id}"
            status, headers, answer = await self._send(token, "GET", path, {})
        except (aiohttp.ClientError, TimeoutError, EigError):
            return None, None, 0.0
        return status, answer, parse_retry_after_s(headers, text_of(answer, "detail")) or 0.0

    async def _send(
        self,
        token: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: dict[str, Any] | None = None,
    ) -> Answered:
        """One request; a token that was refused is replaced once, because a 401 did no work."""
        answered = await self._send_with(token, method, path, headers, body)
        newer = await newer_credential(self._token, token) if answered[0] == 401 else None
        if newer is None:
            return answered
        return await self._send_with(newer, method, path, headers, body)

    async def _send_with(
        self,
        token: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: dict[str, Any] | None,
    ) -> Answered:
        signed = {**headers, "Authorization": f"Bearer {token}"}
        async with self._sessions.ready().request(
            method, self._base_url + path, json=body, headers=signed, allow_redirects=False
        ) as response:
            content = await read_capped(response, PREDICTION_BYTES_MAX) or b""
            return response.status, response.headers, load_json(content)

    async def _outcome(self, ended: Ended) -> ProviderOutcome:
        """Turn an ended prediction into an outcome, fetching the pictures of a success."""
        status = ended.prediction["status"]
        if status == "aborted":  # the deadline passed before a machine was free: free of charge
            return ended.without_picture(Failure.TIMEOUT, "aborted_before_start", Billed.NOTHING)
        if status == "canceled":
            return ended.without_picture(Failure.CANCELED, "canceled")
        if status == "failed":
            return failed_run(ended)
        if ended.prediction.get("data_removed") is True:
            # It made pictures, nobody knows how many: as many as were ordered.
            return ended.without_picture(
                Failure.MALFORMED, "output_expired", Billed.USAGE, ended.order.count
            )
        return await self._deliver(ended)

    async def _deliver(self, ended: Ended) -> ProviderOutcome:
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
                model_version=ended.model_version(),
            )
        reason = "output_expired" if Miss.EXPIRED in results else "no_usable_picture"
        images = len(addresses) or ended.order.count
        return ended.without_picture(Failure.MALFORMED, reason, Billed.USAGE, images)

    async def _fetch(self, address: str) -> bytes | Miss:
        if address.startswith(INLINE):
            return picture_from_data_uri(address) or Miss.UNUSABLE
        return await download_picture(address, self._output_hosts, DOWNLOAD_TIMEOUT_S)


async def _or_none(asked: Any) -> Any:
    """What the store of signals answers; None if it does not. Signals only save time."""
    try:
        async with asyncio.timeout(SIGNAL_TIMEOUT_S):
            return await asked
    except (EigError, TimeoutError):
        return None
