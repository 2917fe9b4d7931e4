"""Every call of an operation goes wrong in every way: one, two and three faults at a time.

A plan of faults is grown call by call: a further fault is only put at calls that the operation
really makes when the earlier faults happen. Nothing is lost by that: a fault at a call that is
never made changes nothing, and the calls before a fault do not depend on it.

Each single fault is tried. Among two and three, one stands for those that nobody can tell apart:
throttled, refused and unreachable are all "not done, ask again"; a read has no effect, so that it
either has no answer or its caller dies.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.fakes.faults import Fault
from tests.proofs.chaos import FAULTS, Chaos

Plan = tuple[tuple[int, Fault], ...]  # number of the call, and how it goes wrong
READS = frozenset({"read", "query", "status", "sealed", "resume"})  # calls that change nothing
OF_A_READ = (Fault.REFUSED, Fault.CRASH_AFTER)
OF_A_WRITE = (Fault.REFUSED, Fault.LOST, Fault.LATE, Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
FAULTS_MAX = 3


@dataclass(frozen=True)
class Played:
    """One history of an operation: what was wrong, and which calls could go wrong."""

    violations: tuple[str, ...]
    chaos: Chaos
    checks: Counter[str]

    @property
    def called(self) -> Sequence[str]:
        return self.chaos.called


@dataclass(frozen=True)
class Operation:
    """One operation on trial; `faults_max` at a time leave enough time for the others."""

    name: str
    play: Callable[[Plan], Played]
    faults_max: int = FAULTS_MAX


@dataclass
class Findings:
    """What the plans of one part of the work came to."""

    plans: Counter[int] = field(default_factory=Counter)  # by number of faults
    checks: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.plans += other.plans
        self.checks += other.checks
        self.violations += other.violations


def first_faults(operation: Operation) -> Sequence[Plan]:
    """The plans with one fault: a part of the work each, together with all that grow from it."""
    calls = len(operation.play(()).called)
    return [((number, fault),) for number in range(calls) for fault in FAULTS]


def explore(operation: Operation, plan: Plan, faults_max: int) -> Findings:
    """Run a plan and every plan of at most so many faults that grows from it."""
    findings = Findings()
    ripe = [plan]
    while ripe:
        plan = ripe.pop()
        played = operation.play(plan)
        findings.plans[len(plan)] += 1
        findings.checks += played.checks
        if played.violations:
            shown = ",".join(f"{number}:{fault}" for number, fault in plan)
            findings.violations.append(
                f"{played.violations[0]}\n  replay: python -m tests.proofs"
                f' --operation "{operation.name}" --plan {shown}'
            )
        if len(plan) < faults_max:
            ripe += _grown(plan, played.called)
    return findings


def _grown(plan: Plan, called: Sequence[str]) -> Iterator[Plan]:
    """The plan with one more fault, at each call that was made after its last one."""
    last, fault = plan[-1]
    if fault not in _faults_of(called[last]):
        return  # another fault stands for this one
    for number in range(last + 1, len(called)):
        for further in _faults_of(called[number]):
            yield (*plan, (number, further))


def _faults_of(call: str) -> Sequence[Fault]:
    return OF_A_READ if call in READS else OF_A_WRITE
