"""Use cases of evidence: the verifiable audit log, its witness, receipts of generations."""

import hmac
from functools import cached_property
from typing import TYPE_CHECKING

from shared.errors import InvariantBroken
from shared.wiring.bookkeeping import Bookkeeping

if TYPE_CHECKING:
    from shared.adapters.blob import BlobConnection
    from shared.ports.audit_log import AuditFeed, Checkpoints, LogFiles, NoteSigner, Registers
    from shared.services.audit_log import AuditLogReader
    from shared.services.audit_sequencer import AuditSequencer
    from shared.services.audit_witness import AuditWitness
    from shared.services.evidence import Evidence


class Evidencing(Bookkeeping):
    """The log that outsiders can check, and what is proven with it."""

    @cached_property
    def audit_feed(self) -> "AuditFeed":
        from shared.adapters.cosmos_audit_feed import CosmosAuditFeed

        return CosmosAuditFeed(self.audit_reader_cosmos)

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
    def log_registers(self) -> "Registers":
        from shared.adapters.blob_audit_log import STATE_CONTAINER, BlobRegisters

        return BlobRegisters(self.audit_blob, STATE_CONTAINER)

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        from shared.adapters.blob_audit_log import BlobCheckpoints

        return BlobCheckpoints(self.checkpoint_blob)

    @cached_property
    def witness_register(self) -> "Registers":
        from shared.adapters.blob_audit_log import WITNESS_CONTAINER, BlobRegisters

        return BlobRegisters(self.witness_blob, WITNESS_CONTAINER)

    @cached_property
    def log_signer(self) -> "NoteSigner":
        s = self.settings
        return _signer(s.audit_log_origin, s.audit_log_vault_key, s.audit_log_key_file, None)

    @cached_property
    def witness_signer(self) -> "NoteSigner":
        s = self.settings
        return _signer(s.witness_name, s.witness_vault_key, s.witness_key_file, s.witness_identity)

    @cached_property
    def audit_sequencer(self) -> "AuditSequencer":
        from shared.services.audit_sequencer import AuditSequencer

        return AuditSequencer(
            feed=self.audit_feed,
            files=self.log_files,
            registers=self.log_registers,
            checkpoints=self.checkpoints,
            signer=self.log_signer,
            text_key=self._text_key,
        )

    @cached_property
    def _text_key(self) -> bytes:
        """The key under which free text is hashed: its own, made from the app's one salt."""
        return hmac.digest(self.settings.end_user_salt.encode(), b"audit log text", "sha256")

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

    @cached_property
    def audit_log(self) -> "AuditLogReader":
        from shared.services.audit_log import AuditLogReader

        return AuditLogReader(
            feed=self.audit_feed,
            files=self.log_files,
            registers=self.log_registers,
            checkpoints=self.checkpoints,
            witnessed=self.witness_register,
            signer=self.log_signer,
            witness_signer=self.witness_signer,
        )

    @cached_property
    def evidence(self) -> "Evidence":
        from shared.services.evidence import Evidence

        return Evidence(self.records, self.audit_feed, self.audit_log)


def _signer(
    name: str, vault_key: str | None, key_file: str | None, identity: str | None
) -> "NoteSigner":
    if vault_key:
        from shared.adapters.key_vault_notes import KeyVaultNoteSigner

        return KeyVaultNoteSigner(name, vault_key, identity)
    if key_file:
        from pathlib import Path

        from shared.adapters.note_key_file import FileNoteSigner

        return FileNoteSigner(name, Path(key_file))
    raise InvariantBroken(f"{name} has no key: neither in Key Vault nor in a file.")
