"""Random fault histories of the real ledger, admission, attempts, settlements and sweep."""

from collections import Counter

import pytest

from tests.proofs.histories import run_history
from tests.proofs.settings import FIRST_SEED, HISTORIES

SHOWN_SEEDS_MAX = 5
SAMPLE = 300  # histories that show what the others are made of
EXPECTED = {
    "succeeded",
    "refused",
    "failed",
    "canceled",
    "outcome_unknown",
    "second attempt of a worker",
    "second attempt of a sweeper",
    "batch completed",
    "batch canceled",
}


@pytest.mark.parametrize(
    ("histories", "stale_rate"),
    [
        pytest.param(HISTORIES, 0.0, id="faults"),
        pytest.param(max(1, HISTORIES // 10), 0.2, id="faults-and-stale-reads"),
    ],
)
def test_every_history_keeps_the_invariants_whatever_fails(
    histories: int, stale_rate: float
) -> None:
    failed = []
    for seed in range(FIRST_SEED, FIRST_SEED + histories):
        verdict = run_history(seed, stale_rate=stale_rate)
        if verdict.violations:
            failed.append(verdict.text())
            print(failed[-1])
            if len(failed) == SHOWN_SEEDS_MAX:
                break
    assert not failed, "replay with EIG_PROOF_SEED=<seed> EIG_PROOF_HISTORIES=1\n" + "\n".join(
        failed
    )


def test_histories_reach_every_kind_of_end() -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + SAMPLE):
        for partition in run_history(seed).world.container.partitions.values():
            for document in partition.values():
                if document["type"] in ("resolution", "case"):
                    seen[document.get("status") or document["kind"]] += 1
                elif document["type"] == "attempt" and document["attempt"] > 1:
                    seen[f"second attempt of a {document['owner']}"] += 1
                elif document["type"] == "batch":
                    seen[f"batch {document['status']}"] += 1
    print(dict(seen))
    assert seen.keys() >= EXPECTED


def test_same_seed_gives_the_same_history_twice() -> None:
    first, second = run_history(FIRST_SEED), run_history(FIRST_SEED)
    assert first.world.chaos.trace == second.world.chaos.trace
    assert first.world.container.partitions == second.world.container.partitions
