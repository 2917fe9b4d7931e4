"""The operations on one item, inside a transaction; point requests and batches share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devhost.cosmos import charges
from devhost.cosmos.documents import check_document
from devhost.cosmos.errors import (
    already_exists,
    bad_request,
    item_not_found,
    not_emulated,
    precondition_failed,
)
from devhost.cosmos.evaluator import Row, is_true
from devhost.cosmos.patch import apply_patch, compile_condition
from devhost.cosmos.store import StoredItem, Transaction
from devhost.cosmos.wire_json import decode_stored

ANY_ETAG = "*"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The If-Match and If-None-Match of a request."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check_write(self, item: StoredItem | None) -> None:
        """Raises 412 unless the item is the one that the client means to change."""
        if self.if_none_match is not None:
            raise not_emulated("If-None-Match on a write: to insert only if absent, use create")
        if self.if_match is None:
            return
        if item is None or self.if_match not in (ANY_ETAG, item.etag):
            raise precondition_failed()

    def is_unmodified(self, item: StoredItem) -> bool:
        """Whether a read is answered 304."""
        return self.if_none_match is not None and self.if_none_match in (ANY_ETAG, item.etag)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A successful operation; there is no item after a delete."""

    status: int
    charge: float
    item: StoredItem | None = None


def read(item: StoredItem | None, conditions: Conditions) -> Outcome:
    if item is None:
        raise item_not_found()
    if conditions.is_unmodified(item):
        return Outcome(304, charges.read(0), item)
    if conditions.if_match not in (None, ANY_ETAG, item.etag):
        raise precondition_failed()
    return Outcome(200, charges.read(len(item.body)), item)


def create(work: Transaction, pk: str, body: Any) -> Outcome:
    document = check_document(body, work.container, pk)
    if work.get(pk, document["id"]) is not None:
        raise already_exists()
    item = work.insert(pk, document)
    return Outcome(201, charges.create(item.body), item)


def upsert(work: Transaction, pk: str, body: Any, conditions: Conditions) -> Outcome:
    document = check_document(body, work.container, pk)
    old = work.get(pk, document["id"])
    conditions.check_write(old)
    if old is None:
        item = work.insert(pk, document)
        return Outcome(201, charges.create(item.body), item)
    item = work.overwrite(old, document)
    return Outcome(200, charges.overwrite(item.body), item)


def replace(work: Transaction, pk: str, item_id: str, body: Any, conditions: Conditions) -> Outcome:
    document = check_document(body, work.container, pk)
    if document["id"] != item_id:
        raise bad_request("The id of the document does not match the id that is replaced.")
    old = _existing(work, pk, item_id, conditions)
    item = work.overwrite(old, document)
    return Outcome(200, charges.overwrite(item.body), item)


def delete(work: Transaction, pk: str, item_id: str, conditions: Conditions) -> Outcome:
    old = _existing(work, pk, item_id, conditions)
    work.delete(old)
    return Outcome(204, charges.create(old.body))


def patch(work: Transaction, pk: str, item_id: str, body: Any, conditions: Conditions) -> Outcome:
    """Checks the condition, then applies every operation of the patch."""
    if not isinstance(body, dict) or not body.keys() <= {"operations", "condition"}:
        raise bad_request("A patch is an object with 'operations' and an optional 'condition'.")
    condition = body.get("condition")
    if condition is not None and not isinstance(condition, str):
        raise bad_request("The condition of a patch must be a string.")
    holds = compile_condition(condition) if condition is not None else None
    old = _existing(work, pk, item_id, conditions)
    document: dict[str, Any] = decode_stored(old.body)
    if not is_true(holds, Row(document, {})):
        raise precondition_failed()
    apply_patch(document, body.get("operations"), work.container.key_path)
    item = work.overwrite(old, check_document(document, work.container, pk))
    return Outcome(200, charges.overwrite(item.body), item)


def _existing(work: Transaction, pk: str, item_id: str, conditions: Conditions) -> StoredItem:
    old = work.get(pk, item_id)
    if old is None:
        raise item_not_found()
    conditions.check_write(old)
    return old
