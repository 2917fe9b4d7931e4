"""A scripted Adobe Firefly: sign-in, one job, its pictures, and a provider that talks to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider, FireflyAddresses
from tests.contract.image_orders import order, png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

SIGN_IN = "/ims/token/v3"
SUBMIT = "/v3/images/generate-async"
SUBMIT_V4 = "/v4/images/generate-async"
JOB = "urn:ff:jobs:eso851211:86ffe2ea-d765-4bd3-b2fd-568ca8fadc1f"
LOOK = f"/v3/status/{JOB}"
CANCEL = f"/v3/cancel/{JOB}"
PICTURE = "/signed/0.png"
IMAGE3 = order("firefly-image3")
IMAGE5 = order("firefly-image5")
TOKEN = {"access_token": "token-1", "token_type": "bearer", "expires_in": 86_399}
RUNNING = {"status": "running", "jobId": JOB}


def status_url(server: ScriptedServer) -> str:
    """On the other name of loopback, as jobs are on another host than submissions."""
    return server.origin.replace("127.0.0.1", "localhost") + LOOK


def accepted(server: ScriptedServer) -> dict[str, Any]:
    url = status_url(server)
    return {"jobId": JOB, "statusUrl": url, "cancelUrl": url.replace("/status/", "/cancel/")}


def succeeded(server: ScriptedServer, *, pictures: int = 1, **result: Any) -> dict[str, Any]:
    outputs = [
        {"seed": 1_842_533_538 + number, "image": {"url": server.origin + PICTURE}}
        for number in range(pictures)
    ]
    body = {"size": {"width": 2048, "height": 2048}, "outputs": outputs, **result}
    return {"status": "succeeded", "jobId": JOB, "result": body}


def looks_give(server: ScriptedServer, *jobs: Any) -> None:
    server.answers(LOOK, *(Answer(body=job) for job in jobs))


def sent_to(server: ScriptedServer, path: str) -> int:
    return sum(seen.path == path for seen in server.seen)


@asynccontextmanager
async def firefly_server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers(SIGN_IN, Answer(body=TOKEN))
        server.answers(SUBMIT, Answer(202, accepted(server)))
        links = {"result": {"href": status_url(server)}}
        server.answers(SUBMIT_V4, Answer(200, {"links": links, "progress": 0}))
        server.answers(PICTURE, Answer(body=png()))
        server.answers(CANCEL, Answer(200, {}))
        yield server


@asynccontextmanager
async def firefly_provider(server: ScriptedServer) -> AsyncIterator[AdobeFireflyProvider]:
    host = server.origin.removeprefix("http://")
    addresses = FireflyAddresses(
        base_url=server.origin,
        ims_url=server.origin,
        api_hosts=frozenset({host.replace("127.0.0.1", "localhost")}),
        output_hosts=frozenset({host}),
    )
    provider = AdobeFireflyProvider(
        addresses, "client", GivenSecret("secret"), poll_interval_s=0.01
    )
    yield provider
    await provider.aclose()
