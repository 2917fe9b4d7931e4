"""Partition key values: the header, the value inside a document, and the hashed key range."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, Final

from devhost.cosmos.errors import bad_request, not_emulated
from devhost.cosmos.wire_json import decode, encode

VALUE_BYTES_MAX = 2048  # service limit for a partition key value (large keys, version 2)
UNDEFINED_KEY: Final = "[{}]"  # how the SDKs write "the document has no such property"
_MASK_64 = (1 << 64) - 1


def canonical_key(value: Any) -> str:
    """The one stored spelling of a partition key value; raises 400 for a non-scalar."""
    if isinstance(value, dict | list):
        raise bad_request("Partition key value must be a string, number, boolean or null.")
    if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > VALUE_BYTES_MAX:
        raise bad_request(f"Partition key value is longer than {VALUE_BYTES_MAX} bytes.")
    return encode([value])


@lru_cache(maxsize=4096)
def key_from_header(header: str) -> str:
    """Reads x-ms-documentdb-partitionkey, a JSON array of exactly one value."""
    values = decode(header)
    if not isinstance(values, list):
        raise bad_request("The partition key supplied in x-ms-documentdb-partitionkey is invalid.")
    if len(values) > 1:
        raise not_emulated("hierarchical partition keys (more than one value in the header)")
    if not values:
        raise not_emulated("the empty partition key of migrated containers")
    if values[0] == {}:
        return UNDEFINED_KEY
    return canonical_key(values[0])


def key_of_document(document: dict[str, Any], path: tuple[str, ...]) -> str:
    """The partition key inside a document, `path` being the container's key path."""
    value: Any = document
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return UNDEFINED_KEY
        value = value[step]
    return canonical_key(value)


@lru_cache(maxsize=4096)
def effective_key(key: str) -> str:
    """The hashed form (version 2): 32 upper-case hexadecimal digits, below "40...".

    This is what feed ranges and the change feed of one key select by.
    """
    value = {} if key == UNDEFINED_KEY else decode(key)[0]
    low, high = _murmur3_x64_128(_hash_input(value))
    return f"{((high << 64) | low) & ((1 << 126) - 1):032X}"


def _hash_input(value: Any) -> bytes:
    if value == {}:
        return b"\x00"
    if value is None:
        return b"\x01"
    if isinstance(value, bool):
        return b"\x03" if value else b"\x02"
    if isinstance(value, str):
        return b"\x08" + value.encode("utf-8", "surrogatepass") + b"\xff"
    return b"\x05" + struct.pack("<d", float(value))


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK_64


def _mixed_low(block: int) -> int:
    return (_rotated((block * 0x87C37B91114253D5) & _MASK_64, 31) * 0x4CF5AD432745937F) & _MASK_64


def _mixed_high(block: int) -> int:
    return (_rotated((block * 0x4CF5AD432745937F) & _MASK_64, 33) * 0x87C37B91114253D5) & _MASK_64


def _finalised(value: int) -> int:
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & _MASK_64
    value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & _MASK_64
    return value ^ (value >> 33)


def _murmur3_x64_128(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128 with seed 0 (Austin Appleby, public domain)."""
    low = high = 0
    whole = len(data) - len(data) % 16
    for at in range(0, whole, 16):
        low ^= _mixed_low(int.from_bytes(data[at : at + 8], "little"))
        low = ((_rotated(low, 27) + high) * 5 + 0x52DCE729) & _MASK_64
        high ^= _mixed_high(int.from_bytes(data[at + 8 : at + 16], "little"))
        high = ((_rotated(high, 31) + low) * 5 + 0x38495AB5) & _MASK_64
    tail = data[whole:]
    high ^= _mixed_high(int.from_bytes(tail[8:], "little"))
    low ^= _mixed_low(int.from_bytes(tail[:8], "little"))
    low ^= len(data)
    high ^= len(data)
    low = (low + high) & _MASK_64
    high = (high + low) & _MASK_64
    low, high = _finalised(low), _finalised(high)
    low = (low + high) & _MASK_64
    high = (high + low) & _MASK_64
    return low, high
