"""What audit events tell of a decision stands in the log; only texts of people are hashed."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budget_policies import rule_of as budget_rule
from shared.domain.budgets import Scope
from shared.domain.identifiers import Finding
from shared.domain.model_rules import ModelRules
from shared.domain.organisation_policies import OrganisationPolicy
from shared.domain.organisation_policies import rule_of as organisation_rule
from shared.domain.periods import Calendar, PeriodRule
from shared.domain.privacy import Judged, audit_texts
from shared.domain.privacy_policies import PrivacyPolicy, Residency
from shared.domain.privacy_policies import shown_in_audit as shown_privacy
from shared.domain.routing_policies import RoutingPolicy
from shared.domain.routing_policies import shown_in_audit as shown_routing
from shared.services.budget_changes import differences
from shared.services.model_rules import shown_rules
from tests import builders
from tests.audit_texts import check_kept, check_shown, hashed_fields
from tests.fakes.audit_log import FakeAuditLog

FOUND = Judged("2/prompt", Finding("au_tfn", "government", 11, 31), "block", "ab" * 16)
CALENDAR = Calendar((PeriodRule(), PeriodRule("quarter", 7, "202607")))
BUDGET = BudgetPolicy(
    Scope("department", "design"), 5, alert_thresholds=(50, 80), calendar=CALENDAR
)


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        (
            {"findings": audit_texts([FOUND, replace(FOUND, field="negative_prompt")])[0]},
            "2/prompt:au_tfn:block:at11+20=",
        ),
        (shown_privacy(PrivacyPolicy("o", residency=Residency("named", ("US", "NZ")))), "named,US"),
        (
            shown_routing(
                RoutingPolicy(
                    "o",
                    allowed_strategies=("cheapest", "fastest"),
                    denied_models=("sdxl", "gpt-image-2"),
                    denied_providers=("replicate", "adobe-firefly"),
                )
            ),
            "replicate,adobe-firefly",
        ),
        (
            shown_rules(ModelRules({"sdxl": "deny", "gpt-image-2": "allow"}, {}, "deny")),
            "gpt-image-2=allow,sdxl=deny",
        ),
        (differences(None, budget_rule(BUDGET)), "month:1:000101,quarter:7:202607"),
        (
            differences(
                organisation_rule(OrganisationPolicy("t", 5, CALENDAR)),
                organisation_rule(OrganisationPolicy("t", 7, Calendar((PeriodRule(),)))),
            ),
            "month:1:000101,quarter:7:202607",
        ),
    ],
)
def test_a_decision_of_many_words_is_shown(details: dict[str, Any], shown: str) -> None:
    event = replace(builders.event("object-1", "any.changed.1"), details=details).as_json()
    check_shown(event)
    assert shown in str(list(details.values()))


def test_the_amount_of_an_organisation_is_shown_before_and_after() -> None:
    rules = [organisation_rule(OrganisationPolicy("t", n, CALENDAR)) for n in (5, 7)]
    assert differences(*rules) == {"before.limit_micros": 5, "after.limit_micros": 7}


@pytest.mark.parametrize(
    "details",
    [
        {"findings": "prompt:au_tfn:block@5+20=ab"},
        {"permissions": "users.read=own users.write=own"},
        {"after": '{"limit_micros": 5}'},
    ],
)
async def test_an_event_that_hides_a_decision_is_noticed(details: dict[str, Any]) -> None:
    event = replace(builders.event("object-1", "role.changed.1"), details=details).as_json()
    assert hashed_fields(event) == {f"details.{name}" for name in details}
    with pytest.raises(AssertionError, match="hides"):
        check_shown(event)


async def test_a_text_that_is_kept_for_ever_is_noticed() -> None:
    details = {"after_reason": "Eve complained"}
    event = replace(builders.event("object-1", "freeze.set.1"), details=details).as_json()
    check_shown(event)
    with pytest.raises(AssertionError, match="keeps a text"):
        check_kept(event)
    log = FakeAuditLog()
    await log.append(builders.PARTITION, [event])
    check_kept(log.of(builders.PARTITION)[0])
