"""The receipt of a generation: its proofs, and that it says nothing but what the log says."""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .documents import Json, field, items, only, same, text
from .entries import canonical, read_entry
from .faults import Fault
from .notes import Checkpoint, Key, read_checkpoint, read_proof, require_two
from .pictures import require_pictures
from .tree import is_included, leaf_hash

FORMAT = "eig-evidence/1"
CURRENCY = "AUD"
COMMITTED_BY = "hmac-sha256"
CLOSED = "generation.closed"
APPROVED = "approval.approved."
FIELDS = {
    *("format", "generation_id", "status", "model", "provider", "provider_request_id"),
    *("provider_job_id", "images", "prompt", "price_version", "exchange_rate_version", "cost"),
    *("approvers", "events", "checkpoint"),
}
_GENERATION = re.compile(r"(([0-9]{6})-([a-z][a-z0-9]{1,23})-[0-9a-f]{32})(\.[0-9]{5})?")
_HASH = re.compile(r"[0-9a-f]{64}")
_SALT = re.compile(r"[0-9a-f]{32}")
_MARK = re.compile(r"([^=,]+)=([0-9a-f]{64})")


@dataclass(frozen=True)
class Receipt:
    """What a receipt that holds proves, and which of its statements nothing proves."""

    generation_id: str
    checkpoint: Checkpoint
    events: int
    images: int
    unverified: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """What the id of a generation says: its operation, its partition, how it was admitted."""

    generation_id: str
    operation_id: str
    partition: str
    admitted: str


def verify_receipt(
    receipt: Json,
    log: Key,
    witness: Key | None = None,
    images: Sequence[Path] = (),
    prompt: Json | None = None,
) -> Receipt:
    """Check a receipt, and that it binds these pictures and this prompt; raises the first Fault."""
    require_two(log, witness)
    unverified = only(receipt, FIELDS, "receipt")
    if field(receipt, "format") != FORMAT:
        raise Fault("receipt", f"it is not of the format {FORMAT}")
    work = _work(text(receipt, "generation_id"))
    note = text(receipt, "checkpoint")
    checkpoint = read_checkpoint(note, "receipt, checkpoint", log, witness)
    events = []
    for number, item in enumerate(items(receipt, "events"), 1):
        place = f"receipt, event {number}"
        unverified += only(item, {"entry", "index", "proof"}, place)
        events.append(_proven(item, place, note, checkpoint))
    closed = _require_course(work, events)
    _require_same(receipt, closed)
    unverified += _require_approvals(receipt, work, events, closed)
    unverified += _require_images(receipt, closed)
    unverified += require_pictures(items(receipt, "images"), images)
    unverified += _require_prompt(receipt, closed, prompt)
    if not any(event["action"] == work.admitted for event in events):
        unverified.append("who asked for it: the event of its admission is not in the receipt")
    return Receipt(
        work.generation_id, checkpoint, len(events), len(receipt["images"]), tuple(unverified)
    )


def _work(generation_id: str) -> _Work:
    parts = _GENERATION.fullmatch(generation_id)
    if parts is None:
        raise Fault("receipt, generation_id", "it is no generation's")
    kind = "batch" if parts[4] else "generation"
    return _Work(generation_id, parts[1], f"{parts[3]}|{parts[2]}", f"{kind}.admitted")


def _proven(item: Json, place: str, note: str, checkpoint: Checkpoint) -> Json:
    """The event of one item, if its proof leads to the receipt's checkpoint."""
    content = text(item, "entry", place).encode(errors="surrogatepass")
    event = read_entry(content, place)
    proof = read_proof(text(item, "proof", place), place)
    if proof.checkpoint_note != note:
        raise Fault(place, "its proof leads to another checkpoint")
    if not same(proof.index, field(item, "index", place)):
        raise Fault(place, "its proof is for another index")
    leaf = leaf_hash(content)
    if not is_included(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root):
        raise Fault(place, "its proof does not lead to the checkpoint")
    return event


def _require_course(work: _Work, events: Sequence[Json]) -> Json:
    """Every event is of this work, each stands there once; returns the last one."""
    allowed = {(work.generation_id, CLOSED), (work.operation_id, work.admitted)}
    seen: set[str] = set()
    for number, event in enumerate(events, 1):
        place = f"receipt, event {number}"
        action, subject = event["action"], event["object"]
        is_approval = subject == work.operation_id and action.startswith(APPROVED)
        if (subject, action) not in allowed and not is_approval:
            raise Fault(place, "it is not about this generation")
        if event["partition"] != work.partition or event["id"] != f"{subject}:{action}":
            raise Fault(place, "it is of another partition, or its id is another's")
        if event["id"] in seen:
            raise Fault(place, "it stands in the receipt before")
        seen.add(event["id"])
    closed = [event for event in events if event["action"] == CLOSED]
    if len(closed) != 1:
        raise Fault("receipt", "it does not prove how the generation ended")
    return closed[0]


def _require_same(receipt: Json, closed: Json) -> None:
    """What the receipt sums up is what the generation's last event says."""
    details = closed["details"]
    cost = field(receipt, "cost")
    wanted = {
        "amount_micros": details.get("amount_micros"),
        "currency": CURRENCY,
        "estimated": details.get("estimated"),
        "usd_micros": details.get("usd_micros"),
    }
    if not same(cost, wanted):
        raise Fault("receipt, cost", "the log says something else")
    logged = {
        "status": details.get("status"),
        "model": details.get("model"),
        "provider": details.get("provider"),
        "provider_request_id": details.get("request_id"),
        "provider_job_id": details.get("job_id"),
        "price_version": closed.get("price_version"),
        "exchange_rate_version": details.get("exchange_rate_version"),
    }
    for name, value in logged.items():
        if not same(field(receipt, name), value):
            raise Fault(f"receipt, {name}", "the log says something else")


def _require_approvals(
    receipt: Json, work: _Work, events: Sequence[Json], closed: Json
) -> list[str]:
    """The approvals in the receipt are those that the last event binds, all of them."""
    found = [event for event in events if event["action"].startswith(APPROVED)]
    said = items(receipt, "approvers")
    logged = [
        {"actor": event["actor"], "at": event.get("at"), "role": event.get("role")}
        for event in found
    ]
    if not same(said, logged):
        raise Fault("receipt, approvers", "the log says something else")
    marks = closed["details"].get("approvals")
    if marks is None and not found:
        return ["approvers: this version of the log does not bind them, some may be left out"]
    if not isinstance(marks, str):
        raise Fault("receipt, approvers", "the last event binds no approvals")
    bound = dict(_mark(mark) for mark in marks.split(",")) if marks else {}
    for event in found:
        if bound.pop(event["id"], None) != _digest(event):
            raise Fault("receipt, approvers", f"{event['id']} did not let this work start")
    if bound:
        raise Fault("receipt, approvers", f"{min(bound)} of {work.operation_id} is left out")
    return []


def _mark(mark: str) -> tuple[str, str]:
    parts = _MARK.fullmatch(mark)
    if parts is None:
        raise Fault("receipt, approvers", "the last event binds them in another way")
    return parts[1], parts[2]


def _digest(event: Json) -> str:
    """What binds an event: the hash of the fields that make it that event."""
    names = ("action", "actor", "at", "id", "object", "outcome", "partition", "role")
    return hashlib.sha256(canonical({name: event.get(name) for name in names})).hexdigest()


def _require_images(receipt: Json, closed: Json) -> list[str]:
    """One hash for each picture, those of the log in its order, with their sizes and types."""
    images, details = items(receipt, "images"), closed["details"]
    unverified: list[str] = []
    for number, image in enumerate(images, 1):
        place = f"receipt, image {number}"
        fields = {"index", "sha256", "size_bytes", "content_type"}
        unverified += only(image, fields, place)
        if _HASH.fullmatch(text(image, "sha256", place)) is None:
            raise Fault(place, "its hash is no SHA-256")
        text(image, "content_type", place)
    if ",".join(image["sha256"] for image in images) != details.get("images_sha256"):
        raise Fault("receipt, images", "the log says something else")
    if not same(len(images), details.get("images")):
        raise Fault("receipt, images", "the log counts others")
    said = [
        f"{field(each, 'index')}:{field(each, 'size_bytes')}:{field(each, 'content_type')}"
        for each in images
    ]
    form = details.get("images_form")
    if form is None:
        names = "index, size_bytes, content_type: this version of the log does not bind them"
        return [*unverified, f"images: {names}"] if images else unverified
    whole = all(type(each[n]) is int for each in images for n in ("index", "size_bytes"))
    if ",".join(said) != form or not whole:
        raise Fault("receipt, images", "the log has other sizes or types")
    return unverified


def _require_prompt(receipt: Json, closed: Json, prompt: Json | None) -> list[str]:
    """The commitment is the log's; with a prompt, also that it is this one."""
    bound, commitment = field(receipt, "prompt"), closed["details"].get("prompt_commitment")
    if bound is None and commitment is None:
        if prompt is not None:
            raise Fault("receipt, prompt", "this receipt binds no prompt")
        return []
    is_said = isinstance(bound, dict) and isinstance(commitment, str)
    if not is_said or not same(bound.get("commitment"), commitment):
        raise Fault("receipt, prompt", "the log says something else")
    if field(bound, "algorithm", "receipt, prompt") != COMMITTED_BY:
        raise Fault("receipt, prompt", "its algorithm is another")
    unverified = only(bound, {"algorithm", "commitment", "salt"}, "receipt, prompt")
    if field(bound, "salt", "receipt, prompt") is None:
        return [*unverified, "prompt: its salt was erased"]
    salt = text(bound, "salt", "receipt, prompt")
    if _SALT.fullmatch(salt) is None:  # HMAC takes keys of other lengths for the same
        raise Fault("receipt, prompt", "its salt is malformed")
    if prompt is None:
        return [*unverified, "prompt, salt: no prompt was given to compare"]
    message = json.dumps(
        {"negative_prompt": prompt.get("negative_prompt"), "prompt": prompt.get("prompt")},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    found = hmac.digest(bytes.fromhex(salt), message.encode(errors="surrogatepass"), "sha256").hex()
    if found != bound["commitment"]:
        raise Fault("receipt, prompt", "this is not the prompt that was committed to")
    return unverified
