"""Standard Webhooks: the published test vector, rotation, and what is never signed."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.deliveries import ATTEMPTS_MAX, RETRY_WAITS_S, WAIT_S_MAX, wait_s
from shared.domain.webhooks import (
    Message,
    key_of,
    make_message,
    secret_of,
    signature,
    signed_headers,
)
from shared.errors import InvariantBroken

# Published with the specification's reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
TIMESTAMP_S = 1_614_265_330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signature_is_that_of_the_published_vector() -> None:
    assert signature(SECRET, MESSAGE, TIMESTAMP_S) == SIGNATURE


def test_signature_covers_id_timestamp_and_body() -> None:
    others = (
        signature(SECRET, Message("msg_other", MESSAGE.body), TIMESTAMP_S),
        signature(SECRET, MESSAGE, TIMESTAMP_S + 1),
        signature(SECRET, Message(MESSAGE.message_id, b'{"test": 2432232315}'), TIMESTAMP_S),
        signature(secret_of(b"k" * 32), MESSAGE, TIMESTAMP_S),
    )
    assert len({SIGNATURE, *others}) == 5


def test_headers_during_a_rotation_carry_both_signatures_newest_first() -> None:
    newer = secret_of(b"n" * 32)
    headers = signed_headers([newer, SECRET], MESSAGE, TIMESTAMP_S)
    assert headers["webhook-id"] == MESSAGE.message_id
    assert headers["webhook-timestamp"] == "1614265330"
    first, second = headers["webhook-signature"].split(" ")
    assert first == signature(newer, MESSAGE, TIMESTAMP_S)
    assert second == SIGNATURE


def test_headers_without_a_secret_are_refused() -> None:
    with pytest.raises(InvariantBroken):
        signed_headers([], MESSAGE, TIMESTAMP_S)


@given(key=st.binary(min_size=24, max_size=64), body=st.binary(max_size=200))
def test_a_receiver_with_the_secret_verifies_what_was_signed(key: bytes, body: bytes) -> None:
    secret = secret_of(key)
    assert secret.startswith("whsec_")
    assert key_of(secret) == key
    signed = signature(secret, Message("m", body), 7).removeprefix("v1,")
    expected = hmac.new(key, b"m.7." + body, hashlib.sha256).digest()
    assert base64.b64decode(signed) == expected


def test_message_has_the_shape_of_the_spec() -> None:
    message = make_message("id-1", "budget.alert", "2026-11-15T12:00:00+00:00", {"a": "é"})
    assert json.loads(message.body) == {
        "type": "budget.alert",
        "timestamp": "2026-11-15T12:00:00+00:00",
        "data": {"a": "é"},
    }
    assert b" " not in message.body


def test_message_id_with_a_full_stop_is_refused() -> None:
    with pytest.raises(InvariantBroken):
        make_message("a.b", "budget.alert", "now", {})


def test_waits_grow_from_seconds_to_a_day_and_span_three_days() -> None:
    waits = [wait_s(attempt, "seed", None) for attempt in range(1, ATTEMPTS_MAX)]
    assert waits == sorted(waits)
    assert waits[0] in (5, 6)
    assert sum(waits) >= 3 * 24 * 3_600


@given(
    attempt=st.integers(1, ATTEMPTS_MAX + 3),
    seed=st.text(max_size=20),
    asked=st.none() | st.integers(0, 10**9),
)
def test_wait_is_at_least_what_was_asked_for_and_the_same_on_a_replay(
    attempt: int, seed: str, asked: int | None
) -> None:
    wait = wait_s(attempt, seed, asked)
    scheduled = RETRY_WAITS_S[min(attempt, len(RETRY_WAITS_S)) - 1]
    assert wait == wait_s(attempt, seed, asked)
    assert min(max(scheduled, asked or 0), WAIT_S_MAX) <= wait <= WAIT_S_MAX
    if not asked:
        assert wait <= scheduled * 1.1
