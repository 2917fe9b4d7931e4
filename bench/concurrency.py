"""Concurrency: 500 requests at once on a budget for exactly 50 pictures, on one and two hosts.

Every request is a client that waits for its picture. The provider takes 200 ms, so that many
requests are under way when the money runs out; what it has billed is counted by the simulator.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from bench.local_cloud import LocalCloud, local_cloud, signed_in
from devhost.ports import free_ports
from devhost.processes import Part
from devhost.stack import READY_TEXT, Stack

AFFORDABLE = 50
REQUESTS = 500
AT_A_TIME = 64
RUNS = 4  # on each number of hosts
WAIT_S = 60  # for a picture; one that takes longer counts as not served
MANAGER = "mia"
# Priced by the picture, so that a quote is what it costs and the budget comes out even.
MODEL = "flux-schnell"
PROVIDER = ("--azure-delay-s", "0.2", "--replicate-delay-s", "0.2", "--tiny-pictures")
SETTINGS = {"EIG_REPLICATE_CONCURRENT_MAX": "64"}
SECOND_HOST = "Second Functions host"


@dataclass(frozen=True)
class Result:
    """One run: what clients got, what the provider billed, what the ledger says."""

    answers: Counter[int]
    served: int
    billed: int
    limit_micros: int
    spent_micros: int
    reserved_micros: int
    took_s: float

    def faults(self) -> list[str]:
        """What is not as it must be."""
        return [
            text
            for text, wrong in (
                (f"{self.served} pictures served", self.served != AFFORDABLE),
                (f"{self.billed} pictures billed", self.billed != AFFORDABLE),
                (f"{self.spent_micros} spent", self.spent_micros != self.limit_micros),
                (f"{self.reserved_micros} stuck in holds", self.reserved_micros != 0),
                (f"answers {dict(self.answers)}", set(self.answers) - {200, 402} != set()),
            )
            if wrong
        ]


async def run() -> dict[str, Any]:
    """The same crowd on one host process and on two."""
    figures: dict[str, Any] = {}
    for hosts in (1, 2):
        results = await _runs(hosts)
        worst = max(result.served for result in results)
        name = f"{hosts} host{'s' if hosts > 1 else ''}"
        figures |= {
            f"{name}: pictures served": ", ".join(str(each.served) for each in results),
            f"{name}: pictures billed": ", ".join(str(each.billed) for each in results),
            f"{name}: spent / limit": ", ".join(
                f"{each.spent_micros / each.limit_micros:.3f}" for each in results
            ),
            f"{name}: micro-AUD stuck in holds": sum(each.reserved_micros for each in results),
            f"{name}: overspend ratio (worst served / paid for)": worst / AFFORDABLE,
            f"{name}: seconds for {REQUESTS} requests": ", ".join(
                f"{each.took_s:.1f}" for each in results
            ),
        }
        for result in results:
            if faults := result.faults():
                raise RuntimeError(f"{name}: {'; '.join(faults)}")
    return figures


async def _runs(hosts: int) -> Sequence[Result]:
    async with AsyncExitStack() as opened:
        cloud = await opened.enter_async_context(local_cloud(PROVIDER, SETTINGS))
        manager = await opened.enter_async_context(signed_in(cloud.stack, MANAGER))
        urls = [cloud.stack.api_url]
        if hosts > 1:
            urls.append(await _second_host(cloud.stack))
        return [await _one_run(cloud, manager, urls, number) for number in range(RUNS)]


async def _second_host(stack: Stack) -> str:
    """Another host process of the same app on the same stores; its API's URL."""
    port, folder = free_ports().host, stack.options.directory
    command = [sys.executable, "-m", "devhost.host", "--app-root", ".", "--no-blob"]
    command += ["--port", str(port), "--state-dir", str(folder / "second-host")]
    command += ["--settings", str(folder / "local.settings.json")]
    log = stack.options.log("second-host")
    await stack.supervisor.start(Part(SECOND_HOST, command, log, READY_TEXT))
    ports = replace(stack.ports, host=port)
    return f"{ports.url('host')}/api/v1"


async def _one_run(
    cloud: LocalCloud, manager: aiohttp.ClientSession, urls: Sequence[str], number: int
) -> Result:
    project = f"crowd{number}"
    order = {"model": MODEL, "prompt": "A harbour in the rain", "project": project}
    price = await _price(cloud)
    limit_micros = AFFORDABLE * price
    budget_url = f"{urls[0]}/budgets/project:{project}"
    headers = {"If-None-Match": "*"}
    async with manager.put(budget_url, json={"limit_micros": limit_micros}, headers=headers) as put:
        put.raise_for_status()
    control = f"{cloud.stack.ports.url('simulators')}/_control"
    async with cloud.session.post(f"{control}/invoice/reset") as reset:
        reset.raise_for_status()

    answers: Counter[int] = Counter()
    pictures = 0
    slots = asyncio.Semaphore(AT_A_TIME)

    async def client(request: int) -> None:
        nonlocal pictures
        url = f"{urls[request % len(urls)]}/generations"
        async with slots:
            waits = {"Prefer": f"wait={WAIT_S}"}
            async with cloud.session.post(url, json=order, headers=waits) as response:
                answers[response.status] += 1
                body = await response.json()
                pictures += len(body.get("images", ())) if response.status == 200 else 0

    started = time.perf_counter()
    await asyncio.gather(*(client(request) for request in range(REQUESTS)))
    took_s = time.perf_counter() - started
    async with manager.get(budget_url) as shown:
        budget = await shown.json()
    async with cloud.session.get(f"{control}/invoice") as invoice:
        lines = (await invoice.json())["lines"]
    return Result(
        answers=answers,
        served=pictures,
        billed=sum(line["quantity"] for line in lines if line["unit"] == "image"),
        limit_micros=limit_micros,
        spent_micros=budget["spent_micros"],
        reserved_micros=budget["reserved_micros"],
        took_s=took_s,
    )


async def _price(cloud: LocalCloud) -> int:
    estimate = await cloud.post("estimates", {"model": MODEL, "prompt": "A harbour in the rain"})
    return int(estimate["quote"]["amount_micros"])
