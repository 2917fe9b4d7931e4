"""Batches that take as many rows as fit, all at once, on a budget for some of them."""

import pytest

from shared.domain.budget_policies import BudgetPolicy
from shared.ports import DirectoryUser
from tests.builders import caller, catalogue, request
from tests.fakes.directory import FakeDirectory
from tests.proofs.chaos import Chaos
from tests.proofs.clients import Intent
from tests.proofs.histories import AMPLE_MICROS, play
from tests.proofs.provider_scripts import steady_script
from tests.proofs.world import World

ROW = request("flux-schnell")
ROW_MICROS = catalogue().quote(ROW).amount_micros
ROWS, BATCHES = 10, 6


def world_with_money_for(rows: int, seed: int, rate: float) -> World:
    directory = FakeDirectory({caller().key: DirectoryUser("marketing")}, ["marketing"])
    department, user = caller().charge().scopes()
    policies = [
        ("marketing", BudgetPolicy(department, AMPLE_MICROS)),
        ("marketing", BudgetPolicy(user, rows * ROW_MICROS + ROW_MICROS - 1)),
    ]
    chaos = Chaos(seed, rate=rate)
    return World(chaos, directory, catalogue(), steady_script(catalogue(), 0), policies)


def wanted(number: int) -> Intent:
    return Intent(
        caller=caller(),
        key=f"key-{number}",
        requests=(ROW,) * ROWS,
        batch=True,
        starts_at_s=0.0,
        repeats=True,
        acceptance="as_many_as_fit",
    )


def batches_of(world: World) -> list[dict[str, object]]:
    documents = world.container.partitions["marketing|202611"].values()
    return [each for each in documents if each["type"] == "batch"]


@pytest.mark.parametrize("affordable", [0, 1, 9, 10, 25, 60, 70])
def test_rivals_share_the_whole_budget_and_no_more(affordable: int) -> None:
    world = world_with_money_for(affordable, seed=affordable, rate=0.0)
    verdict = play(affordable, world, [wanted(n) for n in range(BATCHES)])
    assert not verdict.violations, verdict.text()
    rows = sum(int(str(each["valid_rows"])) for each in batches_of(world))
    assert rows == min(affordable, ROWS * BATCHES)


@pytest.mark.parametrize("seed", range(40))
def test_rivals_stay_within_the_budget_whatever_goes_wrong(seed: int) -> None:
    world = world_with_money_for(25, seed, rate=0.1)
    verdict = play(seed, world, [wanted(n) for n in range(BATCHES)])
    assert not verdict.violations, verdict.text()
    for batch in batches_of(world):
        named = int(str(batch["valid_rows"])) + int(str(batch["over_budget_rows"]))
        assert named == batch["rows"] == ROWS
