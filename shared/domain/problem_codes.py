"""Every code that a refusal may carry: what callers decide by, and what OpenAPI lists.

`docs/api.md` says of each what to do. A code that is not listed here fails an architecture test.
"""

from collections.abc import Iterator
from typing import Final

from shared.errors import EigError, Rejected, ScimRefused

_GIVEN: Final = """
account_disabled address_not_allowed already_begun already_closed already_decided already_ended
already_exists already_started already_submitted ambiguous amount_needed approved_only
awaiting_approval budget_ended calendar_does_not_nest case_being_booked columns_duplicate
columns_missing columns_unknown cross_site csrf_token_needed csv_malformed deferred
department_closed department_depth department_does_not_cover department_needed
department_not_open department_ring entry_given_up export_not_ready fallback_denied file_empty
file_not_text file_too_large file_type_unknown has_parts has_people in_use invalid_day
invalid_ends_at invalid_json invalid_return_to invalid_rule kind_is_fixed last_super_admin
line_too_long mail_not_configured model_denied model_not_listed model_retired no_budget
no_candidate no_receipt no_rows no_session no_valid_rows not_adjustable not_archived not_ended
not_in_log_yet not_judgeable not_ready own_account own_role part_of_batch period_has_open_work
period_running price_rose query_too_long rehydration_under_way role_too_high role_too_wide
rows_unpriced second_person_needed self_adjustment self_approval self_grant session_ended
shut_out_by_organisation sign_in_failed sign_in_not_configured strategy_denied
strategy_does_not_fit too_many too_many_channels too_many_rows unknown_cost_centre
unknown_department unknown_model unknown_project unknown_user unpriced unsupported_by_model
unsupported_parameter uplift_denied users_only webhook_not_signed
"""
GIVEN_CODES: Final = frozenset(_GIVEN.split())  # narrower than the codes of their classes
# A branch that only its leaves speak for, and a refusal that SCIM has its own words for.
_NEVER_TOLD: Final = frozenset({Rejected.code, ScimRefused.code})


def _codes(kind: type[EigError]) -> Iterator[str]:
    """The codes of a branch of the error tree."""
    yield kind.code
    for leaf in kind.__subclasses__():
        yield from _codes(leaf)


CODES_OF_THE_TREE: Final = frozenset(_codes(EigError))
PROBLEM_CODES: Final = GIVEN_CODES | CODES_OF_THE_TREE - _NEVER_TOLD
