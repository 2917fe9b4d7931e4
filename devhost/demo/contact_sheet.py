"""The contact sheet: one HTML file with every picture, its prompt, provider and cost.

It is self-contained (thumbnails are data URIs, no script, no font, no request) and everything that
came from a file or the API is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from devhost.demo.money import aud
from devhost.demo.pictures import Picture
from devhost.demo.reconciliation import Check
from devhost.demo.tables import provider_title

STYLE_FILE = Path(__file__).with_name("contact_sheet.css")
PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header>
<p class="kicker">Contact sheet</p>
<h1>$title</h1>
<p class="subtitle">$subtitle</p>
<dl class="tiles">
$tiles
</dl>
<ul class="checks">
$checks
</ul>
</header>
<main>
$cards
</main>
<footer>$footer</footer>
</body>
</html>
"""
)


@dataclass(frozen=True)
class Card:
    """One request and what came of it; no pictures means that `reason` says why."""

    label: str
    prompt: str
    status: str
    provider: str | None
    settings: tuple[str, ...]
    amount_micros: int | None
    is_estimated: bool
    pictures: tuple[Picture, ...]
    reason: str | None


@dataclass(frozen=True)
class Sheet:
    """All that the page shows."""

    title: str
    subtitle: str
    tiles: Sequence[tuple[str, str]]
    checks: Sequence[Check]
    cards: Sequence[Card]
    footer: str


def render(sheet: Sheet) -> str:
    """The page as HTML text."""
    return PAGE.substitute(
        title=escape(sheet.title),
        style=STYLE_FILE.read_text("utf-8"),
        subtitle=escape(sheet.subtitle),
        tiles=_lines(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in sheet.tiles
        ),
        checks=_lines(
            f'<li class="{"holds" if check.holds else "broken"}">{escape(check.text)}</li>'
            for check in sheet.checks
        ),
        cards=_lines(_card(card) for card in sheet.cards),
        footer=escape(sheet.footer),
    )


def _card(card: Card) -> str:
    shown = _pictures(card) if card.pictures else _no_picture(card)
    chips = [f'<li class="status {escape(card.status)}">{escape(card.status)}</li>']
    if card.provider:
        chips.append(f'<li class="provider">{escape(provider_title(card.provider))}</li>')
    chips += [f"<li>{escape(setting)}</li>" for setting in card.settings]
    return (
        f'<article id="{escape(card.label)}">\n{shown}\n'
        f'<p class="label"><span>{escape(card.label)}</span>{_cost(card)}</p>\n'
        f'<p class="prompt">{escape(card.prompt)}</p>\n'
        f'<ul class="chips">{"".join(chips)}</ul>\n</article>'
    )


def _pictures(card: Card) -> str:
    frames = [
        f'<a href="{quote(picture.file)}"><img src="{picture.thumbnail}" loading="lazy"'
        f' width="{picture.width}" height="{picture.height}" alt="{escape(card.prompt)}"></a>'
        for picture in card.pictures
    ]
    first = card.pictures[0]
    layout = "" if len(frames) == 1 else " stacked" if first.width > first.height else " side"
    return f'<div class="frames{layout}">{"".join(frames)}</div>'


def _no_picture(card: Card) -> str:
    return f'<div class="frames none"><p>{escape(card.reason or "no picture")}</p></div>'


def _cost(card: Card) -> str:
    if card.amount_micros is None:
        return '<span class="cost">no charge</span>'
    note = ", estimated" if card.is_estimated else ""
    count = f"{len(card.pictures)} pictures, " if len(card.pictures) > 1 else ""
    return f'<span class="cost">{count}{aud(card.amount_micros)}{note}</span>'


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
