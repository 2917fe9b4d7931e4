"""Which fields of stored documents are sealed, and how a whole document is sealed and opened."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.domain.batch_plans import BatchChunk, PlannedRow
from shared.domain.ledger import Document, Hold
from shared.domain.sealed_fields import ERASED, SealedField, Subject, is_sealed, read_sealed
from shared.services.prompt_vault import LiveKey, PromptVault

# Of a request; the rest says no more than what was bought, and reports and receipts need it.
SEALED_FIELDS: Final = ("prompt", "negative_prompt")
SALT: Final = "prompt_salt"  # whoever has it can check a guess against the commitment in the log
SEALED_PLACE: Final = "[sealed]"  # in a stored plan, whose rows keep their envelopes beside
_REQUEST: Final = "request."
_HASH: Final = "request_hash"
_HASH_PREFIX: Final = "siv1:"


@dataclass(frozen=True)
class SealedDocuments:
    """Seals what is about to be stored and opens what was read; both leave other fields alone."""

    vault: PromptVault

    async def sealed(self, record: Document) -> Document:
        """A generation record without its texts; other records as they are."""
        if "request" not in record:
            return record
        texts = _clear_fields(record)
        if record["request"]["prompt"] == ERASED:
            record = record | {SALT: None}  # nothing is left to which it could be a salt
        if not texts:
            return record
        key = await self.vault.sealing_key(_subject_of(record))
        return _with_fields(
            record,
            {
                name: dict(self.vault.seal(key, record["id"], name, text))
                for name, text in texts.items()
            },
        )

    async def opened(self, records: Sequence[Document]) -> list[Document]:
        """Records as they were sealed, with one look-up of keys for all of them."""
        envelopes = [_sealed_fields(record) for record in records]
        wanted: dict[Subject, int] = {}
        for record, sealed in zip(records, envelopes, strict=True):
            for each in sealed.values():
                subject = _subject_of(record)
                wanted[subject] = max(wanted.get(subject, 1), each.key_number)
        keys = await self.vault.opening_keys(wanted)
        return [
            _with_fields(record, self._texts(keys, record, sealed)) if sealed else record
            for record, sealed in zip(records, envelopes, strict=True)
        ]

    async def opened_one(self, record: Document | None) -> Document | None:
        return None if record is None else (await self.opened([record]))[0]

    async def sealed_hold(self, hold: Hold) -> Hold:
        """A hold whose request hash tells nothing to who guesses a prompt."""
        if hold.request_hash.startswith(_HASH_PREFIX):
            return hold
        key = await self.vault.sealing_key(Subject(hold.tenant_id, hold.user_key))
        text = urlsafe_b64encode(self.vault.disguise(key, _HASH, hold.request_hash)).decode()
        return replace(hold, request_hash=f"{_HASH_PREFIX}{key.number}:{text}")

    async def opened_hold(self, hold: Hold) -> Hold:
        if not hold.request_hash.startswith(_HASH_PREFIX):
            return hold
        number, _, text = hold.request_hash.removeprefix(_HASH_PREFIX).partition(":")
        subject = Subject(hold.tenant_id, hold.user_key)
        key = (await self.vault.opening_keys({subject: int(number)}))[subject]
        revealed = self.vault.reveal(key, _HASH, int(number), urlsafe_b64decode(text))
        return replace(hold, request_hash=revealed)

    async def sealed_chunk(self, number: int, chunk: BatchChunk) -> BatchChunk:
        """A slice of a plan whose rows keep their texts as envelopes."""
        if not any(row.request and _clear_texts(vars(row.request)) for row in chunk.rows):
            return chunk
        key = await self.vault.sealing_key(Subject(chunk.tenant_id, chunk.user_key))
        place = _place_of(chunk, number)
        rows = tuple(self._sealed_row(key, place, row) for row in chunk.rows)
        return chunk.model_copy(update={"rows": rows})

    async def opened_chunk(
        self, number: int, chunk: BatchChunk
    ) -> tuple[BatchChunk, LiveKey | None]:
        """The slice as it was sealed, and the key that opened it, if one had to."""
        envelopes = [
            {name: read_sealed(value) for name, value in (row.sealed or {}).items()}
            for row in chunk.rows
        ]
        numbers = [each.key_number for sealed in envelopes for each in sealed.values()]
        if not numbers:
            return chunk, None
        subject = Subject(chunk.tenant_id, chunk.user_key)
        key = (await self.vault.opening_keys({subject: max(numbers)}))[subject]
        place = _place_of(chunk, number)
        rows = tuple(
            self._opened_row(key, place, row, sealed)
            for row, sealed in zip(chunk.rows, envelopes, strict=True)
        )
        return chunk.model_copy(update={"rows": rows}), key

    def _texts(
        self,
        keys: Mapping[Subject, LiveKey],
        record: Document,
        envelopes: Mapping[str, SealedField],
    ) -> dict[str, str | None]:
        key = keys[_subject_of(record)]
        texts: dict[str, str | None] = {
            name: self.vault.open(key, record["id"], name, sealed)
            for name, sealed in envelopes.items()
        }
        if texts.get(SALT) == ERASED:
            texts[SALT] = None
        return texts

    def _sealed_row(self, key: LiveKey, place: str, row: PlannedRow) -> PlannedRow:
        if row.request is None:
            return row
        sealed = {
            name: dict(self.vault.seal(key, place, f"rows.{row.row}.request.{name}", text))
            for name, text in _clear_texts(vars(row.request)).items()
        }
        request = row.request.model_copy(update=dict.fromkeys(sealed, SEALED_PLACE))
        return row.model_copy(update={"request": request, "sealed": sealed or None})

    def _opened_row(
        self, key: LiveKey, place: str, row: PlannedRow, envelopes: Mapping[str, SealedField]
    ) -> PlannedRow:
        if row.request is None or not envelopes:
            return row
        texts = {
            name: self.vault.open(key, place, f"rows.{row.row}.request.{name}", sealed)
            for name, sealed in envelopes.items()
        }
        request = row.request.model_copy(update=texts)
        return row.model_copy(update={"request": request, "sealed": None})


def _subject_of(record: Mapping[str, Any]) -> Subject:
    return Subject(record["tenant_id"], record["user_key"])


def _clear_texts(request: Mapping[str, Any]) -> dict[str, str]:
    """The texts to seal: neither those that are sealed already, nor the mark of erased ones."""
    texts = {name: request.get(name) for name in SEALED_FIELDS}
    return {name: text for name, text in texts.items() if isinstance(text, str) and text != ERASED}


def _clear_fields(record: Document) -> dict[str, str]:
    """What is to be sealed of a record, by the path of each field."""
    fields = {f"{_REQUEST}{name}": t for name, t in _clear_texts(record["request"]).items()}
    salt = record.get(SALT)
    if isinstance(salt, str) and record["request"]["prompt"] != ERASED:
        fields[SALT] = salt
    return fields


def _sealed_fields(record: Document) -> dict[str, SealedField]:
    """The envelopes in a record, by the path of each field."""
    request = record.get("request") or {}
    values = {f"{_REQUEST}{name}": request.get(name) for name in SEALED_FIELDS}
    values[SALT] = record.get(SALT)
    return {name: read_sealed(value) for name, value in values.items() if is_sealed(value)}


def _with_fields(record: Document, values: Mapping[str, Any]) -> Document:
    """A copy of a record with other values at these paths."""
    inner = {
        name.removeprefix(_REQUEST): value
        for name, value in values.items()
        if name.startswith(_REQUEST)
    }
    outer = {name: value for name, value in values.items() if not name.startswith(_REQUEST)}
    return record | outer | {"request": record["request"] | inner}


def _place_of(chunk: BatchChunk, number: int) -> str:
    """What binds the texts of a slice: the batch, the plan and the number of the slice."""
    return f"plan:{chunk.batch_id}/{chunk.plan}/{number}"
