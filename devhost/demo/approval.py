"""The part of the demo that asks for more than a budget has, and the manager who approves it."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from devhost.demo.api import Api, DemoStopped, Json

PROJECT = "pilot"  # a project without money, whose overage asks the manager
WISH = {
    "model": "gpt-image-2",
    "prompt": "A pilot boat leaving harbour in fog, woodcut",
    "size": "1024x1024",
    "quality": "low",
    "project": PROJECT,
}


async def approved_generation(person: Api, manager: Api, say: Callable[[str], None]) -> Json:
    """A generation that no budget covered until the manager approved it."""
    say(f"The manager opens project “{PROJECT}” with no money and approval on overage")
    await _open_project(manager)
    say("Asking for a picture on that project")
    generation = await person.post("/generations", WISH, {"Idempotency-Key": secrets.token_hex(16)})
    if generation["status"] != "awaiting_approval":
        raise DemoStopped(f"The request is {generation['status']} and not awaiting approval.")
    say("The manager approves it: the limit rises by exactly this amount, with the hold")
    decision = {"decision": "approve", "comment": "Part of the demo"}
    await manager.post(f"/approvals/{generation['id']}/decisions", decision)
    return generation


async def _open_project(manager: Api) -> None:
    rule = {"limit_micros": 0, "overage": "approval"}
    budgets = (await manager.get("/budgets"))["items"]
    exists = any(budget["scope"] == f"project:{PROJECT}" for budget in budgets)
    condition = {"If-Match": "*"} if exists else {"If-None-Match": "*"}
    await manager.put(f"/budgets/project:{PROJECT}", rule, condition)
