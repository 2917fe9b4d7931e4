"""The witness in an app of its own: another process, another key, no setting of the platform."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.adapters.blob import BlobConnection
from shared.adapters.blob_audit_log import (
    STATE_CONTAINER,
    WITNESS_CONTAINER,
    BlobCheckpoints,
    BlobLogFiles,
    BlobRegisters,
)
from shared.adapters.note_key_file import FileNoteSigner
from shared.adapters.note_key_known import KnownNoteKey
from shared.domain.signed_notes import read_note, read_verifier
from shared.errors import InvariantBroken
from shared.services.audit_sequencer import AuditSequencer
from shared.services.audit_witness import WITNESSED, cosigned_note
from shared.witness_settings import load_witness_settings
from tests.contract import blob_account
from tests.fakes.audit_log_files import FakeLogStores
from tests.proofs.audit_log_world import LOG_KEY, TEXT_KEY, records

blobs = blob_account.blobs  # a fixture, found by its name
ROOT = Path(__file__).resolve().parents[2]
NAME = "somebody-else.example/witness"
HEARD = ("PATH", "HOME", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START")  # what a process needs
LOOKS_MAX = 600  # with a pause between: half a minute
PAUSE_S = 0.05


@pytest.fixture
def key(tmp_path: Path) -> FileNoteSigner:
    """The witness's key, in a file that the app of the platform is not told of."""
    private = ec.derive_private_key(4242, ec.SECP256R1())
    (tmp_path / "witness.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return FileNoteSigner(NAME, tmp_path / "witness.pem")


@pytest_asyncio.fixture
async def host(tmp_path: Path, key: FileNoteSigner) -> AsyncIterator[str]:
    """The address of a Functions host that runs the witness's app."""
    environment = {name: os.environ[name] for name in HEARD if name in os.environ} | {
        "PYTHON_SCRIPT_FILE_NAME": "witness_app.py",
        "EIG_AUDIT_LOG_VERIFIER": LOG_KEY.key.text,
        "EIG_WITNESS_NAME": NAME,
        "EIG_WITNESS_KEY_FILE": str(tmp_path / "witness.pem"),
        "EIG_STORAGE": blob_account.azurite(),
        "PYTHONUNBUFFERED": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devhost.host", "--app-root", ".", "--port", "0"),
        *("--state-dir", str(tmp_path / "state"), "--no-timers", "--no-blob"),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    said = (await process.stdout.readline()).decode()
    assert "listening on" in said
    functions = (await process.stdout.readline()).decode()
    assert functions.strip().startswith("AuditWitness:")
    yield said.split()[-1]
    process.terminate()
    await process.communicate()


async def test_a_witness_in_an_app_of_its_own_cosigns_what_the_platform_signed(
    host: str, key: FileNoteSigner, blobs: BlobConnection
) -> None:
    files, checkpoints = BlobLogFiles(blobs), BlobCheckpoints(blobs)
    feed = FakeLogStores(records=records(0, 300))
    sequencer = AuditSequencer(
        feed, files, BlobRegisters(blobs, STATE_CONTAINER), checkpoints, LOG_KEY, TEXT_KEY
    )
    assert await sequencer.run() == 300
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{host}/admin/functions/AuditWitness", json={"input": ""}) as response,
    ):
        assert response.status == 202
    register = BlobRegisters(blobs, WITNESS_CONTAINER)
    for _ in range(LOOKS_MAX):
        held = await register.load(WITNESSED)
        if held is not None:
            break
        await asyncio.sleep(PAUSE_S)
    assert held is not None
    note = read_note(cosigned_note(held))
    assert note.is_signed_by(LOG_KEY.key)
    assert note.is_signed_by(await key.verifier())


async def test_the_command_prints_the_key_that_the_platform_is_told(
    tmp_path: Path, key: FileNoteSigner
) -> None:
    environment = {name: os.environ[name] for name in HEARD if name in os.environ} | {
        "EIG_AUDIT_LOG_VERIFIER": LOG_KEY.key.text,
        "EIG_WITNESS_NAME": NAME,
        "EIG_WITNESS_KEY_FILE": str(tmp_path / "witness.pem"),
        "EIG_STORAGE": "UseDevelopmentStorage=true",
    }
    for changes, code in ((environment, 0), ({"EIG_WITNESS_NAME": ""}, 1)):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shared.show_witness_key"),
            cwd=ROOT,
            env=environment | changes,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await process.communicate()
        assert process.returncode == code
        if not code:
            assert read_verifier(said.decode()) == await key.verifier()


async def test_the_platform_knows_that_witness_by_its_public_key_alone(
    key: FileNoteSigner,
) -> None:
    known = KnownNoteKey(await key.verifier())
    assert await known.verifier() == await key.verifier()
    with pytest.raises(InvariantBroken):
        await known.sign(b"anything")


def test_the_witness_says_what_it_was_not_told() -> None:
    with pytest.raises(InvariantBroken) as refused:
        load_witness_settings({})
    for name in ("EIG_AUDIT_LOG_VERIFIER", "EIG_WITNESS_NAME", "EIG_WITNESS_VAULT_KEY"):
        assert name in refused.value.detail
    given = {
        "EIG_AUDIT_LOG_VERIFIER": LOG_KEY.key.text,
        "EIG_WITNESS_NAME": NAME,
        "EIG_WITNESS_VAULT_KEY": "https://vault.example/keys/witness",
        "EIG_AUDIT_STORAGE_URL": "https://log.example",
        "EIG_CHECKPOINT_STORAGE_URL": "https://log.example",
        "EIG_WITNESS_STORAGE_URL": "https://witness.example",
    }
    assert load_witness_settings(given).storage_connection is None
