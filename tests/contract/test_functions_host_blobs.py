"""Blob triggers of the local host against Azurite."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobServiceClient

from tests.contract.sample_app.host_process import REPOSITORY, HostProcess

WEBHOOK = "/runtime/webhooks/blobs?functionName=Host.Functions.on_upload"
ACCOUNT_KEY = (  # the published key of the storage emulator
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
START_S_MAX = 20.0


def _azurite() -> str | None:
    local = REPOSITORY / "node_modules/.bin/azurite-blob"
    return str(local) if local.exists() else shutil.which("azurite-blob")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a running Azurite."""
    binary = _azurite()
    if binary is None:
        pytest.skip("azurite-blob was not found; run `npm install` first")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    process = subprocess.Popen(
        [
            binary,
            "--silent",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--location",
            str(folder),
            "--blobPort",
            str(port),
        ],
        stdout=subprocess.DEVNULL,
    )
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={ACCOUNT_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )
    _wait_until_it_answers(connection)
    yield connection
    process.terminate()
    process.wait()


def _wait_until_it_answers(connection: str) -> None:
    end_s = time.monotonic() + START_S_MAX
    with BlobServiceClient.from_connection_string(connection, retry_total=0) as service:
        while True:
            try:
                service.create_container("uploads")
            except ServiceRequestError:
                assert time.monotonic() < end_s, "Azurite did not start"
                time.sleep(0.1)
            else:
                return


@pytest.fixture
def uploads(storage: str) -> Iterator[BlobServiceClient]:
    with BlobServiceClient.from_connection_string(storage) as service:
        yield service
        container = service.get_container_client("uploads")
        for blob in container.list_blobs():
            container.delete_blob(blob.name)


@pytest.fixture
def host(storage: str, uploads: BlobServiceClient, tmp_path: Path) -> Iterator[HostProcess]:
    process = HostProcess(tmp_path, (), {"SampleStorage": storage}).start()
    yield process
    process.stop()


def _put(service: BlobServiceClient, name: str, content: bytes) -> None:
    client = service.get_blob_client("uploads", name)
    client.upload_blob(content, overwrite=True, metadata={"by": "test"})


def test_blob_arrives_with_name_length_content_and_metadata(
    host: HostProcess, uploads: BlobServiceClient
) -> None:
    _put(uploads, "left/a.txt", b"hello")
    _put(uploads, "no-slot.txt", b"does not match the pattern")

    lines = host.until(lambda: host.lines("blobs.log"), lambda found: len(found) > 0)

    assert lines == ["uploads/left/a.txt 5 hello {'by': 'test'}"]


def test_blob_is_delivered_once_per_version_over_restarts(
    host: HostProcess, uploads: BlobServiceClient
) -> None:
    _put(uploads, "s/a", b"one")
    host.until(lambda: host.lines("blobs.log"), lambda found: len(found) == 1)
    host.stop()
    _put(uploads, "s/b", b"while it was down")
    host.start()
    host.until(lambda: host.lines("blobs.log"), lambda found: len(found) == 2)
    _put(uploads, "s/a", b"two")

    lines = host.until(lambda: host.lines("blobs.log"), lambda found: len(found) == 3)

    contents = [" ".join(line.split()[2:-2]) for line in lines]
    assert contents == ["one", "while it was down", "two"]
    host.until(lambda: host.stats()["blobs"]["on_upload"], lambda c: c == {"done": 2})


def test_failing_blob_is_retried_and_does_not_block_others(
    host: HostProcess, uploads: BlobServiceClient
) -> None:
    _put(uploads, "s/bad", b"fail")
    for number in range(6):
        _put(uploads, f"s/good{number}", b"ok")

    lines = host.until(
        lambda: host.lines("blobs.log"),
        lambda found: found.count("failed uploads/s/bad") >= 2 and len(found) >= 8,
    )

    assert len([line for line in lines if "ok" in line]) == 6
    counts = host.stats()["blobs"]["on_upload"]
    assert counts == {"done": 6, "waiting": 1}


def test_event_grid_event_and_cloud_event_deliver_without_polling(
    storage: str, uploads: BlobServiceClient, tmp_path: Path
) -> None:
    host = HostProcess(tmp_path, ("--no-blob",), {"SampleStorage": storage}).start()
    _put(uploads, "s/event", b"grid")
    _put(uploads, "s/cloud", b"cloud")
    subject = "/blobServices/default/containers/uploads/blobs/s/"
    time.sleep(0.7)
    assert host.lines("blobs.log") == []

    grid = [{"eventType": "Microsoft.Storage.BlobCreated", "subject": subject + "event"}]
    assert host.call("POST", WEBHOOK, grid).status == 202
    host.until(lambda: host.lines("blobs.log"), lambda found: len(found) == 1)
    cloud = {"type": "Microsoft.Storage.BlobCreated", "subject": subject + "cloud"}
    assert host.call("POST", WEBHOOK, cloud).status == 202
    host.until(lambda: host.lines("blobs.log"), lambda found: len(found) == 2)
    assert host.call("POST", WEBHOOK, cloud).status == 202
    other = {"type": "Microsoft.Storage.BlobDeleted", "subject": subject + "cloud"}
    assert host.call("POST", WEBHOOK, other).status == 202
    time.sleep(0.7)

    assert len(host.lines("blobs.log")) == 2
    assert host.stop() == 0


def test_event_grid_subscription_is_validated(host: HostProcess) -> None:
    event = [
        {
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "code-1"},
        }
    ]
    headers = {"aeg-event-type": "SubscriptionValidation"}

    assert host.call("POST", WEBHOOK, event, headers).json == {"validationResponse": "code-1"}
    assert host.call("POST", WEBHOOK.replace("on_upload", "nobody"), event).status == 404
    assert host.call("POST", WEBHOOK, b"[]").status == 400


def test_start_fails_when_the_connection_is_identity_based(tmp_path: Path) -> None:
    host = HostProcess(tmp_path, ())
    result = subprocess.run(
        host.command(),
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "TICK_SCHEDULE": "0 0 0 1 1 *",
            "SampleStorage__blobServiceUri": "https://account.blob.core.windows.net",
        },
        capture_output=True,
        text=True,
        timeout=START_S_MAX,
        check=False,
    )

    assert result.returncode == 2
    assert "identity-based connection" in result.stderr


def test_host_keeps_running_while_the_storage_account_is_down(tmp_path: Path) -> None:
    dead = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={ACCOUNT_KEY};"
        "BlobEndpoint=http://127.0.0.1:9/devstoreaccount1;"
    )
    host = HostProcess(tmp_path, (), {"SampleStorage": dead}).start()

    host.until(host.log, lambda log: "cannot list uploads" in log)

    assert host.call("GET", "/api/plain_text").status == 200
    event = {
        "type": "Microsoft.Storage.BlobCreated",
        "subject": "/blobServices/default/containers/uploads/blobs/s/x",
    }
    assert host.call("POST", WEBHOOK, event).status == 503
    assert host.stop() == 0
