"""What the suite runs against: the local cloud in processes of its own, or a given target.

Without variables the local cloud is started. With EIG_TARGET the suite uses a running app, and
skips what the other variables (tests/e2e/README.md) do not give it access to.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.storage.blob.aio import BlobServiceClient

from devhost.cosmos.auth import EMULATOR_KEY
from devhost.local_settings import FIELD_KEY_SETTING, home_tenant_id, people, setting_values
from devhost.ports import free_ports
from devhost.stack import (
    REPOSITORY,
    Stack,
    StackOptions,
    environment_without_settings,
    running_stack,
)
from shared.domain.blob_paths import THUMBNAILS_CONTAINER, PictureName
from tests.integration.api import Json, Person, until

APPROVAL_ESCALATION_S = 5  # long enough to decide before it on a busy machine
APPROVAL_EXPIRY_S = 15  # and long enough for an approval of before it to be used
APPROVAL_DUAL_ABOVE_MICROS = 50_000  # between one small picture and ten
UNKNOWN_HORIZON_S = 6  # long enough to look at a held amount first, short enough to wait for
SETTINGS = {
    "EIG_SWEEP_GRACE_S": "1",
    "EIG_SWEEP_UNKNOWN_HORIZON_S": str(UNKNOWN_HORIZON_S),
    "EIG_APPROVAL_ESCALATION_S": str(APPROVAL_ESCALATION_S),
    "EIG_APPROVAL_EXPIRY_S": str(APPROVAL_EXPIRY_S),
    "EIG_APPROVAL_DUAL_ABOVE_MICROS": str(APPROVAL_DUAL_ABOVE_MICROS),
}
REQUEST_TIMEOUT_S = 130.0  # the API holds `Prefer: wait` for up to 100 s
DATABASE = "eig"


@dataclass
class Cloud:
    """Access to the app and, as far as it is given, to what stands behind it."""

    api_url: str
    session: aiohttp.ClientSession
    simulators_url: str | None = None
    cosmos: CosmosClient | None = None
    storage: BlobServiceClient | None = None
    stack: Stack | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    logs_of_the_dead: list[str] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def host_url(self) -> str:
        parts = urlsplit(self.api_url)
        return f"{parts.scheme}://{parts.netloc}"

    # --- people ----------------------------------------------------------------------------

    async def person(self, username: str) -> Person:
        """A demo user, signed in as a client signs in."""
        if username not in self._tokens:
            self._tokens[username] = await self.access_token(username)
        return self.with_token(self._tokens[username])

    def with_token(self, token: str | None) -> Person:
        return Person(self.session, self.api_url, token)

    async def access_token(self, username: str) -> str:
        user = next(user for user in people()["users"] if user["username"] == username)
        api_client = people()["api"]
        form = {
            "grant_type": "password",
            "client_id": people()["clients"][0]["client_id"],
            "scope": f"api://{api_client['client_id']}/{api_client['scope']}",
            "username": username,
        }
        url = f"{self.simulators_url}/{user['tenant']}/oauth2/v2.0/token"
        async with self.session.post(url, data=form) as response:
            return str((await response.json())["access_token"])

    async def minted(self, **fields: Any) -> Person:
        """Somebody with a token of any shape; see the identity simulator."""
        url = f"{self.simulators_url}/_control/tokens"
        async with self.session.post(url, json=fields) as response:
            return self.with_token(str((await response.json())["token"]))

    async def seed(self, organisation: Json) -> None:
        """Enters departments and people by the app's own command."""
        path = self._data_dir() / "organisation.json"
        path.write_text(json.dumps(organisation), "utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shared.seed",
            str(path),
            cwd=REPOSITORY,
            env={**environment_without_settings(), **self.environment},
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0

    # --- what stands behind the app ----------------------------------------------------------

    def container(self, name: str) -> ContainerProxy:
        assert self.cosmos is not None
        return self.cosmos.get_database_client(DATABASE).get_container_client(name)

    async def documents(self, container: str, condition: str = "true", **values: Any) -> list[Json]:
        """Documents of any partition; `values` are the parameters of the condition."""
        rows = self.container(container).query_items(
            f"SELECT * FROM c WHERE {condition}",
            parameters=[{"name": f"@{name}", "value": value} for name, value in values.items()],
        )
        return [dict(row) async for row in rows]

    async def invoice_lines(self) -> list[Json]:
        """What the simulated providers bill, oldest first."""
        lines: list[Json] = (await self._control("GET", "invoice"))["lines"]
        return lines

    async def submissions(self) -> dict[str, int]:
        """How often each prompt, by its SHA-256, was submitted to a provider."""
        found = (await self._control("GET", "stats"))["submissions"]
        return {entry["prompt_sha256"]: entry["submitted"] for entry in found}

    async def simulator_fault(self, **spec: Any) -> None:
        await self._control("POST", "faults", spec)

    async def no_simulator_faults(self) -> None:
        await self._control("DELETE", "faults")

    async def scenario(self, **rule: Any) -> None:
        """A rule after which a simulated provider misbehaves, whatever is asked."""
        await self._control("POST", "scenarios", rule)

    async def no_scenarios(self) -> None:
        await self._control("DELETE", "scenarios")

    async def _control(self, method: str, what: str, body: object = None) -> Json:
        url = f"{self.simulators_url}/_control/{what}"
        async with self.session.request(method, url, json=body) as response:
            assert response.status < 300, await response.text()
            answer: Json = await response.json()
            return answer

    async def cosmos_fault(self, **spec: Any) -> None:
        """A fault of the Cosmos DB emulator, see devhost/faults.py."""
        await self._cosmos_control("POST", spec)

    async def no_cosmos_faults(self) -> None:
        await self._cosmos_control("DELETE", None)

    async def _cosmos_control(self, method: str, body: object) -> None:
        assert self.stack is not None
        url = f"{self.stack.ports.url('cosmos')}/_control/faults"
        async with self.session.request(method, url, json=body) as response:
            assert response.status < 300, await response.text()

    async def result_file(self, folder: str, name: str) -> bytes | None:
        """A file of the results container; None when it is not there."""
        assert self.storage is not None
        blob = self.storage.get_blob_client("results", f"{folder}/{name}")
        if not await blob.exists():
            return None
        content: bytes = await (await blob.download_blob()).readall()
        return content

    async def thumbnail(self, image_id: str) -> bytes:
        """The thumbnail that was drawn of a picture, once it is there; nobody asks the app."""
        assert self.storage is not None
        generation_id, _, index = image_id.rpartition("_")
        name = PictureName(generation_id, int(index)).thumbnail
        blob = self.storage.get_blob_client(THUMBNAILS_CONTAINER, name)
        await until(blob.exists, bool)
        content: bytes = await (await blob.download_blob()).readall()
        return content

    # --- the host ----------------------------------------------------------------------------

    async def fire(self, timer: str) -> None:
        """Starts one run of a timer function at once; it runs on after this returns."""
        url = f"{self.host_url}/admin/functions/{timer}"
        async with self.session.post(url, json={"input": ""}) as response:
            assert response.status == 202, response.status

    async def host_control(self, what: str, body: Json) -> None:
        url = f"{self.host_url}/_control/{what}"
        async with self.session.post(url, json=body) as response:
            assert response.status < 300, await response.text()

    async def kill_host(self) -> None:
        """Ends the host as `kill -9` does; its log is kept, a restart overwrites the file."""
        assert self.stack is not None
        await self.stack.kill_host()
        self.logs_of_the_dead.append(self.stack.options.log("host").read_text("utf-8"))

    async def start_host(self) -> None:
        assert self.stack is not None
        await self.stack.start_host()

    def logs(self) -> dict[str, str]:
        """Every log of the cloud's processes so far, by name."""
        texts = {path.stem: path.read_text("utf-8") for path in self._data_dir().glob("logs/*.log")}
        texts |= {f"host, life {n}": text for n, text in enumerate(self.logs_of_the_dead, 1)}
        return texts

    def _data_dir(self) -> Path:
        assert self.stack is not None
        return self.stack.options.directory


@asynccontextmanager
async def open_cloud(data_dir: Path) -> AsyncIterator[Cloud]:
    """The target named in the environment, or a local cloud of our own under `data_dir`."""
    async with AsyncExitStack() as opened:
        session = await opened.enter_async_context(_session())
        target = os.environ.get("EIG_TARGET")
        if target:
            yield await _given_target(target, session, opened)
            return
        options = StackOptions(
            ports=free_ports(),
            data_dir=data_dir,
            host_flags=("--verify-replay",),
            extra_settings={
                **SETTINGS,
                "EIG_MAIL_FOLDER": str(data_dir / "mail"),
                FIELD_KEY_SETTING: str(data_dir / "field_keys"),
            },
        )
        stack = await opened.enter_async_context(running_stack(options))
        values = {**setting_values(options.ports), **options.extra_settings}
        yield Cloud(
            api_url=stack.api_url,
            session=session,
            simulators_url=options.ports.url("simulators"),
            cosmos=await _cosmos(values["EIG_COSMOS_ENDPOINT"], EMULATOR_KEY, opened),
            storage=await _storage(values["EIG_STORAGE"], opened),
            stack=stack,
            environment=values,
        )


async def _given_target(
    target: str, session: aiohttp.ClientSession, opened: AsyncExitStack
) -> Cloud:
    given = os.environ
    cloud = Cloud(
        api_url=f"{target.rstrip('/')}/api/v1",
        session=session,
        simulators_url=(given.get("EIG_TARGET_SIMULATORS") or "").rstrip("/") or None,
    )
    if endpoint := given.get("EIG_TARGET_COSMOS"):
        cloud.cosmos = await _cosmos(endpoint, given["EIG_TARGET_COSMOS_KEY"], opened)
    if connection := given.get("EIG_TARGET_STORAGE"):
        cloud.storage = await _storage(connection, opened)
    return cloud


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A host that is killed and started again must not be met on its old connections.
        connector=aiohttp.TCPConnector(force_close=True),
    )


async def _cosmos(endpoint: str, key: str, opened: AsyncExitStack) -> CosmosClient:
    client = CosmosClient(
        endpoint, key, enable_endpoint_discovery=not endpoint.startswith("http://")
    )
    return await opened.enter_async_context(client)


async def _storage(connection: str, opened: AsyncExitStack) -> BlobServiceClient:
    client = BlobServiceClient.from_connection_string(connection, api_version="2025-11-05")
    return await opened.enter_async_context(client)


def organisation(
    department_id: str,
    limit_micros: int,
    user_limits_micros: list[int],
    roles: Sequence[str] = (),
) -> Json:
    """An organisation file of one department; its people are numbered object ids.

    Whoever `roles` has no word for is a Standard User; no rate limit of a tier is in the way.
    """
    number = sum(department_id.encode())
    return {
        "tenant_id": home_tenant_id(),
        "departments": [
            {
                "department_id": department_id,
                "name": department_id.title(),
                "limit_micros": limit_micros,
            }
        ],
        "users": [
            {
                "object_id": f"d{number:07d}-0000-4000-8000-{index:012d}",
                "department_id": department_id,
                "limit_micros": limit,
                "role": roles[index] if index < len(roles) else "StandardUser",
                "tier": "enterprise",
            }
            for index, limit in enumerate(user_limits_micros)
        ],
    }
