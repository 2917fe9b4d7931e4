"""The demo's contact sheet, tables and reconciliation."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from devhost.demo.contact_sheet import Card, Sheet, render
from devhost.demo.money import aud, dollars, usd
from devhost.demo.pictures import THUMBNAIL_PX, Picture, thumbnail
from devhost.demo.progress import figures
from devhost.demo.reconciliation import (
    Check,
    check_budget,
    check_invoices,
    check_receipt,
    check_rows,
    provider_figures,
)
from devhost.demo.tables import reason

VOID = {"meta", "img"}
PICTURE = Picture("images/a b-1.png", 1024, 768, "data:image/webp;base64,AAAA", is_genuine=True)
CARD = Card(
    label="scene-01",
    prompt="A lighthouse",
    status="succeeded",
    provider="azure_openai",
    settings=("gpt-image-2", "1024x1024"),
    amount_micros=91_245,
    is_estimated=False,
    pictures=(PICTURE,),
    reason=None,
)
SHEET = Sheet("Storyboard", "today", (("Pictures", "1"),), (Check(True, "equal"),), (CARD,), "end")


class _Balance(HTMLParser):
    """Records elements and fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Balance()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


def test_contact_sheet_shows_prompt_provider_and_cost_of_each_card() -> None:
    html = render(SHEET)
    _elements(html)
    assert "A lighthouse" in html
    assert "Azure OpenAI" in html
    assert "AUD 0.0912" in html


def test_contact_sheet_loads_nothing_from_elsewhere() -> None:
    elements = _elements(render(SHEET))
    assert not {"script", "link", "iframe", "form"} & {tag for tag, _ in elements}
    sources = [attributes["src"] or "" for tag, attributes in elements if tag == "img"]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "url(" not in render(SHEET)


def test_contact_sheet_escapes_every_text_from_outside() -> None:
    evil = '<script>alert(1)</script>" onload="x" & $title ${style}'
    card = replace(
        CARD, label=evil, prompt=evil, status=evil, provider=evil, settings=(evil,), reason=evil
    )
    sheet = Sheet(
        evil, evil, ((evil, evil),), (Check(False, evil),), (card, replace(card, pictures=())), evil
    )
    html = render(sheet)
    elements = _elements(html)
    assert "script" not in {tag for tag, _ in elements}
    assert not any("onload" in attributes for _, attributes in elements)
    assert html.count("$title ${style}") == html.count("&lt;script&gt;")


def test_contact_sheet_shows_the_reason_where_no_picture_came() -> None:
    card = replace(CARD, pictures=(), amount_micros=None, status="invalid", reason="/size: use one")
    html = render(replace(SHEET, cards=(card,)))
    assert "/size: use one" in html
    assert "no charge" in html
    assert not [tag for tag, _ in _elements(html) if tag == "img"]


def test_contact_sheet_links_originals_with_quoted_names() -> None:
    links = [attributes["href"] for tag, attributes in _elements(render(SHEET)) if tag == "a"]
    assert links == ["images/a%20b-1.png"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_thumbnail_is_a_small_webp_of_any_picture(mode: str) -> None:
    original = io.BytesIO()
    Image.new(mode, (1536, 1024)).save(original, "PNG")
    uri = thumbnail(original.getvalue())
    small = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))
    assert max(small.size) == THUMBNAIL_PX
    assert small.format == "WEBP"


def test_money_is_shown_exactly() -> None:
    assert dollars(9_007_199_254_740_991) == "9,007,199,254.740991"
    assert aud(91_245) == "AUD 0.0912"
    assert usd(-1) == "USD -0.000001"


ENTRIES = [
    {"provider": "azure_openai", "images": 1, "amount_micros": 154, "usd_micros": 100},
    {"provider": "azure_openai", "images": 0, "amount_micros": 31, "usd_micros": 20},
    {"provider": "replicate", "images": 2, "amount_micros": 9_240, "usd_micros": 6_000},
]
LINES = [
    {"provider": "replicate", "usd_micros": 6_000},
    {"provider": "azure_openai", "usd_micros": 70},
    {"provider": "azure_openai", "usd_micros": 50},
]


def test_ledger_equal_to_invoices_is_said_with_the_total() -> None:
    check = check_invoices(provider_figures(ENTRIES, LINES))
    assert check == Check(True, "ledger = invoices: USD 0.006120")


@pytest.mark.parametrize(
    ("entries", "lines", "named"),
    [
        (ENTRIES, LINES[1:], "replicate: ledger 0.006000, invoiced 0.000000"),
        (ENTRIES[:2], LINES, "replicate: ledger 0.000000, invoiced 0.006000"),
        (ENTRIES, [*LINES, LINES[1]], "azure_openai: ledger 0.000120, invoiced 0.000190"),
    ],
)
def test_ledger_differing_from_invoices_names_the_provider(
    entries: list[dict[str, object]], lines: list[dict[str, object]], named: str
) -> None:
    check = check_invoices(provider_figures(entries, lines))
    assert not check.holds
    assert named in check.text


def test_two_differences_that_cancel_out_are_still_found() -> None:
    lines = [
        {"provider": "azure_openai", "usd_micros": 6_000},
        {"provider": "replicate", "usd_micros": 120},
    ]
    assert not check_invoices(provider_figures(ENTRIES, lines)).holds


def test_budget_must_move_by_the_charges_and_keep_no_hold() -> None:
    before = {"spent_micros": 1_000, "reserved_micros": 5}
    after = {"spent_micros": 10_425, "reserved_micros": 5}
    assert all(check.holds for check in check_budget(before, after, 9_425))
    assert [check.holds for check in check_budget(before, after, 9_424)] == [False, True]
    held = {**after, "reserved_micros": 6}
    assert [check.holds for check in check_budget(before, held, 9_425)] == [True, False]


def test_receipt_must_equal_its_lines_and_the_batch() -> None:
    receipt = {"amount_micros": 3, "lines": [{"amount_micros": 1}, {"amount_micros": 2}]}
    assert check_receipt(receipt, {"spent_micros": 3}).holds
    assert not check_receipt(receipt, {"spent_micros": 4}).holds
    assert not check_receipt({**receipt, "amount_micros": 4}, {"spent_micros": 4}).holds


def test_rows_that_ended_otherwise_are_named() -> None:
    check = check_rows({"succeeded": 21, "refused": 2}, {"succeeded": 22, "refused": 1})
    assert check == Check(False, "rows: 21 succeeded instead of 22, 2 refused instead of 1")


def test_reason_of_a_row_is_its_faults_or_its_failure() -> None:
    faulty = {"faults": [{"field": "/size", "message": "use one of: a"}], "generation": None}
    assert reason(faulty) == "/size: use one of: a"
    failure = {"code": "content_filtered", "detail": "Refused.", "categories": ["violence"]}
    refused = {"faults": [], "generation": {"failure": failure}}
    assert reason(refused) == "Refused. (violence)"


def test_progress_line_has_images_cost_and_failures() -> None:
    rows = {"refused": 1, "failed": 0, "canceled": 0, "indeterminate": 1}
    line = figures({"images": 7, "spent_micros": 1_500_000, "rows": rows})
    assert re.sub(r"\s+", " ", line) == "7 images, AUD 1.5000 so far, 2 refused or failed"
