"""The verifier's own ECDSA against a library's, and keys and notes that it must refuse."""

import hashlib
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit import forged_logs
from tools.eig_verify import ecdsa
from tools.eig_verify.faults import Fault
from tools.eig_verify.notes import read_key, read_proof

KEY = ec.derive_private_key(4711, ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_signatures_of_a_library_are_accepted_and_changed_ones_are_not() -> None:
    chance = random.Random(2)
    for number in range(25):
        key = ec.derive_private_key(chance.randrange(1, ecdsa.N), ec.SECP256R1())
        point = ecdsa.read_public_key(spki(key))
        assert point is not None
        message = chance.randbytes(number)
        signature = key.sign(message, ec.ECDSA(SHA256()))
        assert ecdsa.is_valid(point, message, signature)
        assert not ecdsa.is_valid(point, message + b"x", signature)
        r, s = decode_dss_signature(signature)
        for other in ((s, r), (r, s ^ 1), (r ^ 1, s), (0, s), (r, 0), (r + ecdsa.N, s)):
            assert not ecdsa.is_valid(point, message, encode_dss_signature(*other))


@pytest.mark.parametrize("scalar", [1, 2, 3, ecdsa.N - 1, ecdsa.N - 2])
def test_keys_at_the_ends_of_the_group_work(scalar: int) -> None:
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    point = ecdsa.read_public_key(spki(key))
    assert point is not None
    for text in (b"", b"one", b"two"):
        assert ecdsa.is_valid(point, text, key.sign(text, ec.ECDSA(SHA256())))


def test_only_strict_der_is_a_signature() -> None:
    point = ecdsa.read_public_key(spki(KEY))
    assert point is not None
    signature = KEY.sign(b"text", ec.ECDSA(SHA256()))
    for other in (
        b"",
        signature + b"\0",
        signature[:-1],
        b"\x31" + signature[1:],
        signature[:2] + b"\x03" + signature[3:],
        b"\x30\x06\x02\x01\x80\x02\x01\x01",
        b"\x30\x08\x02\x02\x00\x01\x02\x02\x00\x01",
    ):
        assert not ecdsa.is_valid(point, b"text", other)


def test_points_off_the_curve_and_other_curves_are_no_keys() -> None:
    good = spki(KEY)
    assert ecdsa.read_public_key(good[:-1] + bytes([good[-1] ^ 1])) is None
    assert ecdsa.read_public_key(good[:-1]) is None
    other = ec.derive_private_key(4711, ec.SECP384R1()).public_key()
    content = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ecdsa.read_public_key(content) is None


def test_a_key_must_fit_its_id_and_its_type() -> None:
    text, _ = forged_logs.keys()
    key = read_key(f" {text}\n")
    assert key.name == forged_logs.ORIGIN
    name, key_id, encoded = text.split("+", 2)
    wrong_id = hashlib.sha256(b"x").hexdigest()[:8]
    for other in (f"{name}+{wrong_id}+{encoded}", f"{name}+{key_id}+AQID", "name", f"{text}!"):
        with pytest.raises(Fault):
            read_key(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        "c2sp.org/tlog-proof@v1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\n!\n\nnote",
    ],
)
def test_a_malformed_proof_is_refused(text: str) -> None:
    with pytest.raises(Fault):
        read_proof(text, "proof")
