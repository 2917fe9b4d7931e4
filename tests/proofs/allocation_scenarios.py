"""Steps under the organisation's cap: alone, with faults at every call, and two that race."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from tests.proofs.allocation_histories import (
    Step,
    Verdict,
    cap,
    limit,
    move,
    release,
    run_race,
    spend,
    sweep,
)

OFFSETS_S = tuple(n * 0.006 for n in range(18))  # a call takes up to 0.02 s
CAPPED = (cap(20), spend("alpha", 1, "before"), spend("beta", 1, "before"))
SPARE = (*CAPPED, move(None, "alpha", 3, "before"))
UNCAPPED = (spend("alpha", 1, "before"),)
SCENARIOS: Mapping[str, tuple[tuple[Step, ...], Step]] = {
    "open": ((cap(20),), spend("alpha", 1, "one")),
    "open-refused": ((cap(1),), spend("alpha", 1, "one")),
    "allocate": (CAPPED, move(None, "alpha", 3, "one")),
    "allocate-to-nobody": (CAPPED, move(None, "gamma", 3, "one")),
    "return": (SPARE, move("alpha", None, 2, "one")),
    "return-refused": (CAPPED, move("alpha", None, 2, "one")),
    "move": (SPARE, move("alpha", "beta", 2, "one")),
    "move-to-nobody": (SPARE, move("alpha", "gamma", 2, "one")),
    "release": (SPARE, release("alpha")),
    "cap-arrives": (UNCAPPED, cap(20)),
    "cap-lowered": (SPARE, cap(2)),
}
RACERS = (
    sweep(),
    limit("alpha", 7),
    limit("alpha", 1),
    spend("alpha", 2, "r-1"),
    spend("gamma", 1, "r-2"),
    move(None, "alpha", 2, "r-3"),
    move("alpha", None, 2, "r-4"),
    move("alpha", "beta", 2, "r-5"),
    move("alpha", "gamma", 2, "r-6"),
    cap(5),
    release("alpha"),
)


def races(before: Sequence[Step]) -> Iterator[Verdict]:
    """Every two steps, one a moment after the other, at every offset."""
    planted = (*before, cap(20)) if before is UNCAPPED else before
    for first, second in combinations(RACERS, 2):
        for seed, offset_s in enumerate(OFFSETS_S):
            yield run_race(planted, first, second, offset_s, seed)
            yield run_race(planted, second, first, offset_s, seed)
