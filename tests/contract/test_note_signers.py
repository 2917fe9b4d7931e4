"""The NoteSigner port: the fake, a key file, and Key Vault's REST API through its SDK."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from devhost import note_keys
from devhost.key_vault.objects import Key
from devhost.key_vault.server import KeyVault, running_vault
from shared.adapters.key_vault_notes import KeyVaultNoteSigner
from shared.adapters.note_key_file import FileNoteSigner
from shared.domain.signed_notes import read_verifier
from shared.errors import InvariantBroken, Unavailable
from shared.ports.audit_log import NoteSigner
from tests.contract.vault_clients import vault_options
from tests.fakes.audit_log_files import FakeNoteSigner

NAME = "log.example/one"
Vaults = Callable[[ec.EllipticCurve], tuple[KeyVault, KeyVaultNoteSigner]]


@pytest_asyncio.fixture
async def vaults(tmp_path: Path) -> AsyncIterator[Vaults]:
    """Starts a vault with a key on a curve; answers with the vault and a signer that trusts it."""
    async with running_vault(tmp_path) as (vault, certificate):

        def start(curve: ec.EllipticCurve) -> tuple[KeyVault, KeyVaultNoteSigner]:
            vault.keys["audit"] = Key()
            vault.keys["audit"].add(ec.generate_private_key(curve))
            options = {**vault_options(certificate), "retry_total": 0}
            return vault, KeyVaultNoteSigner(NAME, vault.key_url("audit"), **options)

        yield start


@pytest_asyncio.fixture(params=["fake", "file", "vault"])
async def signer(request: pytest.FixtureRequest, tmp_path: Path, vaults: Vaults) -> NoteSigner:
    if request.param == "fake":
        return FakeNoteSigner(NAME)
    if request.param == "file":
        note_keys.ensure_note_keys(tmp_path)
        return FileNoteSigner(NAME, tmp_path / note_keys.LOG_KEY_FILE)
    _, made = vaults(ec.SECP256R1())
    return made


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
    vaults: Vaults,
) -> None:
    _, made = vaults(ec.SECP384R1())
    with pytest.raises(InvariantBroken):
        await made.verifier()


async def test_a_vault_that_does_not_answer_is_unavailable(
    vaults: Vaults,
) -> None:
    vault, made = vaults(ec.SECP256R1())
    vault.fail = [503]
    with pytest.raises(Unavailable):
        await made.verifier()
    await made.verifier()
    vault.throttle = [0]
    with pytest.raises(Unavailable):
        await made.sign(b"text")
