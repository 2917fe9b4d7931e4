"""Signing in: the answer of the issuer is bound to the browser that asked for it."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos_sessions import SESSIONS_CONTAINER
from shared.domain.access_tokens import Authentication, StepUpTerms
from shared.domain.sign_ins import TIME_MAX, PendingSignIn, is_return_path, read_pending
from shared.errors import Invalid, PolicyDenied, Unauthenticated
from shared.services.sign_ins import SignInWish
from tests.fakes.clock import NOON
from tests.fakes.sign_in import TENANT
from tests.unit.sign_in_world import AVA, BEN, BROWSER, World


async def test_complete_opens_a_session_for_the_browser_that_began() -> None:
    world = World()
    url, pending = await world.sign_ins.begin(SignInWish("/studio"))
    done = await world.sign_ins.complete(
        pending.cookie(), pending.state, AVA, BROWSER, correlation_id="c"
    )
    assert (done.return_to, done.opened.object_id) == ("/studio", AVA)
    assert len(done.device_secret) == 43
    (asked,) = world.issuer.asked
    assert pending.state in url and (asked.claims, asked.must_prompt) == (None, False)
    digest = hashlib.sha256(pending.code_verifier.encode()).digest()
    assert asked.code_challenge == urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert world.issuer.redeemed == [(AVA, pending.code_verifier, pending.nonce)]
    again = await world.sessions.open(
        done.token_text, replace(BROWSER, device_secret=done.device_secret).device, "c"
    )
    assert again.session.family_id == done.opened.session.family_id


async def test_complete_keeps_the_device_that_is_known() -> None:
    world = World()
    known = replace(BROWSER, device_secret="d" * 43)
    for shown, kept in ((known, "d" * 43), (replace(BROWSER, device_secret="short"), None)):
        _, pending = await world.sign_ins.begin(SignInWish())
        done = await world.sign_ins.complete(
            pending.cookie(), pending.state, AVA, shown, correlation_id="c"
        )
        assert (done.device_secret == kept) is (kept is not None)


@pytest.mark.parametrize("fault", ["state", "cookie", "late", "early", "no_code", "swapped"])
async def test_complete_refuses_an_answer_that_this_browser_did_not_ask_for(fault: str) -> None:
    world = World()
    _, pending = await world.sign_ins.begin(SignInWish())
    _, other = await world.sign_ins.begin(SignInWish())
    cookie, state, code = pending.cookie(), pending.state, AVA
    if fault == "state":
        state = other.state
    elif fault == "cookie":
        cookie = ""
    elif fault == "swapped":
        cookie = other.cookie().partition(".")[0] + "." + pending.cookie().partition(".")[2]
    elif fault == "no_code":
        code = ""
    else:
        world.clock.advance(TIME_MAX.total_seconds() + 1 if fault == "late" else -1)
    with pytest.raises(Unauthenticated) as refused:
        await world.sign_ins.complete(cookie, state, code or None, BROWSER, correlation_id="c")
    assert refused.value.problem_code == "sign_in_failed"
    assert world.issuer.redeemed == []


@pytest.mark.parametrize(
    ("person", "code"), [(BEN, "account_disabled"), (BEN.replace("2", "9"), "unknown_user")]
)
async def test_complete_lets_nobody_in_whom_the_directory_does_not(person: str, code: str) -> None:
    world = World()
    _, pending = await world.sign_ins.begin(SignInWish())
    with pytest.raises(PolicyDenied) as denied:
        await world.sign_ins.complete(
            pending.cookie(), pending.state, person, BROWSER, correlation_id="c"
        )
    assert denied.value.problem_code == code
    assert (await world.sessions.store.find(TENANT, person)).revision == 0
    (items,) = world.connection.container(SESSIONS_CONTAINER).partitions.values()
    (event,) = [item["event"] for item in items.values()]
    assert (event["action"], event["outcome"], event["reason"]) == (
        "sign_in.denied",
        "denied",
        code,
    )


async def test_begin_asks_for_what_sensitive_routes_want() -> None:
    world = World(StepUpTerms({TENANT: "c1"}, timedelta(hours=1)))
    await world.sign_ins.begin(SignInWish(steps_up=True))
    await world.sign_ins.begin(SignInWish())
    stronger, plain = world.issuer.asked
    assert stronger.must_prompt and stronger.claims is not None
    assert '"acrs":{"essential":true,"value":"c1"}' in stronger.claims
    assert (plain.must_prompt, plain.claims) == (False, None)


async def test_step_up_replaces_the_session_and_keeps_its_day() -> None:
    world = World()
    device = replace(BROWSER, device_secret="d" * 43)

    async def sign_in(session_text: str | None = None) -> tuple[str, str]:
        _, pending = await world.sign_ins.begin(SignInWish(session_text=session_text))
        done = await world.sign_ins.complete(
            pending.cookie(), pending.state, AVA, device, correlation_id="c"
        )
        return done.token_text, done.opened.session.created_at.isoformat()

    first, born_at = await sign_in()
    world.clock.advance(600)
    world.issuer.authentication = Authentication(frozenset({"c1"}))
    second, kept_at = await sign_in(first)
    assert kept_at == born_at
    with pytest.raises(Unauthenticated):
        await world.sessions.open(first, device.device, "c")
    opened = await world.sessions.open(second, device.device, "c")
    assert opened.session.authentication.contexts == {"c1"}


@pytest.mark.parametrize("mood", ["confirms", "is_silent"])
async def test_sign_out_ends_our_session_whatever_the_issuer_says(mood: str) -> None:
    world = World()
    _, pending = await world.sign_ins.begin(SignInWish())
    done = await world.sign_ins.complete(
        pending.cookie(), pending.state, AVA, BROWSER, correlation_id="c"
    )
    world.issuer.mood = mood  # type: ignore[assignment]
    url = await world.sign_ins.end(done.opened, "c")
    assert url == ("https://issuer.example/logout" if mood == "confirms" else "/")
    assert (await world.sessions.store.find(TENANT, AVA)).sessions == ()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//x",
        "/\\x",
        "https://x",
        "/ x",
        "/x\n",
        '/"',
        "/<",
        "/é",
        "/" + "a" * 512,
        "/\\/x",
    ],
)
async def test_return_path_that_may_leave_this_site_is_refused(path: str) -> None:
    assert not is_return_path(path)
    with pytest.raises(Invalid):
        await World().sign_ins.begin(SignInWish(path))


@pytest.mark.parametrize("path", ["/", "/a", "/a/b?c=d&e=f#g", "/a//b", "/%5c"])
def test_return_path_of_this_site_is_taken(path: str) -> None:
    assert is_return_path(path)


@given(st.text(max_size=200))
def test_cookie_that_we_did_not_write_is_no_sign_in(text: str) -> None:
    found = read_pending(text)
    assert found is None or found.cookie() == text


def test_cookie_is_read_as_it_was_written() -> None:
    pending = PendingSignIn(bytes(range(32)), NOON, "/x", "0" * 32)
    assert read_pending(pending.cookie()) == pending
    assert repr(bytes(range(32))) not in repr(pending)
    kinds = {pending.state, pending.nonce, pending.code_verifier, pending.code_challenge}
    assert len(kinds) == 4 and all(len(each) == 43 for each in kinds)
