"""Prompts are sealed for one place and one person, and open nowhere else."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.batch_plans import BatchChunk, PlannedQuote, PlannedRow
from shared.domain.ledger import Document
from shared.domain.sealed_fields import ERASED, Subject
from shared.errors import EigError, InvariantBroken, NotFound, Unavailable
from shared.services.prompt_vault import KEY_CACHED_S_MAX, KEYS_CACHED_MAX
from shared.services.sealed_documents import SealedDocuments
from shared.services.sealed_stores import SealedBatchFiles
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.field_keys import Sealing

SECRET = "the minister in a red coat"
ANN, BOB = builders.caller(1), builders.caller(2)
WHO = {"actor": "system:test", "actor_role": "system", "reason": "asked", "correlation_id": "c"}


def record_of(person: int = 1, seed: str = "one", **fields: Any) -> Document:
    wanted = builders.request("sdxl", prompt=SECRET, negative_prompt="fog", **fields)
    work = builders.item(builders.single_id(seed), wanted, owner=builders.caller(person))
    return work.record()


def subject(person: int = 1) -> Subject:
    owner = builders.caller(person)
    return Subject(owner.tenant_id, owner.key)


def chunk_of(*prompts: str, plan: str = "p1", person: int = 1) -> BatchChunk:
    owner = builders.caller(person)
    return BatchChunk(
        batch_id=builders.single_id("batch"),
        plan=plan,
        tenant_id=owner.tenant_id,
        department_id=owner.department_id,
        user_key=owner.key,
        actor_role="StandardUser",
        correlation_id="c-1",
        created_at=builders.CREATED_AT,
        price_version="p",
        exchange_rate_version="x",
        aud_per_usd_micros=1,
        rows=tuple(
            PlannedRow(
                row=number,
                item_id=f"i{number}",
                request=builders.request(prompt=text),
                quote=PlannedQuote(usd_micros=1, amount_micros=1),
            )
            for number, text in enumerate(prompts, start=1)
        ),
    )


async def test_record_keeps_no_text_and_opens_as_it_was() -> None:
    sealing = Sealing()
    record = record_of()
    sealed = await sealing.documents.sealed(record)
    assert SECRET not in json.dumps(sealed)
    assert "fog" not in json.dumps(sealed)
    assert sealed["request"]["prompt"].keys() == {"v", "alg", "kid", "nonce", "ct"}
    assert {name for name in sealed if sealed[name] != record[name]} == {"request"}
    assert await sealing.documents.opened([sealed]) == [record]
    assert record["request"]["prompt"] == SECRET  # what services hold is left alone


async def test_sealing_twice_changes_nothing_more() -> None:
    documents = Sealing().documents
    sealed = await documents.sealed(record_of())
    assert await documents.sealed(sealed) == sealed


async def test_records_without_a_request_or_with_a_clear_one_are_left_alone() -> None:
    documents = Sealing().documents
    batch = {"type": "batch", "id": "batch:1"}
    assert await documents.sealed(batch) is batch
    assert await documents.opened([batch, record_of()]) == [batch, record_of()]


async def test_every_sealing_has_a_nonce_of_its_own() -> None:
    sealing = Sealing()
    key = await sealing.vault.sealing_key(subject())
    sealed = [sealing.vault.seal(key, "g:1", "request.prompt", SECRET) for _ in range(5_000)]
    assert len({each["nonce"] for each in sealed}) == len(sealed)
    assert len({each["ct"] for each in sealed}) == len(sealed)


async def test_stored_keys_are_wrapped_and_each_person_has_another() -> None:
    sealing = Sealing()
    one, two = [await sealing.vault.sealing_key(subject(number)) for number in (1, 2)]
    assert one.secret is not None and two.secret is not None
    assert one.secret != two.secret
    stored = json.dumps(sealing.connection.container("keys").partitions)
    for secret in (one.secret, two.secret):
        assert base64.b64encode(secret).decode() not in stored
        assert secret.hex() not in stored
    assert "secret" not in repr(one)


async def test_a_page_of_one_person_reads_and_unwraps_one_key() -> None:
    sealing = Sealing()
    stored = [await sealing.documents.sealed(record_of(seed=str(n))) for n in range(100)]
    reads, unwraps = sealing.keys.reads, sealing.wrapper.calls["unwrap"]
    opened = await SealedDocuments(sealing.worker()).opened(stored)
    assert [each["request"]["prompt"] for each in opened] == [SECRET] * 100
    assert (sealing.keys.reads - reads, sealing.wrapper.calls["unwrap"] - unwraps) == (1, 1)


async def test_a_page_of_many_people_is_one_read() -> None:
    sealing = Sealing()
    stored = [await sealing.documents.sealed(record_of(n, str(n))) for n in range(1, 41)]
    reads = sealing.keys.reads
    opened = await SealedDocuments(sealing.worker()).opened(stored)
    assert len(opened) == 40
    assert sealing.keys.reads - reads == 1


async def test_keys_are_kept_for_minutes_and_not_longer() -> None:
    sealing = Sealing()
    stored = await sealing.documents.sealed(record_of())
    reads = sealing.keys.reads
    sealing.clock.advance(KEY_CACHED_S_MAX - 1)
    await sealing.documents.opened([stored])
    assert sealing.keys.reads == reads
    sealing.clock.advance(2)
    await sealing.documents.opened([stored])
    assert sealing.keys.reads == reads + 1


async def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.services.prompt_vault.KEYS_CACHED_MAX", 3)
    sealing = Sealing()
    stored = [await sealing.documents.sealed(record_of(n, str(n))) for n in range(1, 11)]
    opened = await sealing.documents.opened(stored)  # more people than the cache holds
    assert {each["request"]["prompt"] for each in opened} == {SECRET}
    assert KEYS_CACHED_MAX >= 100


async def test_first_use_by_two_workers_leaves_one_key() -> None:
    sealing = Sealing()
    other = SealedDocuments(sealing.worker())
    mine, theirs = record_of(seed="mine"), record_of(seed="theirs")
    stored = [await sealing.documents.sealed(mine), await other.sealed(theirs)]
    assert await sealing.documents.opened(stored) == [mine, theirs]
    assert await other.opened(stored) == [mine, theirs]


async def test_a_lost_race_for_the_first_key_uses_the_one_that_stands() -> None:
    sealing = Sealing()
    winner = await sealing.worker().sealing_key(subject())

    class Blind(type(sealing.keys)):  # type: ignore[misc]  # reads nothing until it has written
        async def find(self, tenant_id: str, subjects: Any) -> Any:
            if self.reads == 0:
                self.reads += 1
                return {}
            return await super().find(tenant_id, subjects)

    sealing.keys = Blind(sealing.connection)
    assert (await sealing.worker().sealing_key(subject())).secret == winner.secret


async def test_a_silent_vault_stops_sealing_and_opening_but_not_what_is_cached() -> None:
    sealing = Sealing()
    stored = await sealing.documents.sealed(record_of())
    sealing.wrapper.silent = True
    assert await sealing.documents.opened([stored]) == [record_of()]
    elsewhere = SealedDocuments(sealing.worker())
    with pytest.raises(Unavailable):
        await elsewhere.opened([stored])
    with pytest.raises(Unavailable):
        await elsewhere.sealed(record_of(2))


async def test_a_key_that_cannot_be_read_yet_is_not_taken_for_destroyed() -> None:
    sealing = Sealing()
    stored = await sealing.documents.sealed(record_of())
    elsewhere = Sealing(clock=sealing.clock).documents
    with pytest.raises(Unavailable):
        await elsewhere.opened([stored])


async def test_destroyed_key_makes_every_text_unreadable_and_nothing_crashes() -> None:
    sealing = Sealing()
    stored = await sealing.documents.sealed(record_of())
    other = await sealing.documents.sealed(record_of(2))
    await sealing.vault.destroy(subject(), **WHO)
    for documents in (sealing.documents, SealedDocuments(sealing.worker())):
        mine, theirs = await documents.opened([stored, other])
        assert mine["request"]["prompt"] == mine["request"]["negative_prompt"] == ERASED
        assert theirs["request"]["prompt"] == SECRET
        assert await documents.sealed(mine) == mine  # what was erased is not sealed anew
    document = sealing.connection.container("keys").peek(f"{ANN.tenant_id}|keys", f"dek:{ANN.key}")
    assert document is not None
    assert (document["wrapped"], document["kek"], document["status"]) == (None, None, "destroyed")


async def test_another_worker_forgets_a_destroyed_key_within_its_time() -> None:
    sealing = Sealing()
    stored = await sealing.documents.sealed(record_of())
    late = SealedDocuments(sealing.worker())
    await late.opened([stored])
    await sealing.vault.destroy(subject(), **WHO)
    assert (await late.opened([stored]))[0]["request"]["prompt"] == SECRET
    sealing.clock.advance(KEY_CACHED_S_MAX)
    assert (await late.opened([stored]))[0]["request"]["prompt"] == ERASED


async def test_destroying_is_told_once_and_a_repeat_changes_nothing() -> None:
    sealing = Sealing()
    with pytest.raises(NotFound):
        await sealing.vault.destroy(subject(), **WHO)
    await sealing.vault.sealing_key(subject())
    for _ in range(2):
        await sealing.vault.destroy(subject(), **WHO)
    documents = sealing.connection.container("keys").partitions[f"{ANN.tenant_id}|keys"].values()
    events = [each["event"] for each in documents if each["type"] == "outbox"]
    assert [each["action"] for each in events] == ["data_key.created", "data_key.destroyed"]
    told = {name: events[1][name] for name in ("actor", "actor_role", "reason", "correlation_id")}
    assert told == WHO


async def test_who_comes_back_gets_a_new_key_and_old_texts_stay_erased() -> None:
    sealing = Sealing()
    old = await sealing.documents.sealed(record_of(seed="old"))
    late = SealedDocuments(sealing.worker())
    await sealing.vault.destroy(subject(), **WHO)
    assert (await late.opened([old]))[0]["request"]["prompt"] == ERASED
    new = await sealing.documents.sealed(record_of(seed="new"))
    assert new["request"]["prompt"]["kid"] == "2"
    for documents in (sealing.documents, late, SealedDocuments(sealing.worker())):
        found = await documents.opened([old, new])
        assert [each["request"]["prompt"] for each in found] == [ERASED, SECRET]


async def test_request_hash_of_a_hold_is_disguised_comparable_and_opens() -> None:
    sealing = Sealing()
    hold = builders.hold(builders.item(owner=ANN))
    sealed = await sealing.documents.sealed_hold(hold)
    assert hold.request_hash not in sealed.request_hash
    assert sealed == await SealedDocuments(sealing.worker()).sealed_hold(hold)
    assert await sealing.documents.sealed_hold(sealed) == sealed
    assert await sealing.documents.opened_hold(sealed) == hold
    theirs = await sealing.documents.sealed_hold(replace(hold, user_key=BOB.key))
    assert theirs.request_hash != sealed.request_hash
    with pytest.raises(EigError):
        await sealing.documents.opened_hold(replace(theirs, user_key=ANN.key))
    await sealing.vault.destroy(subject(), **WHO)
    assert (await sealing.documents.opened_hold(sealed)).request_hash == ERASED


async def test_plan_keeps_no_text_and_opens_row_by_row() -> None:
    sealing, stored = Sealing(), FakeBatchFiles()
    files = SealedBatchFiles(stored, sealing.documents)
    chunk = chunk_of("first words", "second words")
    faulty = PlannedRow(row=3, item_id="i3")
    chunk = chunk.model_copy(update={"rows": (*chunk.rows, faulty)})
    await files.put_chunk(0, chunk)
    kept = stored.chunks[chunk.batch_id, "p1", 0]
    assert "words" not in kept.model_dump_json()
    assert BatchChunk.model_validate_json(kept.model_dump_json(exclude_none=True)) == kept
    assert await files.chunk(chunk.batch_id, "p1", 0) == chunk
    with pytest.raises(ValueError, match="sealed"):
        kept.work_item(kept.rows[0])


async def test_opened_plans_are_forgotten_with_their_key() -> None:
    sealing, stored = Sealing(), FakeBatchFiles()
    files = SealedBatchFiles(stored, sealing.documents)
    chunk = chunk_of("words")
    await files.put_chunk(0, chunk)
    reads = sealing.keys.reads
    for _ in range(20):
        assert await files.chunk(chunk.batch_id, "p1", 0) == chunk
    assert sealing.keys.reads == reads
    await sealing.vault.destroy(subject(), **WHO)
    sealing.clock.advance(KEY_CACHED_S_MAX)
    erased = await files.chunk(chunk.batch_id, "p1", 0)
    assert erased.work_item(erased.rows[0]).is_erased


async def test_rows_of_a_plan_cannot_be_swapped() -> None:
    sealing, stored = Sealing(), FakeBatchFiles()
    files = SealedBatchFiles(stored, sealing.documents)
    chunk = chunk_of("first", "second")
    await files.put_chunk(0, chunk)
    name = (chunk.batch_id, "p1", 0)
    one, two = stored.chunks[name].rows
    rows = (
        one.model_copy(update={"sealed": two.sealed}),
        two.model_copy(update={"sealed": one.sealed}),
    )
    stored.chunks[name] = stored.chunks[name].model_copy(update={"rows": rows})
    with pytest.raises(InvariantBroken):
        await files.chunk(*name)
    await files.put_chunk(1, chunk)
    stored.chunks[chunk.batch_id, "p1", 0] = stored.chunks[chunk.batch_id, "p1", 1]
    with pytest.raises(InvariantBroken):  # another slice of the same plan
        await files.chunk(*name)


async def test_salt_of_a_prompts_commitment_is_sealed_and_erased_with_it() -> None:
    sealing = Sealing()
    record = record_of() | {"prompt_salt": "5a17"}
    stored = await sealing.documents.sealed(record)
    assert "5a17" not in json.dumps(stored)
    assert await sealing.documents.opened([stored]) == [record]
    await sealing.vault.destroy(subject(), **WHO)
    (erased,) = await sealing.documents.opened([stored])
    assert (erased["request"]["prompt"], erased["prompt_salt"]) == (ERASED, None)
    late = await sealing.documents.sealed(erased | {"prompt_salt": "a later settlement"})
    assert late["prompt_salt"] is None
