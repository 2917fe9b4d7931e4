"""The demo's steps, in the order in which a person would take them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from devhost.demo.api import Api, DemoStopped, Json
from devhost.demo.approval import approved_generation
from devhost.demo.fallback import attempts_text, routed_generation
from devhost.demo.money import aud
from devhost.demo.output import fetch_errors_csv, new_folder, point_latest_at
from devhost.demo.pictures import Downloads, Picture
from devhost.demo.progress import batch_progress
from devhost.demo.reconciliation import Check, provider_figures
from devhost.demo.run import STORYBOARD, Run, checks_of
from devhost.demo.sheet import contact_sheet
from devhost.demo.tables import budget_table, outcome_table, provider_table, trouble_table
from devhost.local_settings import people, token_issuer
from devhost.stack import REPOSITORY, StackOptions

USERNAME, MANAGER = "ava", "mia"
SINGLE = {
    "model": "gpt-image-2",
    "prompt": "A lighthouse keeper's cottage at first light, gouache, quiet colours",
    "size": "1024x1024",
    "quality": "low",
}
WAIT_S = 60  # of the single generation; simulated pictures take one to five seconds
SLOT_TIMEOUT_S = 60.0  # from the upload to the batch; a cold blob trigger takes seconds
BATCH_TIMEOUT_S = 300.0  # about ten times what 24 rows take on two cores
QUIET_TIMEOUT_S = 60.0  # for what an interrupted run left to do
QUIET_S = 1.5  # without a change: a picture takes less, and so does noticing a waiting upload
POLL_S = 0.4
TERMINAL = frozenset({"succeeded", "refused", "failed", "canceled", "indeterminate"})
RECEIPT_FILES = {"json": "receipt.json", "csv": "receipt.csv", "jws": "receipt.json.jws"}
TICK, CROSS = "[green]✓[/]", "[red]✗[/]"


async def run_demo(options: StackOptions) -> int:
    """Runs every step against the stack at these ports; returns 0 if all figures agree."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 110
    try:
        base_url = f"{options.ports.url('host')}/api/v1"
        async with Api(base_url) as api, Api(base_url) as manager:
            run = await _Demo(options, api, manager, console).run()
    except DemoStopped as problem:
        console.print(f"\n{CROSS} The demo stopped. ", end="")
        console.print(str(problem), markup=False)
        console.print(f"  Logs: {options.directory / 'logs'}", markup=False)
        return 1
    checks = checks_of(run)
    sheet = run.folder / "contact_sheet.html"
    sheet.write_text(contact_sheet(run, checks), "utf-8")
    latest = point_latest_at(run.folder)
    _print_results(console, run, checks, latest)
    return 0 if all(check.holds for check in checks) else 1


class _Demo:
    """The steps; each says what it does before it does it."""

    def __init__(self, options: StackOptions, api: Api, manager: Api, console: Console) -> None:
        self._options = options
        self._api = api
        self._manager = manager
        self._console = console

    async def run(self) -> Run:
        folder, started_at = new_folder()
        department = await self._sign_in(self._api, USERNAME)
        scope = f"/budgets/department:{department}"
        before, known_lines = await self._quiet(scope)
        single = await self._single()
        approved = await self._approved()
        routed = await self._routed()
        batch = await self._batch(await self._upload())
        batch_path = f"/batches/{batch['id']}"
        items = [item async for item in self._pages(f"{batch_path}/items")]
        after = await self._api.get(scope, {"period": before["period"]})
        lines = (await self._invoice())[len(known_lines) :]
        receipt = await self._api.get(f"{batch_path}/receipt")
        for name in ("json", "csv", "jws"):
            content = await self._api.download(f"{batch_path}/receipt", {"format": name})
            (folder / RECEIPT_FILES[name]).write_bytes(content)
        await self._finance_page(folder, department)
        await fetch_errors_csv(self._options.ports, batch["id"], folder)
        return Run(
            folder=folder,
            started_at=started_at,
            single=single,
            approved=approved,
            routed=routed,
            batch=batch,
            items=tuple(items),
            receipt=receipt,
            budget_before=before,
            budget_after=after,
            invoice_lines=tuple(lines),
            pictures=await self._pictures(
                folder, [("single", single), ("approved", approved), ("routed", routed)], items
            ),
        )

    async def _sign_in(self, api: Api, username: str) -> str:
        user = next(user for user in people()["users"] if user["username"] == username)
        self._say(f"Signing in as {user['name']} ({user['role']}, {user['department']})")
        api_client = people()["api"]
        form = {
            "grant_type": "password",
            "client_id": people()["clients"][0]["client_id"],
            "scope": f"api://{api_client['client_id']}/{api_client['scope']}",
            "username": username,
        }
        await api.sign_in(token_issuer(self._options.ports), form)
        return str(user["department"])

    async def _quiet(self, scope: str) -> tuple[Json, list[Json]]:
        """Budget and invoice once nothing moves: an interrupted run may still be finishing."""
        started = quiet_since = time.monotonic()
        seen = await self._api.get(scope), await self._invoice()
        if not seen[1] and not seen[0]["reserved_micros"]:
            return seen  # nothing was ever done here
        while time.monotonic() - quiet_since < QUIET_S:
            if time.monotonic() - started > QUIET_TIMEOUT_S:
                raise DemoStopped("Something else keeps this stack busy; the figures would mix.")
            await asyncio.sleep(POLL_S)
            now = await self._api.get(scope), await self._invoice()
            if now != seen:
                if quiet_since == started:
                    self._say("An earlier run left work: waiting until it is done")
                seen, quiet_since = now, time.monotonic()
        return seen

    async def _single(self) -> Json:
        self._say(f"Generating one image: “{SINGLE['prompt']}”")
        headers = {"Idempotency-Key": secrets.token_hex(16), "Prefer": f"wait={WAIT_S}"}
        generation = await self._api.post("/generations", SINGLE, headers)
        return await self._ended(generation)

    async def _approved(self) -> Json:
        await self._sign_in(self._manager, MANAGER)
        return await self._ended(await approved_generation(self._api, self._manager, self._say))

    async def _routed(self) -> Json:
        simulators = self._options.ports.url("simulators")
        asked = await routed_generation(self._api, simulators, WAIT_S, self._say)
        ended = await self._ended(asked)
        self._console.print(f"  {attempts_text(ended)}", markup=False)
        return ended

    async def _ended(self, generation: Json) -> Json:
        path = f"/generations/{generation['id']}"
        ended = await self._until(
            lambda: self._api.get(path), lambda g: g["status"] in TERMINAL, WAIT_S, path
        )
        cost = ended["cost"]
        charged = aud(cost["amount_micros"], 6) if cost else "nothing"
        self._console.print(f"  {ended['status']}, charged {charged}")
        return ended

    async def _finance_page(self, folder: Path, department: str) -> None:
        """What the manager reads at the end of the month, as one page."""
        params = {"department": department}
        (folder / "finance.html").write_bytes(
            await self._manager.download("/reports/finance", params)
        )

    async def _upload(self) -> str:
        self._say(f"Uploading {STORYBOARD.relative_to(REPOSITORY)} to a slot of our own")
        slot = await self._api.post("/batches/uploads", {"file_name": STORYBOARD.name})
        await self._api.upload(slot["upload_url"], STORYBOARD.read_bytes(), "text/csv")
        path = f"/batches/uploads/{slot['id']}"
        slot = await self._until(
            lambda: self._api.get(path), lambda s: s["batch_ids"], SLOT_TIMEOUT_S, path
        )
        return str(slot["batch_ids"][0])

    async def _batch(self, batch_id: str) -> Json:
        self._say(f"Batch {batch_id}")
        with batch_progress(self._console) as progress:

            async def look() -> Json:
                batch = await self._api.get(f"/batches/{batch_id}")
                progress.show(batch)
                return batch

            def has_ended(batch: Json) -> bool:
                return bool(batch["status"] != "running")

            batch = await self._until(look, has_ended, BATCH_TIMEOUT_S, f"batch {batch_id}")
        if batch["problem"]:
            raise DemoStopped(f"The batch was {batch['status']}: {batch['problem']}")
        return batch

    async def _pages(self, path: str) -> AsyncIterator[Json]:
        continuation: str | None = ""
        while continuation is not None:
            page = await self._api.get(path, {"continuation": continuation} if continuation else {})
            for item in page["items"]:
                yield item
            continuation = page["continuation"]

    async def _pictures(
        self, folder: Path, singles: list[tuple[str, Json]], items: list[Json]
    ) -> dict[str, tuple[Picture, ...]]:
        self._say("Downloading the pictures")
        downloads = Downloads(self._api, folder)
        wanted = [*singles]
        wanted += [(item["item_id"], item["generation"]) for item in items if item["generation"]]
        found = await asyncio.gather(*(downloads.of(g, name) for name, g in wanted))
        return {g["id"]: pictures for (_, g), pictures in zip(wanted, found, strict=True)}

    async def _invoice(self) -> list[Json]:
        url = f"{self._options.ports.url('simulators')}/_control/invoice"
        lines: list[Json] = (await self._api.send("GET", url))["lines"]
        return lines

    async def _until(
        self,
        look: Callable[[], Awaitable[Json]],
        is_done: Callable[[Json], Any],
        timeout_s: float,
        what: str,
    ) -> Json:
        deadline = time.monotonic() + timeout_s
        while True:
            seen = await look()
            if is_done(seen):
                return seen
            if time.monotonic() > deadline:
                raise DemoStopped(f"{what} is not done after {timeout_s:g} s.")
            await asyncio.sleep(POLL_S)

    def _say(self, text: str) -> None:
        self._console.print(f"• {text}", markup=False)


def _print_results(console: Console, run: Run, checks: list[Check], latest: Path) -> None:
    figures = provider_figures(run.entries(), run.invoice_lines)
    troubled = [item for item in run.items if item["status"] != "succeeded"]
    for table in (
        provider_table(figures),
        budget_table(run.budget_before, run.budget_after),
        outcome_table(run.batch["rows"]),
        trouble_table(troubled),
    ):
        console.print()
        console.print(table)
    console.print("\nFiles")
    for path in sorted(run.folder.iterdir()):
        console.print(f"  {path}", markup=False, soft_wrap=True)
    console.print(f"  {latest} points there", markup=False, soft_wrap=True)
    console.print("\nChecks")
    for check in checks:
        console.print(f"  {TICK if check.holds else CROSS} ", end="")
        console.print(check.text, markup=False, soft_wrap=True)
