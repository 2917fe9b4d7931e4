"""Check EIG's evidence offline.

    python -m tools.eig_verify log FOLDER --log-key KEY [--witness-key KEY] [--earlier NOTE ...]
    python -m tools.eig_verify receipt FILE --log-key KEY [--witness-key KEY]
                               [--image PICTURE ...] [--prompt REQUEST]

KEY is `name+id+base64`, or a file with that line; ask for it once, and not whoever sends the
evidence. FOLDER is what `python -m shared.export_audit_log` writes. NOTE is a checkpoint kept from
before; without one nothing proves that the log was not set back. REQUEST is a JSON file with
`prompt` and `negative_prompt`. The exit code is 0 if all holds, 1 with the first fault otherwise, 2
if something could not be read. A receipt's statements that nothing proves are named, each on a line
that begins with UNVERIFIED.
"""

import argparse
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from .documents import read_document
from .faults import Fault
from .log import verify_log
from .notes import Key, read_key
from .receipt import verify_receipt

EXIT_FAULT = 1
EXIT_UNREADABLE = 2
NO_EARLIER = (
    "No earlier checkpoint was given: nothing proves that this is the newest."
    " A log that was set back to what it was at that time holds as well."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal's encoding may lack letters of evidence
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    try:
        log = _key(parsed.log_key)
        witness = _key(parsed.witness_key) if parsed.witness_key else None
        said = (
            _log(parsed, log, witness) if parsed.what == "log" else _receipt(parsed, log, witness)
        )
    except Fault as fault:
        sys.stderr.write(f"FAULT at {_plain(str(fault))}\n")
        return EXIT_FAULT
    except (OSError, ValueError, RecursionError) as problem:
        sys.stderr.write(f"not checked: {problem}\n")
        return EXIT_UNREADABLE
    sys.stdout.write(f"{said}\n")
    if witness is None:
        sys.stdout.write(
            "No witness key was given: that nobody was shown another log is unproven.\n"
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eig-verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    log = commands.add_parser("log", help="an exported log")
    log.add_argument("folder", type=Path)
    log.add_argument("--earlier", type=Path, nargs="*", default=[])
    receipt = commands.add_parser("receipt", help="the receipt of a generation")
    receipt.add_argument("file", type=Path)
    receipt.add_argument("--image", type=Path, nargs="*", default=[])
    receipt.add_argument("--prompt", type=Path)
    for command in (log, receipt):
        command.add_argument("--log-key", required=True)
        command.add_argument("--witness-key")
    return parser


def _key(given: str) -> Key:
    path = Path(given)
    is_file = len(given) < 200 and path.is_file()
    return read_key(path.read_text("utf-8") if is_file else given)


def _log(parsed: argparse.Namespace, log: Key, witness: Key | None) -> str:
    earlier = [path.read_text("utf-8") for path in parsed.earlier]
    found = verify_log(parsed.folder, log, witness, earlier)
    said = (
        f"The log holds: {found.entries} entries, root {found.checkpoint.root.hex()};"
        f" the last entry is of {_plain(found.last_at)}."
    )
    if earlier:
        return said
    return f"{said}\n{NO_EARLIER}"


def _receipt(parsed: argparse.Namespace, log: Key, witness: Key | None) -> str:
    document = read_document(parsed.file.read_text("utf-8"), "receipt")
    prompt = None
    if parsed.prompt:
        prompt = read_document(parsed.prompt.read_text("utf-8"), "prompt")
    found = verify_receipt(document, log, witness, parsed.image, prompt)
    said = (
        f"The receipt of {found.generation_id} holds: {found.events} events in a log of"
        f" {found.checkpoint.size}, {found.images} pictures, {len(parsed.image)} of them compared."
    )
    return "\n".join([said, *(f"UNVERIFIED {_plain(each)}" for each in found.unverified)])


def _plain(text: str) -> str:
    """On one line, without control characters: evidence must not write our output."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
