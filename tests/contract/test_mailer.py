"""The Mailer port: into a folder, and through the real SDK to the mail stand-in."""

import email
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import pytest
from aiohttp import web

from devhost.simulators.azure_mail import ACCESS_KEY, add_azure_mail
from shared.adapters.azure_mail import AzureMailer
from shared.adapters.mail_folder import FolderMailer
from shared.domain.deliveries import WAIT_S_MAX, Mail, Outcome
from tests.contract.scripted_server import Answer, scripted_server
from tests.fakes.clock import FakeClock

SENDER = "alerts@mail.contoso.example"
MAIL = Mail(
    mail_id="202611-marketing-" + "a" * 32 + ".marketing.mail",
    to=("mia@contoso.example", "olga@contoso.example"),
    subject="Budget alert: the project Café has reached 80 %",
    text="Committed: AUD 80.00\nLimit: AUD 100.00 – naïve\n",
)


@dataclass
class Desk:
    """The stand-in of Azure Communication Services and its controls."""

    origin: str
    http: aiohttp.ClientSession

    @property
    def connection(self) -> str:
        return f"endpoint={self.origin}/;accesskey={ACCESS_KEY}"

    async def configure(self, **wanted: Any) -> None:
        async with self.http.put(f"{self.origin}/_control/mail", json=wanted) as answer:
            assert answer.status == 200

    async def messages(self) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.origin}/_control/mail") as answer:
            return [each["message"] for each in (await answer.json())["submissions"]]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    app = web.Application()
    add_azure_mail(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http:
        yield Desk(f"http://127.0.0.1:{runner.addresses[0][1]}", http)
    await runner.cleanup()


@pytest.fixture
async def mailer(desk: Desk) -> AsyncIterator[AzureMailer]:
    opened = AzureMailer(desk.connection, SENDER)
    yield opened
    await opened.aclose()


def kept(folder: Path) -> list[email.message.EmailMessage]:
    """Every mail in a folder, parsed as a mail program does."""
    return [
        email.message_from_bytes(path.read_bytes(), policy=default)
        for path in sorted(folder.glob("*.eml"))
    ]


async def test_folder_keeps_a_mail_that_a_mail_program_reads(tmp_path: Path) -> None:
    folder = tmp_path / "mail" / "here"
    outcome = await FolderMailer(folder, FakeClock()).send(MAIL)
    assert outcome == Outcome("delivered", "kept")
    (message,) = kept(folder)
    assert message["To"] == "mia@contoso.example, olga@contoso.example"
    assert message["Subject"] == MAIL.subject
    assert message["Message-ID"] == f"<{MAIL.mail_id}@eig.invalid>"
    assert message["Date"].datetime == FakeClock().now()
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().replace("\r\n", "\n") == MAIL.text
    raw = next(folder.glob("*.eml")).read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")  # line ends of RFC 5322
    assert all(len(line) <= 998 for line in raw.splitlines())


async def test_folder_keeps_the_same_mail_once(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path, FakeClock())
    await mailer.send(MAIL)
    again = Mail(MAIL.mail_id, MAIL.to, "another subject", "another text")
    assert (await mailer.send(again)).ending == "delivered"
    (message,) = kept(tmp_path)
    assert message["Subject"] == MAIL.subject
    assert list(tmp_path.iterdir()) == list(tmp_path.glob("*.eml"))


async def test_folder_that_cannot_be_written_is_tried_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = await FolderMailer(tmp_path / "file", FakeClock()).send(MAIL)
    assert outcome == Outcome("later", "folder_not_writable")


async def test_folder_mail_cannot_be_led_out_of_its_folder(tmp_path: Path) -> None:
    odd = Mail("../../etc/x\r\nBcc: all", MAIL.to, "s", "t")
    await FolderMailer(tmp_path / "mail", FakeClock()).send(odd)
    assert [path.name for path in (tmp_path / "mail").iterdir()] == [".._.._etc_x__Bcc__all.eml"]
    assert kept(tmp_path / "mail")[0]["Bcc"] is None


async def test_service_takes_a_mail_over_and_says_later_how_it_went(
    desk: Desk, mailer: AzureMailer
) -> None:
    assert await mailer.send(MAIL) == Outcome("accepted", "accepted", 30)
    assert await mailer.send(MAIL) == Outcome("accepted", "in_progress", 30)
    assert await mailer.send(MAIL) == Outcome("delivered", "succeeded")
    (message,) = await desk.messages()
    assert message["senderAddress"] == SENDER
    assert [each["address"] for each in message["recipients"]["to"]] == list(MAIL.to)
    assert message["content"] == {"subject": MAIL.subject, "plainText": MAIL.text}


async def test_service_gets_the_same_mail_once_from_two_workers(desk: Desk) -> None:
    for _ in range(2):  # the first worker died before it could note that the mail was taken
        worker = AzureMailer(desk.connection, SENDER)
        assert (await worker.send(MAIL)).ending == "accepted"
        await worker.aclose()
    assert len(await desk.messages()) == 1


async def test_service_that_could_not_deliver_says_so(desk: Desk, mailer: AzureMailer) -> None:
    await desk.configure(end="Failed")
    await mailer.send(MAIL)
    await mailer.send(MAIL)
    assert await mailer.send(MAIL) == Outcome("refused", "failed")


@pytest.mark.parametrize(
    ("status", "ending"), [(400, "refused"), (429, "later"), (503, "later"), (401, "later")]
)
async def test_refusal_of_the_service_is_told_apart(
    desk: Desk, mailer: AzureMailer, status: int, ending: str
) -> None:
    await desk.configure(refuse_status=status)
    outcome = await mailer.send(MAIL)
    assert (outcome.ending, outcome.reason) == (ending, f"http_{status}")
    await desk.configure()
    assert await desk.messages() == []
    if ending == "later":  # nothing was taken: it is sent after all
        assert (await mailer.send(MAIL)).ending == "accepted"


async def test_wait_without_an_end_is_cut_to_a_long_one() -> None:
    operation = f"/emails/operations/{uuid5(NAMESPACE_URL, f'eig-mail:{MAIL.mail_id}')}"
    async with scripted_server() as service:
        service.answers(operation, Answer(429, {}, {"retry-after": "9" * 5_000}))
        mailer = AzureMailer(f"endpoint={service.origin};accesskey={ACCESS_KEY}", SENDER)
        assert await mailer.send(MAIL) == Outcome("later", "http_429", WAIT_S_MAX)
        await mailer.aclose()


async def test_wrong_key_is_tried_later(desk: Desk) -> None:
    mailer = AzureMailer(f"endpoint={desk.origin};accesskey=d3Jvbmc=", SENDER)
    assert await mailer.send(MAIL) == Outcome("later", "http_401")
    await mailer.aclose()


async def test_service_that_is_not_there_is_tried_later() -> None:
    mailer = AzureMailer(f"endpoint=http://127.0.0.1:1;accesskey={ACCESS_KEY}", SENDER)
    assert await mailer.send(MAIL) == Outcome("later", "no_connection")
    await mailer.aclose()
