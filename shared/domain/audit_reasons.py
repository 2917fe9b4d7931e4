"""The reasons that are codes of ours: whatever else stands in an event's reason, somebody typed.

An event says of its reason which of both it is when it is written, so that its log entry follows
from the event alone, also when codes are added here. A code that is not listed is taken for typed:
the log shows it as a keyed hash.
"""

import re
from typing import Final

from shared.domain.problem_codes import CODES_OF_THE_TREE, GIVEN_CODES

_HTTP_STATUS: Final = re.compile(r"http_[1-5][0-9]{2}")
_FAILURES: Final = """
auth_or_config canceled content_rejected custody invalid_request malformed provider_blocked
no_answer quota_exhausted rate_limited timeout transient
"""
_COURSES: Final = """
approval_expired approval_rejected archived deleted due ended_early never_sent not_changed
not_configured not_created not_deleted not_tested outcome_unknown restart_window_passed
"""
_SESSION_ENDS: Final = """
disabled idle refused_by_issuer replaced reuse revoked signed_out too_old unconfirmed
"""
_DELIVERIES: Final = """
accepted address_not_public certificate_refused channel_deleted channel_disabled failed
folder_not_writable in_progress kept name_unknown no_connection succeeded timed_out
"""
_LISTED: Final = " ".join((_FAILURES, _COURSES, _SESSION_ENDS, _DELIVERIES)).split()
REASON_CODES: Final = frozenset({*GIVEN_CODES, *CODES_OF_THE_TREE, *_LISTED})


def is_reason_code(reason: str | None) -> bool:
    """Whether a reason is one of ours: listed here, or the code of an error."""
    return reason is not None and (
        reason in REASON_CODES or _HTTP_STATUS.fullmatch(reason) is not None
    )
