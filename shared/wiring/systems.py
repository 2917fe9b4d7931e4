"""Systems: settings become adapters. Every import of an adapter stands here, inside its builder."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.adapters.blob import BlobConnection
    from shared.adapters.cosmos import CosmosConnection
    from shared.domain.prices import PriceCatalogue
    from shared.ports import (
        BatchFiles,
        Clock,
        Directory,
        ImageProvider,
        ImageStore,
        Ledger,
        Records,
        TokenVerifier,
    )
    from shared.settings import Settings


class Systems:
    """The outside world behind its ports, each system connected to when it is first asked for."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    @cached_property
    def clock(self) -> "Clock":
        from shared.adapters.system_clock import SystemClock

        return SystemClock()

    @cached_property
    def cosmos(self) -> "CosmosConnection":
        from shared.adapters.cosmos import CosmosAccount, CosmosConnection

        s = self.settings
        return CosmosConnection(CosmosAccount(s.cosmos_endpoint, s.cosmos_database, s.cosmos_key))

    @cached_property
    def blob(self) -> "BlobConnection":
        from shared.adapters.blob import BlobAccount, BlobConnection

        s = self.settings
        return BlobConnection(BlobAccount(s.storage_connection, s.storage_url))

    @cached_property
    def catalogue(self) -> "PriceCatalogue":
        from shared.adapters.price_file import load_catalogue

        return load_catalogue()

    @cached_property
    def ledger(self) -> "Ledger":
        from shared.adapters.cosmos_ledger import CosmosLedger

        return CosmosLedger(self.cosmos)

    @cached_property
    def records(self) -> "Records":
        from shared.adapters.cosmos_records import CosmosRecords

        return CosmosRecords(self.cosmos)

    @cached_property
    def directory(self) -> "Directory":
        from shared.adapters.cosmos_directory import CosmosDirectory

        return CosmosDirectory(self.cosmos)

    @cached_property
    def image_store(self) -> "ImageStore":
        from shared.adapters.blob_images import BlobImageStore

        return BlobImageStore(self.blob, self.clock)

    @cached_property
    def batch_files(self) -> "BatchFiles":
        from shared.adapters.blob_batch_files import BlobBatchFiles

        return BlobBatchFiles(self.blob)

    @cached_property
    def tokens(self) -> "TokenVerifier":
        from shared.adapters.entra_tokens import EntraTokenVerifier, IssuerRule

        s = self.settings
        rule = IssuerRule(
            tenant_id=s.token_tenant_id,
            audience=s.token_audience,
            azp_allow=s.token_authorized_parties,
        )
        return EntraTokenVerifier({s.token_issuer: rule}, self.clock, s.token_scope)

    @cached_property
    def providers(self) -> "dict[str, ImageProvider]":
        from shared.adapters.providers.azure_openai import AzureOpenAIProvider
        from shared.adapters.providers.replicate import ReplicateProvider

        s = self.settings
        azure_openai = AzureOpenAIProvider(
            base_url=f"{s.azure_openai_endpoint.rstrip('/')}/openai/v1/",
            api_key=s.azure_openai_key,
            token_scope=s.azure_openai_token_scope,
            timeout_s=s.azure_openai_timeout_s,
        )
        replicate = ReplicateProvider(
            base_url=s.replicate_endpoint,
            api_token=s.replicate_token,
            output_hosts=s.replicate_output_hosts,
            poll_interval_s=s.replicate_poll_interval_s,
        )
        return {azure_openai.name: azure_openai, replicate.name: replicate}

    async def aclose(self) -> None:
        """Close what was opened; one-off commands and tests call it, the worker never ends so."""
        for name in ("cosmos", "blob"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
