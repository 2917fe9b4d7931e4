"""Azurite, Microsoft's storage emulator, as npm installs it: how to run it and how to reach it."""

from __future__ import annotations

import shutil
from pathlib import Path

from devhost.ports import LOOPBACK, Ports
from devhost.processes import Part, PartFailed

NAME = "Azurite"
SCRIPT = Path("node_modules/azurite/dist/src/azurite.js")
SERVICES = 3  # blob, queue and table: each announces itself
ACCOUNT = "devstoreaccount1"
# The published key of every storage emulator; it opens nothing else.
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def azurite_part(root: Path, data_dir: Path, log: Path, ports: Ports) -> Part:
    """The Azurite process; raises PartFailed when Node or the package is missing."""
    node = shutil.which("node")
    if node is None:
        raise PartFailed("Azurite needs Node.js 20 or newer, and no `node` is on the PATH.")
    if not (root / SCRIPT).exists():
        raise PartFailed("Azurite is not installed. Run `npm ci` (the Makefile's targets do).")
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [node, str(root / SCRIPT), "--location", str(data_dir)]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", LOOPBACK, f"--{service}Port", str(ports.by_name()[service])]
    # The SDK may name a newer API version than this Azurite knows.
    command += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    return Part(NAME, command, log, "is successfully listening", SERVICES)


def connection_string(ports: Ports) -> str:
    """With explicit endpoints, so that moved ports work as well."""
    return ";".join(
        (
            "DefaultEndpointsProtocol=http",
            f"AccountName={ACCOUNT}",
            f"AccountKey={ACCOUNT_KEY}",
            f"BlobEndpoint={ports.url('blob')}/{ACCOUNT}",
            f"QueueEndpoint={ports.url('queue')}/{ACCOUNT}",
            f"TableEndpoint={ports.url('table')}/{ACCOUNT}",
            "",
        )
    )
