"""Makes the contact sheet of a run."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from devhost.demo.api import Json
from devhost.demo.contact_sheet import Card, Sheet, render
from devhost.demo.money import aud, usd
from devhost.demo.pictures import Picture
from devhost.demo.reconciliation import Check
from devhost.demo.run import STORYBOARD, Run
from devhost.demo.tables import reason

OUTCOMES = ("succeeded", "refused", "failed", "canceled", "indeterminate", "invalid")


def contact_sheet(run: Run, checks: Sequence[Check]) -> str:
    """The page of a run: the single images first, then the rows in file order."""
    entries = run.entries()
    rows = run.batch["rows"]
    singles = run.singles
    pictures = run.batch["images"] + sum(len(each["images"]) for _, each in singles)
    prompts = _prompts()
    cards = [_generation_card(name, each, run.pictures[each["id"]]) for name, each in singles]
    cards += [_item_card(run, item, prompts[item["row"] - 1]) for item in run.items]
    return render(
        Sheet(
            title=STORYBOARD.stem.capitalize(),
            subtitle=f"{run.started_at:%d %B %Y, %H:%M} UTC · department"
            f" {run.batch['department_id']} · batch {run.batch['id']}",
            tiles=(
                ("Pictures", str(pictures)),
                ("Charged", aud(sum(entry["amount_micros"] for entry in entries))),
                ("Billed by providers", usd(sum(entry["usd_micros"] for entry in entries))),
                ("Rows", ", ".join(f"{rows[name]} {name}" for name in OUTCOMES if rows[name])),
                ("Budget left", aud(run.budget_after["available_micros"], 2)),
            ),
            checks=checks,
            cards=cards,
            footer="Pictures drawn by the simulated providers of the local cloud. A click opens"
            " the original file beside this page.",
        )
    )


def _item_card(run: Run, item: Json, prompt: str) -> Card:
    generation = item["generation"]
    if generation is not None:
        pictures = run.pictures[generation["id"]]
        return _generation_card(item["item_id"], generation, pictures, reason(item))
    return Card(
        label=item["item_id"],
        prompt=prompt,
        status=item["status"],
        provider=None,
        settings=(f"row {item['row']}",),
        amount_micros=None,
        is_estimated=False,
        pictures=(),
        reason=reason(item),
    )


def _generation_card(
    label: str, generation: Json, pictures: tuple[Picture, ...], why: str | None = None
) -> Card:
    request, cost = generation["request"], generation["cost"]
    row = f"row {generation['row']}" if generation["row"] else None
    routing = generation["routing"]  # of a row there is none
    model = routing["chosen"] if routing else request["model"]
    settings = [row, model, request["size"], request["quality"]]
    if request["seed"] is not None:
        settings.append(f"seed {request['seed']}")
    return Card(
        label=label,
        prompt=request["prompt"],
        status=generation["status"],
        provider=generation["provider"],
        settings=tuple(setting for setting in settings if setting),
        amount_micros=cost["amount_micros"] if cost else None,
        is_estimated=bool(cost and cost["estimated"]),
        pictures=pictures,
        reason=why,
    )


def _prompts() -> list[str]:
    """The file's own prompts: the API does not repeat those of rows that it refused."""
    with STORYBOARD.open(encoding="utf-8-sig", newline="") as file:
        return [row["prompt"] for row in csv.DictReader(file)]
