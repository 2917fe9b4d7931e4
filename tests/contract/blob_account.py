"""The storage account of the blob contracts: one Azurite for all suites of a test run."""

import atexit
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from devhost.azurite import ACCOUNT, ACCOUNT_KEY
from devhost.ports import LOOPBACK
from devhost.resources import read_resources
from shared.adapters.blob import API_VERSION, BlobAccount, BlobConnection

AZURITE = Path(__file__).resolve().parents[2] / "node_modules/.bin/azurite-blob"
START_S_MAX = 20.0
PROBE_S = 0.05
STOP_S_MAX = 10.0


@cache
def azurite() -> str:
    """The connection string of an Azurite that keeps all in memory and ends with this process."""
    if not AZURITE.exists():
        pytest.skip("Azurite is not installed; run `npm ci` first")
    port = free_port()
    flags = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"]
    process = subprocess.Popen(
        [str(AZURITE), *flags, "--blobHost", LOOPBACK, "--blobPort", str(port)],
        stdout=subprocess.DEVNULL,
    )
    atexit.register(_stop, process)
    _wait_until_it_listens(process, port)
    return connection_string(port)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def connection_string(port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"BlobEndpoint=http://{LOOPBACK}:{port}/{ACCOUNT};"
    )


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    end_s = time.monotonic() + START_S_MAX
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "Azurite ended at once"
            assert time.monotonic() < end_s, "Azurite did not start"
            time.sleep(PROBE_S)
        else:
            return


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(STOP_S_MAX)


class SilentConnection(BlobConnection):
    """An account where nothing listens, without the SDK's pauses of a minute and more."""

    def __init__(self) -> None:
        super().__init__(BlobAccount(connection_string(free_port()), None))

    def _connect(self) -> Any:
        return BlobServiceClient.from_connection_string(
            str(self._account.connection_string), api_version=API_VERSION, retry_total=0
        )


@pytest_asyncio.fixture(scope="module")
async def blobs() -> AsyncIterator[BlobConnection]:
    """A connection to Azurite, with the containers that the app expects."""
    connection = BlobConnection(BlobAccount(azurite(), None))
    for name in read_resources().blob_containers:
        try:
            await connection.service().create_container(name)
        except ResourceExistsError:
            continue
    yield connection
    await connection.aclose()


@pytest_asyncio.fixture
async def silent_blobs() -> AsyncIterator[BlobConnection]:
    connection = SilentConnection()
    yield connection
    await connection.aclose()
