"""ECDSA on P-256 with SHA-256 (FIPS 186-5, SEC 1): verification only, so nothing here is secret."""

import hashlib

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
A = P - 3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
# SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point's two coordinates.
SPKI_START = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
COORDINATE_BYTES = 32

Point = tuple[int, int]
Jacobian = tuple[int, int, int]  # x / z^2, y / z^3; z = 0 is the point at infinity
INFINITY: Jacobian = (1, 1, 0)


def read_public_key(content: bytes) -> Point | None:
    """The point of a public key (SPKI, DER); None if it is no key on this curve."""
    start = len(SPKI_START)
    if not content.startswith(SPKI_START) or len(content) != start + 2 * COORDINATE_BYTES:
        return None
    x = int.from_bytes(content[start : start + COORDINATE_BYTES], "big")
    y = int.from_bytes(content[start + COORDINATE_BYTES :], "big")
    if x >= P or y >= P or (y * y - (x * x * x + A * x + B)) % P:
        return None
    return x, y


def is_valid(public_key: Point, message: bytes, signature: bytes) -> bool:
    """Whether the signature (DER) is this key's under the message."""
    numbers = _read_signature(signature)
    if numbers is None:
        return False
    r, s = numbers
    if not (1 <= r < N and 1 <= s < N):
        return False
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(s, -1, N)
    first = _multiply(digest * inverse % N, G)
    x, _, z = _add(first, _multiply(r * inverse % N, public_key))
    return z != 0 and x * pow(z, -2, P) % P % N == r


def _read_signature(content: bytes) -> tuple[int, int] | None:
    """r and s out of SEQUENCE { INTEGER, INTEGER }, in the one form that DER allows."""
    if len(content) < 2 or content[0] != 0x30 or content[1] != len(content) - 2:
        return None
    first, rest = _read_integer(content[2:])
    second, rest = _read_integer(rest)
    return None if first is None or second is None or rest else (first, second)


def _read_integer(content: bytes) -> tuple[int | None, bytes]:
    if len(content) < 3 or content[0] != 0x02:
        return None, content
    length = content[1]
    value, rest = content[2 : 2 + length], content[2 + length :]
    is_padded = len(value) > 1 and value[0] == 0 and value[1] < 0x80
    if not value or len(value) != length or value[0] >= 0x80 or is_padded:
        return None, content
    return int.from_bytes(value, "big"), rest


def _multiply(factor: int, point: Point) -> Jacobian:
    """The point added to itself `factor` times, bit by bit."""
    result = INFINITY
    for bit in bin(factor)[2:]:
        result = _double(result)
        if bit == "1":
            result = _add(result, (*point, 1))
    return result


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    if not z or not y:
        return INFINITY
    squared = y * y % P
    s = 4 * x * squared % P
    m = (3 * x * x + A * pow(z, 4, P)) % P
    doubled = (m * m - 2 * s) % P
    return doubled, (m * (s - doubled) - 8 * squared * squared) % P, 2 * y * z % P


def _add(one: Jacobian, other: Jacobian) -> Jacobian:
    if not one[2]:
        return other
    if not other[2]:
        return one
    z1, z2 = one[2] * one[2] % P, other[2] * other[2] % P
    u1, u2 = one[0] * z2 % P, other[0] * z1 % P
    s1, s2 = one[1] * z2 * other[2] % P, other[1] * z1 * one[2] % P
    if u1 == u2:
        return _double(one) if s1 == s2 else INFINITY
    h, r = (u2 - u1) % P, (s2 - s1) % P
    h2 = h * h % P
    h3, v = h * h2 % P, u1 * h2 % P
    x = (r * r - h3 - 2 * v) % P
    return x, (r * (v - x) - s1 * h3) % P, h * one[2] * other[2] % P
