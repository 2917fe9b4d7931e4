"""What a developer is told once the stack is up: where everything is and what to try first."""

from __future__ import annotations

from devhost.local_settings import people, token_issuer
from devhost.stack import Stack


def addresses(stack: Stack) -> str:
    """The URLs of a running stack, its demo users, and a first request to copy."""
    ports = stack.ports
    local = stack.options.directory / "local.settings.json"
    rows = [
        ("Identity issuer", token_issuer(ports)),
        ("Azure OpenAI, simulated", f"{ports.url('simulators')}/azure-openai"),
        ("Replicate, simulated", f"{ports.url('simulators')}/replicate/v1"),
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
    return f"\nThe local cloud is up.\n{table}\n\n{_users()}\n\n{_next(stack)}\nCtrl-C stops it.\n"


def _users() -> str:
    shown = [
        f"{user['username']} ({user['role']}, {user['department'] or 'no department'})"
        for user in people()["users"]
    ]
    return "  Demo users: " + ", ".join(shown) + "."


def _next(stack: Stack) -> str:
    if not stack.options.with_host:
        return (
            "  Next: cp local.settings.json.example local.settings.json && func start\n"
            "  then: python -m devhost demo --running"
        )
    return "  Next: python -m devhost demo --running   (in another terminal)"
