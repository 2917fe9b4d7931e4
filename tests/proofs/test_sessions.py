"""Random lives of browser sessions keep their promises, and seeded bugs break one of them."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.mutants import Change, Mutant, installed
from tests.proofs.session_world import SessionMachine

RULES = "shared.domain.session_rules"
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
LIVES = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=QUIET,
)
# The same lives each time, and no shrinking: a mutant only has to be found.
HUNT = settings(
    max_examples=400,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
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


def test_sessions_keep_their_promises_whatever_happens() -> None:
    run_state_machine_as_test(SessionMachine, settings=LIVES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_seeded_bug_in_sessions_is_found(mutant: Mutant) -> None:
    with installed(mutant), pytest.raises(BaseException) as found:
        run_state_machine_as_test(SessionMachine, settings=HUNT)
    assert found.type in (AssertionError, BaseExceptionGroup, ExceptionGroup), found.value
