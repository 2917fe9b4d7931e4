"""Asking the issuer again: rarely, once for many requests, and never at the browser's expense."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.cosmos_sessions import SESSIONS_CONTAINER
from shared.domain.browsers import BrowserRequest
from shared.domain.sealed_fields import Subject
from shared.errors import Unauthenticated
from shared.services.sessions import CHECK_AFTER, CHECK_AGE_MAX, OpenSession
from shared.services.sign_ins import SignInWish
from tests.fakes.sign_in import TENANT
from tests.unit.sign_in_world import AVA, BROWSER, World

BICEP = Path(__file__).resolve().parents[2] / "bicep"


class Tab:
    """A browser that keeps what it is given."""

    def __init__(self, world: World, token: str, browser: BrowserRequest) -> None:
        self.world, self.token, self.device = world, token, browser.device

    async def use(self) -> OpenSession:
        opened = await self.world.sessions.open(self.token, self.device, "c")
        if opened.token:
            self.token = opened.token.text()
        return opened

    async def work(self, minutes: int) -> OpenSession:
        """A request every five minutes."""
        for _ in range(minutes // 5):
            self.world.clock.advance(300)
            opened = await self.use()
        return opened


async def signed_in(world: World) -> Tab:
    _, pending = await world.sign_ins.begin(SignInWish())
    done = await world.sign_ins.complete(
        pending.cookie(), pending.state, AVA, BROWSER, correlation_id="c"
    )
    return Tab(world, done.token_text, replace(BROWSER, device_secret=done.device_secret))


async def ends_of(world: World) -> list[str]:
    partitions = world.connection.container(SESSIONS_CONTAINER).partitions
    events = [
        item["event"] for items in partitions.values() for item in items.values() if "event" in item
    ]
    return [event["reason"] for event in events if event["action"] == "session.ended"]


async def test_issuer_is_asked_about_four_times_an_hour() -> None:
    world = World()
    tab = await signed_in(world)
    opened = await tab.work(120)
    assert world.issuer.renewals == 6  # on each second renewal: after 20 minutes
    assert opened.session.generation == 13
    assert world.clock.now() - opened.session.checked_at < 2 * CHECK_AFTER


async def test_issuer_is_asked_once_for_requests_side_by_side() -> None:
    world = World()
    tab = await signed_in(world)
    await tab.work(15)
    world.clock.advance(300)
    await asyncio.gather(*(tab.world.sessions.open(tab.token, tab.device, "c") for _ in range(5)))
    assert world.issuer.renewals == 1


async def test_account_that_the_issuer_refuses_is_out_at_the_next_check() -> None:
    world = World()
    tab = await signed_in(world)
    await tab.work(15)
    world.issuer.mood = "refuses"
    with pytest.raises(Unauthenticated) as ended:
        await tab.work(15)
    assert ended.value.problem_code == "session_ended"
    assert await ends_of(world) == ["refused_by_issuer"]


@pytest.mark.parametrize("silent", ["issuer", "vault"])
async def test_silence_is_borne_for_an_hour_and_costs_no_token(silent: str) -> None:
    world = World()
    tab = await signed_in(world)
    world.issuer.mood = "is_silent" if silent == "issuer" else "confirms"
    world.sealing.wrapper.silent = silent == "vault"
    await tab.work(int(CHECK_AGE_MAX.total_seconds() // 60) - 5)
    with pytest.raises(Unauthenticated):
        await tab.work(15)
    assert await ends_of(world) == ["unconfirmed"]


async def test_session_about_which_the_issuer_cannot_be_asked_lives_as_long_as_its_silence() -> (
    None
):
    world = World()
    world.issuer.gives_refresh_tokens = False  # the registration lacks offline_access
    tab = await signed_in(world)
    await tab.work(int(CHECK_AGE_MAX.total_seconds() // 60) - 5)
    with pytest.raises(Unauthenticated):
        await tab.work(15)
    assert await ends_of(world) == ["unconfirmed"]
    assert world.issuer.renewals == 0


async def test_session_of_an_erased_person_ends() -> None:
    world = World()
    tab = await signed_in(world)
    await world.sealing.vault.destroy(
        Subject(TENANT, f"{TENANT}.{AVA}"),
        actor="t.admin",
        actor_role="OrgAdmin",
        reason="erasure",
        correlation_id="c",
    )
    with pytest.raises(Unauthenticated):
        await tab.work(30)
    assert await ends_of(world) == ["refused_by_issuer"]


async def test_refresh_token_of_the_issuer_is_stored_sealed_to_its_place() -> None:
    world = World()
    await signed_in(world)
    document = await world.sessions.store.find(TENANT, AVA)
    (session,) = document.sessions
    assert session.refresh_token is not None
    assert set(session.refresh_token) == {"v", "alg", "kid", "nonce", "ct"}
    assert AVA not in json.dumps(session.refresh_token)
    moved = replace(session, family_id="f" * 32)  # copied into another session
    outcome = await world.sessions._asked(OpenSession(TENANT, AVA, moved), "c")
    assert (outcome.is_confirmed, outcome.is_refused) == (False, False)
    assert world.issuer.renewals == 0


@pytest.mark.parametrize("wants_rotation", [False, True])
async def test_other_browser_reads_until_a_renewal_is_due_and_then_ends_the_family(
    wants_rotation: bool,
) -> None:
    world = World()
    tab = await signed_in(world)
    thief = replace(tab.device, agent_sha256="another")
    world.clock.advance(60)
    opened = await world.sessions.open(tab.token, thief, "c")
    assert opened.token is None
    await tab.use()
    world.clock.advance(0 if wants_rotation else 540)
    with pytest.raises(Unauthenticated):
        await world.sessions.open(tab.token, thief, "c", wants_rotation=wants_rotation)
    assert world.copied == 1
    assert await ends_of(world) == ["reuse"]
    with pytest.raises(Unauthenticated):
        await tab.use()


async def test_copied_token_raises_the_alarm_that_operators_watch_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    tab = await signed_in(world)
    old = tab.token
    await tab.work(15)
    with caplog.at_level("INFO"), pytest.raises(Unauthenticated):
        await world.sessions.open(old, tab.device, "c")
    (alarm,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert alarm in (BICEP / "modules" / "sentinel.bicep").read_text("utf-8")
    assert old not in caplog.text
    assert world.copied == 1
    with pytest.raises(Unauthenticated):
        await tab.use()
    assert await ends_of(world) == ["reuse"]
