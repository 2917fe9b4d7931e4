"""Browser sessions through the whole stack: sign in, use, rotate, steal, sign out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from devhost.local_settings import people
from functions.http_routes import ROUTES, Route
from tests.integration.api import Person, order
from tests.integration.browser import AGENT, DEVICE, SESSION, SIGN_IN, Browser
from tests.integration.cloud import Cloud

AVA = next(user for user in people()["users"] if user["username"] == "ava")
BEN = next(user for user in people()["users"] if user["username"] == "ben")
OTHER_AGENT = AGENT.replace("Linux x86_64", "Windows NT 10.0")
BUDGET = "/budgets/user:me"


@pytest.fixture
async def browser(own_cloud: Cloud) -> AsyncIterator[Browser]:
    opened = Browser(own_cloud.session, own_cloud.api_url)
    yield opened
    for username in ("ava", "ben", "mia", "olga"):
        await (await own_cloud.person(username)).delete("/sessions")


def other(browser: Browser, **changes: Any) -> Browser:
    """Another device."""
    return Browser(browser.session, browser.api_url, **changes)


async def events_of(cloud: Cloud, session_id: str) -> list[tuple[str, str | None, str]]:
    """Action, reason and outcome of what happened to a session, in order."""
    await cloud.fire("AuditRelay")
    found: dict[str, Any] = {}
    for document in await cloud.documents(
        "sessions", "c.type = 'outbox' AND STARTSWITH(c.id, @id)", id=f"e:session:{session_id}"
    ):
        found[document["event"]["event_id"]] = document["event"]
    for document in await cloud.documents(
        "audit", "STARTSWITH(c.id, @id)", id=f"session:{session_id}"
    ):
        found[document["event"]["event_id"]] = document["event"]
    ordered = sorted(found.values(), key=lambda event: event["occurred_at"])
    return [(event["action"], event["reason"], event["outcome"]) for event in ordered]


async def test_sign_in_opens_a_session_that_reaches_the_same_handlers(
    browser: Browser, own_cloud: Cloud
) -> None:
    answer = await browser.sign_in("ava", "?return_to=/studio")
    assert answer.status == 200
    assert b'content="0;url=/studio"' in answer.content
    view = await browser.look()
    assert (view["object_id"], view["department_id"]) == (AVA["oid"], "marketing")
    assert view["session"]["is_current"] and view["session"]["device"] == "Firefox on Linux"
    made = (await browser.send("POST", "/generations", json=order())).json(202)
    assert made["department_id"] == "marketing"
    by_token = await own_cloud.person("ava")
    assert (await by_token.get(f"/generations/{made['id']}")).status == 200
    assert await events_of(own_cloud, view["session"]["id"]) == [
        ("session.started", None, "success")
    ]


async def test_cookies_are_as_strict_as_browsers_allow(browser: Browser) -> None:
    await browser.signed_in("ava")
    morsels = {
        name: morsel
        for header in browser.set_cookies
        for name, morsel in SimpleCookie(header).items()
        if morsel["max-age"] != "0"
    }
    assert set(morsels) == {SESSION, DEVICE, SIGN_IN}
    for name, morsel in morsels.items():
        assert morsel["secure"] and morsel["httponly"], name
        assert (morsel["path"], morsel["domain"]) == ("/", "")
    assert morsels[SESSION]["samesite"] == "Strict"
    assert morsels[SESSION]["max-age"] == ""
    assert {morsels[name]["samesite"] for name in (DEVICE, SIGN_IN)} == {"Lax"}
    assert SIGN_IN not in browser.cookies


async def test_authorization_request_is_bound_to_the_browser(browser: Browser) -> None:
    begun = await browser.get("/auth/login", headers={"Sec-Fetch-Site": "none"})
    asked = {
        name: value[0]
        for name, value in parse_qs(urlsplit(begun.headers["Location"]).query).items()
    }
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43 and asked["state"] != asked["nonce"]
    back = await browser.picked(begun.headers["Location"], "ava")
    stranger = other(browser)
    (await stranger.get(back)).problem(401, "sign_in_failed")
    await stranger.get("/auth/login")
    (await stranger.get(back)).problem(401, "sign_in_failed")
    assert (await browser.get(back)).status == 200
    again = other(
        browser, cookies={SIGN_IN: begun.headers["Set-Cookie"].split(";")[0].partition("=")[2]}
    )
    (await again.get(back)).problem(401, "sign_in_failed")  # the code is used


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", '/"><script>']
)
async def test_return_to_another_site_is_refused(browser: Browser, path: str) -> None:
    answer = await browser.send("GET", "/auth/login", params={"return_to": path})
    answer.problem(422, "invalid_return_to")


async def test_refused_sign_in_opens_nothing(browser: Browser) -> None:
    begun = await browser.get("/auth/login")
    state = parse_qs(urlsplit(begun.headers["Location"]).query)["state"][0]
    for query in (f"error=access_denied&state={state}", f"code=made-up&state={state}", "code=x"):
        (await browser.get(f"/auth/callback?{query}")).problem(401, "sign_in_failed")
    assert SESSION not in browser.cookies


async def test_unsafe_request_needs_our_origin_and_the_token(browser: Browser) -> None:
    await browser.signed_in("ava")
    forged: list[tuple[dict[str, str], str]] = [
        ({"X-CSRF-Token": ""}, "csrf_token_needed"),
        ({"X-CSRF-Token": "0" * 64}, "csrf_token_needed"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({"Sec-Fetch-Site": "same-site"}, "cross_site"),
        ({"Origin": "https://evil.example"}, "cross_site"),
        ({"Origin": "null"}, "cross_site"),
        ({"Origin": "", "Sec-Fetch-Site": ""}, "cross_site"),
        ({"Origin": "", "Sec-Fetch-Site": "none"}, "cross_site"),
    ]
    for headers, code in forged:
        answer = await browser.send("POST", "/estimates", headers=headers, json=order())
        answer.problem(403, code)
    (await browser.get("/models", headers={"Sec-Fetch-Site": "cross-site"})).problem(
        403, "cross_site"
    )
    assert (await browser.send("POST", "/estimates", json=order())).status == 200


async def test_authorization_header_is_used_alone(browser: Browser, own_cloud: Cloud) -> None:
    await browser.signed_in("ava")
    answer = await browser.get("/models", headers={"Authorization": "Bearer a.b.c"})
    answer.problem(401, "unauthenticated")
    ben = await own_cloud.person("ben")
    headers = {"Authorization": f"Bearer {ben.token}"}
    (await browser.get("/auth/session", headers=headers)).problem(409, "no_session")


async def test_lost_answer_gives_the_same_successor_and_a_late_copy_ends_the_family(
    browser: Browser, own_cloud: Cloud
) -> None:
    view = await browser.signed_in("ava")
    # The clock of the host cannot be moved: the store is told that the secret is old.
    await aged(own_cloud, rotated_at=600)
    first = dict(browser.cookies)
    twins = [browser.copied(SESSION, DEVICE) for _ in range(4)]
    answers = await asyncio.gather(*(twin.get("/models") for twin in twins))
    assert [answer.status for answer in answers] == [200] * 4
    assert {twin.cookies[SESSION] for twin in twins} == {twins[0].cookies[SESSION]}
    assert twins[0].cookies[SESSION] != first[SESSION]
    assert (await twins[0].get("/models")).status == 200
    await aged(own_cloud, rotated_at=31)
    (await browser.get("/models")).problem(401, "session_ended")
    (await twins[0].get("/models")).problem(401, "session_ended")
    assert await events_of(own_cloud, view["session"]["id"]) == [
        ("session.started", None, "success"),
        ("session.rotated.2", None, "success"),
        ("session.ended", "reuse", "denied"),
    ]


async def test_previous_secret_from_another_device_ends_the_family(
    browser: Browser, own_cloud: Cloud
) -> None:
    await browser.signed_in("ava")
    await aged(own_cloud, rotated_at=600)
    thief = browser.copied(SESSION, DEVICE, agent=OTHER_AGENT)
    assert (await browser.get("/models")).status == 200
    (await thief.get("/models")).problem(401, "session_ended")
    (await browser.get("/models")).problem(401, "session_ended")


async def test_renewal_in_another_browser_ends_the_family(
    browser: Browser, own_cloud: Cloud
) -> None:
    view = await browser.signed_in("ava")
    thief = browser.copied(SESSION, DEVICE, agent=OTHER_AGENT)
    assert (await thief.get("/models")).status == 200  # as after an update of the browser
    await aged(own_cloud, rotated_at=31)
    (await thief.send("POST", "/auth/refresh")).problem(401, "session_ended")
    (await browser.get("/models")).problem(401, "session_ended")
    (*_, end) = await events_of(own_cloud, view["session"]["id"])
    assert end == ("session.ended", "reuse", "denied")


async def test_current_secret_without_its_device_ends_the_family(browser: Browser) -> None:
    await browser.signed_in("ava")
    (await browser.copied(SESSION).get("/models")).problem(401, "session_ended")
    (await browser.get("/models")).problem(401, "session_ended")


@pytest.mark.parametrize(("name", "age_s"), [("seen_at", 1_801), ("created_at", 43_201)])
async def test_session_ends_by_time(
    browser: Browser, own_cloud: Cloud, name: str, age_s: int
) -> None:
    view = await browser.signed_in("ava")
    await aged(own_cloud, **{name: age_s})
    (await browser.get("/models")).problem(401, "session_ended")
    reason = "idle" if name == "seen_at" else "too_old"
    assert (await events_of(own_cloud, view["session"]["id"]))[-1] == (
        "session.ended",
        reason,
        "success",
    )


async def test_devices_are_listed_and_ended_one_by_one(browser: Browser) -> None:
    mine = await browser.signed_in("ava")
    phone = other(browser, agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Safari/604.1")
    theirs = await phone.signed_in("ava")
    listed = (await browser.get("/sessions")).json()["items"]
    assert {(each["id"], each["device"], each["is_current"]) for each in listed} == {
        (mine["session"]["id"], "Firefox on Linux", True),
        (theirs["session"]["id"], "Safari on iOS", False),
    }
    stranger = other(browser)
    await stranger.signed_in("ben")
    answer = await stranger.send("DELETE", f"/sessions/{mine['session']['id']}")
    answer.problem(404, "not_found")
    assert (await browser.send("DELETE", f"/sessions/{theirs['session']['id']}")).status == 204
    (await phone.get("/models")).problem(401, "session_ended")
    assert (await browser.send("DELETE", "/sessions")).json() == {"ended": 1}
    (await browser.get("/models")).problem(401, "session_ended")


async def test_oldest_session_makes_room(browser: Browser) -> None:
    devices = [other(browser) for _ in range(6)]
    for each in devices:
        await each.signed_in("ben")
    assert [(await each.get("/models")).status for each in devices] == [401] + [200] * 5


async def test_sign_in_again_gives_a_new_family_and_ends_the_old(browser: Browser) -> None:
    old = await browser.signed_in("ava")
    copy = browser.copied(SESSION, DEVICE)
    new = await browser.signed_in("ava")
    assert new["session"]["id"] != old["session"]["id"]
    assert new["csrf_token"] != old["csrf_token"]
    (await copy.get("/models")).problem(401, "session_ended")


async def test_sign_out_ends_the_session(browser: Browser) -> None:
    await browser.signed_in("ava")
    copy = browser.copied(SESSION, DEVICE)
    view = (await browser.send("POST", "/auth/logout")).json()
    assert "/oauth2/v2.0/logout" in view["sign_out_url"]
    assert SESSION not in browser.cookies and DEVICE in browser.cookies
    (await copy.get("/models")).problem(401, "session_ended")


async def test_refresh_rotates_once_per_half_minute(browser: Browser, own_cloud: Cloud) -> None:
    await browser.signed_in("ava")
    before = browser.cookies[SESSION]
    assert (await browser.send("POST", "/auth/refresh")).status == 200
    assert browser.cookies[SESSION] == before
    await aged(own_cloud, rotated_at=31)
    assert (await browser.send("POST", "/auth/refresh")).status == 200
    assert browser.cookies[SESSION] != before


async def test_administrator_ends_the_sessions_of_a_person(
    browser: Browser, own_cloud: Cloud, olga: Person, mia: Person
) -> None:
    view = await browser.signed_in("ava")
    path = f"/users/{AVA['oid']}/sessions"
    (await (await own_cloud.person("ben")).delete(path)).problem(404, "not_found")
    for unknown in ("a0000000-0000-4000-8000-00000000dead", "none", AVA["oid"].upper()):
        (await olga.delete(f"/users/{unknown}/sessions")).problem(404, "not_found")
    assert (await olga.delete(path)).json() == {"ended": 1}
    (await browser.get("/models")).problem(401, "session_ended")
    assert (await events_of(own_cloud, view["session"]["id"]))[-1][:2] == (
        "session.ended",
        "revoked",
    )


async def test_sensitive_request_wants_more_proof_and_step_up_gives_it(
    browser: Browser, own_cloud: Cloud
) -> None:
    weak = await browser.signed_in("olga")
    path, body = "/overrides", {"scopes": ["department:marketing"]}
    refusal = await browser.send("POST", path, json=body)
    problem = refusal.problem(403, "step_up_required")
    assert problem["sign_in"] == "/api/v1/auth/login?step_up=true"
    strong = await browser.signed_in("olga", "?step_up=true")
    assert strong["session"]["id"] != weak["session"]["id"]
    assert strong["session"]["created_at"] == weak["session"]["created_at"]
    (await browser.send("POST", path, json=body)).problem(422, "invalid")


async def test_token_without_the_context_is_challenged(own_cloud: Cloud) -> None:
    body = {"scopes": ["department:marketing"]}
    for claims, status, code in (
        ({"acrs": None}, 401, "insufficient_claims"),
        ({"acrs": ["c2"]}, 401, "insufficient_claims"),
        ({"auth_time": 1_700_000_000}, 401, "insufficient_claims"),
        ({"auth_time": None}, 401, "insufficient_claims"),
        ({"acrs": None, "xms_cc": None}, 403, "step_up_required"),
    ):
        person = await own_cloud.minted(user="olga", claims=claims)
        answer = await person.post("/overrides", body)
        answer.problem(status, code)
        if status == 401:
            assert 'error="insufficient_claims", claims="' in answer.headers["WWW-Authenticate"]
        assert (await person.get("/models")).status == 200


@pytest.mark.parametrize("route", [each for each in ROUTES if each.steps_up], ids=lambda r: r.name)
async def test_every_sensitive_route_wants_more_proof_before_it_looks(
    own_cloud: Cloud, route: Route
) -> None:
    weak = await own_cloud.minted(user="olga", claims={"acrs": None, "xms_cc": None})
    path = "/" + re.sub(r"{\w+}", "nothing", route.path)
    (await weak.send(route.method, path)).problem(403, "step_up_required")


async def test_account_that_the_issuer_refuses_loses_its_session(
    browser: Browser, own_cloud: Cloud
) -> None:
    await browser.signed_in("ben")
    await own_cloud._control("PUT", f"accounts/{BEN['oid']}", {"enabled": False})
    try:
        await aged(own_cloud, rotated_at=600, checked_at=901)
        (await browser.get("/models")).problem(401, "session_ended")
    finally:
        await own_cloud._control("PUT", f"accounts/{BEN['oid']}", {"enabled": True})


async def test_account_that_the_issuer_confirms_goes_on(browser: Browser, own_cloud: Cloud) -> None:
    await browser.signed_in("ben")
    await aged(own_cloud, rotated_at=600, checked_at=901)
    assert (await browser.get("/models")).status == 200
    assert (await browser.get("/models")).status == 200


async def test_person_who_is_not_in_the_directory_gets_no_session(
    browser: Browser, own_cloud: Cloud
) -> None:
    container = own_cloud.container("directory")
    entry = await container.read_item(f"user:{BEN['oid']}", BEN["tenant"])
    await browser.signed_in("ben")
    await container.delete_item(entry["id"], entry["pk"])
    try:
        (await browser.get("/models")).problem(403, "unknown_user")
        fresh = other(browser)
        assert (await fresh.sign_in("ben")).status == 403
        assert SESSION not in fresh.cookies
    finally:
        await container.create_item({k: v for k, v in entry.items() if not k.startswith("_")})
    (await browser.get("/models")).problem(401, "session_ended")


async def test_store_and_logs_hold_no_secret(browser: Browser, own_cloud: Cloud) -> None:
    await browser.signed_in("ava")
    first = browser.cookies[SESSION]
    await aged(own_cloud, rotated_at=600)
    await browser.get("/models")
    assert browser.cookies[SESSION] != first
    words = [first, *browser.cookies.values(), browser.csrf_token or "-"]
    stored = json.dumps(await own_cloud.documents("sessions"))
    logged = "\n".join(own_cloud.logs().values())
    audited = json.dumps(await own_cloud.documents("audit", "CONTAINS(c.id, 'session')"))
    for word in words:
        for text in (stored, logged, audited):
            assert word not in text and word[-40:] not in text
    assert "refresh_token" in stored and "A256GCM" in stored


async def aged(cloud: Cloud, **ages_s: int) -> None:
    """Move moments of all stored sessions into the past, as if so much time had passed."""
    from datetime import UTC, datetime, timedelta

    container = cloud.container("sessions")
    for document in await cloud.documents("sessions", "c.type = 'sessions'"):
        for session in document["sessions"]:
            for name, age_s in ages_s.items():
                moment = datetime.now(UTC) - timedelta(seconds=age_s)
                session[name] = moment.isoformat()
        plain = {k: v for k, v in document.items() if not k.startswith("_")}
        await container.replace_item(document["id"], plain)
