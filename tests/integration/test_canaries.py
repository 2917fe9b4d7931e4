"""Words that must never be found again: prompts, tokens, keys, signed links."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest

from tests.integration.api import Json, Person, order
from tests.integration.batch_files import as_csv, as_jsonl
from tests.integration.books import wait_until_settled
from tests.integration.cloud import Cloud
from tests.integration.test_uploads import uploaded

SECRET_SETTINGS = (
    "EIG_COSMOS_KEY",
    "EIG_AUDIT_COSMOS_KEY",
    "EIG_AUDIT_READER_COSMOS_KEY",
    "EIG_AZURE_OPENAI_KEY",
    "EIG_REPLICATE_TOKEN",
)
SCENARIOS = {
    "gpt-image-2": [
        None,
        "content_filter shape=moderation_blocked",
        "content_filter shape=output_filtered",
        "outage times=1",
        "timeout_408",
        "timeout_after_work",
        "malformed",
        "not_an_image",
        "unauthorized",
        "provider_blocked",
    ],
    "sdxl": [None, "nsfw", "failed", "aborted", "insufficient_credit", "wrong_output_host"],
}


def canary(name: str) -> str:
    """A word that nothing else contains."""
    return f"CANARY{name.upper()}{uuid4().hex}"


@pytest.fixture(scope="module")
async def released(own_cloud: Cloud, ava: Person) -> list[str]:
    """The canaries, after they went through successes and failures of every kind."""
    words = {name: canary(name) for name in ("prompt", "negative", "row", "key", "token", "field")}
    await asyncio.gather(
        *(generate(ava, model, each, words) for model in SCENARIOS for each in SCENARIOS[model]),
        refuse(own_cloud, ava, words),
        upload(own_cloud, ava, words),
    )
    await own_cloud.cosmos_fault(match="POST .*/docs", kind="error", status=500, times=12)
    await ava.post("/generations", order(prompt=words["prompt"]))
    await own_cloud.no_cosmos_faults()
    await wait_until_settled(own_cloud)
    await own_cloud.fire("AuditRelay")
    return [*words.values(), *await secrets_of(own_cloud, ava)]


async def generate(person: Person, model: str, scenario: str | None, words: dict[str, str]) -> None:
    body = order(model, scenario)
    body["prompt"] = f"{words['prompt']} {body['prompt']}"
    if model == "sdxl":
        body["negative_prompt"] = words["negative"]
    await person.generate(body, key=words["key"] + uuid4().hex)


async def refuse(cloud: Cloud, person: Person, words: dict[str, str]) -> None:
    """Requests that are turned away for what they hold."""
    prompt = words["prompt"]
    for body in (
        order(prompt=prompt, quality=words["field"]),
        order(prompt=prompt) | {words["field"]: prompt},
        order(prompt=prompt * 200),
        order(words["field"], prompt=prompt),
    ):
        assert (await person.post("/generations", body)).status == 422
        assert (await person.post("/estimates", body)).status == 422
    raw = f'{{"prompt": "{prompt}'.encode()
    headers = {"Content-Type": "application/json"}
    assert (await person.send("POST", "/generations", data=raw, headers=headers)).status == 422
    for token in (words["token"], f"{words['token']}.e30.x"):
        assert (await cloud.with_token(token).get("/models")).status == 401
    unknown = "a0000000-0000-4000-8000-00000000dead"
    stranger = await cloud.minted(claims={"oid": unknown, "name": words["token"]})
    assert (await stranger.get("/models")).status == 403
    rows = {"items": [order(prompt=prompt), order(prompt=prompt, size="9x9")]}
    batch = (await person.post("/batches", rows)).json(202)
    await person.ended_batch(batch["id"])


async def upload(cloud: Cloud, person: Person, words: dict[str, str]) -> None:
    """Files with canaries in good rows, bad rows and rows that reject the file."""
    row = words["row"]
    rows: list[Json] = [
        order(prompt=f"{row} good"),
        order(prompt=f"{row} bad", size=row[:15]),
        order(prompt=f"{row} refused [[scenario:content_filter]]"),
    ]
    await uploaded(cloud, person, as_csv(rows))
    await uploaded(cloud, person, as_jsonl(rows), "rows.jsonl")
    await uploaded(cloud, person, f"{row},model\n{row},{row}\n".encode())
    await uploaded(cloud, person, f'id,model,prompt\na,sdxl,"{row}\n'.encode())
    await uploaded(cloud, person, f'{{"prompt": "{row}"\n'.encode(), "rows.jsonl")


async def secrets_of(cloud: Cloud, person: Person) -> list[str]:
    """The keys in the settings, the caller's token, and signatures of links."""
    values = [cloud.environment[name] for name in SECRET_SETTINGS]
    account_key = cloud.environment["EIG_STORAGE"].partition("AccountKey=")[2].partition(";")[0]
    assert person.token is not None
    generation = await person.generate(order())
    image = generation["images"][0]["id"]
    link = (await person.get(f"/images/{image}/content", {"delivery": "link"})).json()["url"]
    slot = (await person.post("/batches/uploads", {"file_name": "rows.csv"})).json(201)
    signatures = [url.partition("sig=")[2].partition("&")[0] for url in (link, slot["upload_url"])]
    return [*values, account_key, person.token, person.token.rpartition(".")[2], *signatures]


async def test_no_log_of_any_process_holds_a_canary(own_cloud: Cloud, released: list[str]) -> None:
    logs = own_cloud.logs()
    assert {"host", "cosmos", "simulators", "azurite"} <= set(logs)
    assert "eig.http" in logs["host"]  # the app's own lines are in it
    for name, text in logs.items():
        for word in released:
            assert word not in text, f"{name}: {_context(text, word)}"


def _context(text: str, word: str) -> str:
    at = text.index(word)
    return text[max(0, at - 300) : at + 20]


async def test_no_audit_event_holds_a_canary(own_cloud: Cloud, released: list[str]) -> None:
    text = json.dumps(await own_cloud.documents("audit"))
    text += json.dumps(await own_cloud.documents("ledger", "c.type = 'outbox'"))
    for word in released:
        assert word not in text


async def test_no_orchestration_history_holds_a_canary(
    own_cloud: Cloud, released: list[str]
) -> None:
    assert own_cloud.stack is not None
    folder = own_cloud.stack.options.directory / "host"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        for word in released:
            assert word.encode() not in content, path.name
