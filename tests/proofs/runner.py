"""Runs many histories, plans of faults and seeded bugs in several processes, and adds them up."""

import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from tests.proofs.crash_points import Findings, Plan, explore
from tests.proofs.families import FAMILIES
from tests.proofs.operations import OPERATIONS
from tests.proofs.trials import BUGS, Trial, tried

T = TypeVar("T")
R = TypeVar("R")
SEEDS_PER_TASK = 100  # under a second of work: the progress bar moves, the hand-over costs little
GARBAGE_THRESHOLD = 100_000  # histories are garbage as a whole; looking often finds nothing


@dataclass
class Tally:
    """What some histories came to."""

    histories: int = 0
    calls: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)  # histories that contain this kind
    failures: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)  # by seed

    def add(self, other: "Tally") -> None:
        self.histories += other.histories
        self.calls += other.calls
        self.checks += other.checks
        self.kinds += other.kinds
        self.failures += other.failures


def run_seeds(family: str, first: int, count: int) -> tuple[str, Tally]:
    """The kind, and what the histories of `count` seeds of it came to."""
    tally = Tally()
    for seed in range(first, first + count):
        outcome = FAMILIES[family].play(seed)
        tally.histories += 1
        tally.calls += outcome.calls
        tally.checks += outcome.checks
        tally.kinds.update(outcome.kinds)
        if outcome.violations:
            tally.failures.append((seed, outcome.violations))
    return family, tally


def run_plans(operation: str, plan: Plan, faults_max: int) -> tuple[str, Findings]:
    """The operation, and what a plan and every plan that grows from it came to."""
    return operation, explore(OPERATIONS[operation], plan, faults_max)


def try_bug(number: int, first_seed: int) -> Trial:
    """Histories with a seeded bug, until one shows it."""
    return tried(BUGS[number], first_seed)


class Workers:
    """Processes that share the work; with one process, it is done here."""

    def __init__(self, pool: ProcessPoolExecutor | None, processes: int) -> None:
        self._pool = pool
        self._processes = processes

    def map(self, work: Callable[..., R], tasks: Iterable[tuple[object, ...]]) -> Iterator[R]:
        """The results as they are ready; few tasks wait in the pool at a time."""
        if self._pool is None:
            yield from (work(*task) for task in tasks)
            return
        ahead = iter(tasks)
        running: set[Future[R]] = set()
        while True:
            for task in islice(ahead, 2 * self._processes - len(running)):
                running.add(self._pool.submit(work, *task))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


@contextmanager
def workers(processes: int) -> Iterator[Workers]:
    """As many processes, each a fresh interpreter."""
    prepare_process()
    if processes == 1:
        yield Workers(None, 1)
        return
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=prepare_process
    ) as pool:
        yield Workers(pool, processes)


def prepare_process() -> None:
    """A history logs hundreds of warnings that are no news here."""
    logging.getLogger("eig").setLevel(logging.CRITICAL + 1)
    gc.set_threshold(GARBAGE_THRESHOLD)


def seed_tasks(first: int, histories: int) -> Sequence[tuple[int, int]]:
    """So many seeds, cut into tasks: the first of each, and how many."""
    last = first + histories
    return [
        (start, min(SEEDS_PER_TASK, last - start)) for start in range(first, last, SEEDS_PER_TASK)
    ]
