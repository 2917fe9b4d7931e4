"""One-off command: `python -m shared.export_audit_log FOLDER` writes the verifiable log out.

The folder then holds the checkpoint (with the witness's signature if it has seen this size), every
file of a log of that size, and both public keys. Files that are there already stay: a later export
into the same folder fetches what is new. Check it with `python -m tools.eig_verify log FOLDER`.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from shared.domain.log_tiles import files_of
from shared.errors import EigError, InvariantBroken
from shared.wiring import Services, services

USAGE: Final = "usage: python -m shared.export_audit_log FOLDER   (settings: the environment)"
FILES_AT_ONCE: Final = 16
KEYS: Final = {"log.key": "log", "witness.key": "witness"}


async def export_log(from_services: Services, folder: Path) -> int:
    """Write the log into a folder; returns its size."""
    signed = await from_services.audit_log.newest()
    wanted = files_of(signed.checkpoint.size)
    gate = asyncio.Semaphore(FILES_AT_ONCE)

    async def fetch(name: str) -> None:
        path = folder / name
        if path.exists():
            return
        async with gate:
            content = await from_services.log_files.read(name)
        if content is None:
            raise InvariantBroken(f"{name} of the audit log is missing.")
        _write(path, content)

    await asyncio.gather(*(fetch(name) for name in wanted))
    _remove_others(folder, set(wanted))
    keys = await from_services.audit_log.keys()
    for name, field in KEYS.items():
        _write(folder / name, f"{getattr(keys, field)}\n".encode())
    _write(folder / "checkpoint", signed.note.encode())  # last: it vouches for all the others
    return signed.checkpoint.size


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a file that stands is taken for complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.part")
    half.write_bytes(content)
    half.replace(path)


def _remove_others(folder: Path, wanted: set[str]) -> None:
    """Partial tiles of an earlier export belong to no log of this size."""
    for path in (folder / "tile").rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


async def _export(folder: Path) -> int:
    try:
        return await export_log(services(), folder)
    finally:
        await services().aclose()


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        size = asyncio.run(_export(Path(arguments[0])))
    except (EigError, OSError) as error:
        detail = error.detail if isinstance(error, EigError) else type(error).__name__
        sys.stderr.write(f"not exported: {detail}\n")
        return 1
    sys.stdout.write(f"exported: {size} entries\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
