"""The receipt of a generation: its proofs, and that it says nothing but what the log says."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .entries import read_entry
from .faults import Fault
from .notes import Checkpoint, Key, read_checkpoint, read_proof
from .tree import is_included, leaf_hash

FORMAT = "eig-evidence/1"
CLOSED = "generation.closed"
APPROVED = "approval.approved."

Json = dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What a receipt that holds proves."""

    generation_id: str
    checkpoint: Checkpoint
    events: int
    images: int


def verify_receipt(
    receipt: Json,
    log: Key,
    witness: Key | None = None,
    images: Sequence[Path] = (),
    prompt: Json | None = None,
) -> Receipt:
    """Check a receipt, and that it binds these pictures and this prompt; raises the first Fault."""
    if receipt.get("format") != FORMAT:
        raise Fault("receipt", f"it is not of the format {FORMAT}")
    note = _text(receipt, "checkpoint")
    checkpoint = read_checkpoint(note, "receipt, checkpoint", log, witness)
    events = [
        _proven(each, f"receipt, event {number}", note, checkpoint)
        for number, each in enumerate(_list(receipt, "events"), 1)
    ]
    generation_id = _text(receipt, "generation_id")
    closed = [e for e in events if (e["action"], e["object"]) == (CLOSED, generation_id)]
    if len(closed) != 1:
        raise Fault("receipt", "it does not prove how the generation ended")
    _require_same(receipt, closed[0])
    _require_approvers(receipt, events)
    hashes = [str(image.get("sha256")) for image in _list(receipt, "images")]
    for path in images:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in hashes:
            raise Fault(str(path), "no picture of this receipt has these bytes")
    if prompt is not None:
        _require_prompt(receipt, prompt)
    return Receipt(generation_id, checkpoint, len(events), len(hashes))


def _proven(item: Any, place: str, note: str, checkpoint: Checkpoint) -> Json:
    """The event of one item, if its proof leads to the receipt's checkpoint."""
    if not isinstance(item, dict):
        raise Fault(place, "it is malformed")
    content = _text(item, "entry").encode(errors="surrogatepass")
    event = read_entry(content, place)
    proof = read_proof(_text(item, "proof"), place)
    if proof.checkpoint_note != note:
        raise Fault(place, "its proof leads to another checkpoint")
    if proof.index != item.get("index"):
        raise Fault(place, "its proof is for another index")
    leaf = leaf_hash(content)
    if not is_included(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root):
        raise Fault(place, "its proof does not lead to the checkpoint")
    return event


def _require_same(receipt: Json, closed: Json) -> None:
    """What the receipt sums up is what the generation's last event says."""
    details: Mapping[str, Any] = closed["details"]
    cost = receipt.get("cost")
    prompt = receipt.get("prompt")
    cost = cost if isinstance(cost, dict) else {}
    images = [image.get("sha256") for image in _list(receipt, "images")]
    pairs = {
        "status": (receipt.get("status"), details.get("status")),
        "model": (receipt.get("model"), details.get("model")),
        "provider": (receipt.get("provider"), details.get("provider")),
        "provider_request_id": (receipt.get("provider_request_id"), details.get("request_id")),
        "provider_job_id": (receipt.get("provider_job_id"), details.get("job_id")),
        "price_version": (receipt.get("price_version"), closed.get("price_version")),
        "exchange_rate_version": (
            receipt.get("exchange_rate_version"),
            details.get("exchange_rate_version"),
        ),
        "cost": (
            (cost.get("amount_micros"), cost.get("usd_micros"), cost.get("estimated")),
            (details.get("amount_micros"), details.get("usd_micros"), details.get("estimated")),
        ),
        "images": (",".join(map(str, images)), details.get("images_sha256")),
        "prompt": (
            prompt.get("commitment") if isinstance(prompt, dict) else None,
            details.get("prompt_commitment"),
        ),
    }
    for name, (said, logged) in pairs.items():
        if said != logged:
            raise Fault(f"receipt, {name}", "the log says something else")


def _require_approvers(receipt: Json, events: Sequence[Json]) -> None:
    said = [
        (each.get("actor"), each.get("role"), each.get("at"))
        for each in _list(receipt, "approvers")
    ]
    logged = [
        (event["actor"], event.get("role"), event.get("at"))
        for event in events
        if event["action"].startswith(APPROVED)
    ]
    if said != logged:
        raise Fault("receipt, approvers", "the log says something else")


def _require_prompt(receipt: Json, prompt: Json) -> None:
    bound = receipt.get("prompt")
    if not isinstance(bound, dict):
        raise Fault("receipt, prompt", "this receipt binds no prompt")
    message = json.dumps(
        {"negative_prompt": prompt.get("negative_prompt"), "prompt": prompt.get("prompt")},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    try:
        salt = bytes.fromhex(_text(bound, "salt"))
    except ValueError:
        raise Fault("receipt, prompt", "its salt is malformed") from None
    if hmac.digest(salt, message.encode(), "sha256").hex() != bound.get("commitment"):
        raise Fault("receipt, prompt", "this is not the prompt that was committed to")


def _text(document: Json, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise Fault("receipt", f"it has no {name}")
    return value


def _list(document: Json, name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Fault("receipt", f"its {name} are malformed")
    return value
