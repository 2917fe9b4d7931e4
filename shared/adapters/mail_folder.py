"""Mail into a folder, as .eml files that every mail program opens: for development and tests."""

import asyncio
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from shared.domain.deliveries import Mail, Outcome
from shared.ports import Clock

SENDER: Final = Address("EIG", "alerts", "eig.invalid")  # a name that can never be a real sender
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.-]")


class FolderMailer:
    """Implements the Mailer port: one RFC 5322 file a mail, named after its id."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def send(self, mail: Mail) -> Outcome:
        try:
            await asyncio.to_thread(self._write, mail)
        except OSError:
            return Outcome("later", "folder_not_writable")
        return Outcome("delivered", "kept")

    def _write(self, mail: Mail) -> None:
        name = _UNSAFE.sub("_", mail.mail_id)
        path = self._folder / f"{name}.eml"
        if path.exists():  # the same mail, sent again
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        # Under another name first: a reader never meets half a mail.
        partial = path.with_suffix(".partial")
        partial.write_bytes(self._message(mail).as_bytes())
        partial.replace(path)

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = SENDER
        message["To"] = tuple(Address(addr_spec=each) for each in mail.to)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{_UNSAFE.sub('_', mail.mail_id)}@{SENDER.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message
