"""Adobe Firefly: one access token for many requests, renewed once when it is refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.adapters.providers import adobe_firefly_tokens
from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered
from tests.contract.firefly_server import (
    IMAGE3,
    LOOK,
    SIGN_IN,
    SUBMIT,
    TOKEN,
    accepted,
    firefly_provider,
    firefly_server,
    looks_give,
    sent_to,
    succeeded,
)
from tests.contract.image_orders import Recorder
from tests.contract.scripted_server import Answer, ScriptedServer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with firefly_server() as server:
        yield server


@pytest.fixture
async def provider(server: ScriptedServer) -> AsyncIterator[AdobeFireflyProvider]:
    async with firefly_provider(server) as provider:
        yield provider


async def test_many_orders_at_once_sign_in_once(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, succeeded(server))
    outcomes = await asyncio.gather(*(provider.generate(IMAGE3, Recorder()) for _ in range(8)))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert sent_to(server, SIGN_IN) == 1


async def test_token_that_is_refused_is_replaced_once(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, succeeded(server))
    server.answers(SIGN_IN, Answer(body=TOKEN), Answer(body=TOKEN | {"access_token": "token-2"}))
    server.answers(SUBMIT, Answer(401, {"error_code": "x"}), Answer(202, accepted(server)))
    assert isinstance(await provider.generate(IMAGE3, Recorder()), Delivered)
    tokens = [seen.headers["authorization"] for seen in server.seen if seen.path == SUBMIT]
    assert tokens == ["Bearer token-1", "Bearer token-2"]


async def test_account_that_is_refused_is_asked_for_no_more_than_two_tokens(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(SUBMIT, Answer(401, {"error_code": "x"}))
    outcome = await provider.generate(IMAGE3, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
    assert (sent_to(server, SIGN_IN), sent_to(server, SUBMIT)) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (Answer(400, {"error": "invalid_client"}), "auth_or_config", "no_access_token"),
        (Answer(401, {"error": "invalid_client"}), "auth_or_config", "no_access_token"),
        (
            Answer(200, {"access_token": "bad\ntoken", "expires_in": 9_999}),
            *["auth_or_config"],
            "no_access_token",
        ),
        (Answer(200, {"access_token": "t"}), "auth_or_config", "no_access_token"),
        (
            Answer(200, {"access_token": "t", "expires_in": True}),
            "auth_or_config",
            "no_access_token",
        ),
        (Answer(200, {"access_token": "t", "expires_in": 60}), "auth_or_config", "no_access_token"),
        (Answer(200, b"hello"), "auth_or_config", "no_access_token"),
        (Answer(429, {}), "transient", "identity_unavailable"),
        (Answer(503, b""), "transient", "identity_unavailable"),
        (Answer(ending="reset"), "transient", "identity_unavailable"),
    ],
)
async def test_nothing_is_sent_without_a_token(
    answer: Answer,
    failure: str,
    reason: str,
    server: ScriptedServer,
    provider: AdobeFireflyProvider,
) -> None:
    server.answers(SIGN_IN, answer)
    outcome = await provider.generate(IMAGE3, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.reason) == (failure, Billed.NOTHING, reason)
    assert sent_to(server, SUBMIT) == 0


async def test_looks_wait_for_a_sign_in_that_is_down(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(
        LOOK,
        Answer(401, {"error_code": "x"}),
        Answer(body=succeeded(server)),
    )
    server.answers(SIGN_IN, Answer(body=TOKEN), Answer(503, b""), Answer(body=TOKEN))
    assert isinstance(await provider.generate(IMAGE3, Recorder()), Delivered)


async def test_token_is_renewed_in_time_and_kept_while_it_cannot_be(
    server: ScriptedServer, provider: AdobeFireflyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_give(server, succeeded(server))
    monkeypatch.setattr(adobe_firefly_tokens, "TOKEN_AGE_MAX_S", 0.0)  # each is old at once
    server.answers(SIGN_IN, Answer(body=TOKEN), Answer(503, b""))
    assert isinstance(await provider.generate(IMAGE3, Recorder()), Delivered)
    assert sent_to(server, SIGN_IN) > 1
    tokens = {seen.headers["authorization"] for seen in server.seen if seen.path == SUBMIT}
    assert tokens == {"Bearer token-1"}
