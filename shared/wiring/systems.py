"""Systems: settings become adapters. Every import of an adapter stands here, inside its builder."""

import hmac
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.adapters.blob import BlobConnection
    from shared.adapters.blob_paid_pictures import BlobPaidPictures
    from shared.adapters.cosmos import CosmosConnection
    from shared.adapters.cosmos_picture_records import CosmosPictureRecords
    from shared.domain.price_catalogues import PriceCatalogues
    from shared.metrics import Metrics
    from shared.ports import (
        AuditLog,
        BatchFiles,
        BudgetPolicies,
        Clock,
        Directory,
        ImageStore,
        Ledger,
        Records,
    )
    from shared.ports.alerts import AlertChannelStore, AlertStore, Mailer, WebhookSender
    from shared.ports.allocations import AllocationLedger, OrganisationPolicies
    from shared.ports.entries import Entries
    from shared.ports.freezes import FreezeStore
    from shared.ports.grants import GrantStore
    from shared.ports.parked_work import ParkedWork
    from shared.ports.provider_batches import ProviderBatchClaims
    from shared.ports.receipts import ReceiptSigner
    from shared.ports.reconciliation import Reconciliations, UsageExport
    from shared.ports.secrets import Secret
    from shared.ports.statements import Statements
    from shared.settings import Settings


class Systems:
    """The outside world behind its ports, each system connected to when it is first asked for."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    @cached_property
    def tenants(self) -> tuple[str, ...]:
        """Whoever may sign in: the operator's own tenant, then those of the further issuers."""
        from shared.identity_settings import issuers_of

        return tuple(each.tenant_id for each in issuers_of(self.settings))

    @cached_property
    def clock(self) -> "Clock":
        from shared.adapters.system_clock import SystemClock

        return SystemClock()

    @cached_property
    def metrics(self) -> "Metrics":
        from shared.metrics import Metrics

        return Metrics(self.settings.telemetry_connection)

    def secret(self, setting: str) -> "Secret":
        """A credential: what the setting says, or the Key Vault secret whose address it gives."""
        if setting.startswith("https://"):
            from shared.adapters.key_vault_secrets import KeyVaultSecret

            return KeyVaultSecret(setting, self.clock)
        from shared.adapters.given_secret import GivenSecret

        return GivenSecret(setting)

    @cached_property
    def cosmos(self) -> "CosmosConnection":
        from shared.adapters.cosmos import CosmosAccount, CosmosConnection

        s = self.settings
        return CosmosConnection(CosmosAccount(s.cosmos_endpoint, s.cosmos_database, s.cosmos_key))

    @cached_property
    def audit_writer_cosmos(self) -> "CosmosConnection":
        """Under the role audit-writer: it can create events in the audit container, no more."""
        from shared.adapters.cosmos import CosmosAccount, CosmosConnection

        s = self.settings
        key, identity = s.audit_cosmos_key, s.audit_writer_identity
        return CosmosConnection(
            CosmosAccount(s.cosmos_endpoint, s.cosmos_database, key or s.cosmos_key, identity)
        )

    @cached_property
    def audit_writer(self) -> "AuditLog":
        from shared.adapters.cosmos_audit import CosmosAuditLog

        return CosmosAuditLog(self.audit_writer_cosmos, self.text_key)

    @cached_property
    def text_key(self) -> bytes:
        """The key under which free text is hashed: its own, made from the app's one salt."""
        return hmac.digest(self.settings.end_user_salt.encode(), b"audit log text", "sha256")

    @cached_property
    def audit_reader_cosmos(self) -> "CosmosConnection":
        """Under the role audit-reader: it can read the audit container, no more."""
        from shared.adapters.cosmos import CosmosAccount, CosmosConnection

        s = self.settings
        key, identity = s.audit_reader_cosmos_key, s.audit_reader_identity
        return CosmosConnection(
            CosmosAccount(s.cosmos_endpoint, s.cosmos_database, key or s.cosmos_key, identity)
        )

    @cached_property
    def blob(self) -> "BlobConnection":
        from shared.adapters.blob import BlobAccount, BlobConnection

        s = self.settings
        return BlobConnection(BlobAccount(s.storage_connection, s.storage_url))

    @cached_property
    def catalogues(self) -> "PriceCatalogues":
        from shared.adapters.price_file import load_catalogues

        return load_catalogues()

    @cached_property
    def receipt_signer(self) -> "ReceiptSigner":
        from shared.adapters.receipt_keys import load_signer

        return load_signer(self.settings.receipt_keys)

    @cached_property
    def ledger(self) -> "Ledger":
        from shared.adapters.cosmos_ledger import CosmosLedger

        return CosmosLedger(self.cosmos)

    @cached_property
    def records(self) -> "Records":
        from shared.adapters.cosmos_records import CosmosRecords

        return CosmosRecords(self.cosmos)

    @cached_property
    def budget_policies(self) -> "BudgetPolicies":
        from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies

        return CosmosBudgetPolicies(self.cosmos)

    @cached_property
    def organisation_policies(self) -> "OrganisationPolicies":
        from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies

        return CosmosOrganisationPolicies(self.cosmos)

    @cached_property
    def allocation_ledger(self) -> "AllocationLedger":
        from shared.adapters.cosmos_allocations import CosmosAllocations

        return CosmosAllocations(self.cosmos)

    @cached_property
    def entries(self) -> "Entries":
        from shared.adapters.cosmos_entries import CosmosEntries

        return CosmosEntries(self.cosmos)

    @cached_property
    def statements(self) -> "Statements":
        from shared.adapters.cosmos_statements import CosmosStatements

        return CosmosStatements(self.cosmos)

    @cached_property
    def directory(self) -> "Directory":
        from shared.adapters.cosmos_directory import CosmosDirectory

        return CosmosDirectory(self.cosmos)

    @cached_property
    def freeze_store(self) -> "FreezeStore":
        from shared.adapters.cosmos_freezes import CosmosFreezes

        return CosmosFreezes(self.cosmos)

    @cached_property
    def alert_store(self) -> "AlertStore":
        from shared.adapters.cosmos_alerts import CosmosAlerts

        return CosmosAlerts(self.cosmos)

    @cached_property
    def alert_channel_store(self) -> "AlertChannelStore":
        from shared.adapters.cosmos_alert_channels import CosmosAlertChannels

        return CosmosAlertChannels(self.cosmos)

    @cached_property
    def webhooks(self) -> "WebhookSender":
        from shared.adapters.webhooks import SignedWebhooks

        return SignedWebhooks(self.settings.webhook_allowed_hosts, self.clock)

    @cached_property
    def mailer(self) -> "Mailer | None":
        s = self.settings
        if s.mail_connection:
            from shared.adapters.azure_mail import AzureMailer

            return AzureMailer(s.mail_connection, s.mail_sender or "")
        if s.mail_folder:
            from pathlib import Path

            from shared.adapters.mail_folder import FolderMailer

            return FolderMailer(Path(s.mail_folder), self.clock)
        return None

    @cached_property
    def grant_store(self) -> "GrantStore":
        from shared.adapters.cosmos_grants import CosmosGrants

        return CosmosGrants(self.cosmos)

    @cached_property
    def parked_work(self) -> "ParkedWork":
        from shared.adapters.cosmos_parked_work import CosmosParkedWork

        return CosmosParkedWork(self.cosmos)

    @cached_property
    def reconciliations(self) -> "Reconciliations":
        from shared.adapters.cosmos_reconciliation import CosmosReconciliations

        return CosmosReconciliations(self.cosmos)

    @cached_property
    def usage_exports(self) -> "dict[str, UsageExport]":
        from shared.adapters.azure_cost_export import AzureCostExport
        from shared.adapters.replicate_usage import ReplicateUsage

        s = self.settings
        replicate = ReplicateUsage(s.replicate_endpoint, self.secret(s.replicate_token))
        exports: dict[str, UsageExport] = {replicate.provider: replicate}
        if s.azure_openai_export_url:
            azure = AzureCostExport(s.azure_openai_export_url)
            exports[azure.provider] = azure
        return exports

    @cached_property
    def image_store(self) -> "ImageStore":
        from shared.adapters.blob_images import BlobImageStore

        return BlobImageStore(self.blob, self.clock, self.picture_records.retention_of)

    @cached_property
    def paid_pictures(self) -> "BlobPaidPictures":
        from shared.adapters.blob import BlobAccount
        from shared.adapters.blob_paid_pictures import BlobPaidPictures

        s = self.settings
        return BlobPaidPictures(BlobAccount(s.storage_connection, s.storage_url))

    @cached_property
    def picture_records(self) -> "CosmosPictureRecords":
        from shared.adapters.cosmos_picture_records import CosmosPictureRecords

        return CosmosPictureRecords(self.cosmos, self.clock)

    @cached_property
    def batch_files(self) -> "BatchFiles":
        from shared.adapters.blob_batch_files import BlobBatchFiles

        return BlobBatchFiles(self.blob)

    @cached_property
    def provider_batch_claims(self) -> "ProviderBatchClaims":
        from shared.adapters.cosmos_provider_batches import CosmosProviderBatchClaims

        return CosmosProviderBatchClaims(self.cosmos)

    async def aclose(self) -> None:
        """Close what was opened; one-off commands and tests call it, the worker never ends so."""
        opened = ("cosmos", "audit_writer_cosmos", "audit_reader_cosmos", "blob")
        for name in (*opened, "audit_blob", "checkpoint_blob", "witness_blob"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
        if "paid_pictures" in self.__dict__:
            self.paid_pictures.close()
