"""Moments and reasons in requests: what nobody can mean is refused, never carried on."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, ValidationError

from functions.http_approvals_models import DecisionRequest
from functions.http_freezes_models import FreezeRequest, LiftQuery
from functions.http_grants_models import GrantRequest, OverrideRequest
from functions.http_organisation_models import AllocationRequest
from functions.http_privacy_models import PrivacyOverrideRequest
from functions.http_reconciliation_models import CaseClosing
from functions.http_storage_models import HoldRequest, RetentionRequest

_GRANT = {
    "scopes": ("project:apollo",),
    "amount_micros": 1,
    "reason": "the launch is tomorrow",
}
_EXPLAINED: dict[type[BaseModel], dict[str, object]] = {
    AllocationRequest: {"to": "marketing", "amount_micros": 1},
    HoldRequest: {},
    PrivacyOverrideRequest: {"data_classes": ["health"], "ends_at": "2026-11-15T12:00:00Z"},
    RetentionRequest: {"retention": "one-year"},
}


@pytest.mark.parametrize(
    "ends_at",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2026-11-15T12:00:00",
    ],
)
def test_moment_out_of_range_or_without_zone_is_refused(ends_at: str) -> None:
    with pytest.raises(ValidationError):
        FreezeRequest.model_validate_json(json.dumps({"reason": "why not", "ends_at": ends_at}))
    for model in (GrantRequest, OverrideRequest):
        with pytest.raises(ValidationError) as refusal:
            model.model_validate_json(json.dumps(_GRANT | {"ends_at": ends_at}))
        assert [fault["loc"] for fault in refusal.value.errors()] == [("ends_at",)]


def test_moment_is_kept_in_utc() -> None:
    wanted = FreezeRequest.model_validate_json(
        json.dumps({"reason": "why not", "ends_at": "2026-11-15T12:00:00+10:00"})
    )
    assert wanted.ends_at == datetime(2026, 11, 15, 2, tzinfo=UTC)
    assert wanted.ends_at.tzinfo is UTC


@pytest.mark.parametrize("control", ["\x00", "\n", "\r", "\t", "\x1b", "\x7f", "\x9b"])
def test_reason_with_a_control_character_is_refused(control: str) -> None:
    reason = f"why{control}not"
    for model in (FreezeRequest, LiftQuery, CaseClosing):
        with pytest.raises(ValidationError):
            model.model_validate({"reason": reason, "decision": "accept"})
        with pytest.raises(ValidationError):
            model.model_validate({"reason": f"why not{control}", "decision": "accept"})


@pytest.mark.parametrize("control", ["\x00", "\n", "\x7f", "\x9b"])
def test_reason_of_a_grant_and_comment_hold_no_control_character(control: str) -> None:
    reason = f"the launch is tomorrow{control}"
    for model in (GrantRequest, OverrideRequest):
        with pytest.raises(ValidationError) as refusal:
            model.model_validate(_GRANT | {"reason": reason})
        assert [fault["loc"] for fault in refusal.value.errors()] == [("reason",)]
    for model, fields in _EXPLAINED.items():
        with pytest.raises(ValidationError) as refusal:
            model.model_validate_json(json.dumps(fields | {"reason": reason}))
        assert [fault["loc"] for fault in refusal.value.errors()] == [("reason",)]
    with pytest.raises(ValidationError):
        DecisionRequest.model_validate({"decision": "approve", "comment": reason})


def test_reason_may_be_in_any_language() -> None:
    reason = "Größe geprüft – 確認済み ✓"
    assert FreezeRequest.model_validate({"reason": reason}).reason == reason
