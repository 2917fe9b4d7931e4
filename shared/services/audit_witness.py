"""A witness of the log, under an identity of its own: it cosigns what grows and refuses the rest.

It trusts the log's public key, which its operator was given, and its own register. Everything else
it is shown could be forged.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.log_tiles import NotALog, Tiles, tiles_for
from shared.domain.merkle import consistency_ranges
from shared.domain.signed_notes import (
    Checkpoint,
    NotANote,
    Verifier,
    read_checkpoint,
    read_note,
)
from shared.domain.witnessing import Cosigned, Refused, objection
from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock
from shared.ports.audit_log import Checkpoints, Held, LogFiles, NoteSigner, Registers

logger = logging.getLogger("eig.audit_witness")

WITNESSED: Final = "witnessed.json"


def cosigned_note(held: Held) -> str:
    """The checkpoint in the witness's register, with both signatures."""
    return str(json.loads(held.content)["note"])


@dataclass(frozen=True)
class AuditWitness:
    """Remembers the last checkpoint it cosigned; there is no way to make it forget."""

    log: Verifier
    register: Registers
    signer: NoteSigner
    clock: Clock

    async def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], content: str
    ) -> Cosigned | Refused:
        """Cosign a checkpoint; it is kept before anybody gets the cosignature."""
        held = await self.register.load(WITNESSED)
        last = _checkpoint(cosigned_note(held)) if held else None
        seen = last.size if last else 0
        try:
            note = read_note(content)
            new = read_checkpoint(note)
        except NotANote:
            return Refused("malformed", seen)
        if new.origin != self.log.name:
            return Refused("unknown_log", seen)
        if not note.is_signed_by(self.log):
            return Refused("bad_signature", seen)
        why = objection(last, old_size, proof, new)
        if why is not None:
            return Refused(why, seen)
        line = (await self.signer.verifier()).line(await self.signer.sign(note.text.encode()))
        # Signature lines of others are left out: the witness vouches for what it has checked.
        own = [s for s in note.signatures if (s.name, s.key_id) == (self.log.name, self.log.key_id)]
        both = f"{note.text}\n{''.join(self.log.line(each.value) for each in own[:1])}{line}"
        seen_at = self.clock.now().isoformat()
        value = json.dumps({"note": both, "cosigned_at": seen_at}).encode()
        if not await self.register.save(WITNESSED, value, held.version if held else None):
            raise Unavailable("Another run of the witness was faster.", retry_after_s=1)
        return Cosigned(both, line)

    async def look(self, checkpoints: Checkpoints, files: LogFiles) -> Cosigned | Refused | None:
        """Fetch the log's newest checkpoint and judge it; None if it was cosigned before."""
        newest = await checkpoints.newest(self.log)
        if newest is None:
            return None
        held = await self.register.load(WITNESSED)
        last = _checkpoint(cosigned_note(held)) if held else None
        try:
            shown = _checkpoint(newest)
        except NotANote:
            return self._reported(Refused("malformed", last.size if last else 0))
        if last == shown:
            return None
        seen = last.size if last else 0
        proof = await _proof(files, seen, shown.size) if 0 < seen < shown.size else []
        return self._reported(await self.add_checkpoint(seen, proof, newest))

    def _reported(self, answer: Cosigned | Refused) -> Cosigned | Refused:
        if isinstance(answer, Refused):
            logger.error("the witness refused a checkpoint", extra={"code": answer.why})
        return answer


def _checkpoint(content: str) -> Checkpoint:
    return read_checkpoint(read_note(content))


async def _proof(files: LogFiles, old_size: int, new_size: int) -> list[bytes]:
    """The consistency proof out of the log's own files; what does not fit is no proof."""
    ranges = consistency_ranges(old_size, new_size)
    contents: dict[str, bytes] = {}
    for name in sorted(tiles_for(ranges, new_size)):
        content = await files.read(name)
        if content is None:
            raise InvariantBroken(f"{name} of the audit log is missing.")
        contents[name] = content
    try:
        return [Tiles(new_size, contents).root_of(each) for each in ranges]
    except NotALog:
        return []
