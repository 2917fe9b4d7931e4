"""The offline verifier on a log of 1,000 events: what holds, and every forgery with its place."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from shared.domain.log_tiles import files_of
from shared.domain.merkle import root_from_leaves
from shared.domain.witnessing import Cosigned
from tests.fakes.audit_log_files import FakeLogStores
from tests.proofs.audit_log_world import entries_of, records, sequencer, witness
from tests.unit import forged_logs
from tests.unit.forged_logs import DEPTHS, EVENTS, LOG_KEY, WITNESS_KEY, export, forge, signed
from tools.eig_verify.__main__ import main
from tools.eig_verify.faults import Fault
from tools.eig_verify.log import Verified, verify_log
from tools.eig_verify.notes import read_key

TARGET = 700  # the entry that forgers touch: in the middle of the third bundle
Entries = Sequence[bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return export(tmp_path / "log")


def verified(folder: Path, earlier: list[str] | None = None, *, witness: bool = True) -> Verified:
    log_key, witness_key = map(read_key, forged_logs.keys())
    return verify_log(folder, log_key, witness_key if witness else None, earlier)


def fault_of(folder: Path, earlier: list[str] | None = None, *, witness: bool = True) -> Fault:
    with pytest.raises(Fault) as found:
        verified(folder, earlier, witness=witness)
    return found.value


def test_a_genuine_log_holds(folder: Path) -> None:
    assert verified(folder).entries == EVENTS


def fields(entry: bytes) -> Iterator[tuple[str, ...]]:
    """The path of every field of an entry."""
    for name, value in json.loads(entry).items():
        if isinstance(value, dict):
            yield from ((name, inner) for inner in value)
        else:
            yield (name,)


def edited(entry: bytes, path: tuple[str, ...]) -> bytes:
    """The entry with one field changed, in canonical form again."""
    event: Any = json.loads(entry)
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    value = holder[path[-1]]
    holder[path[-1]] = value + 1 if isinstance(value, int) else f"{value}x"
    return json.dumps(event, separators=(",", ":"), sort_keys=True).encode()


FIELDS = sorted(set(fields(forged_logs.entries()[TARGET])))


def test_the_fields_that_are_edited_are_those_of_every_event() -> None:
    assert {path[0] for path in FIELDS} == {
        *("v", "partition", "id", "at", "actor", "role", "action", "object", "outcome"),
        *("reason", "policy_version", "price_version", "correlation", "details"),
    }


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
@pytest.mark.parametrize("depth", DEPTHS)
def test_an_edited_field_is_found(folder: Path, depth: str, path: tuple[str, ...]) -> None:
    forged = list(forged_logs.entries())
    forged[TARGET] = edited(forged[TARGET], path)
    fault = fault_of(forge(folder, forged, depth))
    if depth == "entries":
        assert fault.place == f"tile/entries/002, entry {TARGET - 512} (index {TARGET})"


FORGERIES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "delete": lambda e: e[:TARGET] + e[TARGET + 1 :],
    "delete the first": lambda e: e[1:],
    "delete the last": lambda e: e[:-1],
    "truncate": lambda e: e[:TARGET],
    "truncate to full tiles": lambda e: e[:768],
    "reorder neighbours": lambda e: [*e[:TARGET], e[TARGET + 1], e[TARGET], *e[TARGET + 2 :]],
    "reorder across bundles": lambda e: [e[600], *e[1:600], e[0], *e[601:]],
    "insert": lambda e: [*e[:TARGET], edited(e[TARGET], ("id",)), *e[TARGET:]],
    "insert a copy": lambda e: [*e[:TARGET], e[5], *e[TARGET:]],
    "append": lambda e: [*e, edited(e[-1], ("id",))],
    "replace one by another": lambda e: [*e[:TARGET], e[TARGET - 1], *e[TARGET + 1 :]],
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_forged_log_is_found(folder: Path, depth: str, name: str) -> None:
    forged = FORGERIES[name](list(forged_logs.entries()))
    fault_of(forge(folder, forged, depth))


@pytest.mark.parametrize("name", [n for n in FORGERIES if "append" not in n])
def test_a_log_forged_with_its_own_key_is_found_by_an_earlier_checkpoint(
    folder: Path, name: str
) -> None:
    earlier = (folder / "checkpoint").read_text()
    forged = FORGERIES[name](list(forged_logs.entries()))
    fault = fault_of(forge(folder, forged, DEPTHS[-1]), [earlier], witness=False)
    assert fault.place == "earlier checkpoint 1" or "same event" in fault.what


def test_a_log_that_only_grew_holds_against_an_earlier_checkpoint(folder: Path) -> None:
    earlier = (folder / "checkpoint").read_text()
    grown = FORGERIES["append"](list(forged_logs.entries()))
    assert verified(forge(folder, grown, DEPTHS[-1]), [earlier], witness=False).entries == 1_001


def test_a_fork_signed_by_the_log_for_the_same_size_lacks_the_witness(folder: Path) -> None:
    forged = list(forged_logs.entries())
    forged[TARGET] = edited(forged[TARGET], ("outcome",)).replace(b"successx", b"failure")
    fault = fault_of(forge(folder, forged, DEPTHS[-1]))
    assert fault.what == f"the witness ({WITNESS_KEY.key.name}) has not signed it"


def test_a_checkpoint_signed_by_somebody_else_is_found(folder: Path) -> None:
    root = root_from_leaves([])
    (folder / "checkpoint").write_text(signed(forged_logs.STRANGER, 0, root))
    assert fault_of(folder).what.endswith("has not signed it")
    (folder / "checkpoint").write_text(signed(LOG_KEY, 0, root, "another.example/log"))
    assert "it is of the log" in fault_of(folder).what


def test_each_byte_of_the_checkpoint_counts(folder: Path) -> None:
    note = (folder / "checkpoint").read_bytes()
    for at in range(len(note)):
        changed = note[:at] + bytes([note[at] ^ 1]) + note[at + 1 :]
        (folder / "checkpoint").write_bytes(changed)
        assert fault_of(folder).place == "checkpoint", at


def test_a_changed_byte_in_any_file_is_found(folder: Path) -> None:
    chance = random.Random(1)
    for path in sorted(p for p in (folder / "tile").rglob("*") if p.is_file()):
        content = path.read_bytes()
        at = chance.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        fault_of(folder)
        path.write_bytes(content[:-1])
        fault_of(folder)
        path.unlink()
        assert fault_of(folder).what == "it is missing"
        path.write_bytes(content)
    assert verified(folder).entries == EVENTS


def test_a_file_too_many_is_found(folder: Path) -> None:
    forged_logs.write(folder, "tile/entries/004", b"")
    assert fault_of(folder).place == "tile/entries/004"


@pytest.mark.parametrize("name", ["tile/entries/004", "tile/hidden", "tile/0/x001"])
@pytest.mark.parametrize("kind", ["pipe", "dangling link", "linked folder", "linked file"])
def test_what_is_no_plain_file_is_a_file_too_many_as_well(
    folder: Path, kind: str, name: str
) -> None:
    path = folder / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling link":
        path.symlink_to(folder / "nowhere")
    else:
        path.symlink_to(folder / ("tile/0" if kind == "linked folder" else "checkpoint"))
    assert fault_of(folder).place == name


def test_a_folder_of_tiles_that_is_a_link_is_found(folder: Path) -> None:
    """Whoever walks does not follow it, so that anything could lie there."""
    (folder / "tile/entries").rename(folder / "elsewhere")
    (folder / "tile/entries").symlink_to(folder / "elsewhere")
    assert fault_of(folder).place == "tile/entries"


def test_the_command_says_what_holds_and_what_does_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_key, witness_key = forged_logs.keys()
    (folder / "key").write_text(f"{log_key}\n")
    given = ["log", str(folder), "--log-key", str(folder / "key")]
    assert main([*given, "--witness-key", witness_key]) == 0
    assert "The log holds: 1000 entries" in capsys.readouterr().out
    assert main([*given, "--earlier", str(folder / "checkpoint")]) == 0
    assert "newest" not in capsys.readouterr().out
    assert main(given) == 0
    assert "No witness key was given" in capsys.readouterr().out
    (folder / "tile/0/001").unlink()
    assert main(given) == 1
    assert capsys.readouterr().err == "FAULT at tile/0/001: it is missing\n"
    assert main(["log", str(folder), "--log-key", "nonsense"]) == 1
    assert main([*given, "--earlier", str(folder / "nothing")]) == 2


def test_a_log_set_back_to_an_older_checkpoint_is_not_called_the_newest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both signatures are genuine, and superseded partial tiles lie in storage for ever."""
    stores, seen = FakeLogStores(records=records(0, 300)), FakeLogStores()
    notes = []
    for _ in range(2):
        asyncio.run(sequencer(stores).run())
        answer = asyncio.run(witness(seen).look(stores, stores))
        assert isinstance(answer, Cosigned)
        notes.append(answer.note)
        stores.records += records(300, EVENTS)
    older, newer = notes
    for name in files_of(300):
        forged_logs.write(tmp_path, name, stores.contents[name])
    forged_logs.write(tmp_path, "checkpoint", older.encode())
    forged_logs.write(tmp_path, "kept", newer.encode())
    log_key, witness_key = forged_logs.keys()
    given = ["log", str(tmp_path), "--log-key", log_key, "--witness-key", witness_key]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert f"the last entry is of {json.loads(entries_of(stores)[299])['at']}." in said
    assert "nothing proves that this is the newest" in said
    assert main([*given, "--earlier", str(tmp_path / "kept")]) == 1
    assert "entries are missing at its end" in capsys.readouterr().err


@pytest.mark.parametrize("depth", DEPTHS[:2])
def test_of_several_faults_the_first_is_reported(folder: Path, depth: str) -> None:
    """Also across bundles, and whatever was done first."""
    places = [(0, 0), (3, 255), (300, 999), (700, 701), (511, 512)]
    for first, second in places:
        forged = list(forged_logs.entries())
        for at in (second, first):
            forged[at] = edited(forged[at], ("actor",))
        fault = fault_of(forge(export(folder), forged, depth))
        if depth == "entries":
            bundle = next(n for n in (0, 1, 2, 3) if first < (n + 1) * 256)
            name = f"tile/entries/00{bundle}" + (".p/232" if bundle == 3 else "")
            assert fault.place == f"{name}, entry {first - 256 * bundle} (index {first})"


FIRST_FAULTS = {
    "delete": TARGET,
    "delete the first": 0,
    "reorder neighbours": TARGET,
    "reorder across bundles": 0,
    "insert": TARGET,
    "replace one by another": TARGET,
}


@pytest.mark.parametrize("name", FIRST_FAULTS)
def test_the_first_entry_that_is_another_is_reported(folder: Path, name: str) -> None:
    """Bundles were made anew, all hashes stayed: the place is where the forger began."""
    forged = FORGERIES[name](list(forged_logs.entries()))
    genuine = len(forged_logs.entries())
    fault = fault_of(forge(folder, ([*forged, b""])[:genuine], "entries"))
    at = FIRST_FAULTS[name]
    assert fault.place == f"tile/entries/00{at // 256}, entry {at % 256} (index {at})"


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_a_field_that_is_edited_and_signed_again_lacks_witness_and_past(
    folder: Path, path: tuple[str, ...]
) -> None:
    """The log's own key helps nobody: the witness has not signed, earlier checkpoints differ."""
    earlier = (folder / "checkpoint").read_text()
    forged = list(forged_logs.entries())
    forged[TARGET] = edited(forged[TARGET], path)
    forge(folder, forged, DEPTHS[-1])
    assert fault_of(folder).what.startswith("the witness ")
    fault = fault_of(folder, [earlier], witness=False)
    assert fault.place == "earlier checkpoint 1" or f"(index {TARGET})" in fault.place


def test_a_signature_of_the_witness_on_another_log_is_found(folder: Path) -> None:
    """The witness's line from the genuine checkpoint under one of the log's own for a fork."""
    genuine = (folder / "checkpoint").read_text()
    line = next(
        each for each in genuine.split("\n") if each.startswith(f"\u2014 {WITNESS_KEY.key.name}")
    )
    forged = FORGERIES["reorder neighbours"](list(forged_logs.entries()))
    forge(folder, forged, DEPTHS[-1])
    note = (folder / "checkpoint").read_text()
    (folder / "checkpoint").write_text(f"{note}{line}\n")
    assert fault_of(folder).what == "the signature of the witness is wrong"


def test_one_key_for_log_and_witness_is_refused(folder: Path) -> None:
    key = read_key(forged_logs.keys()[0])
    with pytest.raises(Fault, match="the log's own"):
        verify_log(folder, key, key)


def event_with(details: bytes) -> bytes:
    """An event in canonical form, if its details are."""
    names = b'"id":"x","object":"x","outcome":"success","partition":"x","v":1}'
    return b'{"action":"x","actor":"x","details":' + details + b"," + names


@pytest.mark.parametrize(
    "details", ['{"\U0001f600":1,"\ufffd":1}', '{"a":9007199254740991,"b":"\x7f\u65e5"}']
)
def test_an_entry_in_canonical_form_holds(folder: Path, details: str) -> None:
    entry = event_with(details.encode())
    assert rfc8785.dumps(json.loads(entry)) == entry
    forged = [*forged_logs.entries()[:300], entry]
    assert verified(forge(folder, forged, DEPTHS[-1]), witness=False).entries == 301


@pytest.mark.parametrize(
    "entry",
    [
        b'{"v":true}',
        b'{"action":"x","actor":"x","details":{"a":NaN},"id":"x","object":"x","outcome":"success"'
        b',"partition":"x","v":1}',
        b"[" * 60_000,
        b'{"v":1}',
        event_with(b'{"a":"\xed\xa0\x80"}'),  # half a surrogate pair, as no UTF-8 has it
        event_with(b'{"a":"\\ud800"}'),
        event_with(b'{"a":9007199254740992}'),
        event_with(b'{"a":-9007199254740992}'),
        event_with(b'{"a":' + b"9" * 5_000 + b"}"),
        event_with('{"\ufffd":1,"\U0001f600":1}'.encode()),  # by code points, not by UTF-16
        event_with(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"),
        b"\xff",
        b"",
    ],
)
def test_an_entry_that_is_no_event_is_found(folder: Path, entry: bytes) -> None:
    forged = [*forged_logs.entries()[:300], entry]
    fault = fault_of(forge(folder, forged, DEPTHS[-1]), witness=False)
    assert "(index 300)" in fault.place


def test_the_rest_of_another_log_behind_a_genuine_start_is_found(folder: Path) -> None:
    forged = [
        *forged_logs.entries()[:512],
        *(edited(e, ("id",)) for e in forged_logs.entries()[512:]),
    ]
    for depth in DEPTHS:
        fault_of(forge(export(folder), forged, depth))


def test_evidence_cannot_write_the_output_of_the_program(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "tile/x\nThe log holds: 1 entries\x1b[2J"
    forged_logs.write(folder, name, b"")
    given = ["log", str(folder), "--log-key", forged_logs.keys()[0]]
    assert main(given) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "\x1b" not in said
    (folder / name).unlink()
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").mkdir()
    assert main(given) == 1
    assert "it is no file" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_log_with_letters_that_the_terminal_lacks_holds(folder: Path, encoding: str) -> None:
    event = json.loads(forged_logs.entries()[299]) | {"at": "\u65e5\u672c"}
    entry = json.dumps(event, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    forge(folder, [*forged_logs.entries()[:299], entry], DEPTHS[-1])
    command = [sys.executable, "-m", "tools.eig_verify", "log", str(folder), "--log-key"]
    for name, code, said in (
        (forged_logs.keys()[0], 0, b"the last entry is of \\u65e5\\u672c."),
        ("\u65e5+00000000+AAAA", 1, b"FAULT at"),
    ):
        ran = subprocess.run(
            [*command, name],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert ran.returncode == code, ran.stderr
        assert said in ran.stdout + ran.stderr
        assert b"Traceback" not in ran.stderr
