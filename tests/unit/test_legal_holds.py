"""Legal holds and retention policies: who decides, and what is tagged, even by late writers."""

from dataclasses import replace

import pytest

from shared.domain.blob_paths import HOLD_TAG, UNDECIDED, PictureName
from shared.errors import Invalid, NotFound, PolicyDenied, PreconditionFailed, Unavailable
from tests import builders
from tests.builders import DEPARTMENT
from tests.fakes.faults import Fault, ScriptedFaults
from tests.unit.storage_world import AVA, IMAGE, NAME, OLGA, World


def hold_of(world: World) -> str:
    return world.storage.blobs[NAME].tags[HOLD_TAG]


async def test_hold_is_recorded_tagged_and_released() -> None:
    world = World()
    held = await world.legal_holds().set(OLGA, IMAGE, "Matter 1", "c-1")
    assert (held.held, held.reason, hold_of(world)) == (True, "Matter 1", "legal")
    again = await world.legal_holds().set(OLGA, IMAGE, "Matter 2", "c-2")
    assert again == held
    released = await world.legal_holds().release(OLGA, IMAGE, "closed", "c-3")
    assert (released.held, hold_of(world)) == (False, "none")
    assert world.actions("hold.") == ["hold.released.2", "hold.set.1"]


async def test_only_an_org_admin_decides_and_denials_are_kept() -> None:
    world = World()
    for call in (world.legal_holds().set, world.legal_holds().release):
        with pytest.raises(PolicyDenied):
            await call(AVA, IMAGE, "mine", "c-1")
    assert hold_of(world) == "none"
    assert len(world.actions("hold.denied")) == 2
    with pytest.raises(NotFound):
        await world.legal_holds().set(builders.caller(2), IMAGE, "not mine", "c-1")


async def test_release_of_what_was_never_held_is_not_found() -> None:
    world = World()
    with pytest.raises(NotFound):
        await world.legal_holds().release(OLGA, IMAGE, "why not", "c-1")


async def test_sweep_tags_what_a_dead_worker_decided() -> None:
    world = World(ScriptedFaults("set_hold", Fault.REFUSED))
    with pytest.raises(Unavailable):
        await world.legal_holds().set(OLGA, IMAGE, "Matter 1", "c-1")
    assert hold_of(world) == "none"
    assert await world.legal_holds().sweep() == 1
    assert hold_of(world) == "legal"
    assert await world.legal_holds().sweep() == 0


async def test_sweep_asserts_a_hold_whose_tag_a_late_writer_has_undone() -> None:
    world = World()
    await world.legal_holds().set(OLGA, IMAGE, "Matter 1", "c-1")
    blob = world.storage.blobs[NAME]
    world.storage.blobs[NAME] = replace(blob, tags={"retention": "one-year", HOLD_TAG: "none"})
    holds = world.legal_holds()
    assert await holds.sweep() == 0  # nothing was decided
    assert hold_of(world) == "legal"
    await holds.release(OLGA, IMAGE, "closed", "c-2")
    for _ in range(3):  # whichever page it is at
        await holds.sweep()
    assert hold_of(world) == "none"


async def test_late_writer_cannot_undo_a_later_decision() -> None:
    world = World()
    await world.legal_holds().set(OLGA, IMAGE, "Matter 1", "c-1")
    await world.legal_holds().release(OLGA, IMAGE, "closed", "c-2")
    await world.legal_holds().set(OLGA, IMAGE, "Matter 2", "c-3")
    await world.storage.set_hold(NAME, 2, held=False)  # the release, tagged late
    assert hold_of(world) == "legal"


async def test_picture_that_is_gone_cannot_be_held() -> None:
    world = World()
    del world.storage.blobs[NAME]
    with pytest.raises(NotFound):
        await world.legal_holds().set(OLGA, IMAGE, "Matter 1", "c-1")


async def test_policy_is_the_default_until_an_org_admin_chooses() -> None:
    world = World()
    shown = await world.retention().get(AVA, DEPARTMENT)
    assert (shown.retention, shown.days, shown.revision) == ("seven-years", 2555, 0)
    assert [each.name for each in shown.classes] == [
        "ninety-days", "one-year", "seven-years", "indefinite",
    ]  # fmt: skip
    with pytest.raises(PolicyDenied):
        await world.retention().put(AVA, DEPARTMENT, "one-year", "because", None, "c-1")
    chosen = await world.retention().put(OLGA, DEPARTMENT, "indefinite", "records", 0, "c-2")
    assert (chosen.retention, chosen.days, chosen.revision) == ("indefinite", None, 1)
    assert await world.records.retention_of(DEPARTMENT) == "indefinite"
    denied, changed = world.actions("retention.")
    assert denied == "retention.changed.1"
    assert changed.startswith("retention.denied.")


async def test_policy_of_another_revision_or_class_is_refused() -> None:
    world = World()
    with pytest.raises(PreconditionFailed):
        await world.retention().put(OLGA, DEPARTMENT, "one-year", "because", 3, "c-1")
    with pytest.raises(Invalid):
        await world.retention().put(OLGA, DEPARTMENT, "undecided", "because", None, "c-1")
    with pytest.raises(NotFound):
        await world.retention().get(builders.caller(2, "design"), DEPARTMENT)
    with pytest.raises(NotFound):
        await world.retention().get(OLGA, "nowhere")


async def test_class_of_new_pictures_never_raises_and_is_remembered() -> None:
    world = World()
    records = world.records
    container = world.connection.container("ledger")
    container._faults = ScriptedFaults("read", *[Fault.UNREACHABLE] * 5)
    assert await records.retention_of(DEPARTMENT) == UNDECIDED
    assert await records.retention_of(DEPARTMENT) == "seven-years"
    await world.retention().put(OLGA, DEPARTMENT, "one-year", "because", None, "c-1")
    assert await records.retention_of(DEPARTMENT) == "seven-years"
    world.clock.advance(61)
    container._faults = ScriptedFaults("read", *[Fault.UNREACHABLE] * 5)
    assert await records.retention_of(DEPARTMENT) == "seven-years"  # better than nothing
    assert await records.retention_of(DEPARTMENT) == "one-year"


async def test_sweep_decides_what_was_undecided_and_nothing_else() -> None:
    world = World()
    other = PictureName(NAME.generation_id, 1)
    world.storage.blobs[other] = replace(world.storage.blobs[NAME])
    world.tag(retention=UNDECIDED)
    await world.retention().put(OLGA, DEPARTMENT, "one-year", "because", None, "c-1")
    assert await world.retention().sweep() == 1
    assert world.storage.blobs[NAME].tags["retention"] == "one-year"
    assert world.storage.blobs[other].tags["retention"] == "seven-years"
    assert await world.retention().sweep() == 0
