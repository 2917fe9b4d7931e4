"""The Secret port: a given value, and Key Vault's REST API over TLS through its SDK."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import pytest_asyncio

from devhost.key_vault.objects import Secret as VaultSecret
from devhost.key_vault.server import KeyVault, running_vault
from shared.adapters import key_vault_secrets
from shared.adapters.given_secret import GivenSecret
from shared.adapters.key_vault_secrets import (
    KEPT_S,
    READ_TIMEOUT_S,
    REFUSED_KEPT_S,
    RENEWAL_PAUSE_S,
    KeyVaultSecret,
)
from shared.errors import InvariantBroken, Unavailable
from shared.ports.secrets import Secret
from tests.contract.vault_clients import vault_options
from tests.fakes.clock import FakeClock

NAME = "replicate-token"
CANARY = "r8_canary_4711"
FAULTS = ["missing", "deleted", "disabled", "empty", "two lines"]
Vault = tuple[KeyVault, KeyVaultSecret, FakeClock]


@pytest_asyncio.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with running_vault(tmp_path) as (server, certificate):
        server.set_secret(NAME, CANARY)
        clock = FakeClock()
        secret = KeyVaultSecret(server.secret_url(NAME), clock, **vault_options(certificate))
        yield server, secret, clock
        await secret.aclose()


def silence(server: KeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the vault take connections and answer nothing."""
    monkeypatch.setattr(key_vault_secrets, "READ_TIMEOUT_S", 0.3)
    server.answering.clear()


async def asked(server: KeyVault) -> None:
    """Wait until somebody waits for an answer."""
    before = server.calls["request"]
    async with asyncio.timeout(5):
        while server.calls["request"] == before:
            await asyncio.sleep(0.01)


async def at_once(value: Awaitable[str]) -> str:
    async with asyncio.timeout(0.1):
        return await value


def spoil(server: KeyVault, fault: str) -> None:
    """Take the secret away, in one of the ways an administrator has."""
    standing = server.secrets[NAME]
    if fault == "missing":
        del server.secrets[NAME]
    elif fault == "deleted":
        standing.deleted = True
    elif fault == "disabled":
        standing.disabled = set(standing.versions)
    else:
        standing.add("" if fault == "empty" else f"{CANARY}\n")


@pytest.fixture(params=["given", "vault"])
def secret(request: pytest.FixtureRequest, vault: Vault) -> Secret:
    return GivenSecret(CANARY) if request.param == "given" else vault[1]


async def test_value_is_what_was_set_and_nothing_newer_is_known(secret: Secret) -> None:
    assert await secret.value() == CANARY
    assert await secret.renewed(CANARY) is None
    assert await secret.renewed("an older value") == CANARY


async def test_value_is_not_shown_by_its_text_form(secret: Secret) -> None:
    await secret.value()
    assert CANARY not in repr(secret)


async def test_value_is_read_once_until_its_time_is_over(vault: Vault) -> None:
    server, secret, clock = vault
    for _ in range(5):
        await secret.value()
    assert server.calls["get_secret"] == 1
    server.set_secret(NAME, "new")
    clock.advance(KEPT_S - 1)
    assert await secret.value() == CANARY
    clock.advance(1)
    assert await secret.value() == "new"


async def test_refused_value_is_read_again_at_once_and_not_in_a_storm(vault: Vault) -> None:
    server, secret, _ = vault
    await secret.value()
    server.set_secret(NAME, "new")  # at the very moment: a value just read may be refused, too
    assert await secret.renewed(CANARY) == "new"
    assert await secret.renewed(CANARY) == "new"  # another request was refused with the old one
    assert await secret.value() == "new"
    reads = server.calls["get_secret"]
    for _ in range(10):
        assert await secret.renewed("new") is None
    assert server.calls["get_secret"] == reads


async def test_last_value_serves_while_the_vault_is_away(vault: Vault) -> None:
    server, secret, clock = vault
    await secret.value()
    server.fail = [503] * 20
    clock.advance(KEPT_S)
    assert await secret.value() == CANARY
    left = len(server.fail)
    assert await secret.value() == CANARY  # the vault is left in peace for a while
    assert len(server.fail) == left


async def test_vault_that_never_answered_is_unavailable(vault: Vault) -> None:
    server, secret, _ = vault
    server.fail = [503] * 20
    with pytest.raises(Unavailable):
        await secret.value()


async def test_throttled_read_is_repeated_as_the_vault_asks(vault: Vault) -> None:
    server, secret, _ = vault
    server.throttle = [0, 0]
    assert await secret.value() == CANARY


async def test_silent_vault_holds_up_one_caller_for_some_seconds_and_nobody_else(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secret, clock = vault
    await secret.value()
    silence(server, monkeypatch)
    clock.advance(KEPT_S)
    first = asyncio.create_task(secret.value())
    await asked(server)
    for _ in range(5):
        assert await at_once(secret.value()) == CANARY
    assert not first.done()
    clock.advance(RENEWAL_PAUSE_S + READ_TIMEOUT_S)  # however long it took, the pause comes after
    assert await first == CANARY
    before = server.calls["request"]
    assert await at_once(secret.value()) == CANARY
    assert server.calls["request"] == before


async def test_vault_that_comes_back_is_noticed_after_a_pause(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secret, clock = vault
    await secret.value()
    silence(server, monkeypatch)
    clock.advance(KEPT_S)
    assert await secret.value() == CANARY
    server.answering.set()
    server.set_secret(NAME, "new")
    assert await secret.value() == CANARY
    clock.advance(RENEWAL_PAUSE_S)
    assert await secret.value() == "new"


async def test_silent_vault_is_asked_once_for_all_who_have_no_value(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secret, _ = vault
    silence(server, monkeypatch)
    ended = await asyncio.gather(*(secret.value() for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in ended] == [Unavailable] * 5
    assert server.calls["request"] == 1
    server.answering.set()
    assert await secret.value() == CANARY


async def test_caller_who_is_cancelled_does_not_end_the_read_for_others(vault: Vault) -> None:
    server, secret, _ = vault
    server.answering.clear()
    first, second = (asyncio.create_task(secret.value()) for _ in range(2))
    await asked(server)
    first.cancel()
    await asyncio.wait((first,))
    server.answering.set()
    assert await second == CANARY
    assert server.calls["get_secret"] == 1


async def test_refused_value_is_asked_for_once_while_the_vault_is_silent(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secret, _ = vault
    await secret.value()
    silence(server, monkeypatch)
    before = server.calls["request"]
    assert await asyncio.gather(*(secret.renewed(CANARY) for _ in range(5))) == [None] * 5
    assert server.calls["request"] - before == 1
    assert await at_once(secret.value()) == CANARY


async def test_rotation_during_a_read_is_found_by_the_next_one(vault: Vault) -> None:
    server, secret, clock = vault
    await secret.value()
    clock.advance(KEPT_S)
    server.answering.clear()
    reading = asyncio.create_task(secret.value())
    await asked(server)
    server.set_secret(NAME, "new")
    renewing = asyncio.create_task(secret.renewed(CANARY))
    server.answering.set()
    assert await renewing == "new"
    await reading


@pytest.mark.parametrize("fault", FAULTS)
async def test_secret_that_nobody_may_read_is_a_fault(vault: Vault, fault: str) -> None:
    server, secret, _ = vault
    spoil(server, fault)
    with pytest.raises(InvariantBroken):
        await secret.value()


@pytest.mark.parametrize("fault", FAULTS)
async def test_value_that_the_vault_refuses_is_soon_used_no_more(
    vault: Vault, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secret, clock = vault
    await secret.value()
    spoil(server, fault)
    clock.advance(KEPT_S)
    assert await secret.value() == CANARY  # it may be a slip, and is asked about again
    clock.advance(REFUSED_KEPT_S - KEPT_S)
    for _ in range(2):
        with pytest.raises(InvariantBroken):
            await secret.value()
    assert await secret.renewed(CANARY) is None
    server.answering.clear()
    monkeypatch.setattr(key_vault_secrets, "READ_TIMEOUT_S", 0.2)
    with pytest.raises(Unavailable):  # nor does it come back because the vault is silent then
        await secret.value()
    server.answering.set()
    server.secrets[NAME] = VaultSecret()
    server.set_secret(NAME, "new")
    monkeypatch.setattr(key_vault_secrets, "READ_TIMEOUT_S", READ_TIMEOUT_S)
    assert await secret.value() == "new"


async def test_slip_of_the_vault_costs_nothing(vault: Vault) -> None:
    server, secret, clock = vault
    await secret.value()
    clock.advance(KEPT_S)
    server.fail = [403]
    assert await secret.value() == CANARY
    clock.advance(RENEWAL_PAUSE_S)
    assert await secret.value() == CANARY
    clock.advance(REFUSED_KEPT_S - KEPT_S)
    assert await secret.value() == CANARY


async def test_refused_value_ends_although_the_vault_is_silent_by_then(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secret, clock = vault
    await secret.value()
    spoil(server, "disabled")
    clock.advance(REFUSED_KEPT_S - 1)
    assert await secret.value() == CANARY
    silence(server, monkeypatch)
    clock.advance(1)
    with pytest.raises(Unavailable):
        await secret.value()


async def test_value_not_shown_for_long_ends_with_the_first_refusal(vault: Vault) -> None:
    server, secret, clock = vault
    await secret.value()
    server.secrets[NAME].deleted = True
    clock.advance(REFUSED_KEPT_S)
    with pytest.raises(InvariantBroken):
        await secret.value()


async def test_vault_that_does_not_know_us_says_nothing_of_the_secret(vault: Vault) -> None:
    server, secret, clock = vault
    await secret.value()
    clock.advance(REFUSED_KEPT_S)
    server.fail = [401] * 20
    assert await secret.value() == CANARY


@pytest.mark.parametrize(
    "address", ["http://v/secrets/a", "https://v/keys/a", "https://v/secrets/a/1", "https://v"]
)
def test_address_that_is_no_secret_is_refused(address: str) -> None:
    with pytest.raises(InvariantBroken):
        KeyVaultSecret(address, FakeClock())


async def test_value_reaches_no_log(vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    server, secret, clock = vault
    with caplog.at_level(logging.DEBUG):
        await secret.value()
        clock.advance(KEPT_S)
        server.fail = [503] * 20
        await secret.value()
        await secret.renewed(CANARY)
    assert caplog.records
    assert CANARY not in caplog.text
