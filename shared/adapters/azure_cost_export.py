"""What Azure bills for our OpenAI resource: a Cost Management export as FOCUS CSV in blob storage.

The columns without `x_` are of the FOCUS specification; x_BilledCostInUsd and x_SkuMeterName are
Microsoft's own. Azure bills by meter, resource and day and names no request: x_RequestId and
x_ClientRequestId are columns that whoever prepares the export adds. Without them a line is a daily
sum. See docs/reconciliation.md.
"""

import asyncio
import calendar
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from shared.adapters.answer_bodies import load_json, read_capped
from shared.domain.ids import partition_of
from shared.domain.models import MODELS
from shared.domain.reconciliation import BilledLine
from shared.errors import InvariantBroken, Unavailable

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S: Final = 60.0  # for one part
MANIFEST_BYTES_MAX: Final = 1_000_000  # lists the parts of one month
PART_BYTES_MAX: Final = 256 * 1024 * 1024  # Azure cuts partitioned exports into parts below 1 GB
PARTS_MAX: Final = 1_000
MICROS: Final = Decimal(1_000_000)
USD_MAX: Final = Decimal(1_000_000)  # one line; more is damage
_BLOB_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}\.csv")
_CLIENT_ID: Final = re.compile(r"(?P<generation>[^:]+):[0-9]{1,2}")

# What our meters measure. The names are those of the local stand-in: a real export's have to be
# entered here before it is used, and until then each of its lines counts as unpriced.
_OUTPUTS: Final = ("image_output", "content_filter", "timeout")
METERS: Final[Mapping[str, str]] = {
    f"{model} {prefix}{kind}": model
    for model in (each.model for each in MODELS.values() if each.provider == "azure_openai")
    for prefix in ("", "batch_")
    for kind in (*_OUTPUTS, "text_input", "image_input")
}


class AzureCostExport:
    """Implements the UsageExport port."""

    provider = "azure_openai"

    def __init__(self, url: str) -> None:
        """`url` is the folder of the export, with a query (a SAS) that every request repeats."""
        self._url = urlsplit(url)

    async def read(self, first: date, last: date) -> Mapping[date, Sequence[BilledLine]]:
        import aiohttp

        found: dict[date, list[BilledLine]] = defaultdict(list)
        complete: set[date] = set()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for folder in _month_folders(first, last):
                manifest = await self._manifest(session, folder)
                if manifest is None:
                    continue
                complete |= manifest.days
                for part in manifest.parts:
                    text = await self._fetch(session, f"{folder}/{part}", PART_BYTES_MAX)
                    if text is None:
                        raise Unavailable("A part of the cost export is not there yet.")
                    for line in await asyncio.to_thread(_lines, text, first, last):
                        found[line.day].append(line)
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return {day: tuple(found[day]) for day in days if day in complete}

    async def _manifest(self, session: "aiohttp.ClientSession", folder: str) -> "_Manifest | None":
        content = await self._fetch(session, f"{folder}/manifest.json", MANIFEST_BYTES_MAX)
        return None if content is None else _read_manifest(content)

    async def _fetch(
        self, session: "aiohttp.ClientSession", name: str, bytes_max: int
    ) -> bytes | None:
        """A file of the export; None if it does not exist."""
        import aiohttp

        path = f"{self._url.path.rstrip('/')}/{name}"
        address = urlunsplit(self._url._replace(path=path))
        try:
            async with session.get(address, allow_redirects=False) as answer:
                if answer.status == 404:
                    return None
                content = await read_capped(answer, bytes_max)
                if answer.status != 200:
                    raise Unavailable("The cost export did not answer.")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("The cost export did not answer.") from error
        if content is None:
            raise InvariantBroken("A file of the cost export is larger than it can be.")
        return content


@dataclass(frozen=True)
class _Manifest:
    """The parts of a month's export, and the days it covers."""

    parts: tuple[str, ...]
    days: frozenset[date]


def _read_manifest(content: bytes) -> _Manifest:
    document = load_json(content)
    try:
        if not isinstance(document, Mapping):
            raise TypeError
        names = [str(blob["blobName"]).rpartition("/")[2] for blob in document["blobs"]]
        run = document["runInfo"]
        start, end = (datetime.fromisoformat(run[name]).date() for name in ("startDate", "endDate"))
    except (KeyError, TypeError, ValueError) as fault:
        raise InvariantBroken("The manifest of the cost export cannot be read.") from fault
    if len(names) > PARTS_MAX or not all(_BLOB_NAME.fullmatch(name) for name in names):
        raise InvariantBroken("The manifest of the cost export names files that are none.")
    days = frozenset(start + timedelta(days=n) for n in range((end - start).days + 1))
    return _Manifest(tuple(names), days)


def _month_folders(first: date, last: date) -> Iterator[str]:
    """The folders of the months, named as Azure names them: 20261101-20261130."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        days = calendar.monthrange(year, month)[1]
        yield f"{year:04d}{month:02d}01-{year:04d}{month:02d}{days:02d}"
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _lines(content: bytes, first: date, last: date) -> list[BilledLine]:
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        return list(_read_rows(rows, first, last))
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError, OverflowError) as fault:
        raise InvariantBroken("The cost export cannot be read.") from fault


def _read_rows(rows: Iterable[Mapping[str, str]], first: date, last: date) -> Iterator[BilledLine]:
    for row in rows:
        if None in row or None in row.values():
            raise ValueError("a row has not as many values as there are columns")
        day = datetime.fromisoformat(row["ChargePeriodStart"]).astimezone(UTC).date()
        if not first <= day <= last or row["ChargeCategory"] != "Usage":
            continue
        meter = row["x_SkuMeterName"]
        model = METERS.get(meter)
        named = _CLIENT_ID.fullmatch(row.get("x_ClientRequestId") or "")
        generation_id = named["generation"] if named else None
        yield BilledLine(
            provider=AzureCostExport.provider,
            model=model or _model_named_by(meter),
            day=day,
            item=meter[:100],
            usd_micros=_micros(row["x_BilledCostInUsd"]),
            is_priced=model is not None,
            generation_id=generation_id if partition_of(generation_id or "") else None,
            request_id=row.get("x_RequestId") or None,
        )


def _model_named_by(meter: str) -> str | None:
    """The model that an unknown meter's name begins with."""
    ours = [model.model for model in MODELS.values() if model.provider == AzureCostExport.provider]
    return next((m for m in sorted(ours, key=len, reverse=True) if meter.startswith(m)), None)


def _micros(text: str) -> int:
    """Micro-USD of a decimal number of USD, to the nearest."""
    try:
        usd = Decimal(text)
    except InvalidOperation as fault:
        raise ValueError("an amount is no number") from fault
    if not usd.is_finite() or not 0 <= usd <= USD_MAX:
        raise ValueError("an amount is out of range")
    return int((usd * MICROS).to_integral_value())
