"""The privacy screen: who looks for data that may not leave, and where its policies are kept."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.identifiers import Layer
from shared.domain.privacy import Detection, DetectionTerms
from shared.domain.privacy_overrides import PrivacyOverride
from shared.domain.privacy_policies import PrivacyPolicy


class PrivacyDetector(Protocol):
    """One layer of the screen."""

    @property
    def layer(self) -> Layer: ...

    async def detect(self, texts: Sequence[str], terms: DetectionTerms) -> Sequence[Detection]:
        """What each text holds, in the order of the texts; offsets are those of the text as given.

        A text that this layer could not read has a failure. Raises PrivacyScreenUnavailable when
        it could not read anything: it never answers with less than it looked for.
        """
        ...


class PrivacyStore(Protocol):
    """Policies and overrides. Each change is atomic with its audit event."""

    async def policy(self, tenant_id: str, owner: str) -> PrivacyPolicy | None:
        """An owner's policy as it stands; None if nobody has written one."""
        ...

    async def put_policy(self, tenant_id: str, policy: PrivacyPolicy, event: AuditEvent) -> None:
        """Write revision n in place of n - 1; raises PreconditionFailed if another was first."""
        ...

    async def override(self, override_id: str) -> PrivacyOverride | None: ...

    async def overrides(self, department_id: str, ends_after: str) -> Sequence[PrivacyOverride]:
        """A department's overrides that have not ended and whose time ends after a moment
        (ISO 8601), newest first, at most OVERRIDES_LISTED_MAX."""
        ...

    async def put_override(self, override: PrivacyOverride, event: AuditEvent) -> None:
        """Write revision n in place of n - 1; raises PreconditionFailed if another was first."""
        ...
