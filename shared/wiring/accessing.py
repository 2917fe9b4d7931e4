"""The log of who was allowed and denied what."""

import hmac
from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.systems import Systems

if TYPE_CHECKING:
    from shared.services.access_log import AccessLog


class Accessing(Systems):
    """Authorisation decisions on their way into the audit log."""

    @cached_property
    def access_log(self) -> "AccessLog":
        from shared.services.access_log import AccessLog

        salt = self.settings.end_user_salt.encode()
        key = hmac.digest(salt, b"access log object", "sha256")
        return AccessLog(self.audit_writer, self.clock, key)
