"""Prompts at rest: the stores of requests, each behind what seals and opens prompts."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shared.wiring.providing import Providing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.ids import Partition
    from shared.ports import BatchFiles, Ledger, Records
    from shared.ports.field_keys import DataKeys, KeyWrapper
    from shared.ports.parked_work import ParkedWork
    from shared.services.key_rotation import KeyRotation
    from shared.services.prompt_vault import PromptVault
    from shared.services.sealed_documents import SealedDocuments


class Sealing(Providing):
    """Overrides the stores that hold a request, so that whatever is wired above gets texts."""

    @cached_property
    def key_wrapper(self) -> "KeyWrapper":
        s = self.settings
        if s.field_key_url:
            from shared.adapters.key_vault_keys import KeyVaultKeys

            return KeyVaultKeys(s.field_key_url, self.clock)
        from shared.adapters.local_key_file import LocalKeyFile

        return LocalKeyFile(Path(s.field_key_file or ""))

    @cached_property
    def data_keys(self) -> "DataKeys":
        from shared.adapters.cosmos_data_keys import CosmosDataKeys

        return CosmosDataKeys(self.cosmos)

    @cached_property
    def prompt_vault(self) -> "PromptVault":
        from shared.adapters.field_cipher import AesFieldCipher
        from shared.services.prompt_vault import PromptVault

        return PromptVault(self.data_keys, self.key_wrapper, AesFieldCipher(), self.clock)

    @cached_property
    def key_rotation(self) -> "KeyRotation":
        from shared.services.key_rotation import KeyRotation

        return KeyRotation(self.data_keys, self.key_wrapper, self.clock)

    def key_partitions(self) -> "Sequence[Partition]":
        """Where the audit events of data keys wait to be copied."""
        from shared.domain.data_keys import keys_partition

        return [keys_partition(tenant) for tenant in self.tenants]

    @cached_property
    def sealed_documents(self) -> "SealedDocuments":
        from shared.services.sealed_documents import SealedDocuments

        return SealedDocuments(self.prompt_vault)

    @cached_property
    def ledger(self) -> "Ledger":
        from shared.services.sealed_stores import SealedLedger

        return SealedLedger(super().ledger, self.sealed_documents)

    @cached_property
    def records(self) -> "Records":
        from shared.services.sealed_stores import SealedRecords

        return SealedRecords(super().records, self.sealed_documents)

    @cached_property
    def parked_work(self) -> "ParkedWork":
        from shared.services.sealed_parked_work import SealedParkedWork

        return SealedParkedWork(super().parked_work, self.sealed_documents)

    @cached_property
    def batch_files(self) -> "BatchFiles":
        from shared.services.sealed_stores import SealedBatchFiles

        return SealedBatchFiles(super().batch_files, self.sealed_documents)

    async def aclose(self) -> None:
        if "key_wrapper" in self.__dict__:
            await self.key_wrapper.aclose()
        await super().aclose()
