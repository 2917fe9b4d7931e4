"""The checker itself on trial: it must catch bugs that are put into the shipped code."""

import pytest

from tests.proofs.mutant_catalogue import MUTANTS, OF_ALERTS
from tests.proofs.mutants import Change, Mutant, installed
from tests.proofs.settings import FIRST_SEED
from tests.proofs.trials import BUGS, tried

IN_MONEY = tuple(bug for bug in BUGS if not bug.name.startswith(("waiting: ", "allocation: ")))
RARE = {  # shown by more than a thousand histories only: `make prove` tries them
    "a late unknown report is written over an end",
    "a policy is applied over a grant that came in between",
    "what could not be paid is forgotten instead of decided",
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "bug", [bug for bug in IN_MONEY if bug.name not in RARE], ids=lambda bug: bug.name
)
def test_seeded_bug_is_caught(bug: object) -> None:
    trial = tried(bug, FIRST_SEED)  # type: ignore[arg-type]
    print(f"{trial.violation} after {trial.histories} histories")
    assert trial.violation is not None


def test_rare_bugs_exist() -> None:
    assert {mutant.name for mutant in (*MUTANTS, *OF_ALERTS)} >= RARE


def test_bug_is_gone_when_its_block_is_left() -> None:
    target = "shared.domain.money:aud_micros"
    mutant = Mutant("rounds down", (Change(target, "-(-product // ", "(product // "),))
    from shared.domain.money import aud_micros

    with installed(mutant):
        assert aud_micros(1, 1_500_000) == 1
    assert aud_micros(1, 1_500_000) == 2


def test_bug_whose_text_is_gone_is_refused() -> None:
    mutant = Mutant("stale", (Change("shared.domain.money:aud_micros", "no such text", ""),))
    with pytest.raises(AssertionError, match="does not contain exactly once"), installed(mutant):
        pytest.fail("it was installed")
