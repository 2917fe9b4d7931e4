"""The plots of the finance report, as inline SVG without scripts and without styles of their own.

pygal lays them out: it is pure Python, 1.3 MB and imported in 50 ms, on the first report; the usual
plotting libraries are thirty times that. Colours come from the page's stylesheet by class, so that
the plots follow its light, dark and print looks and its content security policy.
"""

import re
from collections.abc import Sequence
from datetime import date
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, Final

from shared.domain.forecasts import DayBand

if TYPE_CHECKING:
    from pygal.graph.graph import Graph

WIDTH, HEIGHT = 860, 300  # of the drawing; the page scales it
LABELS_MAX: Final = 12  # of days along the axis
STEPS_MAX: Final = 8  # of amounts
LABEL_GAP: Final = 0.06  # of the height: labels that are closer would print over each other
_POINT: Final = re.compile(r"(-?[0-9.]+)[ ,](-?[0-9.]+)")
_OVERLAY: Final = "-overlay"  # of the scripts that are not here: texts and tooltips
_MICROS: Final = 1_000_000
_LEFT_OUT: Final = frozenset({"defs", "title", ""})  # scripts, styles, generic title, comments


def daily_chart(days: Sequence[date], series: Sequence[tuple[str, list[int]]], title: str) -> str:
    """Spend per day, one stacked column a day."""
    import pygal

    chart = pygal.StackedBar(**_options())
    chart.x_labels = [f"{day.day} {day:%b}" for day in days]
    chart.x_labels_major_every = _every(len(days))
    highest = max((sum(column) for column in zip(*(a for _, a in series), strict=True)), default=0)
    chart.y_labels = _steps(_units(highest))
    for name, amounts in series:
        chart.add(name, [_units(amount) for amount in amounts])
    return _text(_drawing(chart, title, "daily"))


def forecast_chart(
    past: Sequence[tuple[date, int]], bands: Sequence[DayBand], limit_micros: int, title: str
) -> str:
    """Spend since the start of the period, then the forecast as a band around its middle."""
    import pygal

    low = [amount for _, amount in past] + [band.low_micros for band in bands]
    middle = [amount for _, amount in past] + [band.middle_micros for band in bands]
    high = [amount for _, amount in past] + [band.high_micros for band in bands]
    days = [day for day, _ in past] + [band.day for band in bands]
    chart = pygal.StackedLine(**_options(), fill=True, show_dots=False)
    chart.x_labels = [f"{day.day} {day:%b}" for day in days]
    chart.x_labels_major_every = _every(len(days))
    top, limit = _units(max([limit_micros, *high])), _units(limit_micros)
    steps = [step for step in _steps(top) if abs(step["value"] - limit) > top * LABEL_GAP]
    chart.range = (0, top * 1.05)
    chart.y_labels = [{"value": limit, "label": f"limit {limit:,.0f}"}, *steps]
    chart.y_labels_major = [limit]
    chart.add("low", [_units(amount) for amount in low])
    chart.add("middle", [_units(m - amount) for m, amount in zip(middle, low, strict=True)])
    chart.add("high", [_units(h - m) for h, m in zip(high, middle, strict=True)])
    root = _drawing(chart, title, "forecast")
    _trace(root, len(past), len(days))
    return _text(root)


def bar(parts: Sequence[tuple[str, int]], whole: int, title: str) -> str:
    """A horizontal bar; each part is a class and an amount out of `whole`."""
    drawn, x = [], 0.0
    for css_class, amount in parts:
        width = max(0.0, min(100.0 - x, 100 * amount / whole if whole > 0 else 0.0))
        drawn.append(f'<rect class="{css_class}" x="{x:.2f}%" width="{width:.2f}%" height="100%"/>')
        x += width
    return (
        f'<svg class="bar" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<rect class="track" width="100%" height="100%"/>{"".join(drawn)}</svg>'
    )


def _options() -> dict[str, Any]:
    from pygal.style import Style

    return {
        "width": WIDTH,
        "height": HEIGHT,
        "js": [],
        "css": [],
        "show_legend": False,
        "no_prefix": True,
        "margin": 8,
        "spacing": 6,
        "show_minor_x_labels": False,
        "truncate_label": -1,
        "value_formatter": "{:,.2f}".format,
        "style": Style(label_font_size=12, major_label_font_size=12),
    }


def _drawing(chart: "Graph", title: str, css_class: str) -> Any:
    """The drawing alone: what pygal would style or script is left out, its values become titles."""
    from pygal.etree import etree

    root = chart.render_tree()
    for child in [each for each in root if _tag(each) in _LEFT_OUT]:
        root.remove(child)
    for parent in list(root.iter()):
        for overlay in [each for each in parent if _OVERLAY in (each.get("class") or "")]:
            parent.remove(overlay)
    del root.attrib["id"]
    root.set("class", f"plot-{css_class}")
    root.set("role", "img")
    root.set("aria-label", title)
    for group in root.iter():
        _explain(group, etree)
    heading = etree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return root


def _text(root: Any) -> str:
    from pygal.etree import etree

    return str(etree.tostring(root, encoding="unicode"))


def _trace(root: Any, past: int, days: int) -> None:
    """Draw the line through the middle: what was spent, then what is expected.

    The lower half of the band is a polygon that runs along the middle first and back along the low
    edge, so that its first points are the line.
    """
    from pygal.etree import etree

    for plot in root.iter():
        if "color-1" in (plot.get("class") or "") and _tag(plot) == "g":
            polygon = next((each for each in plot if _tag(each) == "path"), None)
            if polygon is None:
                continue
            points = _POINT.findall(polygon.get("d"))[:days]
            turn = max(0, past - 1)
            for css_class, line in (("so-far", points[: turn + 1]), ("expected", points[turn:])):
                path = "M" + " L".join(f"{x} {y}" for x, y in line)
                etree.SubElement(plot, "path", {"d": path, "class": css_class})


def _explain(group: Any, etree: Any) -> None:
    """Turn the hidden descriptions of a mark into the one that browsers show: its title."""
    notes = [each for each in group if _tag(each) == "desc"]
    if not notes:
        return
    words = {each.get("class"): each.text or "" for each in notes}
    for note in notes:
        group.remove(note)
    title = etree.SubElement(group, "title")
    title.text = ": ".join(filter(None, (words.get("x_label", ""), words.get("value", ""))))


def _tag(node: Any) -> str:
    """The local name of an element; nothing for a comment."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _units(micros: int) -> float:
    return micros / _MICROS


def _every(days: int) -> int:
    return max(1, -(-days // LABELS_MAX))


def _steps(top: float) -> list[dict[str, Any]]:
    """Labels at round steps from nothing up to `top`."""
    size = 10.0 ** floor(log10(top)) if top > 0 else 1.0
    step = next(size * part for part in (0.2, 0.5, 1.0, 2.0) if top / (size * part) <= STEPS_MAX)
    digits = max(0, ceil(-log10(step)))
    values = [number * step for number in range(int(top // step) + 1)]
    return [{"value": value, "label": f"{value:,.{digits}f}"} for value in values]
