"""Tables, days and counts of the finance report."""

from collections.abc import Sequence
from datetime import date

_PLURALS = {"ledger entry": "ledger entries"}


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    ending: Sequence[str] | None = None,
) -> str:
    """A table of finished HTML cells; a heading that starts with # is a column of numbers."""
    numeric = [name.startswith("#") for name in head]
    classes = [' class="n"' if each else "" for each in numeric]
    heads = "".join(
        f'<th scope="col"{css}>{name.removeprefix("#")}</th>'
        for name, css in zip(head, classes, strict=True)
    )
    body = "".join(_row(row, classes) for row in rows)
    foot = f"<tfoot>{_row(ending, classes)}</tfoot>" if ending else ""
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody>{foot}</table></div>"
    )


def _row(cells: Sequence[str], classes: Sequence[str]) -> str:
    first, *rest = cells
    shown = "".join(
        f"<td{' class=barcell' if cell.startswith('<svg') else css}>{cell}</td>"
        for cell, css in zip(rest, classes[1:], strict=True)
    )
    return f'<tr><th scope="row">{first}</th>{shown}</tr>'


def day_text(day: date) -> str:
    """A day for people, e.g. '3 November 2026'."""
    return f"{day.day} {day:%B %Y}"


def plural(number: int, noun: str) -> str:
    """A number with its noun, e.g. '1 picture', '1,204 pictures'."""
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, f'{noun}s')}"
