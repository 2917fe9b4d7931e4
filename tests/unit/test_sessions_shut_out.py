"""Somebody is shut out and let in again: what was opened before stays shut."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.adapters.entra_tokens import verifier_of
from shared.domain.access_tokens import StepUpTerms
from shared.domain.identity import Principal
from shared.domain.users import DirectoryUser, UserStatus
from shared.errors import Unauthenticated
from shared.services.callers import Callers, Credentials, Demand
from shared.services.sign_ins import Completed, SignInWish
from shared.services.step_up import StepUp
from tests.builders import TENANT as PEOPLE_TENANT
from tests.fakes.directory import FakeDirectory
from tests.fakes.sign_in import TENANT
from tests.people_world import World as PeopleWorld
from tests.people_world import object_id, order
from tests.unit.sign_in_world import AVA, BROWSER, World
from tests.unit.test_session_checks import ends_of


def callers_of(world: World, user: DirectoryUser) -> Callers:
    tokens = verifier_of({}, world.clock)
    directory = FakeDirectory({f"{TENANT}.{AVA}": user})
    step_up = StepUp(StepUpTerms(), tokens, world.clock)
    return Callers(tokens, directory, step_up, world.sessions, "https://eig.example")


async def signed_in(world: World, user: DirectoryUser, over: str | None = None) -> Completed:
    """A sign-in on the same device, perhaps over the session that it has."""
    sign_ins = replace(world.sign_ins, directory=FakeDirectory({f"{TENANT}.{AVA}": user}))
    _, pending = await sign_ins.begin(SignInWish(session_text=over))
    browser = replace(BROWSER, device_secret="d" * 43)
    return await sign_ins.complete(
        pending.cookie(), pending.state, AVA, browser, correlation_id="c"
    )


async def asked(callers: Callers, done: Completed) -> str:
    """The department of who asks with this session."""
    browser = replace(BROWSER, device_secret="d" * 43)
    shown = Credentials(None, browser, done.token_text)
    who = await callers.authenticate(shown, Demand(), "c")
    user = await callers.recognise(who)
    await callers.admit(who, user, shown, Demand(), "c")
    assert user is not None
    return user.department_id


async def test_session_of_before_is_over_though_its_person_is_let_in_again() -> None:
    world = World()
    user = DirectoryUser("marketing")
    done = await signed_in(world, user)
    world.clock.advance(60)
    again = replace(user, inactive_at=world.clock.now())
    assert await asked(callers_of(world, user), done) == "marketing"
    with pytest.raises(Unauthenticated) as refused:
        await asked(callers_of(world, again), done)
    assert refused.value.problem_code == "session_ended"
    assert await ends_of(world) == ["disabled"]


async def test_session_of_afterwards_lives() -> None:
    world = World()
    before = world.clock.now() - timedelta(microseconds=1)
    user = DirectoryUser("marketing", inactive_at=before)
    done = await signed_in(world, user)
    assert await asked(callers_of(world, user), done) == "marketing"
    assert await ends_of(world) == []


async def test_sign_in_afterwards_ends_what_is_of_before_and_begins_a_new_day() -> None:
    world = World()
    user = DirectoryUser("marketing")
    old = await signed_in(world, user)
    world.clock.advance(60)
    again = replace(user, inactive_at=world.clock.now())
    world.clock.advance(60)
    new = await signed_in(world, again, over=old.token_text)
    assert await ends_of(world) == ["disabled"]
    assert new.opened.session.created_at == world.clock.now()
    assert await asked(callers_of(world, again), new) == "marketing"


async def test_directory_tells_when_somebody_was_last_shut_out() -> None:
    world = PeopleWorld()
    await world.department("marketing")
    admin = await world.entered(1, "OrgAdmin")
    await world.enter(2)
    principal = Principal(PEOPLE_TENANT, object_id(2))

    async def inactive_at() -> datetime | None:
        user = await world.directory.user(principal)
        return user.inactive_at if user else None

    async def put(status: UserStatus) -> datetime:
        world.clock.advance(60)
        await world.users.set_status(admin, object_id(2), status, None, "c")
        return world.clock.now()

    assert await inactive_at() is None
    assert await put("disabled") == await inactive_at()
    let_in_at = await put("active")
    assert await inactive_at() == let_in_at
    world.clock.advance(60)
    changed = order(role_id="PowerUser")
    await world.users.replace(admin, object_id(2), changed, expected=3, correlation_id="c")
    assert await inactive_at() == let_in_at
