"""The tables at the end of the demo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from devhost.demo.money import dollars
from devhost.demo.reconciliation import ProviderFigures

PROVIDER_TITLES = {
    "azure_openai": "Azure OpenAI",
    "replicate": "Replicate",
    "adobe_firefly": "Adobe Firefly",
    "azure_foundry": "Azure AI Foundry",
    "azure_ml": "Azure Machine Learning",
}


def provider_title(provider: str) -> str:
    return PROVIDER_TITLES.get(provider, provider)


def provider_table(figures: Iterable[ProviderFigures]) -> Table:
    """Images and cost for each provider, beside what the provider invoiced."""
    table = _table("Providers")
    table.add_column("provider")
    for title in ("images", "AUD", "USD in the ledger", "USD invoiced"):
        table.add_column(title, justify="right")
    known = list(figures)
    for f in known:
        table.add_row(
            provider_title(f.provider),
            str(f.images),
            dollars(f.amount_micros),
            dollars(f.ledger_usd_micros),
            dollars(f.invoiced_usd_micros),
        )
    table.add_section()
    table.add_row(
        "together",
        str(sum(f.images for f in known)),
        dollars(sum(f.amount_micros for f in known)),
        dollars(sum(f.ledger_usd_micros for f in known)),
        dollars(sum(f.invoiced_usd_micros for f in known)),
        style="bold",
    )
    return table


def budget_table(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    """A budget's three states of money before and after."""
    table = _table(f"Budget of {before['scope']}, {before['period']}, AUD")
    table.add_column("")
    for title in ("limit", "spent", "reserved", "available"):
        table.add_column(title, justify="right")
    for name, budget in (("before", before), ("after", after)):
        amounts = ("limit_micros", "spent_micros", "reserved_micros", "available_micros")
        table.add_row(name, *(dollars(budget[amount]) for amount in amounts))
    return table


def outcome_table(rows: Mapping[str, int]) -> Table:
    """How many rows of the file ended in which way."""
    table = _table("Rows of the file by outcome")
    table.add_column("outcome")
    table.add_column("rows", justify="right")
    for name, count in rows.items():
        if name not in ("total", "valid") and count:
            table.add_row(name, str(count))
    table.add_section()
    table.add_row("together", str(rows["total"]), style="bold")
    return table


def trouble_table(items: Iterable[Mapping[str, Any]]) -> Table:
    """The rows that brought no picture, each with what the API says about it."""
    table = _table("Rows without a picture")
    table.add_column("row", justify="right")
    table.add_column("id")
    table.add_column("outcome")
    table.add_column("why", overflow="fold")
    for item in items:
        table.add_row(str(item["row"]), Text(item["item_id"]), item["status"], Text(reason(item)))
    return table


def reason(item: Mapping[str, Any]) -> str:
    """Why a row brought no picture, in the API's words."""
    if item["faults"]:
        return "; ".join(f"{fault['field']}: {fault['message']}" for fault in item["faults"])
    failure = (item["generation"] or {}).get("failure") or {}
    parts = [failure.get("detail") or failure.get("code") or "no reason given"]
    if failure.get("categories"):
        parts.append(f"({', '.join(failure['categories'])})")
    return " ".join(parts)


def _table(title: str) -> Table:
    # A title wider than its table would be wrapped: the minimum keeps it in one line.
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        min_width=len(title),
    )
