"""The providers' own accounts of what they bill: Azure's cost export and Replicate's list of runs.

Azure: the folder of a month with a manifest and one CSV part, as Cost Management writes them. Its
columns x_RequestId and x_ClientRequestId are an invention: Azure names no requests.
Replicate: `GET /predictions`, newest first, in pages; it states run times and no prices.

A rule posted to `/_control/exports` makes an export differ from the invoice, as if the provider
billed something else than it told us: `{"model", "permille", "item", "without_ids", "drop"}`.
"""

from __future__ import annotations

import calendar
import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from devhost.simulators.invoice import AZURE, SDXL
from devhost.simulators.replicate_predictions import API_PATH, newest_predictions
from devhost.simulators.state import SimulatorState

AZURE_EXPORT = "/azure-cost-export"
PART = "part_0_0001.csv"
COLUMNS = (
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "BilledCost",
    "BillingCurrency",
    "x_BilledCostInUsd",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ServiceName",
    "x_SkuMeterName",
    "x_RequestId",
    "x_ClientRequestId",
)
PAGE_PREDICTIONS = 100
RULES_MAX = 100
PERMILLE = 1_000
MICROS = 1_000_000


class ExportRule(BaseModel):
    """How the export of one model lies; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    permille: int = Field(default=PERMILLE, ge=0, le=100 * PERMILLE)  # of what was billed
    item: str | None = None  # another meter name (Azure)
    without_ids: bool = False  # as Azure really exports: no request is named
    drop: bool = False  # the lines are missing


@dataclass
class ExportRules:
    """The active rules; the last one for a model decides."""

    rules: list[ExportRule] = field(default_factory=list)

    def of(self, model: str) -> ExportRule:
        named = [rule for rule in self.rules if rule.model == model]
        return named[-1] if named else ExportRule(model=model)


def add_exports(app: web.Application, state: SimulatorState) -> None:
    """Adds the export, the list and their control; call it before Replicate's other routes."""
    rules = ExportRules()

    async def manifest(request: web.Request) -> web.Response:
        first, last = _days_of(request.match_info["folder"])
        today = datetime.fromtimestamp(state.clock.now_s(), UTC).date()
        if first > today:
            return web.Response(status=404, text="BlobNotFound")
        blob = f"{request.match_info['folder']}/{PART}"
        return web.json_response(
            {
                "manifestVersion": "2024-04-01",
                "blobCount": 1,
                "runInfo": {
                    "startDate": f"{first}T00:00:00",
                    "endDate": f"{min(last, today)}T00:00:00",
                },
                "blobs": [{"blobName": blob}],
            }
        )

    async def part(request: web.Request) -> web.Response:
        state.settle()
        first, last = _days_of(request.match_info["folder"])
        text = _focus_csv(_azure_lines(state, first, last), rules)
        return web.Response(text=text, content_type="text/csv")

    async def predictions(request: web.Request) -> web.Response:
        if not request.headers.get("authorization"):
            return web.json_response({"title": "Unauthenticated", "status": 401}, status=401)
        return web.json_response(_predictions_page(state, rules, request.query.get("cursor")))

    async def add_rule(request: web.Request) -> web.Response:
        try:
            rule = ExportRule.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        if len(rules.rules) >= RULES_MAX:
            return web.json_response({"error": "There are too many rules."}, status=400)
        rules.rules.append(rule)
        return web.json_response({"rules": len(rules.rules)}, status=201)

    async def clear_rules(_: web.Request) -> web.Response:
        rules.rules.clear()
        return web.json_response({"rules": 0})

    app.router.add_get(AZURE_EXPORT + r"/{folder:\d{8}-\d{8}}/manifest.json", manifest)
    app.router.add_get(AZURE_EXPORT + r"/{folder:\d{8}-\d{8}}/" + PART, part)
    app.router.add_get(f"{API_PATH}/predictions", predictions)
    app.router.add_post("/_control/exports", add_rule)
    app.router.add_delete("/_control/exports", clear_rules)


def _days_of(folder: str) -> tuple[date, date]:
    """First and last day of a month's folder; a 404 for a folder that is no month."""
    try:
        first, last = (datetime.strptime(part, "%Y%m%d").date() for part in folder.split("-"))  # noqa: DTZ007
    except ValueError:
        raise web.HTTPNotFound from None
    if first.day != 1 or last.day != calendar.monthrange(first.year, first.month)[1]:
        raise web.HTTPNotFound
    return first, last


def _azure_lines(state: SimulatorState, first: date, last: date) -> list[dict[str, Any]]:
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    rows = state.database.execute(
        "SELECT * FROM invoice_lines WHERE provider = ? AND at_s >= ? AND at_s < ? ORDER BY id",
        (AZURE, begin, end.timestamp()),
    )
    return [dict(row) for row in rows]


def _focus_csv(lines: Iterable[dict[str, Any]], rules: ExportRules) -> str:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    for line in lines:
        rule = rules.of(line["model"])
        if rule.drop:
            continue
        day = datetime.fromtimestamp(line["at_s"], UTC).date()
        usd = _usd(line["usd_micros"] * rule.permille // PERMILLE)
        table.writerow(
            {
                "ChargePeriodStart": f"{day}T00:00:00Z",
                "ChargePeriodEnd": f"{day + timedelta(days=1)}T00:00:00Z",
                "ChargeCategory": "Usage",
                "BilledCost": usd,
                "BillingCurrency": "USD",
                "x_BilledCostInUsd": usd,
                "ConsumedQuantity": line["quantity"],
                "ConsumedUnit": line["unit"],
                "ServiceName": "Azure OpenAI",
                "x_SkuMeterName": rule.item or f"{line['model']} {line['kind']}",
                "x_RequestId": "" if rule.without_ids else line["request_id"],
                "x_ClientRequestId": "" if rule.without_ids else line["client_request_id"] or "",
            }
        )
    return text.getvalue()


def _usd(micros: int) -> str:
    return f"{micros // MICROS}.{micros % MICROS:06d}"


def _predictions_page(
    state: SimulatorState, rules: ExportRules, cursor: str | None
) -> dict[str, Any]:
    before = int(cursor) if cursor and cursor.isdecimal() else None
    found = newest_predictions(state, before, PAGE_PREDICTIONS + 1)
    page = found[:PAGE_PREDICTIONS]
    results = []
    for _, prediction in page:
        rule = rules.of(prediction.order.model)
        if not rule.drop:
            shown = prediction.as_json(state.options.origin, state.clock.now_s())
            results.append(_billed_as(shown, rule))
    following = None
    if len(found) > PAGE_PREDICTIONS:
        position = page[-1][0]
        following = f"{state.options.origin}{API_PATH}/predictions?cursor={position}"
    return {"previous": None, "next": following, "results": results}


def _billed_as(prediction: dict[str, Any], rule: ExportRule) -> dict[str, Any]:
    """The prediction with the run time, or for pictures their number, that the rule bills."""
    shown: dict[str, Any] = {**json.loads(json.dumps(prediction)), "source": "api"}
    if rule.permille == PERMILLE:
        return shown
    if rule.model == SDXL and "predict_time" in shown.get("metrics", {}):
        shown["metrics"]["predict_time"] = round(
            shown["metrics"]["predict_time"] * rule.permille / PERMILLE, 3
        )
    elif isinstance(shown["output"], list):
        shown["output"] = shown["output"] * (rule.permille // PERMILLE)
    return shown
