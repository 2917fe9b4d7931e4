"""Every call of a small history goes wrong in every way, one at a time and two at a time."""

from collections.abc import Iterable, Mapping
from itertools import combinations, product

import pytest

from shared.domain.generations import GenerationRequest
from tests.builders import caller, request
from tests.fakes.faults import Fault
from tests.proofs.chaos import FAULTS
from tests.proofs.clients import Intent
from tests.proofs.histories import run_planned

CALLS_ADDED_BY_A_FAULT = 8  # a fault makes others: repeats and read-backs, which fail as well
TOKEN_PRICED = request("gpt-image-2", quality="low")
JOB_PRICED = request("sdxl")  # has a job id, so that a crash can be resumed


def _intent(*requests: GenerationRequest) -> Intent:
    return Intent(caller(), "key-1", requests, batch=len(requests) > 1, starts_at_s=0.0)


SINGLE, RESUMABLE = _intent(TOKEN_PRICED), _intent(JOB_PRICED)
BATCH = _intent(TOKEN_PRICED, JOB_PRICED, TOKEN_PRICED)


@pytest.mark.parametrize("busy_attempts", [0, 1])
@pytest.mark.parametrize(
    "intent",
    [
        pytest.param(SINGLE, id="single"),
        pytest.param(RESUMABLE, id="resumable"),
        pytest.param(BATCH, id="batch"),
    ],
)
def test_every_fault_at_every_call_keeps_the_invariants(intent: Intent, busy_attempts: int) -> None:
    calls = run_planned([intent], {}, busy_attempts).calls
    points = product(range(calls + CALLS_ADDED_BY_A_FAULT), FAULTS)
    _check(intent, busy_attempts, ({call: fault} for call, fault in points))


@pytest.mark.parametrize("intent", [pytest.param(RESUMABLE, id="resumable")])
def test_every_pair_of_faults_keeps_the_invariants(intent: Intent) -> None:
    calls = run_planned([intent], {}).calls
    pairs = combinations(range(calls + CALLS_ADDED_BY_A_FAULT), 2)
    _check(
        intent,
        0,
        (
            {first: one, second: other}
            for (first, second), one, other in product(pairs, FAULTS, FAULTS)
        ),
    )


def _check(intent: Intent, busy_attempts: int, plans: Iterable[Mapping[int, Fault]]) -> None:
    checked = 0
    for plan in plans:
        verdict = run_planned([intent], plan, busy_attempts)
        checked += 1
        assert not verdict.violations, f"faults at calls {plan}\n{verdict.text()}"
    print(f"{checked} fault plans")
    assert checked > 0
