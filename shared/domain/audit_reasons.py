"""The reasons that are codes of ours: whatever else stands in an event's reason, somebody typed.

An event says of its reason which of both it is when it is written, so that its log entry follows
from the event alone, also when codes are added here. A code that is not listed is taken for typed:
the log shows it as a keyed hash.
"""

import re
from collections.abc import Iterator
from typing import Final

from shared.errors import EigError

_HTTP_STATUS: Final = re.compile(r"http_[1-5][0-9]{2}")
_REFUSALS: Final = """
account_disabled address_not_allowed already_begun already_closed already_decided already_ended
already_exists already_started already_submitted ambiguous amount_needed approved_only
batch_file_rejected budget_ended calendar_does_not_nest case_being_booked cross_site
csrf_token_needed department_closed department_depth department_does_not_cover department_needed
department_not_open department_ring entry_given_up export_not_ready fallback_denied has_parts
has_people in_use invalid_day invalid_ends_at invalid_json invalid_return_to invalid_rule
kind_is_fixed last_super_admin mail_not_configured model_denied model_retired no_budget
no_candidate no_receipt no_session no_valid_rows not_adjustable not_archived not_configured
not_ended not_in_log_yet not_judgeable not_ready own_account own_role part_of_batch
period_has_open_work period_running price_rose query_too_long rehydration_under_way role_too_high
role_too_wide rows_unpriced second_person_needed self_approval self_grant session_ended
shut_out_by_organisation
sign_in_failed sign_in_not_configured strategy_denied too_many too_many_channels unknown_department
unknown_model unknown_user unpriced unsupported_by_model unsupported_parameter uplift_denied
users_only webhook_not_signed
"""
_FAILURES: Final = """
auth_or_config canceled content_rejected custody invalid_request malformed provider_blocked
no_answer quota_exhausted rate_limited timeout transient
"""
_COURSES: Final = """
approval_expired approval_rejected archived deleted due ended_early never_sent not_changed
not_created not_deleted not_tested outcome_unknown restart_window_passed
"""
REASON_CODES: Final = frozenset({*_REFUSALS.split(), *_FAILURES.split(), *_COURSES.split()})


def is_reason_code(reason: str | None) -> bool:
    """Whether a reason is one of ours: listed here, or the code of an error."""
    return reason is not None and (
        reason in REASON_CODES
        or _HTTP_STATUS.fullmatch(reason) is not None
        or reason in _codes(EigError)
    )


def _codes(kind: type[EigError]) -> Iterator[str]:
    """The codes of a branch of the error tree."""
    yield kind.code
    for leaf in kind.__subclasses__():
        yield from _codes(leaf)
