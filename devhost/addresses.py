"""What a developer is told once the stack is up: where everything is and what to try first."""

from __future__ import annotations

import sys

from devhost.local_settings import home_tenant_id, people, token_issuer
from devhost.ports import Ports
from devhost.stack import Stack


def addresses(stack: Stack) -> str:
    """The URLs of a running stack, its demo users, and a first request to copy."""
    ports = stack.ports
    local = stack.options.directory / "local.settings.json"
    rows = [
        ("Identity issuer", token_issuer(ports)),
        ("Azure OpenAI, simulated", f"{ports.url('simulators')}/azure-openai"),
        ("Replicate, simulated", f"{ports.url('simulators')}/replicate/v1"),
        ("Adobe Firefly, simulated", f"{ports.url('simulators')}/adobe-firefly"),
        ("What they invoiced", f"{ports.url('simulators')}/_control/invoice"),
        ("Cosmos DB emulator", ports.url("cosmos")),
        ("Azurite, blobs", ports.url("blob")),
        ("Settings of the app", str(local)),
        ("Logs", str(stack.options.directory / "logs")),
    ]
    if stack.options.with_host:
        rows[:0] = [
            ("API", stack.api_url),
            ("OpenAPI document", f"{stack.api_url}/openapi.json"),
        ]
    width = max(len(name) for name, _ in rows)
    table = "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
    return (
        f"\nThe local cloud is up.\n{table}\n\n{_users()}\n\n{_next(stack)}\n\nCtrl-C stops it.\n"
    )


def _users() -> str:
    """Those of the tenant that the app trusts."""
    shown = [
        f"  {user['username']:<5} {user['name']}, {user['role']}, {user['department'] or '-'}"
        for user in people()["users"]
        if user["tenant"] == home_tenant_id()
    ]
    return "\n".join(["Demo users (user name, person, role, department):", *shown])


def _next(stack: Stack) -> str:
    if not stack.options.with_host:
        source = "local.settings.json.example"
        if stack.ports != Ports():
            source = str(stack.options.directory / "local.settings.json")
        return f"Next, in another terminal:\n  cp {source} local.settings.json && func start"
    offset = stack.ports.host - Ports().host
    shifted = f" --port-offset {offset}" if offset else ""
    return f"Next, in another terminal:\n  {sys.executable} -m devhost demo --running{shifted}"
