"""Adobe Firefly Services: a job is started, looked at until it ends, its pictures fetched at once.

A job is known by the address of its status, which lies on a host of Adobe's choice. Our token goes
there, so the address is checked before every use, also when it comes back from our own records.
"""
# aiohttp takes 140 ms to import: only a worker that calls it pays.

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shared.adapters.answer_bodies import load_json, read_capped
from shared.adapters.providers.adobe_firefly_answers import (
    ENDINGS,
    STATUS_URL_CHARS_MAX,
    SUCCEEDED,
    Job,
    Output,
    failed_job,
    is_status_path,
    outputs_of,
    refused_submission,
    status_url_of,
    submission,
    warnings_of,
)
from shared.adapters.providers.adobe_firefly_tokens import AdobeTokens
from shared.adapters.providers.credentials import before_sending
from shared.adapters.providers.fetching import (
    Miss,
    download_picture,
    in_slices,
    is_allowed_address,
)
from shared.adapters.providers.polling import Look, ended_job
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
    Usage,
)
from shared.errors import EigError
from shared.ports import JobRecorder
from shared.ports.secrets import Secret

DOWNLOAD_TIMEOUT_S: Final = 60.0  # a picture is 1-5 MB
FOLLOW_GRACE_S: Final = 60.0  # past our deadline: the cancellation, the last looks, the downloads
ANSWER_BYTES_MAX: Final = 1024 * 1024  # a job with four addresses has 5 KB

Answered = tuple[int, Mapping[str, str], object]  # status, headers, JSON body or None


@dataclass(frozen=True)
class FireflyAddresses:
    """Where Firefly is, and which hosts may get our token or be fetched from."""

    base_url: str
    ims_url: str
    api_hosts: frozenset[str]
    output_hosts: frozenset[str]


class AdobeFireflyProvider:
    """The ImageProvider for Adobe Firefly."""

    name = "adobe_firefly"

    def __init__(
        self,
        addresses: FireflyAddresses,
        client_id: str,
        client_secret: Secret,
        poll_interval_s: float,
    ) -> None:
        self._base_url = addresses.base_url.rstrip("/")
        self._api_hosts: Set[str] = addresses.api_hosts
        self._output_hosts: Set[str] = addresses.output_hosts
        self._client_id = client_id
        self._poll_interval_s = poll_interval_s
        self._sessions = ProviderSessions()
        self._tokens = AdobeTokens(addresses.ims_url, client_id, client_secret, self._sessions)

    async def aclose(self) -> None:
        """Close the connections of the running loop; the next request opens new ones."""
        await self._sessions.aclose()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Start one job, record its address, and follow it to its end."""
        token = await before_sending(self._tokens.get())
        if isinstance(token, NotDelivered):
            return token
        try:
            submitted = await self._submit(order, token)
        except asyncio.CancelledError:
            # The request may be billed, and only an Unknown says so to whoever keeps the books.
            return Unknown(CANCELLED_IN_FLIGHT)
        if not isinstance(submitted, str):
            return submitted
        try:
            await record_job(submitted)
        except (EigError, asyncio.CancelledError):
            return Unknown("job_not_recorded", submitted)
        return await self.resume(order, submitted)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """Look at a job until it ends and fetch its pictures; never submits.

        Past our own deadline the job is cancelled, so that it is not worked on for nobody.
        """
        if not self._is_status_url(job_id):
            return Unknown("malformed_job_id", job_id)
        try:
            job = await self._within(order.run_seconds_max, job_id)
            if job is None:
                await self._cancel(job_id)
                job = await self._within(FOLLOW_GRACE_S, job_id)
            if job is None:
                return Unknown("not_finished_in_time", job_id)
            if isinstance(job, Unknown):
                return job
            if job["status"] != SUCCEEDED:
                return failed_job(job, job_id)
            async with asyncio.timeout(FOLLOW_GRACE_S):
                return await self._deliver(order, job_id, job)
        except TimeoutError:
            return Unknown("not_finished_in_time", job_id)
        except asyncio.CancelledError:
            return Unknown(CANCELLED_IN_FLIGHT, job_id)

    def _is_status_url(self, url: str) -> bool:
        """Whether our token may be sent there."""
        if len(url) > STATUS_URL_CHARS_MAX or not is_allowed_address(url, self._api_hosts):
            return False
        parts = urlsplit(url)
        return is_status_path(parts.path) and not parts.query and not parts.fragment

    async def _submit(self, order: ImageOrder, token: str) -> str | NotDelivered | Unknown:
        """Send the one request that may be billed; the address of the job's status."""
        import aiohttp

        path, body = submission(order)
        headers = {"x-model-version": order.provider_model}
        try:
            status, answer_headers, answer = await self._send(
                token, "POST", self._base_url + path, headers, body
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
        except TimeoutError:
            return Unknown("no_answer_in_time")
        except aiohttp.ClientError:
            return Unknown("connection_lost")
        if not 200 <= status < 300:
            return refused_submission(status, answer_headers, answer)
        url = status_url_of(answer)
        if url is not None and self._is_status_url(url):
            return url
        # The job runs out of our sight, and whoever named that address does not get our token.
        reason = "malformed_answer" if url is None else "status_address_not_allowed"
        return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, reason)

    async def _send(
        self,
        token: str | NotDelivered,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: dict[str, Any] | None = None,
    ) -> Answered:
        """One signed request; a refused token is replaced once, because a 401 did no work."""
        if isinstance(token, NotDelivered):
            return _unsigned(token)
        answered = await self._send_with(token, method, url, headers, body)
        if answered[0] != 401:
            return answered
        try:
            newer = await self._tokens.get()
        except asyncio.CancelledError:
            return answered  # the refusal stands, and it was free
        if isinstance(newer, NotDelivered):
            return _unsigned(newer)
        return await self._send_with(newer, method, url, headers, body)

    async def _send_with(
        self,
        token: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: dict[str, Any] | None,
    ) -> Answered:
        signed = {
            **headers,
            "Authorization": f"Bearer {token}",
            "x-api-key": self._client_id,
            "Accept": "application/json",
        }
        async with self._sessions.ready().request(
            method, url, json=body, headers=signed, allow_redirects=False
        ) as response:
            content = await read_capped(response, ANSWER_BYTES_MAX) or b""
        if response.status == 401:
            self._tokens.forget(token)
        return response.status, response.headers, load_json(content)

    async def _within(self, seconds: float, job_id: str) -> "Job | Unknown | None":
        """The ended job; None if it did not end in this time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(job_id)
        except TimeoutError:
            return None

    async def _follow(self, job_id: str) -> "Job | Unknown":
        """Look until the job has ended; the caller sets the deadline."""

        async def pause(wait_s: float) -> None:
            await asyncio.sleep(max(wait_s, self._poll_interval_s))

        return await ended_job(job_id, ENDINGS, self._look, pause)

    async def _look(self, job_id: str) -> Look:
        import aiohttp

        try:
            status, headers, answer = await self._send(await self._tokens.get(), "GET", job_id, {})
        except (aiohttp.ClientError, TimeoutError):
            return None, None, 0.0
        return status, answer, parse_retry_after_s(headers) or 0.0

    async def _cancel(self, job_id: str) -> None:
        """Ask for the job's end. What came of it is seen by looking at the job again."""
        import aiohttp

        try:
            address = job_id.replace("/status/", "/cancel/")
            await self._send(await self._tokens.get(), "PUT", address, {})
        except (aiohttp.ClientError, TimeoutError):
            return

    async def _deliver(self, order: ImageOrder, job_id: str, job: Job) -> ProviderOutcome:
        outputs = outputs_of(job, order.count)
        results = [await self._fetch(output) for output in outputs]
        if Miss.UNREACHABLE in results:  # nothing is lost yet: whoever resumes fetches them all
            return Unknown("output_unreachable", job_id)
        usage = Usage(images=len(outputs))
        pictures = tuple(result for result in results if isinstance(result, ProviderImage))
        if pictures:
            return Delivered(
                pictures,
                usage,
                job_id=job_id,
                model_version=order.provider_model,
                warnings=warnings_of(job),
            )
        if not outputs:
            return NotDelivered(
                Failure.MALFORMED, Billed.MAXIMUM, "no_usable_picture", job_id=job_id
            )
        reason = "output_expired" if Miss.EXPIRED in results else "no_usable_picture"
        return NotDelivered(Failure.MALFORMED, Billed.USAGE, reason, usage=usage, job_id=job_id)

    async def _fetch(self, output: Output) -> ProviderImage | Miss:
        """One picture, from an address that carries its own short-lived permission."""
        picture = await download_picture(output.address, self._output_hosts, DOWNLOAD_TIMEOUT_S)
        if isinstance(picture, Miss):
            return picture
        return ProviderImage(in_slices(picture), output.seed)


def _unsigned(refusal: NotDelivered) -> Answered:
    """A request that was not sent for want of a token, as the answer it would have got."""
    status = 503 if refusal.failure is Failure.TRANSIENT else 401
    return status, {}, {"error_code": refusal.reason}
