"""Notes, checkpoints and keys: what reads back, and what is refused."""

import asyncio

import pytest

from shared.domain.signed_notes import (
    Checkpoint,
    NotANote,
    Verifier,
    proof_text,
    read_checkpoint,
    read_note,
    read_verifier,
)
from tests.fakes.audit_log_files import FakeNoteSigner
from tools.eig_verify.notes import read_checkpoint as read_by_outsiders
from tools.eig_verify.notes import read_key, read_proof

SIGNER = FakeNoteSigner("log.example/one")
OTHER = FakeNoteSigner("witness.example")
CHECKPOINT = Checkpoint("log.example/one", 42, bytes(range(32)))


def note(*signers: FakeNoteSigner, text: str = CHECKPOINT.text) -> str:
    lines = [each.key.line(asyncio.run(each.sign(text.encode()))) for each in signers]
    return f"{text}\n{''.join(lines)}"


def test_signed_checkpoint_reads_back_here_and_outside() -> None:
    content = note(SIGNER, OTHER)
    found = read_note(content)
    assert read_checkpoint(found) == CHECKPOINT
    assert found.is_signed_by(SIGNER.key) and found.is_signed_by(OTHER.key)
    outside = read_by_outsiders(
        content, "note", read_key(SIGNER.key.text), read_key(OTHER.key.text)
    )
    assert (outside.size, outside.root) == (CHECKPOINT.size, CHECKPOINT.root)


def test_key_on_one_line_reads_back() -> None:
    assert read_verifier(f"{SIGNER.key.text}\n") == SIGNER.key
    assert SIGNER.key.text.startswith("log.example/one+")


def test_signature_of_nobody_known_is_no_signature() -> None:
    assert not read_note(note(OTHER)).is_signed_by(SIGNER.key)
    stranger = FakeNoteSigner("log.example/one", seed=9)
    assert not read_note(note(stranger)).is_signed_by(SIGNER.key)


def test_one_wrong_signature_in_a_keys_name_spoils_the_note() -> None:
    wrong = SIGNER.key.line(asyncio.run(SIGNER.sign(b"another text")))
    assert not read_note(note(SIGNER) + wrong).is_signed_by(SIGNER.key)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n— name AAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "te\txt\n\n— name AAAAAAAA\n",
        "text\n\n" + "— name AAAAAAAA\n" * 17,
        "x" * 70_000 + "\n\n— name AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(content: str) -> None:
    with pytest.raises(NotANote):
        read_note(content)


@pytest.mark.parametrize(
    "text",
    [
        "log\n1\n",
        "log\n01\nAAAA\n",
        "log\n-1\nAAAA\n",
        "log\n1\nAAAA\n",
        "\n1\n" + "A" * 43 + "=\n",
        "log\n1\n" + "A" * 43 + "=\nextension\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        read_checkpoint(read_note(note(SIGNER, text=text)))


@pytest.mark.parametrize("text", ["", "name", "name+00+AAAA", "name+zz+!", "na me+00+Ag=="])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        read_verifier(text)


def test_key_names_have_no_spaces() -> None:
    with pytest.raises(NotANote):
        Verifier("a name", b"")


def test_proof_reads_back_outside() -> None:
    content = note(SIGNER)
    proof = read_proof(proof_text(7, [b"\x01" * 32, b"\x02" * 32], content), "proof")
    assert (proof.index, proof.hashes) == (7, [b"\x01" * 32, b"\x02" * 32])
    assert proof.checkpoint_note == content
    assert read_proof(proof_text(0, [], content), "proof").hashes == []
