"""The rotation drill: all data keys move to the newest version while texts are in use."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from devhost.field_keys import ensure_field_keys
from shared.adapters.field_cipher import AesFieldCipher
from shared.adapters.local_key_file import LocalKeyFile
from shared.domain.data_keys import DataKey
from shared.domain.ledger import Document
from shared.domain.sealed_fields import Subject
from shared.services.key_rotation import KeyRotation, RotationReport
from shared.services.prompt_vault import PromptVault
from shared.services.sealed_documents import SealedDocuments
from tests import builders
from tests.contract.test_key_wrappers import prepend
from tests.fakes.faults import Crashed, Fault, NoFaults
from tests.fakes.field_keys import Sealing

PEOPLE = 12
KEYS = f"{builders.TENANT}|keys"


def rotation(sealing: Sealing) -> KeyRotation:
    return KeyRotation(sealing.keys, sealing.wrapper, sealing.clock)


def record_of(person: int, seed: str = "one") -> Document:
    wanted = builders.request(prompt=f"words of {person}")
    owner = builders.caller(person)
    return builders.item(builders.single_id(f"{seed}{person}"), wanted, owner=owner).record()


async def stored(sealing: Sealing) -> list[Document]:
    return [await sealing.documents.sealed(record_of(number)) for number in range(PEOPLE)]


async def keks(sealing: Sealing) -> set[str]:
    found = await sealing.keys.wrapped_otherwise("none", "", 100)
    return {key.wrapped.kek for key in found if key.wrapped}


async def test_rotation_moves_all_keys_and_the_old_version_may_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.services.key_rotation.PAGE_KEYS", 5)
    sealing = Sealing()
    records = await stored(sealing)
    sealing.wrapper.add("v2")
    assert await rotation(sealing).run() == RotationReport("v2", rewrapped=PEOPLE, left=0)
    assert await keks(sealing) == {"v2"}
    sealing.wrapper.disabled = {"v1"}
    del sealing.wrapper.versions["v1"]
    opened = await SealedDocuments(sealing.worker()).opened(records)
    assert opened == [record_of(number) for number in range(PEOPLE)]


async def test_rotation_moves_the_keys_of_every_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.services.key_rotation.PAGE_KEYS", 5)
    sealing = Sealing()
    for tenant_id in "abc":
        for number in range(4):
            await sealing.vault.sealing_key(Subject(tenant_id, f"{tenant_id}.{number}"))
    sealing.wrapper.add("v2")
    assert await rotation(sealing).run() == RotationReport("v2", rewrapped=12, left=0)
    assert await keks(sealing) == {"v2"}


async def test_rotation_may_be_repeated_and_changes_nothing_then() -> None:
    sealing = Sealing()
    await stored(sealing)
    sealing.wrapper.add("v2")
    await rotation(sealing).run()
    partition = sealing.connection.container("keys").partitions[KEYS]
    before = dict(partition)
    assert await rotation(sealing).run() == RotationReport("v2", rewrapped=0, left=0)
    assert partition == before
    actions = [each["event"]["action"] for each in before.values() if each["type"] == "outbox"]
    assert actions.count("data_key.rewrapped.1") == PEOPLE  # one event for each change


async def test_texts_are_read_and_written_during_a_rotation() -> None:
    sealing = Sealing()
    records = await stored(sealing)
    sealing.wrapper.add("v2")
    running = asyncio.create_task(rotation(sealing).run())
    while not running.done():
        worker = SealedDocuments(sealing.worker())  # with an empty cache: reads the store
        assert (await worker.opened(records))[3] == record_of(3)
        fresh = await worker.sealed(record_of(4, "during"))
        assert await worker.opened([fresh]) == [record_of(4, "during")]
        await asyncio.sleep(0)
    assert (await running).left == 0


@dataclass
class DyingAt(NoFaults):
    """The process dies at one of its calls to the store, before or after it is carried out."""

    at: int
    how: Fault
    calls: int = 0

    async def next(self, call: str) -> Fault:
        self.calls += 1
        if self.calls != self.at:
            return Fault.NONE
        if self.how is Fault.CRASH_BEFORE:
            raise self.crash(call)
        return self.how


@pytest.mark.parametrize("how", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST])
@pytest.mark.parametrize("at", range(1, PEOPLE + 3))
async def test_rotation_that_dies_at_any_call_is_finished_by_the_next(at: int, how: Fault) -> None:
    sealing = Sealing()
    records = await stored(sealing)
    sealing.wrapper.add("v2")
    container = sealing.connection.container("keys")
    container._faults = DyingAt(at, how)
    try:
        await rotation(sealing).run()
    except Crashed:
        assert how is not Fault.LOST
    container._faults = NoFaults()
    opened = await SealedDocuments(sealing.worker()).opened(records)
    assert opened == [record_of(number) for number in range(PEOPLE)]  # half moved, all readable
    assert (await rotation(sealing).run()).left == 0
    assert await keks(sealing) == {"v2"}
    events = [each for each in container.partitions[KEYS].values() if each["type"] == "outbox"]
    assert len(events) == 2 * PEOPLE  # created and re-wrapped, each once


async def test_key_that_cannot_be_unwrapped_is_counted_and_does_not_keep_the_others() -> None:
    sealing = Sealing()
    await stored(sealing)
    broken = builders.caller(3)
    document = sealing.connection.container("keys").partitions[KEYS][f"dek:{broken.key}"]
    document["wrapped"] = "AAAA"
    sealing.wrapper.add("v2")
    sealing.wrapper.versions.pop("v1")
    report = await rotation(sealing).run()
    assert report.left == PEOPLE
    assert report.rewrapped == 0


async def test_destroyed_keys_are_left_alone_and_not_counted() -> None:
    sealing = Sealing()
    records = await stored(sealing)
    gone = builders.caller(5)
    await sealing.vault.destroy(
        (await sealing.keys.wrapped_otherwise("none", gone.key[:-1], 1))[0].subject,
        actor="system:test",
        actor_role="system",
        reason="asked",
        correlation_id="c",
    )
    sealing.wrapper.add("v2")
    assert await rotation(sealing).run() == RotationReport("v2", rewrapped=PEOPLE - 1, left=0)
    assert len(await SealedDocuments(sealing.worker()).opened(records)) == PEOPLE


async def test_key_destroyed_during_its_rotation_stays_destroyed() -> None:
    sealing = Sealing()
    await stored(sealing)
    key: DataKey = (await sealing.keys.wrapped_otherwise("none", "", 1))[0]
    await sealing.vault.destroy(
        key.subject, actor="a", actor_role="system", reason="r", correlation_id="c"
    )
    sealing.wrapper.add("v2")
    assert key.wrapped is not None
    late = await sealing.wrapper.wrap(await sealing.wrapper.unwrap(key.wrapped))
    event = builders.event(key.object_id, "data_key.rewrapped.1")
    assert not await sealing.keys.rewrap(key, late, event)
    found = await sealing.keys.find(builders.TENANT, [key.subject])
    assert found[key.subject].wrapped is None


async def test_drill_with_the_local_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    ensure_field_keys(path)
    sealing = Sealing()
    wrapper = LocalKeyFile(path)

    def worker() -> SealedDocuments:
        return SealedDocuments(
            PromptVault(sealing.keys, LocalKeyFile(path), AesFieldCipher(), sealing.clock)
        )

    records = [await worker().sealed(record_of(number)) for number in range(3)]
    prepend(path, "2")
    moved = KeyRotation(sealing.keys, wrapper, sealing.clock)
    assert await moved.run() == RotationReport("local:2", rewrapped=3, left=0)
    path.write_text(path.read_text().splitlines()[0] + "\n")  # the old version is gone
    assert await worker().opened(records) == [record_of(number) for number in range(3)]
