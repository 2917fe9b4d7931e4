"""The checker itself on trial: it must catch protocols that are known to be wrong."""

import pytest

from tests.proofs.broken import NoMarker, PatchWithoutCreate, ReadCheckWrite, RefundOnUnknown
from tests.proofs.histories import run_history
from tests.proofs.settings import FIRST_SEED
from tests.proofs.world import Variant

HISTORIES = 400  # each broken variant shows itself in more than 1 of 100


@pytest.mark.parametrize(
    ("variant", "invariant"),
    [
        pytest.param(Variant(ledger=ReadCheckWrite), "I1", id="read-check-write"),
        pytest.param(Variant(ledger=PatchWithoutCreate), "I3", id="patch-without-create"),
        pytest.param(Variant(settlements=RefundOnUnknown), "I4", id="refund-on-unknown"),
        pytest.param(Variant(ledger=NoMarker), "once", id="no-marker"),
    ],
)
def test_checker_catches_a_protocol_that_is_broken(variant: Variant, invariant: str) -> None:
    caught = 0
    for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES):
        violations = run_history(seed, variant).violations
        caught += any(violation.startswith(f"{invariant}:") for violation in violations)
    print(f"caught in {caught} of {HISTORIES} histories")
    assert caught > 0
