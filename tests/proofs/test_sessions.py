"""Random lives of browser sessions keep their promises, and seeded bugs break one of them."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.errors import EigError
from tests.proofs.mutants import Change, Mutant, installed
from tests.proofs.session_world import PEOPLE, SessionMachine

RULES = "shared.domain.session_rules"
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
LIVES = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=QUIET,
)
MUTANTS = (
    Mutant(
        "no reuse detection",
        (
            Change(
                f"{RULES}:present",
                'lambda each: each is session, "reuse"',
                'lambda _: False, "reuse"',
            ),
        ),
    ),
    Mutant(
        "grace without the device",
        (Change(f"{RULES}:_standing", "is_previous and is_device and is_agent", "is_previous"),),
    ),
    Mutant(
        "grace without the agent",
        (Change(f"{RULES}:_standing", " and is_agent", ""),),
    ),
    Mutant(
        "current secret without the device",
        (Change(f"{RULES}:_standing", "if is_current and is_device", "if is_current"),),
    ),
    Mutant(
        "another browser gets the next secret",
        (Change(f"{RULES}:_standing", "is_agent or not is_due", "True"),),
    ),
    Mutant(
        "another browser is out at once",
        (Change(f"{RULES}:_standing", "is_agent or not is_due", "is_agent"),),
    ),
    Mutant(
        "grace without end",
        (Change(f"{RULES}:_standing", "abs(now - session.rotated_at) <= GRACE", "True"),),
    ),
    Mutant(
        "another successor each time",
        (
            Change(
                f"{RULES}:present",
                "_successor(bytes.fromhex(session.successor_salt), token.secret)",
                "_successor(fresh.salt, token.secret)",
            ),
        ),
    ),
    Mutant(
        "id kept at step-up",
        (
            Change(
                "shared.services.sessions:Sessions.start",
                "self.new_secret()[:16].hex(), self.new_secret()",
                "replaces or self.new_secret()[:16].hex(), self.new_secret()",
            ),
        ),
    ),
    Mutant(
        "step-up begins a new day",
        (
            Change(
                f"{RULES}:started",
                "min(session.created_at, each.created_at)",
                "session.created_at",
            ),
        ),
    ),
    Mutant(
        "old session survives a step-up",
        (Change(f"{RULES}:started", "each.family_id == replaces", "False"),),
    ),
    Mutant(
        "idle is never over",
        (Change(f"{RULES}:expired", "now - session.seen_at >= policy.idle", "False"),),
    ),
    Mutant(
        "a day is never over",
        (Change(f"{RULES}:expired", "now - session.created_at >= policy.absolute", "False"),),
    ),
    Mutant(
        "any number of sessions",
        (Change(f"{RULES}:started", "len(kept) >= policy.sessions_max", "False"),),
    ),
    Mutant(
        "rotation within the grace",
        (Change(f"{RULES}:present", "age >= GRACE", "True"),),
    ),
    Mutant(
        "lost answer of the store decided twice",
        (
            Change(
                "shared.adapters.cosmos_sessions:CosmosSessions.write",
                "standing.change_id == after.change_id",
                "False",
            ),
        ),
    ),
)


def stories(world: SessionMachine) -> Iterator[None]:
    """Lives that the random ones contain too, told in an order that leaves no bug a chance."""
    ava, ben = PEOPLE
    for has_device, has_agent, delay_s in product((True, False), (True, False), (0, 29, 31)):
        world.race_the_owner(ava, has_device, has_agent, delay_s)
        yield
    for delay_s, wants_rotation in product((0, 29, 31, 599, 601), (True, False)):
        jar = world.sign_in(ben)
        world.let_time_pass(delay_s)
        world.use(world.copy_cookies(jar, True, False, 0), wants_rotation)
        world.use(jar, False)
        yield
    jar = world.sign_in(ben)
    for wants_rotation in (True, True, False):
        jar = world.use(jar, wants_rotation)
        yield
    world.let_time_pass(31)
    world.use_and_lose_the_answer(jar, True)
    jar = world.use_side_by_side(jar, 4)
    yield
    world.use(world.copy_cookies(jar, False, True, len(world.families[-1].tokens) - 1), False)
    yield
    world.use(world.sign_in(ben), False)
    world.let_time_pass(1_801)
    yield
    jar = world.work_on(world.sign_in(ava), 11)
    old, jar = jar, world.step_up(jar)
    world.use(old, False)
    yield
    jar = world.work_on(jar, 1)
    world.use(jar, False)
    yield
    world.sign_in_on_too_many_devices(ben)
    yield
    world.lose_an_answer_of_the_store()
    world.end_all_sessions(ben)
    yield


def tell() -> None:
    """The stories in a new world, whose promises are looked at after each turn."""
    world = SessionMachine()
    world.build(seed=1)
    for _ in stories(world):
        world.at_most_one_token_of_a_family_lives_beyond_the_grace()
        world.nobody_has_more_sessions_than_allowed()
        world.store_never_holds_a_token()
        world.each_start_and_end_has_one_event()


def test_sessions_keep_their_promises_whatever_happens() -> None:
    run_state_machine_as_test(SessionMachine, settings=LIVES)


def test_sessions_keep_their_promises_in_the_stories() -> None:
    tell()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_seeded_bug_in_sessions_is_found(mutant: Mutant) -> None:
    with installed(mutant), pytest.raises((AssertionError, EigError)):
        tell()
