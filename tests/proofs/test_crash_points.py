"""Every call of every operation goes wrong in every way; `make prove` does so up to three times."""

import pytest

from tests.proofs.crash_points import explore, first_faults
from tests.proofs.operations import OPERATIONS

TWO_AT_A_TIME = ("batch, admission", "cancel of a generation", "adjustment", "grant", "relay")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [n for n in OPERATIONS if not n.startswith("waiting: ")])
def test_every_fault_at_every_call_keeps_the_invariants(name: str) -> None:
    operation = OPERATIONS[name]
    clean = operation.play(())
    assert not clean.violations
    assert clean.called, "nothing could go wrong, so nothing was tried"
    faults_max = 2 if name in TWO_AT_A_TIME else 1
    plans = 0
    for plan in first_faults(operation):
        findings = explore(operation, plan, faults_max)
        assert not findings.violations, findings.violations[0]
        plans += sum(findings.plans.values())
    print(f"{plans} plans of up to {faults_max} faults")
