"""The privacy screen for the rows of a batch: many texts at once, refused rows like faulty ones.

What the screen found is audited before the plan is reserved, in events that name row, category and
place. A row whose text a layer could not read is refused alone; if a layer cannot answer at all,
nothing of the batch is planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.batch_plans import BatchChunk, PlannedFault, PlannedRow
from shared.domain.privacy import Judged, Verdict, audit_texts
from shared.domain.privacy_policies import EffectivePolicy
from shared.errors import PrivacyBlocked, PrivacyScreenUnavailable, ResidencyDenied
from shared.services.privacy import (
    PrivacyScreen,
    Requester,
    ScreenedRequest,
    residency_refusal,
    texts_of,
    where,
    with_texts,
)

FINDINGS_NAMED_MAX = 5  # in one row's fault


@dataclass(frozen=True)
class ScreenedRows:
    """Rows as they may be carried out, and the revisions by which it was decided."""

    rows: list[PlannedRow]
    policy_version: str


@dataclass(frozen=True)
class PrivacyBatches:
    """Screens planned rows in waves."""

    screen: PrivacyScreen

    async def screened(self, header: BatchChunk, rows: Sequence[PlannedRow]) -> ScreenedRows:
        """The rows as they may be carried out; raises PrivacyScreenUnavailable."""
        who = Requester(
            tenant_id=header.tenant_id,
            department_id=header.department_id,
            user_key=header.user_key,
            actor_role=header.actor_role,
            operation_id=header.batch_id,
            correlation_id=header.correlation_id,
        )
        policy = await self.screen.watch.effective(who.tenant_id, who.department_id)
        rows = [_resident(row, policy) for row in rows]
        asked = [row for row in rows if row.request is not None]
        requests = [texts_of(row.request) for row in asked if row.request is not None]
        try:
            verdicts = await self.screen.verdicts(who, policy, requests, patient=True)
        except PrivacyScreenUnavailable as failure:
            if asked and asked[0].request is not None:
                await self.screen.note(who, ScreenedRequest(asked[0].request, refusal=failure))
            raise
        by_row = {row.row: verdict for row, verdict in zip(asked, verdicts, strict=True)}
        await self._note(who, policy, by_row, rows)
        return ScreenedRows([_decided(row, by_row.get(row.row)) for row in rows], policy.version)

    async def _note(
        self,
        who: Requester,
        policy: EffectivePolicy,
        by_row: dict[int, Verdict | str],
        rows: Sequence[PlannedRow],
    ) -> None:
        """One event, or a few, for what was found in these rows."""
        noted = [
            _named(each, number)
            for number, verdict in by_row.items()
            if isinstance(verdict, Verdict)
            for each in verdict.noted
        ]
        blocked = sum(isinstance(v, Verdict) and v.blocked for v in by_row.values())
        unread = sum(isinstance(verdict, str) for verdict in by_row.values())
        away = sum(_is_denied(row) for row in rows)
        if not (noted or unread or away):
            return
        for words in audit_texts(noted) or [""]:
            await self.screen.note_event(
                who,
                "screened",
                "denied" if blocked or unread or away else "success",
                None,
                {
                    "policy_version": policy.version,
                    "rows": f"{rows[0].row}-{rows[-1].row}",
                    "blocked_rows": blocked,
                    "unread_rows": unread,
                    "residency_denied_rows": away,
                    "findings": words,
                },
            )


def _named(judged: Judged, row: int) -> Judged:
    return Judged(
        field=f"{row}/{judged.field}",
        finding=judged.finding,
        action=judged.action,
        fingerprint=judged.fingerprint,
        override_id=judged.override_id,
    )


def _resident(row: PlannedRow, policy: EffectivePolicy) -> PlannedRow:
    if row.request is None or residency_refusal(policy, row.request.model) is None:
        return row
    message = f"{ResidencyDenied.code}: the model runs where your prompts may not go"
    return _refused(row, "/model", message)


def _is_denied(row: PlannedRow) -> bool:
    return any(fault.message.startswith(ResidencyDenied.code) for fault in row.faults)


def _decided(row: PlannedRow, verdict: Verdict | str | None) -> PlannedRow:
    if verdict is None or row.request is None:
        return row
    if isinstance(verdict, str):
        message = f"{PrivacyScreenUnavailable.code}: it could not be looked at, send it again"
        return _refused(row, "/prompt", message)
    if verdict.blocked:
        stopping = [each for each in verdict.judged if each.stops]
        named = "; ".join(where(each) for each in stopping[:FINDINGS_NAMED_MAX])
        return _refused(row, f"/{stopping[0].field}", f"{PrivacyBlocked.code}: {named}")
    kept = verdict.as_json()
    if kept is None:
        return row
    update = {"request": with_texts(row.request, verdict), "privacy": kept}
    return row.model_copy(update=update)


def _refused(row: PlannedRow, field: str, message: str) -> PlannedRow:
    """The row as a faulty one: it has no price and is not carried out."""
    fault = PlannedFault(field=field, message=message)
    return row.model_copy(
        update={"request": None, "quote": None, "deadline": None, "faults": (fault,)}
    )
