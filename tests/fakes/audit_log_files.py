"""The verifiable log's stores in memory, with a fault before or after any call."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.domain.audit_entries import AuditRecord
from shared.domain.signed_notes import Verifier, signed_checkpoint
from shared.errors import InvariantBroken
from shared.ports.audit_log import FeedPage, Held
from tests.fakes.faults import Crashed


async def undisturbed(call: str, work: Callable[[], Any]) -> Any:
    """Every call is carried out and answered."""
    del call
    return work()


class Around(Protocol):
    """Stands around every call to a store, and says how it goes."""

    async def __call__(self, call: str, work: Callable[[], Any]) -> Any: ...


class Interrupted:
    """The process dies, or hears nothing, at call number `at`: before the work or after it."""

    def __init__(self, at: int, *, done: bool, error: BaseException) -> None:
        self._at = at
        self._done = done
        self._error = error
        self._is_dead = False
        self.calls = 0

    async def __call__(self, call: str, work: Callable[[], Any]) -> Any:
        if self._is_dead:
            raise Crashed(call)
        number, self.calls = self.calls, self.calls + 1
        if number != self._at:
            return work()
        self._is_dead = isinstance(self._error, Crashed)
        if self._done:
            work()
        raise self._error


@dataclass
class FakeLogStores:
    """Files, registers, checkpoints and the feed of one log; `around` disturbs all of them."""

    around: Around = undisturbed
    contents: dict[str, bytes] = field(default_factory=dict)
    values: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    records: list[AuditRecord] = field(default_factory=list)
    page_records: int = 2_000

    # --- LogFiles --------------------------------------------------------------------------

    async def read(self, name: str) -> bytes | None:
        content: bytes | None = await self.around(f"read {name}", lambda: self.contents.get(name))
        return content

    async def create(self, name: str, content: bytes) -> None:
        standing = await self.around(
            f"create {name}", lambda: self.contents.setdefault(name, content)
        )
        if standing != content:
            raise InvariantBroken(f"{name} of the audit log stands with another content.")

    # --- Registers -------------------------------------------------------------------------

    async def load(self, name: str) -> Held | None:
        found = await self.around(f"load {name}", lambda: self.values.get(name))
        return Held(found[1], str(found[0])) if found else None

    async def save(self, name: str, content: bytes, version: str | None) -> bool:
        def work() -> bool:
            number, _ = self.values.get(name, (0, b""))
            if (str(number) if number else None) != version:
                return False
            self.values[name] = (number + 1, content)
            return True

        saved: bool = await self.around(f"save {name}", work)
        return saved

    # --- Checkpoints -----------------------------------------------------------------------

    async def newest(self, log: Verifier) -> str | None:
        def genuine() -> str | None:
            own = [size for size, note in self.notes.items() if signed_checkpoint(note, log)]
            return self.notes[max(own)] if own else None

        note: str | None = await self.around("newest", genuine)
        return note

    async def keep(self, log: Verifier, size: int, note: str) -> str:
        del log  # nobody else writes here
        standing: str = await self.around("keep", lambda: self.notes.setdefault(size, note))
        return standing

    # --- AuditFeed -------------------------------------------------------------------------

    async def after(self, position: str | None) -> FeedPage:
        start = int(position or 0)
        records = await self.around(
            "after", lambda: self.records[start : start + self.page_records]
        )
        return FeedPage(records, str(start + len(records)))

    async def named(self, event_id: str) -> Sequence[AuditRecord]:
        return [each for each in self.records if each.document_id == event_id]

    async def standing(self, partition_key: str, event_ids: Sequence[str]) -> Collection[str]:
        found: set[str] = await self.around(
            "standing",
            lambda: {r.document_id for r in self.records if r.partition_key == partition_key},
        )
        return found & set(event_ids)


class FakeNoteSigner:
    """A key in memory, the same for the same name and seed."""

    def __init__(self, name: str, seed: int = 1) -> None:
        self._name = name
        self._key = ec.derive_private_key(seed + sum(name.encode()), ec.SECP256R1())

    @property
    def key(self) -> Verifier:
        public_key = self._key.public_key()
        return Verifier(
            self._name, public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

    async def verifier(self) -> Verifier:
        return self.key

    async def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))
