"""Log entries: canonical, without text of people, and something for every document."""

import json
from typing import Any

import pytest
import rfc8785

from shared.domain.audit_entries import AuditRecord, entry_of
from shared.domain.log_tiles import ENTRY_BYTES_MAX
from tests import builders

KEY = b"a key"


def event(**changes: Any) -> dict[str, Any]:
    return {**builders.event("object-1").as_json(), **changes}


def logged(document: Any, document_id: str | None = None, key: bytes = KEY) -> dict[str, Any]:
    name = document_id or document["event_id"]
    content = entry_of(AuditRecord("design|202611", name, document), key).content
    entry: dict[str, Any] = json.loads(content)
    assert rfc8785.dumps(entry) == content
    return entry


def test_entry_has_the_fields_of_every_event() -> None:
    details = {"price_version": "2026-11", "policy_version": "7", "amount_micros": 5}
    assert logged(event(details=details)) == {
        "v": 1,
        "partition": "design|202611",
        "id": "object-1:generation.admitted",
        "at": builders.CREATED_AT,
        "actor": builders.caller().key,
        "role": "StandardUser",
        "action": "generation.admitted",
        "object": "object-1",
        "outcome": "success",
        "reason": None,
        "policy_version": "7",
        "price_version": "2026-11",
        "correlation": "c-1",
        "details": {"amount_micros": 5},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "succeeded"),
        ("scope", "user:tenant.0f3e-1"),
        ("scopes", "department:design user:tenant.0f3e-1"),
        ("sha256", "ab" * 32),
        ("images_sha256", ",".join(["ab" * 32] * 10)),
        ("ends_at", "2026-11-22T08:00:00+00:00"),
        ("estimated", False),
        ("limit_micros", 2**53 - 1),
        ("frozen", None),
    ],
)
def test_codes_and_figures_stay_as_they_are(name: str, value: Any) -> None:
    assert logged(event(details={name: value}))["details"] == {name: value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reason", "overdue"),
        ("after_reason", "Eve asked for it"),
        ("comment", "yes"),
        ("title", "A lighthouse at dawn"),
        ("address", "eve@example.com"),
        ("city", "Zürich"),
        ("more", {"nested": "text"}),
        ("rate", 0.5),
    ],
)
def test_what_people_typed_is_a_keyed_hash(name: str, value: Any) -> None:
    shown = logged(event(details={name: value}))["details"][name]
    assert set(shown) == {"hmac_sha256"} and len(shown["hmac_sha256"]) == 64
    assert logged(event(details={name: value}))["details"][name] == shown
    assert logged(event(details={name: value}), key=b"another")["details"][name] != shown
    other = event(details={name: value}, event_id="object-2:generation.admitted")
    assert logged(other)["details"][name] != shown  # equal texts are not seen to be equal


def test_reason_stays_only_if_it_is_a_code() -> None:
    assert logged(event(reason="budget_exceeded"))["reason"] == "budget_exceeded"
    assert set(logged(event(reason="zu teuer für Eve"))["reason"]) == {"hmac_sha256"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        "text",
        [],
        {},
        event(event_id="another"),
        event(action=5),
        event(details=[]),
        event(details={"amount_micros": 2**53}),
        event(actor="\ud800"),
    ],
)
def test_what_is_no_event_is_logged_by_its_hash(document: Any) -> None:
    entry = logged(document, "object-1:generation.admitted")
    assert (entry["action"], entry["outcome"]) == ("audit.unreadable", "failure")
    assert len(entry["details"]["sha256"]) == 64


def test_details_that_are_too_long_are_logged_by_their_hash() -> None:
    details = {f"number_{n}": "x" * 60 for n in range(2_000)}
    content = entry_of(
        AuditRecord("p", "object-1:generation.admitted", event(details=details)), KEY
    )
    assert len(content.content) <= ENTRY_BYTES_MAX
    assert set(json.loads(content.content)["details"]) == {"sha256"}
