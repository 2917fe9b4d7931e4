"""Browser sessions under attack: odd cookies, replays, crowds, accounts that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from devhost.local_settings import people
from tests.integration.api import Person
from tests.integration.browser import DEVICE, SESSION, SIGN_IN, Browser
from tests.integration.cloud import Cloud
from tests.integration.test_sessions import BEN, aged, events_of, other

SAM = next(user for user in people()["users"] if user["username"] == "sam")
CROWD = 12  # more than the tries of one change, as a page with many pictures sends them


@pytest.fixture
async def browser(own_cloud: Cloud) -> AsyncIterator[Browser]:
    opened = Browser(own_cloud.session, own_cloud.api_url)
    yield opened
    for username in ("ava", "ben", "sam"):
        await (await own_cloud.person(username)).delete("/sessions")


@pytest.mark.parametrize(
    "cookies",
    [
        "{s}=é; {d}=é",
        "{s}=\udcff; {d}=\udcff",
        "{s}=; {d}=",
        "{s}",
        "{s}={session}; {s}={session}; {d}={device}",
        "{s}={session}; {d}={device}; {d}=tossed",
        '{s}="{session}"; {d}={device}',
        "{s}={session}=; {d}={device}",
        "__host-eig_session={session}; {d}={device}",
        "eig_session={session}; {d}={device}",
        "{s}={session}; {d}={device}; x={much}",
    ],
)
async def test_cookie_header_that_no_browser_of_ours_sends_opens_nothing_and_ends_nothing(
    cookies: str, browser: Browser
) -> None:
    await browser.signed_in("ava")
    session, device = browser.cookies[SESSION], browser.cookies[DEVICE]
    header = cookies.format(s=SESSION, d=DEVICE, session=session, device=device, much="x" * 9_000)
    answer = await other(browser).get("/models", headers={"Cookie": header})
    assert answer.status in (400, 401), answer.content
    assert (await browser.get("/models")).status == 200


async def test_answer_of_the_issuer_works_once(browser: Browser) -> None:
    begun = await browser.get("/auth/login")
    kept = browser.cookies[SIGN_IN]
    back = await browser.picked(begun.headers["Location"], "ava")
    assert (await browser.get(back)).status == 200
    thief = other(browser, cookies={SIGN_IN: kept})
    (await thief.get(back)).problem(401, "sign_in_failed")
    assert SESSION not in thief.cookies


async def test_answer_for_an_attackers_account_does_not_sign_a_victim_in(browser: Browser) -> None:
    attacker = other(browser)
    begun = await attacker.get("/auth/login")
    back = await attacker.picked(begun.headers["Location"], "ben")
    (await browser.get(back)).problem(401, "sign_in_failed")  # it has begun nothing
    await browser.get("/auth/login")
    (await browser.get(back)).problem(401, "sign_in_failed")  # it has begun another
    state = parse_qs(urlsplit(back).query)["state"][0]
    tossed = {"Cookie": f"{SIGN_IN}={attacker.cookies[SIGN_IN]}; {SIGN_IN}=x"}
    (await browser.get(f"/auth/callback?code=x&state={state}", headers=tossed)).problem(
        401, "sign_in_failed"
    )
    assert SESSION not in browser.cookies


async def test_crowd_that_meets_a_renewal_gets_one_successor(
    browser: Browser, own_cloud: Cloud
) -> None:
    view = await browser.signed_in("ava")
    await aged(own_cloud, rotated_at=600)
    crowd = [other(browser, cookies=dict(browser.cookies)) for _ in range(CROWD)]
    answers = await asyncio.gather(*(each.get("/models") for each in crowd))
    assert [each.status for each in answers] == [200] * CROWD
    (successor,) = {each.cookies[SESSION] for each in crowd}
    assert successor != browser.cookies[SESSION]
    events = await events_of(own_cloud, view["session"]["id"])
    assert [action for action, _, _ in events] == ["session.started", "session.rotated.2"]


async def test_administrator_cannot_keep_the_one_above_out(
    browser: Browser, own_cloud: Cloud, olga: Person
) -> None:
    await browser.signed_in("sam")
    path = f"/users/{SAM['oid']}/sessions"
    (await olga.delete(path)).problem(403, "role_too_high")
    assert (await browser.get("/models")).status == 200
    assert (await (await own_cloud.person("sam")).delete(path)).json() == {"ended": 1}


async def test_whoever_signs_out_everywhere_is_out_everywhere_at_once(
    browser: Browser,
) -> None:
    await browser.signed_in("ava")
    phone = other(browser)
    await phone.signed_in("ava")
    ended = await phone.send("DELETE", "/sessions")
    assert ended.json()["ended"] == 2
    for each in (browser, phone):
        (await each.get("/models")).problem(401, "session_ended")
        (await each.send("POST", "/auth/refresh")).problem(401, "session_ended")


async def test_account_that_is_disabled_is_out_with_the_next_request(
    browser: Browser, olga: Person
) -> None:
    await browser.signed_in("ben")
    path = f"/users/{BEN['oid']}/status"

    async def put(status: str) -> None:
        answer = await olga.send("PUT", path, json={"status": status, "reason": "a test"})
        assert answer.status == 200, answer.content

    await put("disabled")
    try:
        (await browser.get("/models")).problem(403, "account_disabled")
        (await browser.get("/models")).problem(401, "session_ended")
        assert (await other(browser).sign_in("ben")).status == 403
    finally:
        await put("active")
    (await browser.get("/models")).problem(401, "session_ended")
    assert (await other(browser).sign_in("ben")).status == 200


async def test_account_that_was_disabled_meanwhile_is_out_though_it_is_let_in_again(
    browser: Browser, olga: Person
) -> None:
    await browser.signed_in("ben")
    for status in ("disabled", "active"):
        path = f"/users/{BEN['oid']}/status"
        answer = await olga.send("PUT", path, json={"status": status, "reason": "a test"})
        assert answer.status == 200, answer.content
    (await browser.get("/models")).problem(401, "session_ended")
    await browser.signed_in("ben")
    assert (await browser.get("/models")).status == 200
