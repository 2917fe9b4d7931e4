"""The witness and what it reads: wired alike in the platform's app and in an app of its own."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from shared.adapters.blob import BlobConnection
    from shared.ports import Clock
    from shared.ports.audit_log import Checkpoints, LogFiles, NoteSigner, Registers
    from shared.services.audit_witness import AuditWitness
    from shared.settings import Settings
    from shared.witness_settings import WitnessSettings


class Witnessing:
    """The log's files and checkpoints, and who cosigns them."""

    settings: "Settings | WitnessSettings"

    def __init__(self, settings: "Settings | WitnessSettings") -> None:
        self.settings = settings

    @cached_property
    def clock(self) -> "Clock":
        from shared.adapters.system_clock import SystemClock

        return SystemClock()

    @cached_property
    def audit_blob(self) -> "BlobConnection":
        return self._blob_at(self.settings.audit_storage_url)

    @cached_property
    def checkpoint_blob(self) -> "BlobConnection":
        return self._blob_at(self.settings.checkpoint_storage_url)

    @cached_property
    def witness_blob(self) -> "BlobConnection":
        s = self.settings
        return self._blob_at(s.witness_storage_url, s.witness_identity)

    def _blob_at(self, url: str | None, identity: str | None = None) -> "BlobConnection":
        """An account of its own where one is named; the app's otherwise."""
        from shared.adapters.blob import BlobAccount, BlobConnection

        s = self.settings
        if url:
            return BlobConnection(BlobAccount(None, url, identity))
        return BlobConnection(BlobAccount(s.storage_connection, s.storage_url, identity))

    @cached_property
    def log_files(self) -> "LogFiles":
        from shared.adapters.blob_audit_log import BlobLogFiles

        return BlobLogFiles(self.audit_blob)

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        from shared.adapters.blob_audit_log import BlobCheckpoints

        return BlobCheckpoints(self.checkpoint_blob)

    @cached_property
    def witness_register(self) -> "Registers":
        from shared.adapters.blob_audit_log import WITNESS_CONTAINER, BlobRegisters

        return BlobRegisters(self.witness_blob, WITNESS_CONTAINER)

    @cached_property
    def witness_signer(self) -> "NoteSigner":
        s = self.settings
        if s.witness_verifier:  # it runs elsewhere, and its key is not ours to use
            from shared.adapters.note_key_known import KnownNoteKey
            from shared.domain.signed_notes import read_verifier

            return KnownNoteKey(read_verifier(s.witness_verifier))
        return note_signer(
            s.witness_name, s.witness_vault_key, s.witness_key_file, s.witness_identity
        )

    @cached_property
    def audit_witness(self) -> "AuditWitness":
        from shared.domain.signed_notes import read_verifier
        from shared.services.audit_witness import AuditWitness

        known = self.settings.audit_log_verifier
        if known is None:
            raise InvariantBroken("EIG_AUDIT_LOG_VERIFIER is missing: whom does the witness trust?")
        return AuditWitness(
            read_verifier(known), self.witness_register, self.witness_signer, self.clock
        )


def note_signer(
    name: str, vault_key: str | None, key_file: str | None, identity: str | None
) -> "NoteSigner":
    """Who signs under this name: a key in Key Vault, or one in a local file."""
    if vault_key:
        from shared.adapters.key_vault_notes import KeyVaultNoteSigner

        return KeyVaultNoteSigner(name, vault_key, identity)
    if key_file:
        from pathlib import Path

        from shared.adapters.note_key_file import FileNoteSigner

        return FileNoteSigner(name, Path(key_file))
    raise InvariantBroken(f"{name} has no key: neither in Key Vault nor in a file.")
