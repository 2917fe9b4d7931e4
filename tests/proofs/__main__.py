"""`make prove`: seeded histories, crash points and seeded bugs, with figures.

python -m tests.proofs                      everything
python -m tests.proofs --replay 1831        one history, step by step
python -m tests.proofs --family waiting --replay 7
python -m tests.proofs --operation "relay" --plan 0:lost,3:crash_after
"""

import argparse
import os
import sys
import time

from tests.fakes.faults import Fault
from tests.proofs.crash_points import FAULTS_MAX, Plan
from tests.proofs.families import FAMILIES, MONEY
from tests.proofs.operations import OPERATIONS
from tests.proofs.replay import replay_plan, replay_seed
from tests.proofs.report import PARTS, Report
from tests.proofs.runner import prepare_process, workers

HISTORIES = 100_000


def main() -> int:
    """Run what was asked for; 0 if nothing was wrong."""
    asked = _parser().parse_args()
    if asked.replay is not None:
        prepare_process()
        return 1 if replay_seed(asked.family, asked.replay, print) else 0
    if asked.operation is not None:
        prepare_process()
        return 1 if replay_plan(asked.operation, asked.plan, print) else 0
    started = time.monotonic()
    report = Report(asked.seed, asked.processes)
    with workers(asked.processes) as pool:
        if "histories" in asked.only:
            report.histories(pool, asked.histories)
        if "crash-points" in asked.only:
            report.crash_points(pool, asked.faults)
        if "bugs" in asked.only:
            report.bugs(pool)
    report.conclude(time.monotonic() - started)
    return 1 if report.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.proofs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--histories", type=int, default=HISTORIES, metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument(
        "--faults",
        type=int,
        choices=range(1, FAULTS_MAX + 1),
        help="so many at a time for every operation; 3 take hours (default: as each says)",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell one history")
    parser.add_argument("--family", choices=FAMILIES, default=MONEY, help="of --replay")
    parser.add_argument("--operation", choices=OPERATIONS, help="tell one plan of faults")
    parser.add_argument("--plan", type=_plan, default=(), metavar="CALL:FAULT,...")
    return parser


def _plan(text: str) -> Plan:
    parts = [part.partition(":") for part in text.split(",") if part]
    return tuple((int(call), Fault(fault)) for call, _, fault in parts)


if __name__ == "__main__":
    sys.exit(main())
