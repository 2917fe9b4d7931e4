"""What a notice says to people and to machines: no person is named, ids lead to the rest."""

from typing import Any, Final

from shared.domain.alerts import Alert
from shared.domain.budgets import CURRENCY
from shared.domain.deliveries import Mail
from shared.domain.image_notices import RehydrationNotice
from shared.domain.money import MICROS_PER_UNIT
from shared.domain.notices import AnyNotice
from shared.domain.provider_notices import ProviderNotice, ProviderOpened
from shared.domain.views import API_PREFIX
from shared.domain.webhooks import Message, make_message

TEST_EVENT: Final = "alert_channel.test"
_MICROS_PER_CENT: Final = MICROS_PER_UNIT // 100
_WHOSE: Final = {"user": "a person", "project": "the project", "cost_centre": "the cost centre"}


def notice_message(notice: AnyNotice) -> Message:
    """The webhook of a notice; its id is the notice's, on every channel and each retry."""
    if isinstance(notice, RehydrationNotice):
        return rehydration_message(notice)
    if isinstance(notice, ProviderNotice):
        return provider_message(notice)
    return alert_message(notice)


def notice_mail(notice: AnyNotice, channel_id: str, recipients: tuple[str, ...]) -> Mail:
    """The mail of a notice."""
    if isinstance(notice, RehydrationNotice):
        return rehydration_mail(notice, channel_id, recipients)
    if isinstance(notice, ProviderNotice):
        return provider_mail(notice, channel_id, recipients)
    return alert_mail(notice, channel_id, recipients)


def alert_data(alert: Alert) -> dict[str, Any]:
    """The facts of an alert; a person is not named: `GET /alerts/{id}` tells those who may know."""
    person = alert.scope.kind == "user"
    return {
        "alert_id": alert.alert_id,
        "department_id": alert.partition.department_id,
        "period": alert.partition.period,
        "scope_kind": alert.scope.kind,
        "scope_id": None if person else alert.scope.scope_id,
        "threshold_percent": alert.threshold,
        "limit_micros": alert.limit_micros,
        "committed_micros": alert.committed_micros,
        "currency": CURRENCY,
    }


def alert_message(alert: Alert) -> Message:
    """The webhook of a budget alert."""
    return make_message(alert.alert_id, alert.kind, alert.raised_at, alert_data(alert))


def rehydration_message(notice: RehydrationNotice) -> Message:
    """The webhook of a rehydrated picture; whoever asked for it is not named."""
    data = {
        "department_id": notice.partition.department_id,
        "image_id": notice.image_id,
        "tier": notice.tier,
        "available_until": notice.available_until,
        "content_path": _content_path(notice),
    }
    return make_message(notice.alert_id, notice.kind, notice.raised_at, data)


def provider_message(notice: ProviderNotice) -> Message:
    """The webhook of a provider whose breaker has opened or closed."""
    change = notice.change
    data = {
        "provider": change.provider,
        "reason": change.reason,
        "since": change.since,
        "until": change.until,
    }
    return make_message(notice.alert_id, notice.kind, notice.raised_at, data)


def ping_message(channel_id: str, test_id: str, now: str) -> Message:
    """A signed ping; it says which channel it tests and nothing else."""
    return make_message(f"test-{test_id}", TEST_EVENT, now, {"channel_id": channel_id})


def alert_mail(alert: Alert, channel_id: str, recipients: tuple[str, ...]) -> Mail:
    """The mail of an alert."""
    return Mail(
        mail_id=f"{alert.alert_id}.{channel_id}",
        to=recipients,
        subject=f"Budget alert: {_budget_of(alert)} has reached {alert.threshold} %",
        text=(
            f"The budget of {_budget_of(alert)} for the period from"
            f" {alert.partition.period[:4]}-{alert.partition.period[4:]}-01"
            f" has reached {alert.threshold} % of its limit.\n\n"
            f"Committed (reserved and spent): {_amount(alert.committed_micros)}\n"
            f"Limit: {_amount(alert.limit_micros)}\n"
            f"At: {alert.raised_at}\n\n"
            f"Details: GET {API_PREFIX}/alerts/{alert.alert_id}\n"
            "This threshold is announced once in a period. Where alerts go is set with"
            f" {API_PREFIX}/alert-channels.\n"
        ),
    )


def rehydration_mail(
    notice: RehydrationNotice, channel_id: str, recipients: tuple[str, ...]
) -> Mail:
    """The mail of a rehydrated picture."""
    return Mail(
        mail_id=f"{notice.alert_id}.{channel_id}",
        to=recipients,
        subject=f"Back from the archive: picture {notice.image_id}",
        text=(
            f"A picture of the department {notice.partition.department_id} can be read again.\n\n"
            f"Picture: {notice.image_id}\n"
            f"Tier: {notice.tier}\n"
            f"Available until: {notice.available_until}\n\n"
            f"Read it: GET {_content_path(notice)}\n"
            "Each rehydration is announced once. Where such messages go is set with"
            f" {API_PREFIX}/alert-channels.\n"
        ),
    )


def provider_mail(notice: ProviderNotice, channel_id: str, recipients: tuple[str, ...]) -> Mail:
    """The mail of a provider whose breaker has opened or closed."""
    change = notice.change
    subject = f"Provider {change.provider} works again"
    what = "answers again: work goes to it as before"
    until = change.until
    if isinstance(notice, ProviderOpened):
        subject = f"Provider {change.provider} is left alone: {change.reason}"
        what = "fails or has shut us out: work goes to others or waits"
        until = f"{change.until}, when one call tries whether it works; longer if it does not"
    return Mail(
        mail_id=f"{notice.alert_id}.{channel_id}",
        to=recipients,
        subject=subject,
        text=(
            f"The provider {change.provider} {what}.\n\n"
            f"Reason: {change.reason}\n"
            f"Since: {change.since}\n"
            f"Until: {until}\n\n"
            f"Details: GET {API_PREFIX}/providers\n"
            "Each outage is announced once when it begins and once when it ends. Where such"
            f" messages go is set with {API_PREFIX}/alert-channels.\n"
        ),
    )


def ping_mail(channel_id: str, test_id: str, recipients: tuple[str, ...]) -> Mail:
    """A mail that shows that a channel works."""
    return Mail(
        mail_id=f"test-{test_id}",
        to=recipients,
        subject=f"Test of the alert channel {channel_id}",
        text=f"What is sent to {channel_id} will arrive here.\n",
    )


def _content_path(notice: RehydrationNotice) -> str:
    return f"{API_PREFIX}/images/{notice.image_id}/content"


def _budget_of(alert: Alert) -> str:
    department = f"the department {alert.partition.department_id}"
    whose = _WHOSE.get(alert.scope.kind)
    if whose is None:
        return department
    name = "" if alert.scope.kind == "user" else f" {alert.scope.scope_id}"
    return f"{whose}{name} in {department}"


def _amount(micros: int) -> str:
    cents = micros // _MICROS_PER_CENT
    return f"{CURRENCY} {cents // 100:,}.{cents % 100:02d}"
