"""Log entries: canonical, without text of people, and something for every document."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import rfc8785

import shared
from shared.domain.attempts import Failure
from shared.domain.audit_entries import (
    KEY_BYTES,
    PARTITION_CHARS_MAX,
    AuditRecord,
    entry_of,
    without_texts,
)
from shared.domain.audit_events import EVENT_BYTES_MAX, outbox_document
from shared.domain.audit_reasons import is_reason_code
from shared.domain.budgets import Scope, ScopeKind
from shared.domain.log_tiles import ENTRY_BYTES_MAX
from shared.domain.session_rules import EndReason
from shared.domain.settlements import OUTCOME_UNKNOWN
from shared.errors import Conflict, InvariantBroken, PolicyDenied, Unavailable
from shared.services.budget_periods import no_budget
from shared.telemetry import new_correlation_id
from tests import builders
from tools.eig_verify.entries import read_entry

KEY = b"a key"


def event(**changes: Any) -> dict[str, Any]:
    return {**builders.event("object-1").as_json(), **changes}


def with_reason(reason: str) -> dict[str, Any]:
    return replace(builders.event("object-1"), reason=reason).as_json()


def logged(document: Any, document_id: str | None = None, key: bytes = KEY) -> dict[str, Any]:
    name = document_id or document["event_id"]
    content = entry_of(AuditRecord("design|202611", name, document), key).content
    entry: dict[str, Any] = json.loads(content)
    assert rfc8785.dumps(entry) == content
    return entry


def test_entry_has_the_fields_of_every_event() -> None:
    details = {"price_version": "2026-11", "policy_version": "7", "amount_micros": 5}
    entry = logged(event(details=details))
    assert set(entry.pop("correlation")) == {"hmac_sha256"}
    assert entry == {
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
        ("after.comment", "Eve"),
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


@pytest.mark.parametrize("code", ["budget_exceeded", "content_rejected", "http_410", "due"])
def test_reason_that_is_a_code_of_ours_stays(code: str) -> None:
    assert logged(with_reason(code))["reason"] == code


@pytest.mark.parametrize("typed", ["zu teuer für Eve", "eve", "fired", "eve.smith", "http_eve", ""])
def test_reason_that_somebody_typed_is_a_keyed_hash_be_it_one_word(typed: str) -> None:
    assert set(logged(with_reason(typed))["reason"]) == {"hmac_sha256"}
    assert set(logged({**with_reason(typed), "reason_is_code": 1})["reason"]) == {"hmac_sha256"}


def test_an_event_has_one_entry_whether_it_was_kept_with_its_texts_or_without() -> None:
    details = {"after_reason": "Eve asked", "limit": "a b", "note": 5, "x": "y", "z": None}
    for written in (with_reason("zu teuer für Eve"), with_reason("due"), event(), event(reason="")):
        typed = {**written, "details": details}
        kept = without_texts(typed, KEY)
        assert logged(kept) == logged(typed)
        assert without_texts(kept, b"another") == kept
        assert "Eve" not in json.dumps(kept)


@pytest.mark.parametrize(
    "value",
    [
        '{"hmac_sha256": "%s"}' % ("ab" * 32),
        {"hmac_sha256": "Eve"},
        {"hmac_sha256": "ab" * 32, "more": "Eve"},
        {"hmac_sha256": 5},
    ],
)
def test_what_only_looks_like_a_keyed_hash_is_hashed(value: Any) -> None:
    document = event(details={"note": value})
    kept = without_texts(document, KEY)["details"]["note"]
    assert kept != value and set(kept) == {"hmac_sha256"}
    assert logged(document)["details"]["note"] == kept


def test_an_event_that_was_copied_before_texts_were_hashed_there_keeps_its_entry() -> None:
    older = event(reason="zu teuer für Eve", details={"after_reason": "Eve asked", "model": "m"})
    content = entry_of(AuditRecord("p", older["event_id"], older), KEY).content
    assert hashlib.sha256(content).hexdigest() == (
        "e5e7277866bece666bdb21087cee6009d53572324f9224b18375b3117fcfb447"
    )


@pytest.mark.parametrize("kind", get_args(ScopeKind))
def test_every_refusal_for_want_of_a_budget_is_a_code(kind: ScopeKind) -> None:
    assert is_reason_code(no_budget(Scope(kind, "x")).problem_code)


def test_every_end_of_a_session_is_a_code() -> None:
    assert [each for each in get_args(EndReason) if not is_reason_code(each)] == []


def test_every_code_of_the_error_tree_and_of_providers_is_listed() -> None:
    codes = {*Failure, OUTCOME_UNKNOWN, PolicyDenied.code, Unavailable.code, Conflict.code}
    assert {code for code in codes if is_reason_code(code)} == codes


def test_every_code_that_a_refusal_is_given_is_listed() -> None:
    root = Path(shared.__file__).parent
    sources = [*root.rglob("*.py"), *(root.parent / "functions").glob("*.py")]
    given = re.compile(r'\bcode="([a-z0-9_]+)"')
    codes = {code for each in sources for code in given.findall(each.read_text())}
    assert {code for code in codes if not is_reason_code(code)} == set()


def test_an_entry_follows_from_its_event_although_codes_were_added_since() -> None:
    before = event(reason="a_code_of_tomorrow")  # written when nobody knew it
    assert set(logged(before)["reason"]) == {"hmac_sha256"}
    since = {**before, "reason_is_code": True}
    assert logged(since)["reason"] == "a_code_of_tomorrow"
    older = {name: value for name, value in with_reason("due").items() if name != "reason_is_code"}
    assert set(logged(older)["reason"]) == {"hmac_sha256"}


def test_correlation_id_of_a_caller_is_hashed_alike_within_a_request() -> None:
    first = logged(event(correlation_id="eve.smith.0412345678"))
    assert "eve" not in json.dumps(first)
    other = event(correlation_id="eve.smith.0412345678", event_id="object-2:generation.admitted")
    assert logged(other)["correlation"] == first["correlation"]
    assert logged(event(correlation_id="c-2"))["correlation"] != first["correlation"]


def test_correlation_id_of_a_caller_is_hashed_before_it_is_copied() -> None:
    given = event(correlation_id="eve.smith.0412345678")
    kept = without_texts(given, KEY)
    assert "eve." not in json.dumps(kept)
    assert without_texts(kept, b"another") == kept
    assert logged(kept) == logged(given)  # also of one that was copied before that was done
    ours = event(correlation_id=new_correlation_id())
    assert without_texts(ours, KEY)["correlation_id"] == ours["correlation_id"]


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
        event(actor="a\0b"),
        event(outcome="perhaps"),
        event(reason=["due"]),
        event(details={"\U0001f600": 1, "\ue000": 2}),
        event(details={"": 1}),
    ],
)
def test_what_is_no_event_is_logged_by_its_hash(document: Any) -> None:
    entry = logged(document, "object-1:generation.admitted")
    assert (entry["action"], entry["outcome"]) == ("audit.unreadable", "failure")
    assert len(entry["details"]["sha256"]) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"details": {f"number_{n}": "x" * 60 for n in range(2_000)}},
        {"actor": "x" * 70_000},
        {"object_id": "x" * 2_000_000},
    ],
)
def test_an_event_that_is_too_long_for_the_log_is_logged_by_its_hash(
    changes: dict[str, Any],
) -> None:
    record = AuditRecord("p", "object-1:generation.admitted", event(**changes))
    entry = entry_of(record, KEY)
    assert len(entry.content) <= ENTRY_BYTES_MAX and not entry.is_readable
    assert json.loads(entry.content)["action"] == "audit.unreadable"


@pytest.mark.parametrize("partition", ["\ud800", "a\0b", "x" * 5_000, ""])
@pytest.mark.parametrize("document_id", ["\ud800", "\0", "x" * 5_000, ""])
def test_hostile_ids_and_partitions_have_an_entry_that_every_reader_takes(
    partition: str, document_id: str
) -> None:
    entry = entry_of(AuditRecord(partition, document_id, event()), KEY)
    assert len(entry.content) < 3_000 and len(entry.key) == KEY_BYTES
    assert read_entry(entry.content, "here")["action"] == "audit.unreadable"


def test_two_partitions_never_share_a_key() -> None:
    one = entry_of(AuditRecord("a\0b", "c", event(event_id="c")), KEY)
    other = entry_of(AuditRecord("a", "b\0c", event(event_id="b\0c")), KEY)
    assert one.key != other.key


@pytest.mark.parametrize(
    "changes",
    [
        {"object_id": "x" * 1_000},
        {"object_id": "a\nb"},
        {"object_id": "a/b"},
        {"object_id": "\ud800"},
        {"actor": "\ud800"},
        {"reason": "x" * 60_000},
        {"details": {"Name": 1}},
        {"details": {"amount_micros": 2**53}},
        {"details": {f"number_{n}": n for n in range(65)}},
    ],
)
def test_an_event_that_no_log_could_take_is_refused_where_it_is_written(
    changes: dict[str, Any],
) -> None:
    hostile = replace(builders.event("object-1"), **changes)
    with pytest.raises(InvariantBroken):
        outbox_document(builders.PARTITION, hostile)


def test_the_largest_event_that_may_be_written_has_an_entry_of_its_own() -> None:
    details = {f"number_{n}": "ü" for n in range(63)}
    standing = replace(builders.event("x" * 900), details=details)
    room = EVENT_BYTES_MAX - len(json.dumps(standing.as_json(), ensure_ascii=False).encode()) - 12
    largest = replace(standing, details={**details, "more": "x" * room}).as_json()
    assert len(json.dumps(largest, ensure_ascii=False).encode()) == EVENT_BYTES_MAX
    entry = entry_of(AuditRecord("p" * PARTITION_CHARS_MAX, largest["event_id"], largest), KEY)
    assert entry.is_readable
