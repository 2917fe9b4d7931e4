"""Says what the proofs have done and found: progress, figures, tables, and how to replay."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.proofs.coverage import EXPECTED
from tests.proofs.crash_points import Findings, first_faults
from tests.proofs.families import FAMILIES, MONEY
from tests.proofs.operations import OPERATIONS
from tests.proofs.runner import Tally, Workers, run_plans, run_seeds, seed_tasks, try_bug
from tests.proofs.trials import BUGS

T = TypeVar("T")
PARTS = ("histories", "crash-points", "bugs")
SHOWN_MAX = 5  # failures that are printed; the first one is the one to look at
PLAIN_STEPS = 10  # lines of progress when nobody watches a terminal
COVERAGE_FROM = 2_000  # histories from which on a kind of event that is missing is a problem
WIDTH = 110


class Report:
    """Prints as it goes and remembers what was wrong."""

    def __init__(self, seed: int, processes: int) -> None:
        self.problems: list[str] = []
        self._seed = seed
        self._processes = processes
        self._console = Console(width=WIDTH, highlight=False)
        self._checks: Counter[str] = Counter()

    def histories(self, pool: Workers, number: int) -> None:
        """Seeded histories of every kind, with what they were made of."""
        tallies = {name: Tally() for name in FAMILIES}
        tasks = [
            (name, *task)
            for name, family in FAMILIES.items()
            for task in seed_tasks(self._seed, -(-number * family.per_thousand // 1_000))
        ]
        counted = sum(count for _, _, count in tasks)
        self._title(f"{counted:,} histories from seed {self._seed}, {self._processes} processes")
        started = time.monotonic()
        for name, part in self._progress(pool.map(run_seeds, tasks), len(tasks)):
            tallies[name].add(part)
        took_s = time.monotonic() - started
        for name, tally in tallies.items():
            self._checks += tally.checks
            self._failures(name, tally)
        self._coverage(tallies)
        total = Tally()
        for name, tally in tallies.items():
            total.add(tally)
            self._console.print(f"  {name}: {tally.histories:,} histories")
        self._console.print(
            f"{total.histories:,} histories, {total.calls:,} calls to other systems, "
            f"{took_s:.0f} s: {total.histories / took_s:.0f} histories/s, "
            f"{len(total.failures)} with a violation"
        )

    def crash_points(self, pool: Workers, faults_max: int | None) -> None:
        """Every plan of so many faults of every operation, or of as many as it is tried with."""
        self._title("Crash points: every fault at every call, up to three at a time")
        table = Table("operation", "calls", "1 fault", "2 faults", "3 faults", "violations")
        for column in table.columns[1:]:
            column.justify = "right"
        found = {name: Findings() for name in OPERATIONS}
        calls: dict[str, int] = {}
        tasks = []
        for name, operation in OPERATIONS.items():
            clean = operation.play(())
            calls[name] = len(clean.called)
            found[name].violations += clean.violations
            allowed = faults_max or operation.faults_max
            tasks += [(name, plan, allowed) for plan in first_faults(operation)]
        started = time.monotonic()
        for name, part in self._progress(pool.map(run_plans, tasks), len(tasks)):
            found[name].add(part)
        took_s = time.monotonic() - started
        plans = 0
        for name, findings in found.items():
            for violation in findings.violations[:SHOWN_MAX]:
                self._problem(f"{name}: {violation}")
            self._checks += findings.checks
            plans += sum(findings.plans.values())
            counts = [f"{findings.plans[n]:,}" if findings.plans[n] else "" for n in (1, 2, 3)]
            table.add_row(name, str(calls[name]), *counts, str(len(findings.violations)))
        self._console.print(table)
        self._console.print(f"{plans:,} plans, {took_s:.0f} s: {plans / took_s:.0f} plans/s")

    def bugs(self, pool: Workers) -> None:
        """The seeded bugs, each of which must be caught."""
        self._title(f"{len(BUGS)} seeded bugs in the shipped code")
        table = Table("bug", "caught by", "histories")
        table.columns[-1].justify = "right"
        tasks = [(number, self._seed) for number in range(len(BUGS))]
        trials = list(self._progress(pool.map(try_bug, tasks), len(tasks)))
        order = {bug.name: number for number, bug in enumerate(BUGS)}
        for trial in sorted(trials, key=lambda each: order[each.name]):
            caught_by = (trial.violation or "NOT CAUGHT").partition(":")[0]
            table.add_row(trial.name, caught_by, str(trial.histories))
            if trial.violation is None:
                self._problem(f"the seeded bug survives: {trial.name}")
        self._console.print(table)

    def conclude(self, took_s: float) -> None:
        """How often each invariant was looked at, and whether all went well."""
        if self._checks:
            table = Table("invariant", "checks")
            table.columns[-1].justify = "right"
            for name, count in sorted(self._checks.items()):
                table.add_row(name, f"{count:,}")
            self._console.print(table)
        result = f"{len(self.problems)} problems" if self.problems else "nothing was wrong"
        self._console.print(f"{took_s:.0f} s in all: {result}")

    def _failures(self, family: str, tally: Tally) -> None:
        for seed, violations in sorted(tally.failures)[:SHOWN_MAX]:
            shown = "\n  ".join(violations[:SHOWN_MAX])
            named = "" if family == MONEY else f" --family {family}"
            self._problem(
                f"{family}, seed {seed}: {len(violations)} violations\n  {shown}"
                f"\n  replay: python -m tests.proofs{named} --replay {seed}"
            )
        if len(tally.failures) > SHOWN_MAX:
            self._problem(f"{family}: {len(tally.failures)} histories failed in all")

    def _coverage(self, tallies: Mapping[str, Tally]) -> None:
        table = Table("histories", "that contain", "share")
        table.columns[-1].justify = "right"
        for name, tally in tallies.items():
            for kind, count in sorted(tally.kinds.items()):
                table.add_row(name, kind, f"{100 * count / tally.histories:.2f} %")
        self._console.print(table)
        missing = sorted(EXPECTED - tallies[MONEY].kinds.keys())
        if missing and tallies[MONEY].histories >= COVERAGE_FROM:
            self._problem(f"no history contains: {', '.join(missing)}")

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        self._console.print(text, style="bold red", markup=False)

    def _title(self, text: str) -> None:
        self._console.print(f"== {text}", style="bold")

    def _progress(self, parts: Iterable[T], total: int) -> Iterator[T]:
        """The parts as they come; a bar on a terminal, a few lines elsewhere."""
        if sys.stdout.isatty():
            bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            with bar:
                yield from bar.track(parts, total=total, description="")
            return
        step = max(1, total // PLAIN_STEPS)
        for number, part in enumerate(parts, start=1):
            if number % step == 0:
                self._console.print(f"  {100 * number // total} %")
            yield part
