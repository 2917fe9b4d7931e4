"""What wraps data keys: the local file and Key Vault, and the fake that stands in for both."""

import base64
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from devhost.field_keys import ensure_field_keys
from devhost.key_vault.objects import Key
from devhost.key_vault.server import KeyVault, running_vault
from shared.adapters.key_vault_keys import NEWEST_KEPT_S, KeyVaultKeys
from shared.adapters.local_key_file import LocalKeyFile
from shared.errors import InvariantBroken, Unavailable
from shared.ports.field_keys import KeyWrapper
from tests.contract.vault_clients import vault_options
from tests.fakes.clock import FakeClock
from tests.fakes.field_keys import FakeVault

SECRET = bytes(range(32))
KEY = "prompts"


@dataclass
class Bench:
    """A wrapper on trial, and how its administrator makes a newer version."""

    wrapper: KeyWrapper
    add_version: Callable[[], object]


@pytest_asyncio.fixture(params=["fake", "file", "vault"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "fake":
        fake = FakeVault()
        yield Bench(fake, lambda: fake.add("v2"))
    elif request.param == "file":
        path = tmp_path / "keys"
        ensure_field_keys(path)
        yield Bench(LocalKeyFile(path), lambda: prepend(path, "2"))
    else:
        async with running_vault(tmp_path) as (vault, certificate):
            key = vault.keys[KEY] = Key()
            key.add_rsa()
            clock = FakeClock()
            wrapper = KeyVaultKeys(vault.key_url(KEY), clock, **vault_options(certificate))

            def add() -> None:
                key.add_rsa()
                clock.advance(NEWEST_KEPT_S)

            yield Bench(wrapper, add)
            await wrapper.aclose()


def prepend(path: Path, version: str) -> None:
    line = f"{version} {base64.b64encode(os.urandom(32)).decode()}\n"
    path.write_text(line + path.read_text())
    os.utime(path, ns=(1, int(version)))  # a later moment, however coarse the file system's clock


async def test_wrapped_key_unwraps_and_names_its_version(bench: Bench) -> None:
    wrapped = await bench.wrapper.wrap(SECRET)
    assert SECRET not in wrapped.wrapped
    assert wrapped.kek == await bench.wrapper.newest()
    assert await bench.wrapper.unwrap(wrapped) == SECRET


async def test_newer_version_wraps_and_the_older_still_unwraps(bench: Bench) -> None:
    old = await bench.wrapper.wrap(SECRET)
    bench.add_version()
    new = await bench.wrapper.wrap(SECRET)
    assert new.kek == await bench.wrapper.newest() != old.kek
    assert await bench.wrapper.unwrap(old) == await bench.wrapper.unwrap(new) == SECRET


async def test_wrapping_under_another_name_is_refused(bench: Bench) -> None:
    wrapped = await bench.wrapper.wrap(SECRET)
    for kek in ("local:9", "https://elsewhere.example/keys/prompts/1", ""):
        with pytest.raises(InvariantBroken):
            await bench.wrapper.unwrap(replace(wrapped, kek=kek))


@pytest_asyncio.fixture
async def vault(tmp_path: Path) -> AsyncIterator[tuple[KeyVault, KeyVaultKeys]]:
    async with running_vault(tmp_path) as (vault, certificate):
        vault.keys[KEY] = Key()
        vault.keys[KEY].add_rsa()
        wrapper = KeyVaultKeys(vault.key_url(KEY), FakeClock(), **vault_options(certificate))
        yield vault, wrapper
        await wrapper.aclose()


async def test_vault_unwraps_and_wraps_with_the_public_half_only(
    vault: tuple[KeyVault, KeyVaultKeys],
) -> None:
    server, wrapper = vault
    wrapped = [await wrapper.wrap(SECRET) for _ in range(3)]
    for each in wrapped:
        await wrapper.unwrap(each)
    assert server.calls["unwrapkey"] == 3
    assert server.calls["wrapkey"] == 0  # the SDK has the public key
    assert server.calls["get_key"] == 2  # the newest version, and its public key


async def test_vault_that_throttles_or_fails_is_unavailable_after_retries(
    vault: tuple[KeyVault, KeyVaultKeys],
) -> None:
    server, wrapper = vault
    wrapped = await wrapper.wrap(SECRET)
    server.fail = [429, 503]
    assert await wrapper.unwrap(wrapped) == SECRET
    server.fail = [503] * 10
    with pytest.raises(Unavailable):
        await wrapper.unwrap(wrapped)


async def test_disabled_version_is_a_fault_that_no_repeat_mends(
    vault: tuple[KeyVault, KeyVaultKeys],
) -> None:
    server, wrapper = vault
    wrapped = await wrapper.wrap(SECRET)
    server.keys[KEY].disabled = set(server.keys[KEY].versions)
    with pytest.raises(InvariantBroken):
        await wrapper.unwrap(wrapped)


def test_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys"
    ensure_field_keys(path)
    content = path.read_text()
    ensure_field_keys(path)
    assert path.read_text() == content
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["keys"]


@pytest.mark.parametrize(
    "content", ["", "1", "1 short", "1 !!!!", "1 QUJD", f"1 {'A' * 43}= x", "\u00e9 x"]
)
async def test_unusable_key_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(InvariantBroken):
        await LocalKeyFile(path).newest()
    with pytest.raises(InvariantBroken):
        await LocalKeyFile(tmp_path / "none").newest()
