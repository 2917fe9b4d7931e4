"""Browsers, thieves, administrators and clocks against the shipped sessions, with what must hold.

A jar is whatever holds a copy of a session's cookies: the browser itself, or somebody who copied
them. The model knows every token that was ever given out, and says of each presentation whether
it must work, must not, or may do either (use is noted to a minute only).
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from shared.adapters.cosmos_sessions import SESSIONS_CONTAINER, CosmosSessions
from shared.domain.session_rules import GRACE, SEEN_STEP, Fresh, present
from shared.domain.sessions import PROFILES, Device, PersonSessions, read_sessions, read_token
from shared.errors import Unauthenticated
from shared.services.session_checks import SessionChecks
from shared.services.sessions import OpenSession, Sessions
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, NoFaults
from tests.fakes.field_keys import Sealing
from tests.fakes.sign_in import TENANT, FakeSignIn
from tests.proofs.virtual_loop import VirtualLoop

POLICY = PROFILES["standard"]
PEOPLE = tuple(f"a0000000-0000-4000-8000-{number:012d}" for number in (1, 2))
STEPS_S = (-20, 1, 29, 31, 61, 300, 601, 1_000, 1_799, 1_801, 21_600, 43_201)


class Network(NoFaults):
    """Calls take turns, and the answer of the next write may never arrive."""

    def __init__(self, seed: int) -> None:
        self.armed = False
        self._random = random.Random(seed)

    async def next(self, call: str) -> Fault:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        if call == "batch" and self.armed:
            self.armed = False
            return Fault.LOST
        return Fault.NONE


@dataclass
class Family:
    """What the model knows of one sign-in."""

    person: str
    device: Device
    born_at: datetime  # of the first sign-in it stepped up from
    used_at: datetime
    rotated_at: datetime
    tokens: list[str] = field(default_factory=list)
    is_dead: bool = False


@dataclass(frozen=True)
class Jar:
    """A copy of a session's cookies, in a browser or elsewhere."""

    family: int
    token: str
    device: Device


def device(number: int, agent: str = "agent") -> Device:
    return Device(f"device-{number}", agent, "Browser", "")


def copied(own: Device, has_device: bool, has_agent: bool) -> Device:
    """What a thief shows, with or without the device's cookie and its User-Agent."""
    secret = own.secret_sha256 if has_device else "thief"
    return Device(secret, own.agent_sha256 if has_agent else "thief", "Browser", "")


class SessionMachine(RuleBasedStateMachine):
    """Rules are what people, thieves, networks and clocks do; invariants are checked after each."""

    jars: Bundle[Jar] = Bundle("jars")

    @initialize(seed=st.integers(0, 2**32 - 1))
    def build(self, seed: int) -> None:
        self.loop = VirtualLoop()
        self.faults = Network(seed)
        self.connection = FakeConnection(self.faults)
        self.clock = FakeClock()
        self.issuer = FakeSignIn()
        self.random = random.Random(seed)
        store = CosmosSessions(self.connection.as_connection(), POLICY, self.clock)
        vault = Sealing(connection=FakeConnection(), clock=self.clock).vault
        self.sessions = Sessions(
            store=store,
            checks=SessionChecks(self.issuer, vault),
            policy=POLICY,
            clock=self.clock,
            new_secret=lambda: self.random.randbytes(32),
            count_copied=lambda: None,
        )
        self.families: list[Family] = []
        self.seen_tokens: set[str] = set()
        self.devices = 0

    @rule(target=jars, person=st.sampled_from(PEOPLE))
    def sign_in(self, person: str) -> Jar:
        return self.sign_in_quietly(person)

    def sign_in_quietly(self, person: str) -> Jar:
        """A new device of a person, of which no rule needs to know."""
        self.devices += 1
        return self._start(person, device(self.devices), None)

    @rule(person=st.sampled_from(PEOPLE))
    def sign_in_on_too_many_devices(self, person: str) -> None:
        for _ in range(POLICY.sessions_max + 1):
            self.sign_in_quietly(person)

    @rule(target=jars, jar=jars)
    def step_up(self, jar: Jar) -> Jar:
        """The same browser signs in with more proof."""
        old = self.families[jar.family]
        return self._start(old.person, jar.device, jar.family)

    @rule(target=jars, jar=consumes(jars), wants_rotation=st.booleans())
    def use(self, jar: Jar, wants_rotation: bool) -> Jar:
        return self._presented(jar, wants_rotation)

    @rule(jar=jars, wants_rotation=st.booleans())
    def use_and_lose_the_answer(self, jar: Jar, wants_rotation: bool) -> None:
        self._presented(jar, wants_rotation)

    @rule(target=jars, jar=consumes(jars), times=st.integers(2, 5))
    def use_side_by_side(self, jar: Jar, times: int) -> Jar:
        family = self.families[jar.family]
        must = self._must(jar, True)
        before = len(family.tokens)
        found = self._run(_side_by_side([self._open(jar, True) for _ in range(times)]))
        opened = [each for each in found if isinstance(each, OpenSession)]
        given = {each.token.text() for each in opened if each.token}
        assert len(given) <= 1, "each of the requests got another successor"
        if must is not None:
            assert bool(opened) == must and len(opened) in (0, times)
        if not opened:
            family.is_dead = True
            return jar
        return self._kept(jar, opened[0], before)

    @rule(target=jars, jar=consumes(jars), hours=st.sampled_from((1, 6, 11, 12)))
    def work_on(self, jar: Jar, hours: int) -> Jar:
        """A person at work, who never pauses for long."""
        for _ in range(hours * 3):
            self.clock.advance(1_200)
            jar = self._presented(jar, False)
        return jar

    @rule(jar=jars)
    def sign_out(self, jar: Jar) -> None:
        family = self.families[jar.family]
        try:
            opened = self._run(self._open(jar, False))
        except Unauthenticated:
            family.is_dead = True
            return
        self._note(jar, opened)
        self._run(self.sessions.end_own(opened, "signed_out", "c-1"))
        family.is_dead = True

    @rule(
        target=jars, jar=jars, has_device=st.booleans(), has_agent=st.booleans(), age=st.integers(0)
    )
    def copy_cookies(self, jar: Jar, has_device: bool, has_agent: bool, age: int) -> Jar:
        """A token of any age, with or without the device's own cookie, in any browser."""
        tokens = self.families[jar.family].tokens
        own = self.families[jar.family].device
        return Jar(jar.family, tokens[age % len(tokens)], copied(own, has_device, has_agent))

    @rule(
        target=jars,
        person=st.sampled_from(PEOPLE),
        has_device=st.booleans(),
        has_agent=st.booleans(),
        delay_s=st.sampled_from((0, 10, 29, 31)),
    )
    def race_the_owner(self, person: str, has_device: bool, has_agent: bool, delay_s: int) -> Jar:
        """A copy is taken, the owner's secret is replaced, and the copy is shown soon after."""
        jar = self.sign_in_quietly(person)
        thief = replace(jar, device=copied(jar.device, has_device, has_agent))
        self.clock.advance(31)
        kept = self._presented(jar, True)
        self.clock.advance(delay_s)
        self._presented(thief, False)
        return kept

    # --- what administrators, networks and clocks do ------------------------------------------

    @rule(person=st.sampled_from(PEOPLE))
    def end_all_sessions(self, person: str) -> None:
        standing = len(self._person(person).sessions)
        admin = ("t.admin", "OrgAdmin")
        ended = self._run(self.sessions.revoke_all(TENANT, person, "c-1", actor=admin))
        assert ended == standing
        for family in self.families:
            family.is_dead |= family.person == person

    @rule(mood=st.sampled_from(("confirms", "refuses", "is_silent")))
    def change_the_issuers_mood(self, mood: Any) -> None:
        self.issuer.mood = mood

    @rule()
    def lose_an_answer_of_the_store(self) -> None:
        self.faults.armed = True

    @rule(seconds=st.sampled_from(STEPS_S))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def at_most_one_token_of_a_family_lives_beyond_the_grace(self) -> None:
        for family in getattr(self, "families", ()):
            person = self._person(family.person)
            alive = [text for text in family.tokens if self._opens(person, text, family.device)]
            is_soon = abs(self.clock.now() - family.rotated_at) <= GRACE
            assert len(alive) <= (2 if is_soon else 1)
            if family.is_dead or self._must_be_over(family):
                assert not alive

    @invariant()
    def nobody_has_more_sessions_than_allowed(self) -> None:
        for person in PEOPLE if hasattr(self, "families") else ():
            assert len(self._person(person).sessions) <= POLICY.sessions_max

    @invariant()
    def store_never_holds_a_token(self) -> None:
        if not getattr(self, "seen_tokens", None):
            return
        stored = json.dumps(self.connection.container(SESSIONS_CONTAINER).partitions)
        for text in self.seen_tokens:
            token = read_token(text)
            assert token is not None
            assert text not in stored and text[-43:] not in stored
            assert token.secret.hex() not in stored

    @invariant()
    def each_start_and_end_has_one_event(self) -> None:
        if not hasattr(self, "families"):
            return
        partitions = self.connection.container(SESSIONS_CONTAINER).partitions
        events = [
            item["event"]
            for items in partitions.values()
            for item in items.values()
            if item["type"] == "outbox"
        ]
        found = Counter(event["action"].partition(".rotated")[0] for event in events)
        living = sum(len(self._person(person).sessions) for person in PEOPLE)
        assert found["session.started"] == len(self.families)
        assert found["session.ended"] == len(self.families) - living

    def _start(self, person: str, at: Device, replaces: int | None) -> Jar:
        self.issuer.mood = "confirms"
        who = self._run(self.issuer.redeem(person, "", ""))
        old = self.families[replaces] if replaces is not None else None
        family_id = _family_id(old.tokens[-1]) if old else None
        living = old is not None and self._person(person).find(family_id or "") is not None
        opened = self._run(self.sessions.start(who, at, "c-1", family_id))
        assert opened.token is not None
        now = self.clock.now()
        is_over = old is None or not living or self._must_be_over(old)
        born_at = now if is_over or old is None else min(now, old.born_at)
        family = Family(person, at, born_at, now, now, [opened.token.text()])
        assert _family_id(family.tokens[0]) not in {
            _family_id(text) for text in self.seen_tokens
        }, "a sign-in must not keep an id"
        self._give(family.tokens[0])
        self.families.append(family)
        if old is not None:
            old.is_dead = True
        for each in self.families:  # the oldest made room
            if each.person == person and each is not family:
                each.is_dead |= self._person(person).find(_family_id(each.tokens[0])) is None
        return Jar(len(self.families) - 1, family.tokens[0], at)

    def _presented(self, jar: Jar, wants_rotation: bool) -> Jar:
        family, must = self.families[jar.family], self._must(jar, wants_rotation)
        before = len(family.tokens)
        try:
            opened = self._run(self._open(jar, wants_rotation))
        except Unauthenticated:
            assert must is not True, "a right token was refused"
            family.is_dead = True
            return jar
        assert must is not False, "a token was accepted that must not be"
        return self._kept(jar, opened, before)

    def _kept(self, jar: Jar, opened: OpenSession, before: int) -> Jar:
        self._note(jar, opened)
        family = self.families[jar.family]
        if opened.token and jar.token != family.tokens[before - 1]:
            assert opened.token.text() == family.tokens[-1], "another successor than the first"
        return replace(jar, token=opened.token.text()) if opened.token else jar

    def _note(self, jar: Jar, opened: OpenSession) -> None:
        family = self.families[jar.family]
        if jar.token == family.tokens[-1]:
            family.used_at = self.clock.now()
        if opened.token and opened.token.text() != family.tokens[-1]:
            assert self.clock.now() - family.rotated_at >= GRACE, "a secret lived too short"
            self._give(opened.token.text())
            family.tokens.append(opened.token.text())
            family.rotated_at = self.clock.now()
            assert jar.device == family.device, "another browser was given a secret"

    def _give(self, text: str) -> None:
        assert text not in self.seen_tokens, "a token was given out twice"
        self.seen_tokens.add(text)

    def _must(self, jar: Jar, wants_rotation: bool) -> bool | None:
        """Whether this presentation must open the session; None: it may do either."""
        family = self.families[jar.family]
        if family.is_dead or self._must_be_over(family):
            return False
        if jar.device.secret_sha256 != family.device.secret_sha256:
            return False
        is_agent = jar.device.agent_sha256 == family.device.agent_sha256
        if jar.token == family.tokens[-1]:
            if not is_agent and self._is_due(family, wants_rotation):
                return False
        else:
            is_soon = abs(self.clock.now() - family.rotated_at) <= GRACE
            if len(family.tokens) < 2 or jar.token != family.tokens[-2]:
                return False
            if not (is_soon and is_agent):
                return False
        is_sure = self.clock.now() - family.used_at < POLICY.idle - SEEN_STEP
        return True if is_sure and self.issuer.mood == "confirms" else None

    def _is_due(self, family: Family, wants_rotation: bool) -> bool:
        """Whether the current secret is replaced when it is shown now."""
        age = self.clock.now() - family.rotated_at
        return age >= POLICY.rotate_after or (wants_rotation and age >= GRACE)

    def _must_be_over(self, family: Family) -> bool:
        now = self.clock.now()
        return now - family.used_at >= POLICY.idle or now - family.born_at >= POLICY.absolute

    def _open(self, jar: Jar, wants_rotation: bool) -> Coroutine[Any, Any, OpenSession]:
        return self.sessions.open(jar.token, jar.device, "c-1", wants_rotation=wants_rotation)

    def _opens(self, person: PersonSessions, text: str, at: Device) -> bool:
        token = read_token(text)
        assert token is not None
        decision = present(
            person,
            token,
            at,
            now=self.clock.now(),
            policy=POLICY,
            fresh=Fresh(bytes(32), "x"),
        )
        return decision.session is not None

    def _person(self, object_id: str) -> PersonSessions:
        empty = PersonSessions(TENANT, object_id)
        items = self.connection.container(SESSIONS_CONTAINER).partitions
        document = items.get(empty.partition.key, {}).get(f"sessions:{object_id}")
        return read_sessions(document) if document else empty

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(work)


async def _side_by_side(work: list[Coroutine[Any, Any, OpenSession]]) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


def _family_id(text: str) -> str:
    token = read_token(text)
    assert token is not None
    return token.family_id
