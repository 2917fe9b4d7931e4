"""Pictures over time: days pass for the rules, the archive answers 409, and the way back costs."""

from __future__ import annotations

import csv
import email
import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default

import pytest
from PIL import Image

from devhost.tiering import TieringRun, run_tiering
from tests.integration.api import Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "darkroom"
LIMIT_MICROS = 5_000_000
PLENTY_MICROS = 2_000_000
TIGHT_MICROS = 30_000  # one small picture, and then less than a rehydration costs
HIGH = {"priority": "high"}
INBOX = "darkroom-returns"
CURATOR = "curator@darkroom.example"
SOON_S = 40.0  # a delivery is tried again after 5 s, on two busy cores


@dataclass(frozen=True)
class Studio:
    """A department of its own, so that no other test's pictures are asked about."""

    cloud: Cloud
    maker: Person
    tight: Person
    tight_id: str
    admin: Person

    async def picture(self, person: Person | None = None) -> str:
        """A new picture, of which there is a thumbnail by now."""
        generation = await (person or self.maker).generate(order())
        assert generation["status"] == "succeeded"
        image_id = str(generation["images"][0]["id"])
        await self.cloud.thumbnail(image_id)
        return image_id

    async def image(self, image_id: str) -> Json:
        return (await self.maker.get(f"/images/{image_id}")).json()

    async def pass_days(self, days: int) -> TieringRun:
        assert self.cloud.stack is not None
        return await run_tiering(self.cloud.stack.ports, days)

    async def spent(self, person: Person, scope: str) -> int:
        return int((await person.get(f"/budgets/{scope}")).json()["spent_micros"])

    async def channel(self, name: str, body: Json) -> Json:
        """A new alert channel of the department, as the answer shows it."""
        path, headers = f"/alert-channels/{DEPARTMENT}.{name}", {"If-None-Match": "*"}
        created: Json = (await self.admin.send("PUT", path, json=body, headers=headers)).json()
        return created

    async def inbox(self, rule: Json | None = None) -> list[Json]:
        """What the receiving stand-in got; a rule sets how it verifies and answers."""
        url = f"{self.cloud.simulators_url}/_control/webhooks/{INBOX}"
        if rule is not None:
            async with self.cloud.session.put(url, json=rule) as answer:
                assert answer.status == 200, await answer.text()
        async with self.cloud.session.get(url) as answer:
            found: list[Json] = (await answer.json())["deliveries"]
            return found

    def mails(self, image_id: str) -> list[EmailMessage]:
        """Every kept mail that is about a picture, parsed as a mail program does."""
        assert self.cloud.stack is not None
        files = (self.cloud.stack.options.directory / "mail").glob("*.eml")
        parsed = [email.message_from_bytes(path.read_bytes(), policy=default) for path in files]
        return [mail for mail in parsed if image_id in str(mail["Subject"])]

    async def events(self, object_id: str) -> list[str]:
        """The actions of an object's audit events, in the log or on their way there."""
        where = "c.event.object_id = @id"
        found = [
            *await self.cloud.documents("audit", where, id=object_id),
            *await self.cloud.documents("ledger", f"c.type = 'outbox' AND {where}", id=object_id),
        ]
        return sorted({each["event"]["action"] for each in found})


@pytest.fixture(scope="module")
async def studio(own_cloud: Cloud, olga: Person) -> Studio:
    file = organisation(DEPARTMENT, LIMIT_MICROS, [PLENTY_MICROS, TIGHT_MICROS])
    await own_cloud.seed(file)
    maker, tight = [
        await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]
    ]
    return Studio(own_cloud, maker, tight, file["users"][1]["object_id"], olga)


@pytest.fixture(scope="module")
async def archived(studio: Studio) -> Json:
    """A picture that a hundred days have brought into the archive, as it was when it was new."""
    fresh = await studio.image(await studio.picture())
    await studio.pass_days(100)
    return fresh


async def test_new_picture_is_hot_and_says_how_long_it_is_kept(archived: Json) -> None:
    storage = archived["storage"]
    assert (storage["tier"], storage["readable"]) == ("hot", True)
    assert (storage["retention"], storage["legal_hold"]) == ("seven-years", None)
    kept = datetime.fromisoformat(storage["delete_after"]) - datetime.now(UTC)
    assert timedelta(days=2554) < kept <= timedelta(days=2555)
    assert storage["rehydrate_url"] is None


async def test_archived_picture_answers_409_with_the_way_back_and_its_price(
    studio: Studio, archived: Json
) -> None:
    image_id = archived["id"]
    for query in (None, {"delivery": "link"}):
        answer = await studio.maker.get(f"/images/{image_id}/content", query)
        problem = answer.problem(409, "image_archived")
        assert problem["rehydrate_url"] == f"/api/v1/images/{image_id}/rehydrate"
    storage = (await studio.image(image_id))["storage"]
    assert (storage["tier"], storage["readable"]) == ("archive", False)
    assert storage["rehydrate_url"] == problem["rehydrate_url"]
    standard, high = storage["rehydration_prices"]
    assert 0 < standard["amount_micros"] < high["amount_micros"]
    assert standard["price_status"] == "planning"


async def test_thumbnail_of_an_archived_picture_is_there(studio: Studio, archived: Json) -> None:
    answer = await studio.maker.get(f"/images/{archived['id']}/thumbnail")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.content)) as small:
        assert max(small.size) <= 512


async def test_rehydration_is_charged_once_and_followed_to_its_end(
    studio: Studio, archived: Json
) -> None:
    image_id, maker = archived["id"], studio.maker
    price = (await studio.image(image_id))["storage"]["rehydration_prices"][1]["amount_micros"]
    scopes = (f"department:{DEPARTMENT}", "user:me")
    before = [await studio.spent(maker, scope) for scope in scopes]
    answer = await maker.post(f"/images/{image_id}/rehydrate", HIGH)
    asked = answer.json(202)
    assert answer.headers["Location"] == f"/api/v1/images/{image_id}"
    assert (asked["status"], asked["amount_micros"]) == ("pending", price)
    assert (await maker.post(f"/images/{image_id}/rehydrate", HIGH)).json(202) == asked
    other = await maker.post(f"/images/{image_id}/rehydrate", {"priority": "standard"})
    other.problem(409, "rehydration_under_way")
    after = [await studio.spent(maker, scope) for scope in scopes]
    assert [new - old for old, new in zip(before, after, strict=True)] == [price, price]

    content = await maker.get(f"/images/{image_id}/content")
    assert hashlib.sha256(content.content).hexdigest() == archived["sha256"]

    async def look() -> Json:
        await studio.cloud.fire("StorageSweep")
        storage: Json = (await studio.image(image_id))["storage"]
        return storage

    storage = await until(look, lambda each: each["rehydration"]["status"] == "available")
    online = datetime.fromisoformat(storage["rehydration"]["online_until"]) - datetime.now(UTC)
    assert timedelta(days=27) < online <= timedelta(days=28)
    changes = ("asked.1", "pending.2", "available.3")
    assert await studio.events(image_id) == sorted(f"rehydration.{each}" for each in changes)
    assert await studio.events(f"{image_id}.r1") == ["rehydration.charged"]
    entries = (await maker.get("/reports/spend", {"by": "kind"})).json()["rows"]
    assert ["rehydration"] in [row["group"] for row in entries]


async def test_rehydrated_picture_goes_back_after_four_weeks_and_costs_again(
    studio: Studio, archived: Json
) -> None:
    image_id = archived["id"]
    if (await studio.image(image_id))["storage"]["readable"] is False:
        await studio.maker.post(f"/images/{image_id}/rehydrate", HIGH)
    await studio.pass_days(28)
    assert (await studio.image(image_id))["storage"]["tier"] == "cold"
    await studio.pass_days(100)
    assert (await studio.image(image_id))["storage"]["tier"] == "archive"

    async def look() -> Json:
        await studio.cloud.fire("StorageSweep")
        shown: Json = (await studio.image(image_id))["storage"]["rehydration"]
        return shown

    ended = await until(look, lambda each: each["status"] != "pending")
    again = (await studio.maker.post(f"/images/{image_id}/rehydrate", HIGH)).json(202)
    assert again["number"] == ended["number"] + 1


async def test_rehydration_that_a_budget_does_not_cover_is_refused_and_moves_nothing(
    studio: Studio,
) -> None:
    image_id = await studio.picture(studio.tight)
    await studio.pass_days(100)
    left = (await studio.tight.get("/budgets/user:me")).json()
    put, path = {"If-Match": "*"}, f"/budgets/user:{studio.tight_id}"
    budget = {"limit_micros": left["spent_micros"] + 1}
    (await studio.admin.send("PUT", path, json=budget, headers=put)).json()
    refused = await studio.tight.post(f"/images/{image_id}/rehydrate", HIGH)
    assert refused.problem(402, "budget_exceeded")["needed_micros"] > 1
    storage = (await studio.tight.get(f"/images/{image_id}")).json()["storage"]
    assert (storage["tier"], storage["rehydration"]["status"]) == ("archive", "refused")
    assert (await studio.tight.get("/budgets/user:me")).json()["spent_micros"] == (
        left["spent_micros"]
    )
    budget = {"limit_micros": TIGHT_MICROS * 10}
    (await studio.admin.send("PUT", path, json=budget, headers=put)).json()
    again = (await studio.tight.post(f"/images/{image_id}/rehydrate", HIGH)).json(202)
    assert (again["number"], again["status"]) == (2, "pending")


async def test_rehydrated_picture_is_announced_once_by_signed_webhook_and_mail(
    studio: Studio,
) -> None:
    url = f"{studio.cloud.simulators_url}/webhooks/{INBOX}"
    hook = {"kind": "webhook", "url": url, "events": ["image.rehydrated"]}
    created = await studio.channel("returns", hook)
    assert created["events"] == ["image.rehydrated"]
    await studio.inbox({"secrets": [created["secret"]], "fail_times": 1, "status": 503})
    await studio.channel("mail", {"kind": "email", "recipients": [CURATOR]})
    image_id = await studio.picture()
    await studio.pass_days(100)
    (await studio.maker.post(f"/images/{image_id}/rehydrate", HIGH)).json(202)

    async def look() -> list[Json]:
        for timer in ("StorageSweep", "AlertSweep"):
            await studio.cloud.fire(timer)
        found = await studio.inbox()
        return [each for each in found if json.loads(each["body"])["data"]["image_id"] == image_id]

    came = await until(look, lambda found: len(found) >= 2, SOON_S)
    assert [(each["answered"], each["verified"]) for each in came] == [(503, True), (204, True)]
    assert came[0]["body"] == came[1]["body"]
    assert came[0]["webhook_id"] == came[1]["webhook_id"]
    shown = (await studio.image(image_id))["storage"]
    body = json.loads(came[0]["body"])
    assert (body["type"], body["timestamp"]) == (
        "image.rehydrated",
        shown["rehydration"]["available_at"],
    )
    assert body["data"] == {
        "department_id": DEPARTMENT,
        "image_id": image_id,
        "tier": shown["tier"],
        "available_until": shown["rehydration"]["online_until"],
        "content_path": f"/api/v1/images/{image_id}/content",
    }
    (mail,) = studio.mails(image_id)
    assert mail["To"] == CURATOR
    assert body["data"]["content_path"] in mail.get_content()

    async def notices() -> list[Json]:
        where = "c.type = 'alert' AND c.image_id = @id"
        return await studio.cloud.documents("ledger", where, id=image_id)

    (notice,) = await until(notices, lambda found: not any(n["open_deliveries"] for n in found))
    assert notice["alert_id"] == came[0]["webhook_id"]
    delivered = [f"image.rehydrated_delivered.{DEPARTMENT}.{each}" for each in ("mail", "returns")]
    assert await studio.events(notice["alert_id"]) == delivered


async def test_readable_picture_and_strangers_are_refused(
    studio: Studio, archived: Json, ava: Person
) -> None:
    fresh = await studio.picture()
    answer = await studio.maker.post(f"/images/{fresh}/rehydrate", HIGH)
    answer.problem(409, "not_archived")
    for path in (f"/images/{fresh}/thumbnail", f"/images/{archived['id']}"):
        (await ava.get(path)).problem(404, "not_found")
    (await ava.post(f"/images/{fresh}/rehydrate", HIGH)).problem(404, "not_found")
    unknown = await studio.maker.post(f"/images/{fresh}/rehydrate", {"priority": "at once"})
    unknown.problem(422, "invalid")


async def test_short_retention_deletes_and_a_legal_hold_keeps(studio: Studio) -> None:
    path, admin = f"/retention/{DEPARTMENT}", studio.admin
    policy = {"retention": "ninety-days", "reason": "campaign drafts"}
    (await studio.maker.send("PUT", path, json=policy, headers={"If-Match": "*"})).problem(
        403, "policy_denied"
    )
    unset = await admin.get(path)
    assert (unset.json()["revision"], "ETag" in unset.headers) == (0, False)
    (await admin.send("PUT", path, json=policy)).problem(428, "precondition_required")
    put = await admin.send("PUT", path, json=policy, headers={"If-None-Match": "*"})
    assert (put.json()["days"], put.headers["ETag"]) == (90, '"1"')
    assert (await studio.maker.get(path)).json() == put.json()

    async def tagged() -> str:  # other workers remember the old policy for a minute
        image_id = await studio.picture()
        container = studio.cloud.storage
        assert container is not None
        await _retag(studio, image_id, "ninety-days")
        return image_id

    doomed, held = await tagged(), await tagged()
    hold = f"/images/{held}/hold"
    reason = {"reason": "Matter 2026-117"}
    denied = await studio.maker.send("PUT", hold, json=reason)
    denied.problem(403, "policy_denied")
    assert (await admin.send("PUT", hold, json=reason)).json()["held"] is True
    assert (await admin.send("PUT", hold, json={"reason": "again"})).json()["reason"] == (
        reason["reason"]
    )
    shown = (await studio.image(held))["storage"]
    assert shown["legal_hold"]["reason"] == reason["reason"]
    assert shown["delete_after"] is None

    run = await studio.pass_days(100)
    ends = {each.blob.path: each.end for each in run.moved}
    assert {end for path, end in ends.items() if doomed[:-2] in path} == {"deleted"}
    assert (await studio.image(doomed))["storage"]["tier"] == "deleted"
    for query in (None, {"delivery": "link"}):
        gone = await studio.maker.get(f"/images/{doomed}/content", query)
        gone.problem(404, "not_found")
    assert (await studio.image(held))["storage"]["tier"] == "archive"

    answer = await admin.post(f"{hold}/release", {"reason": "Matter closed"})
    assert answer.json()["held"] is False
    await studio.pass_days(100)
    assert (await studio.image(held))["storage"]["tier"] == "deleted"
    kept = [each for each in await studio.events(held) if not each.startswith("hold.denied.")]
    assert kept == ["hold.released.2", "hold.set.1"]


async def _retag(studio: Studio, image_id: str, retention: str) -> None:
    """Tags a picture as a worker does that has read the present policy."""
    assert studio.cloud.storage is not None
    generation_id, _, index = image_id.rpartition("_")
    folder = f"{DEPARTMENT}/{generation_id[:6]}/{generation_id}/{index}"
    tags = {"retention": retention, "hold": "none"}
    for container, name in (("images", folder), ("thumbnails", f"{folder}.webp")):
        await studio.cloud.storage.get_blob_client(container, name).set_blob_tags(tags)


async def test_storage_report_adds_up_and_looks_a_year_ahead(studio: Studio) -> None:
    query = {"department": DEPARTMENT}
    report = (await studio.admin.get("/reports/storage", query)).json()
    assert report["complete"] is True
    assert report["price_status"] == "planning"
    assert report["size_bytes"] == sum(each["size_bytes"] for each in report["tiers"]) > 0
    assert report["amount_micros"] == sum(each["amount_micros"] for each in report["tiers"])
    assert [each["tier"] for each in report["tiers"]] == ["hot", "cool", "cold", "archive"]
    assert len(report["forecast"]) == 12
    first, last = report["forecast"][0], report["forecast"][-1]
    assert last["size_bytes"]["archive"] >= first["size_bytes"]["archive"]
    assert last["amount_with_growth_micros"] >= last["amount_micros"]
    answer = await studio.admin.get("/reports/storage", {**query, "format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [int(row["month"]) for row in rows] == list(range(13))
    assert int(rows[0]["amount_micros"]) == report["amount_micros"]
    (await studio.maker.get("/reports/storage")).problem(403, "policy_denied")


async def test_link_offers_the_picture_as_a_file(studio: Studio) -> None:
    image_id = await studio.picture()
    link = (await studio.maker.get(f"/images/{image_id}/content", {"delivery": "link"})).json()
    async with studio.cloud.session.get(link["url"]) as response:
        assert response.headers["Content-Disposition"] == f'attachment; filename="{image_id}.png"'
