"""Budget alerts over HTTP: a crowd spends, a webhook and a mail arrive, once for each threshold."""

from __future__ import annotations

import asyncio
import email
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from functools import partial
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from devhost.stack import HOST
from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "gazette"
SLOW = "slow seconds=2"  # nothing is settled while the crowd is asking
CROWD = 12
SOON_S = 40.0  # the sweep runs every 15 s, on two busy cores


@dataclass(frozen=True)
class Newsroom:
    """A department whose crowd spends exactly its limit, and its channels."""

    cloud: Cloud
    manager: Person
    member: Person
    admin: Person
    one_micros: int

    async def put(
        self, channel: str, body: Json, person: Person | None = None, **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        who = person or self.manager
        return await who.send("PUT", f"/alert-channels/{channel}", json=body, headers=sent)

    async def inbox(self, name: str, **rule: Any) -> str:
        """A fresh inbox of the receiving stand-in; its URL."""
        url = f"{self.cloud.simulators_url}/_control/webhooks/{name}"
        async with self.cloud.session.put(url, json=rule) as answer:
            assert answer.status == 200, await answer.text()
        return f"{self.cloud.simulators_url}/webhooks/{name}"

    async def received(self, name: str) -> list[Json]:
        url = f"{self.cloud.simulators_url}/_control/webhooks/{name}"
        async with self.cloud.session.get(url) as answer:
            found: list[Json] = (await answer.json())["deliveries"]
            return found

    def mails(self) -> list[EmailMessage]:
        """Every mail that was kept, parsed as a mail program does."""
        assert self.cloud.stack is not None
        folder = self.cloud.stack.options.directory / "mail"
        return [
            email.message_from_bytes(path.read_bytes(), policy=default)
            for path in sorted(folder.glob("*.eml"))
        ]


@pytest.fixture(scope="module")
async def newsroom(own_cloud: Cloud, ava: Person, olga: Person) -> AsyncIterator[Newsroom]:
    estimate = (await ava.post("/estimates", order(scenario=SLOW))).json()
    one = int(estimate["quote"]["amount_micros"])
    file = organisation(DEPARTMENT, CROWD * one, [100 * one, 100 * one], ["DeptManager"])
    await own_cloud.seed(file)
    manager, member = [
        await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]
    ]
    yield Newsroom(own_cloud, manager, member, olga, one)


async def channel_of(newsroom: Newsroom, name: str, **rule: Any) -> tuple[str, str, str]:
    """A webhook channel with an inbox of its own: channel id, inbox, secret."""
    inbox = f"{name}-{uuid4().hex[:8]}"
    url = await newsroom.inbox(inbox)
    answer = await newsroom.put(
        f"{DEPARTMENT}.{name}", {"kind": "webhook", "url": url}, If_None_Match="*"
    )
    secret = answer.json()["secret"]
    await newsroom.inbox(inbox, secrets=[secret], **rule)
    return f"{DEPARTMENT}.{name}", inbox, secret


async def test_crowd_that_spends_the_limit_is_told_of_once_for_each_threshold(
    newsroom: Newsroom,
) -> None:
    _, steady, _ = await channel_of(newsroom, "steady")
    _, shaky, _ = await channel_of(newsroom, "shaky", fail_times=1, status=503)
    mail = {"kind": "email", "recipients": ["editor@gazette.example"]}
    (await newsroom.put(f"{DEPARTMENT}.mail", mail, If_None_Match="*")).json()
    answers = await asyncio.gather(
        *(newsroom.member.post("/generations", order(scenario=SLOW)) for _ in range(2 * CROWD))
    )
    assert [each.status for each in answers].count(202) == CROWD

    async def accepted(inbox: str) -> Counter[str]:
        await newsroom.cloud.fire("AlertSweep")
        came = await newsroom.received(inbox)
        assert all(each["verified"] for each in came)
        return Counter(each["webhook_id"] for each in came if each["answered"] == 204)

    for inbox in (steady, shaky):
        ids = await until(partial(accepted, inbox), lambda came: len(came) >= 3, SOON_S)
        assert sorted(ids.values()) == [1, 1, 1]
    bodies = [json.loads(each["body"]) for each in await newsroom.received(steady)]
    assert sorted(each["data"]["threshold_percent"] for each in bodies) == [80, 90, 100]
    for body in bodies:
        assert body["type"] == "budget.alert"
        assert body["data"]["department_id"] == body["data"]["scope_id"] == DEPARTMENT
        assert body["data"]["limit_micros"] == CROWD * newsroom.one_micros
        used = body["data"]["committed_micros"]
        assert used * 100 >= body["data"]["limit_micros"] * body["data"]["threshold_percent"]
    retried = Counter(each["webhook_id"] for each in await newsroom.received(shaky))
    assert sorted(retried.values()) == [1, 1, 2]
    await check_mails(newsroom)
    await check_stored(newsroom)


async def check_mails(newsroom: Newsroom) -> None:
    mails = [each for each in newsroom.mails() if each["To"] == "editor@gazette.example"]
    assert len({each["Message-ID"] for each in mails}) == len(mails) == 3
    shares = sorted(str(each["Subject"]).rpartition("reached ")[2] for each in mails)
    assert shares == ["100 %", "80 %", "90 %"]
    assert all(f"the department {DEPARTMENT}" in each.get_content() for each in mails)


async def check_stored(newsroom: Newsroom) -> None:
    """Three documents, three events, and every delivery ended with one event."""
    cloud = newsroom.cloud

    async def alerts() -> list[Json]:
        return await cloud.documents(
            "ledger", "c.type = 'alert' AND c.department_id = @d", d=DEPARTMENT
        )

    done = await until(alerts, lambda found: not any(a["open_deliveries"] for a in found))
    assert sorted(each["threshold"] for each in done) == [80, 90, 100]

    async def outbox() -> list[Json]:
        await cloud.fire("AuditRelay")
        return await cloud.documents("ledger", "c.type = 'outbox'")

    await until(outbox, lambda waiting: not waiting)
    for alert in done:
        events = await cloud.documents("audit", "c.event.object_id = @id", id=alert["alert_id"])
        actions = Counter(each["event"]["action"].partition(".gazette")[0] for each in events)
        assert actions == {"budget.alert": 1, "budget.alert_delivered": 3}
        shown = (await newsroom.manager.get(f"/alerts/{alert['alert_id']}")).json()
        assert shown["threshold_percent"] == alert["threshold"]
        assert {each["status"] for each in shown["deliveries"]} == {"delivered"}
        (await newsroom.member.get(f"/alerts/{alert['alert_id']}")).problem(404, "not_found")


async def test_channel_is_created_changed_rotated_tested_and_removed(newsroom: Newsroom) -> None:
    channel, inbox, first = await channel_of(newsroom, "life")
    url = f"/alert-channels/{channel}"
    shown = await newsroom.manager.get(url)
    assert shown.headers["ETag"] == '"1"'
    assert shown.json()["secret"] is None
    assert (await newsroom.manager.post(f"{url}/test", None)).json()["delivered"] is True
    body = {"kind": "webhook", "url": shown.json()["url"], "rotate_secret": True}
    (await newsroom.put(channel, body)).problem(428, "precondition_required")
    rotated = (await newsroom.put(channel, body, If_Match='"1"')).json()
    assert rotated["secret"] not in (None, first)
    assert rotated["former_secret_until"]
    assert (await newsroom.manager.post(f"{url}/test", None)).json()["delivered"] is True
    (await newsroom.put(channel, body, If_Match='"1"')).problem(412, "precondition_failed")
    pings = await newsroom.received(inbox)
    assert [each["verified"] for each in pings] == [True, True]
    assert len(pings[1]["headers"]["webhook-signature"].split()) == 2
    listed = (await newsroom.manager.get("/alert-channels")).json()["items"]
    assert channel in [each["id"] for each in listed]
    assert first not in json.dumps(listed) and rotated["secret"] not in json.dumps(listed)
    gone = await newsroom.manager.send("DELETE", url, headers={"If-Match": '"2"'})
    assert gone.status == 204
    (await newsroom.manager.get(url)).problem(404, "not_found")
    for text in newsroom.cloud.logs().values():
        assert first not in text and rotated["secret"] not in text


async def test_receiver_that_is_gone_is_switched_off_by_a_real_alert(newsroom: Newsroom) -> None:
    channel, inbox, _ = await channel_of(newsroom, "leaving", fail_times=9, status=410)
    await spend_in_project(newsroom, "obituary")

    async def look() -> Json:
        await newsroom.cloud.fire("AlertSweep")
        return (await newsroom.manager.get(f"/alert-channels/{channel}")).json()

    switched = await until(look, lambda view: not view["enabled"], SOON_S)
    assert switched["disabled_reason"] == "http_410"
    assert len(await newsroom.received(inbox)) == 1


async def spend_in_project(newsroom: Newsroom, project: str) -> None:
    """One generation that reaches the only threshold of a new project's budget."""
    department = f"/budgets/department:{DEPARTMENT}"
    shown = await newsroom.admin.get(department)
    headers = {"If-Match": shown.headers["ETag"]}
    raised = {"limit_micros": 3 * CROWD * newsroom.one_micros}  # the crowd has used the old limit
    (await newsroom.admin.send("PUT", department, json=raised, headers=headers)).json()
    body = {"limit_micros": newsroom.one_micros, "alert_thresholds": [1]}
    made = await newsroom.manager.send(
        "PUT", f"/budgets/project:{project}", json=body, headers={"If-None-Match": "*"}
    )
    made.json()
    await newsroom.member.generate(order(project=project))


async def test_alert_keeps_its_one_id_though_the_host_dies_after_sending(
    newsroom: Newsroom,
) -> None:
    cloud = newsroom.cloud
    assert cloud.stack is not None
    _, inbox, _ = await channel_of(newsroom, "durable")
    await cloud.host_control("crash", {"on": "after_activity", "name": "DeliverAlertActivity"})
    with suppress(aiohttp.ClientError):  # the sweep may be quicker than the answer
        await spend_in_project(newsroom, "chronicle")
        await cloud.fire("AlertSweep")
    await asyncio.wait_for(cloud.stack.supervisor.running[HOST].process.wait(), SOON_S)
    await cloud.kill_host()
    await cloud.start_host()

    async def open_deliveries() -> int:
        found = await cloud.documents(
            "ledger", "c.type = 'alert' AND c.scope_id = @project", project="chronicle"
        )
        return sum(each["open_deliveries"] for each in found) if found else -1

    await until(open_deliveries, lambda number: number == 0, SOON_S)
    # A post whose answer nobody could record is made again, under the id that receivers know.
    assert len({each["webhook_id"] for each in await newsroom.received(inbox)}) == 1


async def test_block_of_a_provider_and_its_end_are_told_to_the_organisation_once(
    newsroom: Newsroom, ava: Person
) -> None:
    inbox = f"outages-{uuid4().hex[:8]}"
    channel, events = "organisation-wide.outages", ["provider.opened", "provider.closed"]
    body = {"kind": "webhook", "url": await newsroom.inbox(inbox), "events": events}
    made = await newsroom.put(channel, body, newsroom.admin, If_None_Match="*")
    await newsroom.inbox(inbox, secrets=[made.json()["secret"]])

    async def told() -> dict[str, Json]:
        """What came of the block, by kind."""
        await newsroom.cloud.fire("AlertSweep")
        came = await newsroom.received(inbox)
        assert all(each["verified"] for each in came)
        assert set(Counter(each["webhook_id"] for each in came).values()) <= {1}
        bodies = [json.loads(each["body"]) for each in came]
        blocks = [each for each in bodies if each["data"]["reason"] == "provider_blocked"]
        assert len({each["type"] for each in blocks}) == len(blocks)
        return {each["type"]: each["data"] for each in blocks}

    assert (await ava.generate(order(scenario="provider_blocked")))["status"] == "failed"
    opened = (await until(told, lambda found: found, SOON_S))["provider.opened"]
    assert opened["provider"] == "azure_openai"
    assert opened["until"] > opened["since"]
    assert (await ava.generate(order()))["status"] == "succeeded"  # it waits to be the probe
    closed = (await until(told, lambda found: len(found) > 1, SOON_S))["provider.closed"]
    assert (closed["provider"], closed["since"]) == ("azure_openai", opened["since"])
    gone = await newsroom.admin.send(
        "DELETE", f"/alert-channels/{channel}", headers={"If-Match": "*"}
    )
    assert gone.status == 204


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/metadata/instance",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://[::ffff:10.0.0.1]/",
    ],
)
async def test_address_that_leads_inside_is_refused(newsroom: Newsroom, url: str) -> None:
    answer = await newsroom.put(
        f"{DEPARTMENT}.bad", {"kind": "webhook", "url": url}, If_None_Match="*"
    )
    answer.problem(422, "address_not_allowed")
    assert answer.fields() == {"/url"}


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "webhook"},
        {"kind": "email"},
        {"kind": "email", "recipients": ["editor@gazette.example\r\nBcc: x@y.example"]},
        {"kind": "email", "recipients": ["Editor <editor@gazette.example>"]},
        {"kind": "email", "recipients": ["editor@gazette.example"], "url": "https://a.example/"},
        {"kind": "email", "recipients": ["editor@gazette.example"], "rotate_secret": True},
        {"kind": "pigeon"},
        {"kind": "webhook", "url": "https://a.example/", "secret": "whsec_mine"},
    ],
)
async def test_channel_that_makes_no_sense_is_refused(newsroom: Newsroom, body: Json) -> None:
    answer = await newsroom.put(f"{DEPARTMENT}.bad", body, If_None_Match="*")
    answer.problem(422, "invalid")


async def test_channels_belong_to_those_who_look_after_them(newsroom: Newsroom) -> None:
    body = {"kind": "email", "recipients": ["editor@gazette.example"]}
    denied = await newsroom.put(f"{DEPARTMENT}.no", body, newsroom.member, If_None_Match="*")
    denied.problem(403, "policy_denied")
    (await newsroom.member.get("/alert-channels")).problem(403, "policy_denied")
    for channel in ("marketing.no", "organisation-wide.no", "nonsense"):
        answer = await newsroom.put(channel, body, If_None_Match="*")
        answer.problem(404, "not_found")
    channel = "organisation-wide.everything"
    (await newsroom.put(channel, body, newsroom.admin, If_None_Match="*")).json()
    listed = await newsroom.admin.get("/alert-channels", {"owner": "organisation-wide"})
    assert [each["id"] for each in listed.json()["items"]] == [channel]
    gone = await newsroom.admin.send(
        "DELETE", f"/alert-channels/{channel}", headers={"If-Match": "*"}
    )
    assert gone.status == 204
