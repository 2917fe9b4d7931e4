"""Random fault histories of the real ledger, admission, attempts, settlements and sweep."""

from tests.proofs.histories import run_history
from tests.proofs.settings import FIRST_SEED, HISTORIES

SHOWN_SEEDS_MAX = 5


def test_every_history_keeps_the_invariants_whatever_fails() -> None:
    failed = []
    for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES):
        verdict = run_history(seed)
        if verdict.violations:
            failed.append(verdict.text())
            print(failed[-1])
            if len(failed) == SHOWN_SEEDS_MAX:
                break
    assert not failed, "replay with EIG_PROOF_SEED=<seed> EIG_PROOF_HISTORIES=1\n" + "\n".join(
        failed
    )


def test_same_seed_gives_the_same_history_twice() -> None:
    first, second = run_history(FIRST_SEED), run_history(FIRST_SEED)
    assert first.world.chaos.trace == second.world.chaos.trace
    assert first.world.container.partitions == second.world.container.partitions
