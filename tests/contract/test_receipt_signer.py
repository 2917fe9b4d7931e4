"""Receipt signatures: made by the app, checked by the command that anybody can run."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from devhost.local_settings import receipt_key
from shared.adapters.receipt_keys import SettingsReceiptSigner, load_signer
from shared.domain.key_views import KeySetView
from shared.errors import InvariantBroken
from shared.verify_receipt import NotGenuine, main, verify
from tests.fakes.receipts import receipt_signer

RECEIPT = json.dumps(
    {
        "batch_id": "202611-marketing-1",
        "currency": "AUD",
        "amount_micros": 30,
        "usd_micros": 20,
        "lines": [
            {"amount_micros": 10, "usd_micros": 5},
            {"amount_micros": 20, "usd_micros": 15},
        ],
    },
    indent=1,
).encode()


def key_set(signer: SettingsReceiptSigner) -> dict[str, Any]:
    return {"keys": [dict(key) for key in signer.public_keys()]}


def encoded(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return base64.b64encode(der).decode()


async def test_signature_is_detached_and_fits_the_very_bytes() -> None:
    signer = receipt_signer()
    signature = await signer.sign(RECEIPT)
    header, payload, _ = signature.split(b".")
    assert payload == b""
    shown = json.loads(base64.urlsafe_b64decode(header + b"=="))
    assert shown == {"alg": "ES256", "kid": signer.public_keys()[0]["kid"], "typ": "JOSE"}
    assert verify(RECEIPT, signature, key_set(signer)) == shown["kid"]
    assert verify(RECEIPT, signature + b"\n", key_set(signer)) == shown["kid"]


@pytest.mark.parametrize(
    "tampered",
    [
        RECEIPT.replace(b"30", b"31"),
        RECEIPT + b" ",
        RECEIPT.replace(b"\n", b"\r\n"),
        json.dumps(json.loads(RECEIPT)).encode(),
        b"",
    ],
)
async def test_receipt_that_was_changed_is_not_genuine(tampered: bytes) -> None:
    signer = receipt_signer()
    with pytest.raises(NotGenuine):
        verify(tampered, await signer.sign(RECEIPT), key_set(signer))


async def test_signature_of_another_receipt_is_not_genuine() -> None:
    signer = receipt_signer()
    with pytest.raises(NotGenuine):
        verify(RECEIPT, await signer.sign(RECEIPT + b" "), key_set(signer))


async def test_signature_by_a_foreign_key_is_not_genuine() -> None:
    ours, foreign = receipt_signer(1), receipt_signer(2)
    signature = await foreign.sign(RECEIPT)
    with pytest.raises(NotGenuine):
        verify(RECEIPT, signature, key_set(ours))
    renamed = {"keys": [dict(ours.public_keys()[0]) | {"kid": foreign.public_keys()[0]["kid"]}]}
    with pytest.raises(NotGenuine):
        verify(RECEIPT, signature, renamed)


async def test_receipt_signed_before_a_key_was_replaced_is_genuine() -> None:
    signature = await receipt_signer(1).sign(RECEIPT)
    rotated = receipt_signer(2, 1)
    assert verify(RECEIPT, signature, key_set(rotated)) == rotated.public_keys()[1]["kid"]
    after = await rotated.sign(RECEIPT)
    assert verify(RECEIPT, after, key_set(rotated)) == rotated.public_keys()[0]["kid"]


def _with_header(signature: bytes, **changes: Any) -> bytes:
    header, _, proof = signature.split(b".")
    fields = json.loads(base64.urlsafe_b64decode(header + b"==")) | changes
    text = base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=")
    return b".".join((text, b"", proof))


@pytest.mark.parametrize(
    "change", [{"alg": "none"}, {"alg": "HS256"}, {"kid": None}, {"crit": ["x"]}]
)
async def test_signature_with_another_header_is_not_genuine(change: dict[str, Any]) -> None:
    signer = receipt_signer()
    signature = _with_header(await signer.sign(RECEIPT), **change)
    with pytest.raises(NotGenuine):
        verify(RECEIPT, signature, key_set(signer))


@pytest.mark.parametrize("signature", [b"", b"a", b"a.b", b"..", b"e30..", b"x.y.z", b"\xff..\xff"])
def test_what_is_no_detached_signature_is_not_genuine(signature: bytes) -> None:
    with pytest.raises(NotGenuine):
        verify(RECEIPT, signature, key_set(receipt_signer()))


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": None}, {"keys": ["x"]}])
async def test_key_set_without_the_key_proves_nothing(keys: dict[str, Any]) -> None:
    with pytest.raises(NotGenuine):
        verify(RECEIPT, await receipt_signer().sign(RECEIPT), keys)


def test_published_keys_hold_no_private_part() -> None:
    keys = receipt_signer(1, 2).public_keys()
    assert KeySetView.model_validate({"keys": keys}).keys[0].kid == keys[0]["kid"]
    assert all("d" not in key for key in keys)
    assert len({key["kid"] for key in keys}) == 2


def test_keys_are_read_from_the_settings() -> None:
    key = ec.derive_private_key(1, ec.SECP256R1())
    assert load_signer([encoded(key)]).public_keys() == receipt_signer(1).public_keys()
    assert load_signer([receipt_key()]).public_keys() == load_signer([receipt_key()]).public_keys()


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["x"],
        ["AAAA"],
        [encoded(ec.generate_private_key(ec.SECP384R1()))],
        [encoded(rsa.generate_private_key(65_537, 2_048))],
    ],
)
def test_settings_without_a_usable_key_are_refused(keys: list[str]) -> None:
    with pytest.raises(InvariantBroken):
        load_signer(keys)


async def _written(folder: Path, receipt: bytes) -> list[str]:
    signer = receipt_signer()
    contents = {
        "receipt.json": receipt,
        "receipt.json.jws": await signer.sign(receipt),
        "jwks.json": json.dumps(key_set(signer)).encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in contents]


async def test_command_says_that_a_receipt_is_genuine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = await _written(tmp_path, RECEIPT)
    assert main(arguments) == 0
    assert "genuine: batch 202611-marketing-1, 2 entries, 30 micro-AUD" in capsys.readouterr().out
    (tmp_path / "receipt.json").write_bytes(RECEIPT.replace(b"30", b"29"))
    assert main(arguments) == 1
    assert "NOT genuine" in capsys.readouterr().err


async def test_command_checks_that_the_totals_are_the_sums(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = await _written(tmp_path, RECEIPT.replace(b'"usd_micros": 20', b'"usd_micros": 21'))
    assert main(arguments) == 1
    assert "not the sum" in capsys.readouterr().err


async def test_command_tells_a_missing_file_from_a_forgery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = await _written(tmp_path, RECEIPT)
    (tmp_path / "jwks.json").unlink()
    assert main(arguments) == 2
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
