"""The plots of the finance report, as inline SVG without scripts and without styles of their own.

pygal lays them out: it is pure Python, 1.3 MB and imported in 50 ms, on the first report; the usual
plotting libraries are thirty times that. Colours come from the page's stylesheet by class, so that
the plots follow its light, dark and print looks and its content security policy.
"""

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any, Final

from shared.domain.forecasts import DayBand

if TYPE_CHECKING:
    from pygal.graph.graph import Graph

WIDTH, HEIGHT = 860, 300  # of the drawing; the page scales it
LABELS_MAX: Final = 12  # of days along the axis
_MICROS: Final = 1_000_000
_LEFT_OUT: Final = frozenset({"defs", "title", ""})  # scripts, styles, generic title, comments


def daily_chart(days: Sequence[date], series: Sequence[tuple[str, list[int]]], title: str) -> str:
    """Spend per day, one stacked column a day."""
    import pygal

    chart = pygal.StackedBar(**_options())
    chart.x_labels = [f"{day.day} {day:%b}" for day in days]
    chart.x_labels_major_every = _every(len(days))
    for name, amounts in series:
        chart.add(name, [_units(amount) for amount in amounts])
    return _svg(chart, title, "daily")


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
    chart.range = (0, _units(max([limit_micros, *high])) * 1.05)
    limit = {"value": _units(limit_micros), "label": f"limit {_units(limit_micros):,.0f}"}
    chart.y_labels = [limit, *({"value": step, "label": f"{step:,.0f}"} for step in _steps(chart))]
    chart.y_labels_major = [limit["value"]]
    chart.add("low", [_units(amount) for amount in low])
    chart.add("middle", [_units(m - amount) for m, amount in zip(middle, low, strict=True)])
    chart.add("high", [_units(h - m) for h, m in zip(high, middle, strict=True)])
    return _svg(chart, title, "forecast")


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
        "value_formatter": lambda amount: f"{amount:,.2f}" if amount < 10 else f"{amount:,.0f}",
        "style": Style(label_font_size=12, major_label_font_size=12),
    }


def _svg(chart: "Graph", title: str, css_class: str) -> str:
    """The drawing alone: what pygal would style or script is left out, its values become titles."""
    from pygal.etree import etree

    root = chart.render_tree()
    for child in [each for each in root if _tag(each) in _LEFT_OUT]:
        root.remove(child)
    del root.attrib["id"]
    root.set("class", f"plot-{css_class}")
    root.set("role", "img")
    root.set("aria-label", title)
    for group in root.iter():
        _explain(group, etree)
    heading = etree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return str(etree.tostring(root, encoding="unicode"))


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


def _steps(chart: Any) -> list[float]:
    """Four round steps up to the top of the range."""
    top = chart.range[1]
    rough = top / 4
    magnitude = 10.0 ** (len(str(int(rough))) - 1) if rough >= 1 else 0.1
    step = max(magnitude, rough // magnitude * magnitude)
    return [number * step for number in range(int(top // step) + 1)]
