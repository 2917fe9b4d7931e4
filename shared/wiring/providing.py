"""Image providers: one adapter for each provider that the settings name."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.errors import InvariantBroken, NotFound
from shared.wiring.systems import Systems

if TYPE_CHECKING:
    from shared.adapters.providers.replicate import ReplicateWebhooks
    from shared.ports import ImageProvider
    from shared.ports.content_safety import ContentSafety
    from shared.ports.job_signals import JobSignals
    from shared.ports.provider_batches import BatchProvider
    from shared.ports.secrets import Secret
    from shared.services.provider_webhooks import ProviderWebhooks

# Where the trigger of the same name listens; wiring knows no triggers.
REPLICATE_WEBHOOK_PATH = "/api/v1/webhooks/replicate"


class Providing(Systems):
    """The providers that are configured, by name; a model of any other is not on offer."""

    @cached_property
    def providers(self) -> "dict[str, ImageProvider]":
        configured = (
            self._azure_openai(),
            self._replicate(),
            self._adobe_firefly(),
            self._azure_foundry(),
            self._azure_ml(),
        )
        moderated = [self._moderated(provider) for provider in configured if provider is not None]
        return {provider.name: provider for provider in moderated if provider is not None}

    @cached_property
    def models_off(self) -> frozenset[str]:
        """Models that are not on offer here although their provider is configured."""
        from shared.domain.models import MODELS

        off = self.settings.models_off
        if not off <= set(MODELS):
            raise InvariantBroken("EIG_MODELS_OFF names a model that does not exist.")
        return off

    @cached_property
    def content_safety(self) -> "ContentSafety | None":
        from shared.adapters.azure_content_safety import AzureContentSafety, SafetyTerms

        s = self.settings
        if s.content_safety_endpoint is None:
            return None
        return AzureContentSafety(
            SafetyTerms(
                endpoint=s.content_safety_endpoint,
                key=self._key(s.content_safety_key),
                timeout_s=s.content_safety_timeout_s,
                concurrent_max=s.content_safety_concurrent_max,
                blocklists=tuple(sorted(s.content_safety_blocklists)),
            )
        )

    def _key(self, setting: str | None) -> "Secret | None":
        """A key, or an address in Key Vault where it lies; None: the app's identity."""
        return self.secret(setting) if setting else None

    def _moderated(self, provider: "ImageProvider") -> "ImageProvider | None":
        """The provider behind Content Safety if it needs that; None if there is no such service."""
        from shared.services.moderated_provider import ModeratedProvider, is_moderated_by_us

        if not is_moderated_by_us(provider.name):
            return provider
        if self.content_safety is None:
            return None
        thresholds = self.settings.content_safety_thresholds
        return ModeratedProvider(provider, self.content_safety, thresholds)

    def _azure_foundry(self) -> "ImageProvider | None":
        from shared.adapters.providers.azure_foundry import AzureFoundryProvider, FoundryTerms

        s = self.settings
        if s.azure_foundry_endpoint is None:
            return None
        return AzureFoundryProvider(
            FoundryTerms(
                endpoint=s.azure_foundry_endpoint,
                key=self._key(s.azure_foundry_key),
                token_scope=s.azure_foundry_token_scope,
                timeout_s=s.azure_foundry_timeout_s,
                output_hosts=s.azure_foundry_output_hosts,
            )
        )

    def _azure_ml(self) -> "ImageProvider | None":
        from shared.adapters.providers.azure_ml import AzureMlProvider, ScoringTerms

        s = self.settings
        if s.azure_ml_scoring_url is None:
            return None
        return AzureMlProvider(
            ScoringTerms(
                scoring_url=s.azure_ml_scoring_url,
                key=self._key(s.azure_ml_key),
                token_scope=s.azure_ml_token_scope,
                deployment=s.azure_ml_deployment,
            )
        )

    def _azure_openai(self) -> "ImageProvider | None":
        from shared.adapters.providers.azure_openai import AzureOpenAIProvider, DeploymentRoute

        s = self.settings
        return AzureOpenAIProvider(
            base_url=f"{s.azure_openai_endpoint.rstrip('/')}/openai/v1/",
            api_key=self._key(s.azure_openai_key),
            token_scope=s.azure_openai_token_scope,
            timeout_s=s.azure_openai_timeout_s,
            deployment_route=DeploymentRoute(
                f"{s.azure_openai_endpoint.rstrip('/')}/openai/deployments/",
                s.azure_openai_api_version,
            )
            if s.azure_openai_route == "deployment"
            else None,
        )

    def _replicate(self) -> "ImageProvider | None":
        from shared.adapters.providers.replicate import ReplicateProvider

        s = self.settings
        return ReplicateProvider(
            base_url=s.replicate_endpoint,
            api_token=self.secret(s.replicate_token),
            output_hosts=s.replicate_output_hosts,
            poll_interval_s=s.replicate_poll_interval_s,
            wait_s=s.replicate_wait_s,
            webhooks=self._replicate_webhooks(),
        )

    def _replicate_webhooks(self) -> "ReplicateWebhooks | None":
        from shared.adapters.providers.replicate import ReplicateWebhooks

        origin = self.settings.replicate_webhook_origin
        if origin is None:
            return None
        url = f"{origin.rstrip('/')}{REPLICATE_WEBHOOK_PATH}"
        return ReplicateWebhooks(url, self.replicate_signals)

    def _adobe_firefly(self) -> "ImageProvider | None":
        from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider, FireflyAddresses

        s = self.settings
        if s.adobe_firefly_client_id is None or s.adobe_firefly_client_secret is None:
            return None
        return AdobeFireflyProvider(
            FireflyAddresses(
                base_url=s.adobe_firefly_endpoint,
                ims_url=s.adobe_firefly_sign_in_url,
                api_hosts=s.adobe_firefly_hosts,
                output_hosts=s.adobe_firefly_output_hosts,
            ),
            client_id=s.adobe_firefly_client_id,
            client_secret=self.secret(s.adobe_firefly_client_secret),
            poll_interval_s=s.adobe_firefly_poll_interval_s,
        )

    @cached_property
    def replicate_signals(self) -> "JobSignals":
        from shared.adapters.cosmos_job_signals import CosmosJobSignals

        return CosmosJobSignals(self.cosmos, "replicate")

    @cached_property
    def provider_webhooks(self) -> "ProviderWebhooks":
        """Raises NotFound where no public address is configured: then nobody was told to send."""
        from shared.adapters.replicate_webhook_secret import ReplicateWebhookSecret
        from shared.services.provider_webhooks import ProviderWebhooks

        s = self.settings
        if s.replicate_webhook_origin is None:
            raise NotFound("This app takes no webhooks.")
        secret = ReplicateWebhookSecret(
            s.replicate_endpoint,
            self.secret(s.replicate_token),
            self._key(s.replicate_webhook_secret),
        )
        return ProviderWebhooks(secret, self.replicate_signals, self.clock)

    @cached_property
    def batch_provider(self) -> "BatchProvider":
        from shared.adapters.providers.azure_openai_batches import AzureOpenAIBatches
        from shared.adapters.providers.azure_openai_connection import AzureOpenAIConnection

        s = self.settings
        connection = AzureOpenAIConnection(
            base_url=f"{s.azure_openai_endpoint.rstrip('/')}/openai/v1/",
            api_key=self._key(s.azure_openai_key),
            token_scope=s.azure_openai_token_scope,
            timeout_s=s.azure_openai_timeout_s,
        )
        return AzureOpenAIBatches(connection, s.azure_openai_batch_deployment or "")
