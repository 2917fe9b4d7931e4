"""Which mailer the settings choose, and combinations that are refused at the start."""

import pytest

from devhost.local_settings import setting_values
from devhost.ports import Ports
from shared.adapters.azure_mail import AzureMailer
from shared.adapters.mail_folder import FolderMailer
from shared.errors import InvariantBroken
from shared.settings import load_settings
from shared.wiring import Services

CONNECTION = "endpoint=https://mail.example;accesskey=a2V5"
SENDER = "alerts@mail.example"
NO_FOLDER = {"EIG_MAIL_FOLDER": ""}


def services(**values: str) -> Services:
    return Services(load_settings({**setting_values(Ports()), **values}))


def test_local_cloud_keeps_mail_in_a_folder() -> None:
    assert isinstance(services().mailer, FolderMailer)


def test_connection_sends_mail_through_azure() -> None:
    chosen = services(**NO_FOLDER, EIG_MAIL_CONNECTION=CONNECTION, EIG_MAIL_SENDER=SENDER)
    assert isinstance(chosen.mailer, AzureMailer)


def test_without_either_there_is_no_mailer() -> None:
    assert services(**NO_FOLDER).mailer is None


@pytest.mark.parametrize(
    "values",
    [
        {"EIG_MAIL_CONNECTION": CONNECTION, "EIG_MAIL_SENDER": SENDER},  # and the folder
        {"EIG_MAIL_FOLDER": "", "EIG_MAIL_CONNECTION": CONNECTION},  # and no sender
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvariantBroken, match="EIG_MAIL_CONNECTION") as refusal:
        services(**values)
    assert "a2V5" not in str(refusal.value)


def test_reservations_and_limits_are_told_to_alerts() -> None:
    wired = services()
    assert wired.admission.alerts is wired.budgets.alerts is wired.alerts
