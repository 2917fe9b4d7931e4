"""Who may say where alerts go, and the changes of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain.alert_channels import (
    CHANNELS_PER_OWNER_MAX,
    AlertChannel,
    channel_document_id,
    channels_partition,
    owner_of_channel,
    shown_in_audit,
)
from shared.domain.alert_messages import ping_mail, ping_message
from shared.domain.alert_views import (
    AlertChannelList,
    AlertChannelTestView,
    AlertChannelView,
    channel_view,
)
from shared.domain.alerts import ACTOR, ChannelKind, NoticeKind
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.deliveries import Outcome as Delivered
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.ids import Partition
from shared.domain.webhooks import SECRET_BYTES, secret_of
from shared.errors import Conflict, Invalid, NotFound, PolicyDenied, PreconditionFailed
from shared.ports import Clock, Directory, Ledger
from shared.ports.alerts import AlertChannelStore, Mailer, WebhookSender
from shared.services.department_reach import check_owner_within_reach

NO_SUCH = "There is no such alert channel."
MANAGERS_ONLY = "Only managers and administrators decide where alerts go."
_READ, _WRITE = Permission.ALERT_CHANNELS_READ, Permission.ALERT_CHANNELS_WRITE


@dataclass(frozen=True)
class ChannelChange:
    """What a channel shall be; `rotate_secret` makes a webhook a new secret; no events: all."""

    kind: ChannelKind
    enabled: bool = True
    url: str | None = None
    recipients: tuple[str, ...] = ()
    rotate_secret: bool = False
    events: tuple[NoticeKind, ...] = ()


@dataclass(frozen=True)
class AlertChannels:
    """Shows and changes channels: managers their department's, Org Admins all."""

    store: AlertChannelStore
    directory: Directory
    ledger: Ledger
    webhooks: WebhookSender
    mailer: Mailer | None
    clock: Clock

    async def list(self, caller: Caller, owner: str | None) -> AlertChannelList:
        """The channels of an owner; of the caller's department unless another is named."""
        if caller.reach(_READ) < Reach.DEPARTMENT:
            raise PolicyDenied(MANAGERS_ONLY)
        partition = await self._owned(caller, owner or caller.department_id, _READ)
        channels = await self.store.channels(partition)
        return AlertChannelList(items=tuple(channel_view(each) for each in channels))

    async def get(self, caller: Caller, channel_id: str) -> AlertChannelView:
        """One channel, without its secret."""
        if caller.reach(_READ) < Reach.DEPARTMENT:
            raise PolicyDenied(MANAGERS_ONLY)
        partition = await self._owned(caller, owner_of_channel(channel_id), _READ)
        return channel_view(_standing(await self.store.channel(partition, channel_id)))

    async def put(
        self,
        caller: Caller,
        channel_id: str,
        change: ChannelChange,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> AlertChannelView:
        """Create or replace a channel; a new secret is in the answer, and nowhere else ever.

        `expected` is the revision the caller has read, 0 for a channel that must not exist yet, or
        None for whichever stands.
        """
        partition = await self._admitted(caller, channel_id, "changed", correlation_id)
        self._check(change)
        before = await self.store.channel(partition, channel_id)
        exists = before is not None and not before.deleted
        if not exists and expected == 0:
            await self._check_room(partition)
        _check_expected(before, expected)
        now = self.clock.now()
        channel = AlertChannel(
            channel_id=channel_id,
            kind=change.kind,
            enabled=change.enabled,
            url=change.url,
            recipients=change.recipients,
            events=change.events,
            secrets=before.secrets if before else (),
            updated_at=now.isoformat(),
            revision=before.revision + 1 if before else 1,
            change_id=self.clock.new_id(),
        )
        if exists and before is not None and before.kind != change.kind:
            raise Conflict("A channel keeps its kind: make another one.", code="kind_is_fixed")
        secret = None
        if change.kind == "webhook" and (change.rotate_secret or not channel.secrets):
            secret = secret_of(secrets.token_bytes(SECRET_BYTES))
            channel = channel.with_secret(secret, now)
        details = {"new_secret": secret is not None}
        event = self._change(before, channel, caller, correlation_id, details)
        await self.store.put(partition, channel, event)
        return channel_view(channel, secret)

    async def delete(
        self, caller: Caller, channel_id: str, *, expected: int | None, correlation_id: str
    ) -> None:
        """Remove a channel; its address and its secrets are forgotten."""
        partition = await self._admitted(caller, channel_id, "deleted", correlation_id)
        before = _standing(await self.store.channel(partition, channel_id))
        _check_expected(before, expected)
        deleted = AlertChannel(
            channel_id=channel_id,
            kind=before.kind,
            enabled=False,
            updated_at=self.clock.now().isoformat(),
            revision=before.revision + 1,
            change_id=self.clock.new_id(),
            deleted=True,
        )
        event = self._change(before, deleted, caller, correlation_id, {})
        await self.store.put(partition, deleted, event)

    async def test(
        self, caller: Caller, channel_id: str, correlation_id: str
    ) -> AlertChannelTestView:
        """Send a signed ping, or a mail, at once and say how that went; disabled ones too."""
        partition = await self._admitted(caller, channel_id, "tested", correlation_id)
        channel = _standing(await self.store.channel(partition, channel_id))
        test_id = self.clock.new_id()
        outcome = await self._ping(channel, test_id)
        delivered = outcome.ending in ("delivered", "accepted")
        await self.ledger.note_event(
            partition,
            self._event(
                f"alert_channel.tested.{test_id}",
                channel_id,
                caller,
                "success" if delivered else "failure",
                correlation_id,
                reason=outcome.reason,
            ),
        )
        return AlertChannelTestView(delivered=delivered, reason=outcome.reason)

    async def switch_off(self, partition: Partition, channel_id: str, reason: str) -> None:
        """Disable a channel whose receiver wants no more messages."""
        before = await self.store.channel(partition, channel_id)
        if before is None or not before.enabled:
            return
        now = self.clock.now().isoformat()
        disabled = replace(
            before,
            enabled=False,
            disabled_reason=reason,
            updated_at=now,
            revision=before.revision + 1,
            change_id=self.clock.new_id(),
        )
        event = AuditEvent(
            action=f"alert_channel.disabled.{disabled.revision}",
            object_id=channel_document_id(channel_id),
            actor=ACTOR,
            actor_role="system",
            outcome="success",
            occurred_at=now,
            correlation_id=disabled.change_id,
            reason=reason,
        )
        try:
            await self.store.put(partition, disabled, event)
        except PreconditionFailed:
            return  # somebody has just changed it: theirs stands, the next alert tries again

    async def _ping(self, channel: AlertChannel, test_id: str) -> Delivered:
        now = self.clock.now()
        if channel.kind == "webhook":
            message = ping_message(channel.channel_id, test_id, now.isoformat())
            valid = channel.valid_secrets(now)
            return await self.webhooks.send(channel.url or "", valid, message)
        if self.mailer is None:
            return Delivered("refused", "mail_not_configured")
        return await self.mailer.send(ping_mail(channel.channel_id, test_id, channel.recipients))

    def _check(self, change: ChannelChange) -> None:
        if change.kind == "webhook":
            self.webhooks.check(change.url or "")
        elif self.mailer is None:
            raise Invalid("No mail service is configured.", code="mail_not_configured")

    async def _check_room(self, partition: Partition) -> None:
        """A limit against heaps; two who create at the same moment may pass it by one."""
        if len(await self.store.channels(partition)) >= CHANNELS_PER_OWNER_MAX:
            raise Conflict(
                f"There are {CHANNELS_PER_OWNER_MAX} channels already.", code="too_many_channels"
            )

    def _change(
        self,
        before: AlertChannel | None,
        after: AlertChannel,
        caller: Caller,
        correlation_id: str,
        details: Mapping[str, bool],
    ) -> AuditEvent:
        verb = "deleted" if after.deleted else "changed"
        shown = {f"before_{k}": v for k, v in shown_in_audit(before).items()}
        shown |= {f"after_{k}": v for k, v in shown_in_audit(after).items()}
        return self._event(
            f"alert_channel.{verb}.{after.revision}",
            after.channel_id,
            caller,
            "success",
            correlation_id,
            details={**shown, **details},
        )

    async def _admitted(
        self, caller: Caller, channel_id: str, verb: str, correlation_id: str
    ) -> Partition:
        """Where a channel is that the caller may change; a refusal leaves an event."""
        if caller.reach(_WRITE) >= Reach.DEPARTMENT:
            return await self._owned(caller, owner_of_channel(channel_id), _WRITE)
        partition = channels_partition(caller.department_id, caller.tenant_id)
        denied = self._event(
            f"alert_channel.denied.{self.clock.new_id()}",
            channel_id if owner_of_channel(channel_id) else "malformed",
            caller,
            "denied",
            correlation_id,
            reason=f"not_{verb}",
        )
        await self.ledger.note_event(partition, denied)
        raise PolicyDenied(MANAGERS_ONLY)

    async def _owned(self, caller: Caller, owner: str | None, permission: Permission) -> Partition:
        """The partition of an owner whose channels the caller looks after; NotFound otherwise."""
        if owner is None:
            raise NotFound(NO_SUCH)
        await check_owner_within_reach(self.directory, caller, owner, permission, NO_SUCH)
        return channels_partition(owner, caller.tenant_id)

    def _event(
        self,
        action: str,
        channel_id: str,
        caller: Caller,
        outcome: Outcome,
        correlation_id: str,
        *,
        reason: str | None = None,
        details: dict[str, str | int | bool | None] | None = None,
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=channel_document_id(channel_id),
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome=outcome,
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=reason,
            details=details or {},
        )


def _standing(channel: AlertChannel | None) -> AlertChannel:
    if channel is None or channel.deleted:
        raise NotFound(NO_SUCH)
    return channel


def _check_expected(channel: AlertChannel | None, expected: int | None) -> None:
    """Raise unless what stands is what the caller expects."""
    exists = channel is not None and not channel.deleted
    if expected == 0 and exists:
        raise PreconditionFailed("This channel exists already; send If-Match to change it.")
    if expected != 0 and not exists:
        raise NotFound(NO_SUCH)
    if expected and channel is not None and channel.revision != expected:
        raise PreconditionFailed("The channel was changed since you read it; read it again.")
