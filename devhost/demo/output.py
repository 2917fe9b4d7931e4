"""The folder of a run, its `latest` link, and the error file that the app wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from devhost.azurite import connection_string
from devhost.ports import Ports
from devhost.stack import REPOSITORY

OUTPUT = REPOSITORY / "demo-output"
RESULTS_CONTAINER = "results"


def new_folder() -> tuple[Path, datetime]:
    """An empty folder named after this moment (UTC), with room for pictures."""
    now = datetime.now(UTC)
    folder = OUTPUT / now.strftime("%Y%m%dT%H%M%S.%fZ")
    (folder / "images").mkdir(parents=True)
    return folder, now


def point_latest_at(folder: Path) -> Path:
    """Makes `demo-output/latest` a link to the folder, replacing an older one in one step."""
    latest = folder.parent / "latest"
    fresh = folder.parent / f".latest-{folder.name}"
    fresh.symlink_to(folder.name)
    fresh.replace(latest)
    return latest


async def fetch_errors_csv(ports: Ports, batch_id: str, folder: Path) -> None:
    """Saves the errors.csv of a batch, which exists if a row was invalid, from the results."""
    blob = BlobClient.from_connection_string(
        connection_string(ports), RESULTS_CONTAINER, f"{batch_id}/errors.csv"
    )
    async with blob:
        try:
            content = await (await blob.download_blob()).readall()
        except ResourceNotFoundError:
            return
    (folder / "errors.csv").write_bytes(content)
