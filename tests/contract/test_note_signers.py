"""The NoteSigner port: the fake, a key file, and Key Vault's REST API through its SDK."""

import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from devhost import note_keys
from shared.adapters.key_vault_notes import KeyVaultNoteSigner
from shared.adapters.note_key_file import FileNoteSigner
from shared.domain.signed_notes import read_verifier
from shared.errors import InvariantBroken, Unavailable
from shared.ports.audit_log import NoteSigner
from tests.contract.key_vault_service import LOOPBACK, AnyCredential, _certificate
from tests.fakes.audit_log_files import FakeNoteSigner

NAME = "log.example/one"
VERSION = "0" * 32
Vault = Callable[..., Awaitable[KeyVaultNoteSigner]]


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class EcKeyVault:
    """The part of Key Vault's REST API that signs; `status` makes every call fail."""

    def __init__(self, curve: ec.EllipticCurve) -> None:
        self.key = ec.generate_private_key(curve)
        self.crv = "P-256" if curve.name == "secp256r1" else "P-384"
        self.origin = ""
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            challenge = f'Bearer authorization="{self.origin}/tenant", resource="{self.origin}"'
            return web.json_response({}, status=401, headers={"WWW-Authenticate": challenge})
        if self.status != 200:
            return web.json_response({"error": {"code": "x"}}, status=self.status)
        kid = f"{self.origin}/keys/audit/{VERSION}"
        if request.method == "GET":
            numbers = self.key.public_key().public_numbers()
            x, y = (
                _encoded(n.to_bytes(self.key.key_size // 8, "big")) for n in (numbers.x, numbers.y)
            )
            key = {"kid": kid, "kty": "EC", "crv": self.crv, "x": x, "y": y}
            return web.json_response({"key": {**key, "key_ops": ["sign"]}, "attributes": {}})
        body = await request.json()
        assert (body["alg"], request.path) == ("ES256", f"/keys/audit/{VERSION}/sign")
        digest = base64.urlsafe_b64decode(body["value"] + "==")
        signature = self.key.sign(digest, ec.ECDSA(Prehashed(SHA256())))
        raw = b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(signature))
        return web.json_response({"kid": kid, "value": _encoded(raw)})


@pytest_asyncio.fixture
async def vaults(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Starts vaults over TLS; answers with the vault and a signer that trusts it."""
    runners: list[web.AppRunner] = []
    certificate = _certificate(tmp_path)

    async def start(curve: ec.EllipticCurve) -> tuple[EcKeyVault, KeyVaultNoteSigner]:
        vault = EcKeyVault(curve)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", vault.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=context).start()
        vault.origin = f"https://{LOOPBACK}:{runner.addresses[0][1]}"
        signer = KeyVaultNoteSigner(
            NAME,
            f"{vault.origin}/keys/audit",
            credential=AnyCredential(),  # type: ignore[arg-type]
            connection_verify=str(certificate),
            verify_challenge_resource=False,
            retry_total=0,
        )
        return vault, signer

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest_asyncio.fixture(params=["fake", "file", "vault"])
async def signer(
    request: pytest.FixtureRequest, tmp_path: Path, vaults: Callable[..., Awaitable[Any]]
) -> NoteSigner:
    if request.param == "fake":
        return FakeNoteSigner(NAME)
    if request.param == "file":
        note_keys.ensure_note_keys(tmp_path)
        return FileNoteSigner(NAME, tmp_path / note_keys.LOG_KEY_FILE)
    _, made = await vaults(ec.SECP256R1())
    return made  # type: ignore[no-any-return]


async def test_what_it_signs_its_verifier_accepts(signer: NoteSigner) -> None:
    verifier = await signer.verifier()
    assert verifier.name == NAME
    assert read_verifier(verifier.text) == verifier
    for message in (b"", b"log\n1\n", b"x" * 5_000):
        signature = await signer.sign(message)
        assert verifier.accepts(message, signature)
        assert not verifier.accepts(message + b"x", signature)


async def test_the_local_keys_are_those_that_the_settings_name(tmp_path: Path) -> None:
    note_keys.ensure_note_keys(tmp_path)
    for name, file in (
        (note_keys.LOG_NAME, note_keys.LOG_KEY_FILE),
        (note_keys.WITNESS_NAME, note_keys.WITNESS_KEY_FILE),
    ):
        found = await FileNoteSigner(name, tmp_path / file).verifier()
        assert found.text == note_keys.verifier(name)
        assert (tmp_path / file).stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("content", [None, b"", b"no key"])
async def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvariantBroken):
        await FileNoteSigner(NAME, path).sign(b"text")


async def test_a_vault_key_on_another_curve_is_refused(
    vaults: Callable[..., Awaitable[Any]],
) -> None:
    _, made = await vaults(ec.SECP384R1())
    with pytest.raises(InvariantBroken):
        await made.verifier()


async def test_a_vault_that_does_not_answer_is_unavailable(
    vaults: Callable[..., Awaitable[Any]],
) -> None:
    vault, made = await vaults(ec.SECP256R1())
    vault.status = 503
    with pytest.raises(Unavailable):
        await made.verifier()
    vault.status = 200
    await made.verifier()
    vault.status = 429
    with pytest.raises(Unavailable):
        await made.sign(b"text")
