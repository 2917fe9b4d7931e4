"""Benchmarks: `python -m bench [NAME ...]`; the names are those of BENCHMARKS (default: all).

Every figure is printed beside its baseline from the same run. Results go to bench/results/.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import (
    admission,
    audit_log,
    batches,
    cold_start,
    concurrency,
    fairness,
    openai_endpoint,
    round_trips,
)

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
    "cold-start": cold_start.run,
    "admission": admission.run,
    "round-trips": round_trips.run,
    "batches": batches.run,
    "audit-log": audit_log.run,
    "concurrency": concurrency.run,
    "fairness": fairness.run,
    "openai-endpoint": openai_endpoint.run,
}


def main() -> int:
    """Run the chosen benchmarks one after the other."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        print(f"== {name}", flush=True)
        figures: dict[str, Any] = asyncio.run(BENCHMARKS[name]())
        for label, value in figures.items():
            print(f"  {label:<46} {value}", flush=True)
        document = {
            "benchmark": name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "command": f"python -m bench {name}",
            "figures": figures,
        }
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
