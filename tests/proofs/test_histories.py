"""Random fault histories of the shipped services, a share of those that `make prove` runs."""

import pytest

from tests.proofs.coverage import EXPECTED
from tests.proofs.families import FAMILIES, MONEY
from tests.proofs.histories import run_history
from tests.proofs.runner import run_seeds
from tests.proofs.settings import FIRST_SEED, HISTORIES

SHOWN_SEEDS_MAX = 3
COVERAGE_FROM = 2_000  # histories from which on each kind of event must be among them
# The other kinds have tests of their own beside these.
PLAYED = (MONEY, "waiting")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", PLAYED)
def test_every_history_keeps_the_invariants_whatever_fails(family: str) -> None:
    histories = max(1, HISTORIES * FAMILIES[family].per_thousand // 1_000)
    _, tally = run_seeds(family, FIRST_SEED, histories)
    for seed, violations in tally.failures[:SHOWN_SEEDS_MAX]:
        print(f"python -m tests.proofs --family {family} --replay {seed}")
        print("\n".join(violations))
    assert not tally.failures
    if family == MONEY and histories >= COVERAGE_FROM:
        assert tally.kinds.keys() >= EXPECTED


def test_same_seed_gives_the_same_history_twice() -> None:
    first, second = run_history(FIRST_SEED), run_history(FIRST_SEED)
    assert first.world.chaos.trace == second.world.chaos.trace
    assert first.world.container.partitions == second.world.container.partitions
