"""Image providers: one adapter for each provider that the settings name."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.systems import Systems

if TYPE_CHECKING:
    from shared.ports import ImageProvider
    from shared.ports.provider_batches import BatchProvider


class Providing(Systems):
    """The providers that are configured, by name; a model of any other is not on offer."""

    @cached_property
    def providers(self) -> "dict[str, ImageProvider]":
        configured = (self._azure_openai(), self._replicate())
        return {provider.name: provider for provider in configured if provider is not None}

    def _azure_openai(self) -> "ImageProvider | None":
        from shared.adapters.providers.azure_openai import AzureOpenAIProvider

        s = self.settings
        return AzureOpenAIProvider(
            base_url=f"{s.azure_openai_endpoint.rstrip('/')}/openai/v1/",
            api_key=s.azure_openai_key,
            token_scope=s.azure_openai_token_scope,
            timeout_s=s.azure_openai_timeout_s,
        )

    def _replicate(self) -> "ImageProvider | None":
        from shared.adapters.providers.replicate import ReplicateProvider

        s = self.settings
        return ReplicateProvider(
            base_url=s.replicate_endpoint,
            api_token=s.replicate_token,
            output_hosts=s.replicate_output_hosts,
            poll_interval_s=s.replicate_poll_interval_s,
        )

    @cached_property
    def batch_provider(self) -> "BatchProvider":
        from shared.adapters.providers.azure_openai_batches import AzureOpenAIBatches
        from shared.adapters.providers.azure_openai_connection import AzureOpenAIConnection

        s = self.settings
        connection = AzureOpenAIConnection(
            base_url=f"{s.azure_openai_endpoint.rstrip('/')}/openai/v1/",
            api_key=s.azure_openai_key,
            token_scope=s.azure_openai_token_scope,
            timeout_s=s.azure_openai_timeout_s,
        )
        return AzureOpenAIBatches(connection, s.azure_openai_batch_deployment or "")
