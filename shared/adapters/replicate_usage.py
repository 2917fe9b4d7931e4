"""What Replicate ran for us: its list of predictions, the only account of single runs it offers.

The list names job, model, status and run time. It states no price, and Replicate's invoice names no
job: what a run costs follows from our price rows, so a wrong price row cannot be found here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.answer_bodies import load_json, read_capped
from shared.domain.attempts import Usage
from shared.domain.models import MODELS
from shared.domain.reconciliation import BilledLine
from shared.errors import InvariantBroken, Unavailable
from shared.ports.secrets import Secret

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S: Final = 30.0
PAGE_BYTES_MAX: Final = 64 * 1024 * 1024  # 100 predictions, inputs and data URIs included
PAGES_MAX: Final = (
    20_000  # two million runs; far above a day at the account's limit of 600 a minute
)
RUN_TIME_MAX: Final = timedelta(hours=2)  # from creation to end; runs are cut off after 30 minutes
SECONDS_MAX: Final = Decimal(86_400)
JOB_ID_CHARS_MAX: Final = 64
_BILLED: Final = frozenset({"succeeded", "failed", "canceled"})  # aborted before the start is free


class ReplicateUsage:
    """Implements the UsageExport port."""

    provider = "replicate"

    def __init__(self, base_url: str, api_token: Secret) -> None:
        """`base_url` ends in `/v1`."""
        self._base_url = base_url.rstrip("/")
        self._token = api_token

    async def read(self, first: date, last: date) -> Mapping[date, Sequence[BilledLine]]:
        import aiohttp

        found: dict[date, dict[str | None, BilledLine]] = defaultdict(dict)  # each job once
        oldest = datetime.combine(first, time(), UTC) - RUN_TIME_MAX
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        address: str | None = f"{self._base_url}/predictions"
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(PAGES_MAX):
                if address is None:
                    break
                page = await self._page(session, address)
                for prediction in page["results"]:
                    line = _line(prediction)
                    if line is not None and first <= line.day <= last:
                        found[line.day][line.job_id] = line
                created = [_created_at(each) for each in page["results"]]
                done = not created or min(created) < oldest  # newest first
                address = None if done else self._next(page)
            else:
                raise InvariantBroken("Replicate's list of predictions does not end.")
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return {day: tuple(found[day].values()) for day in days}

    async def _page(self, session: "aiohttp.ClientSession", address: str) -> Mapping[str, Any]:
        import aiohttp

        try:
            token = await self._token.value()
            status, page = await _answer(session, address, token)
            newer = await self._token.renewed(token) if status == 401 else None
            if newer is not None:
                status, page = await _answer(session, address, newer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("Replicate did not list its predictions.") from error
        if status != 200:
            raise Unavailable("Replicate did not list its predictions.")
        if not isinstance(page, Mapping) or not isinstance(page.get("results"), list):
            raise InvariantBroken("Replicate's list of predictions cannot be read.")
        return page

    def _next(self, page: Mapping[str, Any]) -> str | None:
        """Where the list goes on; our token is sent to no other place than Replicate's API."""
        address = page.get("next")
        if address is None:
            return None
        if not isinstance(address, str) or not address.startswith(f"{self._base_url}/"):
            raise InvariantBroken("Replicate's list of predictions goes on somewhere else.")
        return address


async def _answer(session: "aiohttp.ClientSession", address: str, token: str) -> tuple[int, object]:
    headers = {"Authorization": f"Bearer {token}"}
    async with session.get(address, headers=headers, allow_redirects=False) as answer:
        return answer.status, load_json(await read_capped(answer, PAGE_BYTES_MAX) or b"")


def _line(prediction: object) -> BilledLine | None:
    """The line of a run that has ended and is billed; None for any other."""
    try:
        if not isinstance(prediction, Mapping):
            raise TypeError
        if prediction["status"] not in _BILLED:
            return None
        job_id = str(prediction["id"])[:JOB_ID_CHARS_MAX]
        model = _model(prediction)
        usage = _usage(prediction, model)
        day = _moment(prediction["completed_at"]).date()
    except (KeyError, TypeError, ValueError, ArithmeticError) as fault:
        raise InvariantBroken("A prediction in Replicate's list cannot be read.") from fault
    if usage is not None and not usage.seconds and not usage.images:
        return None
    return BilledLine(
        provider=ReplicateUsage.provider,
        model=model,
        day=day,
        item="prediction" if model else "a model that we do not offer",
        usd_micros=None,
        usage=usage,
        job_id=job_id,
    )


def _created_at(prediction: object) -> datetime:
    try:
        if not isinstance(prediction, Mapping):
            raise TypeError
        return _moment(prediction["created_at"])
    except (KeyError, TypeError, ValueError, OverflowError) as fault:
        raise InvariantBroken("A prediction in Replicate's list cannot be read.") from fault


def _model(prediction: Mapping[str, Any]) -> str | None:
    names = (prediction.get("version"), prediction.get("model"))
    return next((m.model for m in MODELS.values() if m.provider_model in names), None)


def _usage(prediction: Mapping[str, Any], model: str | None) -> Usage | None:
    """What is billed: pictures of an official model, else seconds; None if that is not told.

    Outputs are deleted an hour after a run, and with them the number of its pictures.
    """
    per_picture = model is not None and "/" in MODELS[model].provider_model
    if per_picture:
        if prediction["status"] != "succeeded":
            return Usage()
        output = prediction.get("output")
        if output is None:
            return None
        return Usage(images=len(output) if isinstance(output, list) else 1)
    seconds = Decimal(str((prediction.get("metrics") or {}).get("predict_time", 0)))
    if not seconds.is_finite() or not 0 <= seconds <= SECONDS_MAX:
        raise ValueError("a run time is out of range")
    return Usage(seconds=seconds)


def _moment(text: object) -> datetime:
    if not isinstance(text, str):
        raise TypeError("a time is no text")
    return datetime.fromisoformat(text).astimezone(UTC)
