"""Which thresholds a budget has reached, and what an alert's document, event and messages say."""

import json
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.alert_messages import alert_mail, alert_message
from shared.domain.alerts import (
    Alert,
    Delivery,
    alert_id,
    create_operation,
    crossed,
    raise_alert,
    raised_event,
    read_alert,
)
from shared.domain.budgets import Budget, Scope
from shared.domain.ids import Partition, partition_of
from shared.domain.ledger import Create
from tests.builders import PARTITION, TENANT, caller

SCOPE = Scope("department", "marketing")
NOW = "2026-11-15T12:00:00+00:00"
MICROS = st.integers(min_value=0, max_value=2**52)


def budget(
    limit: int, reserved: int = 0, spent: int = 0, scope: Scope = SCOPE, **fields: Any
) -> Budget:
    high = max(limit, reserved + spent)
    return Budget(scope, PARTITION.period, limit, reserved, spent, limit, high, **fields)


def alert(of: Budget, threshold: int = 80, **channels: Any) -> Alert:
    named = {name.replace("_", ".", 1): kind for name, kind in channels.items()}
    return raise_alert(PARTITION, of, threshold, tenant_id=TENANT, channels=named, now=NOW)


def test_crossed_is_exact_to_the_micro() -> None:
    assert crossed(budget(1_000_000, reserved=799_999)) == ()
    assert crossed(budget(1_000_000, reserved=500_000, spent=300_000)) == (80,)
    assert crossed(budget(1_000_000, spent=899_999)) == (80,)
    assert crossed(budget(1_000_000, spent=900_000)) == (80, 90)
    assert crossed(budget(1_000_000, spent=1_000_000)) == (80, 90, 100)


def test_crossed_without_a_limit_is_everything_once_something_is_committed() -> None:
    assert crossed(budget(0)) == ()
    assert crossed(budget(0, spent=1)) == (80, 90, 100)


def test_crossed_of_an_overdrawn_budget_knows_thresholds_above_a_hundred() -> None:
    overdrawn = budget(100, spent=125, alert_thresholds=(120, 50, 130))
    assert crossed(overdrawn) == (50, 120)


@given(
    limit=MICROS,
    reserved=st.integers(0, 2**51),
    spent=st.integers(0, 2**51),
    thresholds=st.lists(st.integers(1, 1_000), max_size=10, unique=True),
)
def test_crossed_is_the_ratio_without_rounding(
    limit: int, reserved: int, spent: int, thresholds: list[int]
) -> None:
    found = crossed(budget(limit, reserved, spent, alert_thresholds=tuple(thresholds)))
    committed = reserved + spent
    if committed == 0:
        assert found == ()
    elif limit == 0:
        assert set(found) == set(thresholds)
    else:
        share = Fraction(committed * 100, limit)
        assert list(found) == sorted(t for t in thresholds if share >= t)


@given(limit=MICROS, before=st.integers(0, 2**51), more=st.integers(0, 2**51))
def test_crossed_only_grows_while_more_is_committed(limit: int, before: int, more: int) -> None:
    assert set(crossed(budget(limit, before))) <= set(crossed(budget(limit, before, more)))


@given(limit=MICROS, lowered=MICROS, spent=st.integers(0, 2**51))
def test_crossed_only_grows_when_the_limit_is_lowered(limit: int, lowered: int, spent: int) -> None:
    low, high = sorted((limit, lowered))
    assert set(crossed(budget(high, spent=spent))) <= set(crossed(budget(low, spent=spent)))


def test_alert_id_names_its_partition_and_differs_by_scope_period_and_threshold() -> None:
    other = Partition("marketing", "202612")
    ids = {
        alert_id(partition, scope, threshold)
        for partition in (PARTITION, other)
        for scope in (SCOPE, Scope("user", caller().key), Scope("project", "marketing"))
        for threshold in (80, 90)
    }
    assert len(ids) == 12
    assert {partition_of(each) for each in ids} == {PARTITION, other}
    assert not any("." in each for each in ids)  # a webhook id must not have one


def test_document_is_what_it_was_read_from() -> None:
    raised = alert(budget(100, spent=85), marketing_hook="webhook", marketing_mail="email")
    operation = create_operation(raised)
    assert isinstance(operation, Create)
    document = json.loads(json.dumps(operation.document))
    assert document["id"] == "alert:department:marketing:80"
    assert document["open_deliveries"] == 2
    assert read_alert(document) == raised


def test_pending_are_the_channels_that_have_not_ended() -> None:
    raised = alert(budget(100, spent=85), marketing_hook="webhook", marketing_mail="email")
    told = raised.with_delivery("marketing.hook", Delivery("webhook", "delivered", 1, "http_204"))
    assert told.pending == ("marketing.mail",)
    assert told.revision == raised.revision + 1


def test_event_says_which_budget_reached_what() -> None:
    raised = alert(budget(100, reserved=5, spent=80))
    event = raised_event(raised)
    assert event.event_id == f"{raised.alert_id}:budget.alert"
    assert event.details == {
        "scope": "department:marketing",
        "period": "202611",
        "threshold": 80,
        "limit_micros": 100,
        "committed_micros": 85,
        "channels": 0,
    }


def test_messages_about_a_person_name_nobody() -> None:
    key = caller().key
    raised = alert(budget(100, spent=85, scope=Scope("user", key)))
    message = alert_message(raised)
    mail = alert_mail(raised, "marketing.mail", ("boss@contoso.example",))
    assert json.loads(message.body)["data"]["scope_id"] is None
    for text in (message.body.decode(), mail.subject, mail.text):
        assert caller().principal.object_id not in text
        assert TENANT not in text


def test_message_of_a_project_says_which() -> None:
    raised = alert(budget(123_456_789_000, spent=100_000_000_000, scope=Scope("project", "apollo")))
    data = json.loads(alert_message(raised).body)
    assert data["type"] == "budget.alert"
    assert data["timestamp"] == NOW
    assert data["data"]["scope_id"] == "apollo"
    assert data["data"]["committed_micros"] == 100_000_000_000
    mail = alert_mail(raised, "marketing.mail", ("boss@contoso.example",))
    assert "the project apollo in the department marketing" in mail.text
    assert "AUD 123,456.78" in mail.text
    assert mail.mail_id == f"{raised.alert_id}.marketing.mail"
