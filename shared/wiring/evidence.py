"""Use cases of evidence: the verifiable audit log, its witness, receipts of generations."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.bookkeeping import Bookkeeping
from shared.wiring.witnessing import Witnessing, note_signer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.ids import Partition
    from shared.ports.audit_log import AuditFeed, NoteSigner, Registers
    from shared.services.audit_deletions import AuditDeletions
    from shared.services.audit_log import AuditLogReader
    from shared.services.audit_sequencer import AuditSequencer
    from shared.services.evidence import Evidence
    from shared.services.merge_delay import MergeDelay
    from shared.settings import Settings


class Evidencing(Bookkeeping, Witnessing):
    """The log that outsiders can check, and what is proven with it."""

    settings: "Settings"

    @cached_property
    def audit_feed(self) -> "AuditFeed":
        from shared.adapters.cosmos_audit_feed import CosmosAuditFeed

        return CosmosAuditFeed(self.audit_reader_cosmos)

    @cached_property
    def log_registers(self) -> "Registers":
        from shared.adapters.blob_audit_log import STATE_CONTAINER, BlobRegisters

        return BlobRegisters(self.audit_blob, STATE_CONTAINER)

    @cached_property
    def log_signer(self) -> "NoteSigner":
        s = self.settings
        return note_signer(s.audit_log_origin, s.audit_log_vault_key, s.audit_log_key_file, None)

    @cached_property
    def audit_sequencer(self) -> "AuditSequencer":
        from shared.services.audit_sequencer import AuditSequencer

        return AuditSequencer(
            feed=self.audit_feed,
            files=self.log_files,
            registers=self.log_registers,
            checkpoints=self.checkpoints,
            signer=self.log_signer,
            text_key=self.text_key,
        )

    @cached_property
    def audit_deletions(self) -> "AuditDeletions":
        from shared.services.audit_deletions import AuditDeletions

        return AuditDeletions(
            feed=self.audit_feed,
            files=self.log_files,
            registers=self.log_registers,
            checkpoints=self.checkpoints,
            signer=self.log_signer,
            ledger=self.ledger,
            clock=self.clock,
            tenant_id=self.settings.token_tenant_id,
            text_key=self.text_key,
        )

    def deletion_partitions(self) -> "Sequence[Partition]":
        """Where notes of deletions wait to be copied; asked without the log's key."""
        from shared.services.audit_deletions import deletions_partition

        return [deletions_partition(self.settings.token_tenant_id)]

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
            tenant_id=self.settings.token_tenant_id,
        )

    @cached_property
    def merge_delay(self) -> "MergeDelay":
        from shared.services.merge_delay import MergeDelay

        return MergeDelay(
            feed=self.audit_feed,
            files=self.log_files,
            registers=self.log_registers,
            witnessed=self.witness_register,
            clock=self.clock,
        )

    @cached_property
    def evidence(self) -> "Evidence":
        from shared.services.evidence import Evidence

        return Evidence(self.records, self.audit_log)
