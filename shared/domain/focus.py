"""Ledger entries as FOCUS 1.2 charge records: the columns finance tools know, plus our own `x_`.

FOCUS is the FinOps Open Cost and Usage Specification. Costs are decimal texts, exact to the micro;
the same amounts stand beside them as integers of micros, which is what adds up to the ledger.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from shared.domain.amounts import decimal_text
from shared.domain.batch_files import spreadsheet_safe
from shared.domain.budgets import CURRENCY
from shared.domain.entries import Entry

FOCUS_VERSION: Final = "1.2"
PRICING_CURRENCY: Final = "USD"
ISSUER: Final = "EIG"
_PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure_openai": "Azure OpenAI",
        "replicate": "Replicate",
        "adobe_firefly": "Adobe Firefly",
        "azure_foundry": "Azure AI Foundry",
        "azure_ml": "Azure Machine Learning",
    }
)
Cell = str | int | bool | dict[str, str] | None
Line = dict[str, Cell]

COLUMNS: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId",
    "SubAccountName", "SubAccountType", "Tags",
    "x_EntryId", "x_EntryKind", "x_RefersTo", "x_BookedAt", "x_Estimated", "x_AmountMicros",
    "x_UsdMicros", "x_ListUsdMicros", "x_PriceVersion", "x_ExchangeRateVersion",
)  # fmt: skip


@dataclass(frozen=True)
class Bill:
    """What all lines of one statement share; `end` is the day after the last one."""

    statement_id: str
    tenant_id: str
    department_id: str
    start: date
    end: date


def charge_line(entry: Entry, bill: Bill) -> Line:
    """One entry as a charge record; keys are COLUMNS, in their order."""
    is_usage = entry.kind == "usage"
    values: Line = {
        **_bill_columns(bill),
        **_cost_columns(entry),
        **_what_columns(entry),
        "ChargeCategory": "Usage" if is_usage else "Adjustment",
        # A correction in the sense of FOCUS is one of a statement that was already issued.
        "ChargeClass": "Correction" if entry.kind == "late" else None,
        "ChargeDescription": _description(entry),
        "ChargeFrequency": "Usage-Based" if is_usage else "One-Time",
        "ChargePeriodStart": moment_text(entry.day),
        "ChargePeriodEnd": moment_text(entry.day + timedelta(days=1)),
        "Tags": _tags(entry),
        "x_EntryId": entry.entry_id,
        "x_EntryKind": entry.kind,
        "x_RefersTo": entry.refers_to,
        "x_BookedAt": entry.booked_at,
        "x_Estimated": entry.estimated,
        "x_AmountMicros": entry.amount_micros,
        "x_UsdMicros": entry.usd_micros,
        "x_ListUsdMicros": entry.list_usd_micros,
        "x_PriceVersion": entry.price_version,
        "x_ExchangeRateVersion": entry.exchange_rate_version,
    }
    return {name: values[name] for name in COLUMNS}


def canonical(line: Line) -> bytes:
    """The one spelling of a line that checksums are made over: sorted keys, no spaces, UTF-8."""
    text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def csv_lines(lines: Iterable[Line]) -> Iterator[str]:
    """Lines as CSV with a header; text that a spreadsheet would calculate is defused."""
    yield _csv_line(COLUMNS)
    for line in lines:
        yield csv_line(line)


def csv_line(line: Line) -> str:
    """One record of the CSV file; numbers are ours and stay numbers, also below zero."""
    return _csv_line(_csv_cell(name, line[name]) for name in COLUMNS)


def csv_header() -> str:
    return _csv_line(COLUMNS)


def moment_text(day: date) -> str:
    """Midnight UTC at the start of a day, as FOCUS writes moments."""
    return f"{day.isoformat()}T00:00:00Z"


def _bill_columns(bill: Bill) -> Line:
    return {
        "BillingAccountId": bill.tenant_id,
        "BillingAccountName": ISSUER,
        "BillingAccountType": "Tenant",
        "BillingCurrency": CURRENCY,
        "BillingPeriodStart": moment_text(bill.start),
        "BillingPeriodEnd": moment_text(bill.end),
        "InvoiceId": bill.statement_id,
        "InvoiceIssuerName": ISSUER,
        "SubAccountId": bill.department_id,
        "SubAccountName": bill.department_id,
        "SubAccountType": "Department",
    }


def _cost_columns(entry: Entry) -> Line:
    """One request is the pricing unit, so that unit price times quantity is exactly the cost."""
    cost, listed = decimal_text(entry.amount_micros), decimal_text(entry.list_micros)
    usd, listed_usd = decimal_text(entry.usd_micros), decimal_text(entry.list_usd_micros)
    is_usage = entry.kind == "usage"
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ContractedCost": cost,
        "ListCost": listed,
        "ContractedUnitPrice": cost if is_usage else None,
        "ListUnitPrice": listed if is_usage else None,
        "PricingCategory": "Standard" if is_usage else None,
        "PricingCurrency": PRICING_CURRENCY,
        "PricingCurrencyContractedUnitPrice": usd if is_usage else None,
        "PricingCurrencyEffectiveCost": usd,
        "PricingCurrencyListUnitPrice": listed_usd if is_usage else None,
        "PricingQuantity": 1 if is_usage else None,
        "PricingUnit": "Requests" if is_usage else None,
        "ConsumedQuantity": entry.images if is_usage else None,
        "ConsumedUnit": "Images" if is_usage else None,
    }


def _what_columns(entry: Entry) -> Line:
    provider = _PROVIDERS.get(entry.provider, entry.provider) if entry.provider else ISSUER
    priced = f"{entry.model}@{entry.price_version}" if entry.price_version else None
    return {
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": "Image generation",
        "ResourceId": entry.refers_to,
        "ResourceName": entry.refers_to,
        "ResourceType": "Generation" if entry.refers_to else None,
        "SkuId": entry.model,
        "SkuMeter": "Image requests" if entry.kind == "usage" else None,
        "SkuPriceId": priced,
    }


def _description(entry: Entry) -> str:
    if entry.kind == "usage":
        pictures = "1 image" if entry.images == 1 else f"{entry.images} images"
        return f"{entry.model}: {pictures}, {entry.status}"
    return f"{entry.kind}: {entry.reason}"


def _tags(entry: Entry) -> dict[str, str]:
    named = {
        "user": entry.user,
        "project": entry.project_id,
        "cost_centre": entry.cost_centre_id,
    }
    return {name: value for name, value in named.items() if value is not None}


def _csv_cell(name: str, value: Cell) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    if isinstance(value, int) or name.endswith(("Cost", "UnitPrice")):
        return value
    return spreadsheet_safe(value)


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(list(cells))
    return text.getvalue()
