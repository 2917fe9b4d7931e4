"""Azure OpenAI batches: a file of image requests, carried out within a day at half the price.

The service has no idempotency key for batches, so one is never created twice by a retry: `find`
looks for our key in the metadata of what exists. Result files are read line by line, because a
hundred pictures as base64 do not fit into memory.
"""
# The SDKs take half a second to import: only a worker that calls them pays.

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.answer_bodies import load_json
from shared.adapters.providers.azure_openai_answers import (
    azure_request_id,
    outcome_of_answer,
    outcome_of_error,
    request_body,
)
from shared.adapters.providers.azure_openai_connection import AzureOpenAIConnection
from shared.adapters.providers.failures import plain_text
from shared.domain.attempts import (
    Billed,
    Failure,
    NotDelivered,
    ProviderOutcome,
    Unknown,
)
from shared.domain.provider_batches import BatchJob, BatchLine, JobState, LineResult
from shared.errors import Unavailable

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

ENDPOINT: Final = "/v1/images/generations"
WINDOW: Final = "24h"
METADATA_KEY: Final = "eig_batch"
FILES_KEPT_S: Final = 14 * 24 * 3600  # long enough to look into; files that end do not use quota
LINE_BYTES_MAX: Final = 256 * 1024 * 1024  # ten pictures of 19 MB as base64; real ones are 1-5 MB
READ_BYTES: Final = 256 * 1024
PAGE_JOBS: Final = 100
PAGES_MAX: Final = 50  # of the list of jobs: more than a resource may queue in a day
CLOCK_SKEW_S: Final = 300.0  # between our clock and the service's
_STATES: Final[Mapping[str, JobState]] = {
    "validating": "running",
    "in_progress": "running",
    "finalizing": "running",
    "cancelling": "running",
    "completed": "completed",
    "expired": "expired",
    "cancelled": "cancelled",
    "failed": "failed",
}
_NOT_WORKED_ON: Final = frozenset({"batch_expired", "batch_cancelled", "batch_canceled"})

logger = logging.getLogger("eig.provider_batches")


class AzureOpenAIBatches:
    """The BatchProvider for a deployment of the type Global Batch."""

    name = "azure_openai"

    def __init__(self, connection: AzureOpenAIConnection, deployment: str) -> None:
        self._connection = connection
        self._deployment = deployment

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        await self._connection.aclose()

    async def upload(self, key: str, lines: Sequence[BatchLine]) -> str | NotDelivered:
        """Send the file; it costs nothing, so a repeat after a lost answer is harmless."""
        import openai

        credential = await self._connection.sign_in()
        if isinstance(credential, NotDelivered):
            return credential
        text = b"".join(_input_line(line, self._deployment) for line in lines)
        try:
            stored = await self._connection.client(credential).files.create(
                file=(f"{key}.jsonl", text, "application/jsonl"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": FILES_KEPT_S},
            )
        except openai.APIStatusError as error:
            return _refused(error)
        except openai.APIConnectionError as error:
            raise _unavailable() from error
        return stored.id

    async def submit(self, key: str, file_id: str) -> str | NotDelivered | Unknown:
        """Create the batch: the one request here that orders paid work."""
        import httpx2
        import openai

        credential = await self._connection.sign_in()
        if isinstance(credential, NotDelivered):
            return credential
        try:
            created = await self._connection.client(credential).batches.create(
                input_file_id=file_id,
                endpoint=ENDPOINT,
                completion_window=WINDOW,
                metadata={METADATA_KEY: key},
                output_expires_after={"anchor": "created_at", "seconds": FILES_KEPT_S},
            )
        except openai.APIStatusError as error:
            # A 5xx or a 408 does not prove that no batch was created.
            if error.status_code >= 500 or error.status_code == 408:
                return Unknown(f"http_{error.status_code}")
            return _refused(error)
        except openai.APIConnectionError as error:
            unopened = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
            if isinstance(error.__cause__, unopened):
                return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
            return Unknown("connection_lost")
        except openai.APIResponseValidationError:
            return Unknown("malformed_answer")
        return created.id

    async def find(self, key: str, since: datetime) -> str | None:
        """Walk the newest jobs back to `since`; Unavailable if there are too many to say."""
        oldest_s = since.timestamp() - CLOCK_SKEW_S
        after: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._page(after)
            for job in page.data:
                if (job.metadata or {}).get(METADATA_KEY) == key:
                    return str(job.id)
                if job.created_at < oldest_s:
                    return None
            if not page.has_more or not page.data:
                return None
            after = page.data[-1].id
        raise Unavailable("The provider's list of batches is too long to be searched.")

    async def _page(self, after: str | None) -> Any:
        async with self._asking() as client:
            if after is None:
                return await client.batches.list(limit=PAGE_JOBS)
            return await client.batches.list(limit=PAGE_JOBS, after=after)

    async def job(self, job_id: str) -> BatchJob:
        async with self._asking() as client:
            found = await client.batches.retrieve(job_id)
        state = _STATES.get(found.status)
        if state is None:
            raise Unavailable("The provider gave a batch a status that we do not know.")
        return BatchJob(
            job_id,
            state,
            found.output_file_id,
            found.error_file_id,
            _reason(found),
            _worked_on(found),
        )

    async def cancel(self, job_id: str) -> None:
        import openai

        async with self._asking() as client:
            try:
                await client.batches.cancel(job_id)
            except (openai.BadRequestError, openai.ConflictError):
                return  # it has ended, or is about to: the next look says so

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator["openai.AsyncOpenAI"]:
        """A client for questions that cost nothing; whatever goes wrong is Unavailable."""
        import anyio
        import httpx2
        import openai

        credential = await self._connection.sign_in()
        if isinstance(credential, NotDelivered):
            raise _unavailable()
        try:
            yield self._connection.client(credential)
        except (openai.OpenAIError, httpx2.HTTPError, anyio.EndOfStream, OSError) as error:
            raise _unavailable() from error

    async def results(self, job: BatchJob, counts: Mapping[str, int]) -> AsyncIterator[LineResult]:
        for file_id in (job.output_file_id, job.error_file_id):
            if file_id is None:
                continue
            async for text in self._lines(file_id):
                line = load_json(text)
                custom_id = line.get("custom_id") if isinstance(line, dict) else None
                if not isinstance(line, dict) or not isinstance(custom_id, str):
                    logger.warning("a line of a provider batch's results cannot be read")
                    continue
                is_answered = _is_answered(line)
                count = counts.get(custom_id)
                outcome = None if count is None else await _outcome_of_line(line, count)
                yield LineResult(custom_id, is_answered, outcome)

    async def _lines(self, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a file; one that is longer than LINE_BYTES_MAX is left out."""
        async with (
            self._asking() as client,
            client.files.with_streaming_response.content(file_id) as answer,
        ):
            line, too_long = bytearray(), False
            async for chunk in answer.iter_bytes(READ_BYTES):
                first, *others = chunk.split(b"\n")
                line += first
                for each in others:
                    if not too_long and line.strip():
                        yield bytes(line)
                    line, too_long = bytearray(each), False
                if len(line) > LINE_BYTES_MAX:
                    if not too_long:
                        logger.warning("a line of a provider batch's results is too long")
                    line, too_long = bytearray(), True
            if not too_long and line.strip():
                yield bytes(line)


def _input_line(line: BatchLine, deployment: str) -> bytes:
    request = {
        "custom_id": line.custom_id,
        "method": "POST",
        "url": ENDPOINT,
        "body": request_body(line.order, deployment),
    }
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _is_answered(line: Mapping[str, Any]) -> bool:
    """Whether a line holds an answer of the model, of whatever kind."""
    answer = line.get("response")
    return isinstance(answer, dict) and isinstance(answer.get("status_code"), int)


async def _outcome_of_line(line: dict[str, Any], count: int) -> ProviderOutcome:
    """How one line ended: an answer as the synchronous path gives it, or an error of the batch."""
    answer, error = line.get("response"), line.get("error")
    if not isinstance(answer, dict):
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, str) and code in _NOT_WORKED_ON:
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, code)
        if code == "request_timeout":
            return NotDelivered(Failure.TIMEOUT, Billed.OUTPUT, "request_timeout")
        return Unknown("line_without_answer")
    status, body = answer.pop("status_code", None), answer.pop("body", None)
    request_id = plain_text(answer.get("request_id"))
    if status == 200:
        return await outcome_of_answer(body, count, request_id)
    if not isinstance(status, int):
        return Unknown("line_without_answer")
    inner = body.get("error", body) if isinstance(body, dict) else body
    return outcome_of_error(status, inner, {}, request_id)


def _refused(error: "openai.APIStatusError") -> NotDelivered:
    headers = error.response.headers
    outcome = outcome_of_error(error.status_code, error.body, headers, azure_request_id(headers))
    if isinstance(outcome, NotDelivered):
        # Nothing of a file is worked on before its batch exists, so nothing is billed.
        return NotDelivered(
            outcome.failure,
            Billed.NOTHING,
            outcome.reason,
            retry_after_s=outcome.retry_after_s,
            request_id=outcome.request_id,
        )
    raise _unavailable() from error


def _reason(job: "Batch") -> str | None:
    """Why a job failed as a whole: the service's code of its first fault."""
    faults = job.errors.data if job.errors is not None else None
    return faults[0].code if faults else None


def _worked_on(job: "Batch") -> int | None:
    """How many requests of a job were worked on; None if it does not say.

    A job that fails does so in its validation, before any: what it counts as failed was not begun.
    """
    completed, failed = (
        getattr(job.request_counts, name, None) for name in ("completed", "failed")
    )
    if job.status == "failed":
        completed, failed = completed or 0, 0
    if isinstance(completed, int) and isinstance(failed, int):
        return completed + failed
    return None


def _unavailable() -> Unavailable:
    return Unavailable("The provider did not answer a question about a batch.", retry_after_s=5)
