"""Random orchestrators on the local host give the results that their program says.

A wrong task id would give one task the result of another, or hang.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.sample_app.host_process import HostProcess

SEEDS = range(25)
KILLED_SEEDS = range(100, 112)
DEPTH_MAX = 3
STEPS_MAX = 4
NAP_S_MAX = 0.03

Step = list[Any]


@pytest.fixture(scope="module", params=["plain", "verified"])
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostProcess]:
    options = ("--no-blob", "--verify-replay") if request.param == "verified" else ("--no-blob",)
    process = HostProcess(tmp_path_factory.mktemp("programs"), options).start()
    yield process
    process.stop()


def random_program(chance: random.Random, key: str, depth: int = 0) -> list[Step]:
    """Steps that never fail in the end; retries stay out of `any`, where the SDK loses count."""
    return [
        _step(chance, f"{key}.{index}", depth, top=True)
        for index in range(chance.randint(1, STEPS_MAX))
    ]


def _step(chance: random.Random, key: str, depth: int, top: bool = False) -> Step:
    kinds = ["nap", "nap", "timer"]
    if depth < DEPTH_MAX:
        kinds += ["all", "program"] + (["any", "retry"] if top else [])
    kind = chance.choice(kinds)
    if kind in ("all", "any"):
        count = chance.randint(1, STEPS_MAX)
        return [kind, [_step(chance, f"{key}.{n}", depth + 1) for n in range(count)]]
    if kind == "program":
        return [kind, random_program(chance, key, depth + 1)]
    if kind == "retry":
        return [kind, {"id": key, "failures": chance.randint(0, 3)}]
    return [kind, round(chance.uniform(0, NAP_S_MAX), 6)]


def program_value(step: Step) -> Any:
    """What the step must give."""
    kind, argument = step
    if kind in ("all", "any", "program"):
        return [program_value(child) for child in argument]
    if kind == "retry":
        return argument["failures"] + 1
    return None if kind == "timer" else argument


def test_random_programs_give_their_values(host: HostProcess) -> None:
    programs = {
        seed: random_program(random.Random(seed), f"{host.options[-1]}{seed}") for seed in SEEDS
    }
    ids = {seed: host.start_instance("program", steps) for seed, steps in programs.items()}

    for seed, steps in programs.items():
        status = host.finished(ids[seed])
        assert status["output"] == [program_value(step) for step in steps], f"seed {seed}"


def test_random_programs_give_their_values_over_kill_9(host: HostProcess) -> None:
    programs = {
        seed: [step for step in random_program(random.Random(seed), "k") if step[0] != "retry"]
        for seed in KILLED_SEEDS
    }
    ids = {seed: host.start_instance("program", steps) for seed, steps in programs.items()}
    host.kill()
    host.start()

    for seed, steps in programs.items():
        status = host.finished(ids[seed])
        assert status["output"] == [program_value(step) for step in steps], f"seed {seed}"
