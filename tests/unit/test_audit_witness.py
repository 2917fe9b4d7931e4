"""The witness: it cosigns what grows, once, and refuses rollbacks, forks and strangers."""

import json
from dataclasses import replace

import pytest

from shared.domain.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    leaf_hash,
    root_from_leaves,
)
from shared.domain.signed_notes import Checkpoint, read_checkpoint, read_note
from shared.domain.witnessing import Cosigned, Refused
from shared.errors import Unavailable
from shared.ports.audit_log import Held
from shared.services.audit_witness import WITNESSED, AuditWitness, cosigned_note
from tests.fakes.audit_log_files import FakeLogStores, FakeNoteSigner
from tests.proofs.audit_log_world import LOG_KEY, ORIGIN, WITNESS_KEY, records, sequencer, witness

LEAVES = [leaf_hash(bytes([number])) for number in range(20)]
OTHERS = [leaf_hash(bytes([number, 0])) for number in range(20)]


async def note(leaves: list[bytes], signer: FakeNoteSigner = LOG_KEY, origin: str = ORIGIN) -> str:
    text = Checkpoint(origin, len(leaves), root_from_leaves(leaves)).text
    return f"{text}\n{signer.key.line(await signer.sign(text.encode()))}"


async def seen_at(size: int) -> tuple[AuditWitness, FakeLogStores]:
    """A witness that has cosigned the log at this size."""
    register = FakeLogStores()
    fresh = witness(register)
    assert isinstance(await fresh.add_checkpoint(0, [], await note(LEAVES[:size])), Cosigned)
    return fresh, register


def last(register: FakeLogStores) -> Checkpoint:
    held = Held(register.values[WITNESSED][1], "")
    return read_checkpoint(read_note(cosigned_note(held)))


async def test_growth_is_cosigned_and_kept() -> None:
    watching, register = await seen_at(5)
    answer = await watching.add_checkpoint(
        5, consistency_proof(LEAVES[:9], 5), await note(LEAVES[:9])
    )
    assert isinstance(answer, Cosigned)
    found = read_note(answer.note)
    assert found.is_signed_by(LOG_KEY.key) and found.is_signed_by(WITNESS_KEY.key)
    assert last(register).size == 9
    assert json.loads(register.values[WITNESSED][1])["note"] == answer.note


async def test_the_same_checkpoint_again_is_cosigned_again() -> None:
    watching, _ = await seen_at(5)
    assert isinstance(await watching.add_checkpoint(5, [], await note(LEAVES[:5])), Cosigned)


async def test_what_follows_an_empty_log_needs_no_proof() -> None:
    watching, _ = await seen_at(0)
    assert isinstance(await watching.add_checkpoint(0, [], await note(LEAVES[:3])), Cosigned)


@pytest.mark.parametrize(
    ("old_size", "leaves", "proof", "why"),
    [
        (5, LEAVES[:4], [], "rollback"),
        (4, LEAVES[:4], [], "rollback"),
        (5, OTHERS[:5], [], "fork"),
        (5, OTHERS[:9], consistency_proof(OTHERS[:9], 5), "fork"),
        (5, LEAVES[:9], [], "fork"),
        (5, LEAVES[:9], consistency_proof(LEAVES[:9], 4), "fork"),
        (4, LEAVES[:9], consistency_proof(LEAVES[:9], 4), "stale"),
        (0, LEAVES[:9], [], "stale"),
    ],
)
async def test_what_contradicts_the_last_checkpoint_is_refused(
    old_size: int, leaves: list[bytes], proof: list[bytes], why: str
) -> None:
    watching, register = await seen_at(5)
    assert await watching.add_checkpoint(old_size, proof, await note(leaves)) == Refused(why, 5)  # type: ignore[arg-type]
    assert last(register).size == 5


async def test_strangers_are_refused() -> None:
    watching, _ = await seen_at(5)
    proof = consistency_proof(LEAVES[:9], 5)
    stranger = await note(LEAVES[:9], FakeNoteSigner(ORIGIN, seed=3))
    assert await watching.add_checkpoint(5, proof, stranger) == Refused("bad_signature", 5)
    another = await note(LEAVES[:9], origin="another.example/log")
    assert await watching.add_checkpoint(5, proof, another) == Refused("unknown_log", 5)
    assert await watching.add_checkpoint(5, proof, "nonsense") == Refused("malformed", 5)


async def test_a_first_checkpoint_with_a_proof_or_a_wrong_empty_root_is_refused() -> None:
    fresh = witness(FakeLogStores())
    first = await note(LEAVES[:5])
    assert await fresh.add_checkpoint(0, [EMPTY_ROOT], first) == Refused("bad_proof", 0)
    text = Checkpoint(ORIGIN, 0, LEAVES[0]).text
    empty = f"{text}\n{LOG_KEY.key.line(await LOG_KEY.sign(text.encode()))}"
    assert await fresh.add_checkpoint(0, [], empty) == Refused("bad_proof", 0)


async def test_two_runs_at_once_do_not_cosign_two_futures() -> None:
    watching, register = await seen_at(5)

    class Slow(FakeLogStores):
        """Somebody else is faster each time."""

        async def save(self, name: str, content: bytes, version: str | None) -> bool:
            await witness(register).add_checkpoint(
                5, consistency_proof(LEAVES[:7], 5), await note(LEAVES[:7])
            )
            return await register.save(name, content, version)

    slow = replace(watching, register=Slow(values=register.values))
    with pytest.raises(Unavailable):
        await slow.add_checkpoint(5, consistency_proof(LEAVES[:9], 5), await note(LEAVES[:9]))
    assert last(register).size == 7


async def test_it_fetches_the_proof_from_the_logs_files() -> None:
    log, register = FakeLogStores(records=records(0, 300)), FakeLogStores()
    watching = witness(register)
    assert await watching.look(log, log) is None
    for size in (300, 301, 700):
        log.records = records(0, size)
        await sequencer(log).run()
        assert isinstance(await watching.look(log, log), Cosigned)
        assert await watching.look(log, log) is None
        assert last(register).size == size


async def test_a_log_that_went_back_or_forked_is_refused() -> None:
    log, register = FakeLogStores(records=records(0, 300)), FakeLogStores()
    watching = witness(register)
    await sequencer(log).run()
    await watching.look(log, log)
    for others in (records(0, 200), records(1, 301), records(1, 900)):
        forked = FakeLogStores(records=others)
        await sequencer(forked).run()
        answer = await watching.look(forked, forked)
        assert isinstance(answer, Refused)
        assert answer.why == ("rollback" if len(others) == 200 else "fork")
        assert last(register).size == 300
