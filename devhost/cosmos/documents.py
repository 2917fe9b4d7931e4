"""What a document must be before it is stored."""

from __future__ import annotations

from typing import Any

from devhost.cosmos.catalog import FORBIDDEN_IN_IDS, Container
from devhost.cosmos.errors import PARTITION_KEY_MISMATCH, bad_request
from devhost.cosmos.partition_keys import key_of_document
from devhost.cosmos.wire_json import DEPTH_MAX, is_nested_deeper

ID_BYTES_MAX = 1023  # service limit


def check_document(document: Any, container: Container, pk: str) -> dict[str, Any]:
    """The document itself when it may be stored under the partition key `pk`; else 400."""
    if not isinstance(document, dict):
        raise bad_request("The request payload must be a JSON object.")
    if "id" not in document:
        raise bad_request(
            "The input content is invalid because the required properties - 'id; ' - are missing"
        )
    check_id(document["id"])
    if key_of_document(document, container.key_path) != pk:
        raise bad_request(
            "PartitionKey extracted from document doesn't match the one specified in the header.",
            substatus=PARTITION_KEY_MISMATCH,
        )
    _check_ttl(document)
    if is_nested_deeper(document, DEPTH_MAX):
        raise bad_request(f"The document is nested deeper than {DEPTH_MAX} levels.")
    return document


def check_id(item_id: Any) -> None:
    if not isinstance(item_id, str) or not item_id:
        raise bad_request("The id of an item must be a non-empty string.")
    if any(mark in item_id for mark in FORBIDDEN_IN_IDS):
        raise bad_request("The id of an item cannot contain '/', '\\', '#' or '?'.")
    try:
        size_bytes = len(item_id.encode())
    except UnicodeEncodeError:
        raise bad_request("The id of an item must be valid Unicode.") from None
    if size_bytes > ID_BYTES_MAX:
        raise bad_request(f"The id of an item is longer than {ID_BYTES_MAX} bytes.")


def _check_ttl(document: dict[str, Any]) -> None:
    if "ttl" not in document:
        return
    ttl_s = document["ttl"]
    if type(ttl_s) is not int or (ttl_s < 1 and ttl_s != -1):
        raise bad_request(
            f"The input ttl '{ttl_s}' is invalid. Ensure to provide a nonzero positive integer "
            "or -1."
        )
