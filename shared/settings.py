"""The app's settings: one frozen object, read from the environment once; no other file reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.errors import InvariantBroken

APPROVAL_ESCALATION_S = 24 * 3_600
APPROVAL_EXPIRY_S = 72 * 3_600  # a weekend; the storage provider keeps a timer for six days
APPROVAL_EXPIRY_S_MAX = 5 * 86_400
PRIVACY_KEY_CHARS_MIN = 32  # whoever guesses it can try all nine-digit numbers
APPROVAL_DUAL_ABOVE_MICROS = 100_000_000  # a hundred AUD for one request


@dataclass(frozen=True)
class Settings:
    """Every value the app can be configured with; names in the environment are EIG_<FIELD>."""

    storage_connection: str | None  # EIG_STORAGE: a connection string, local only
    storage_url: str | None  # EIG_STORAGE__blobServiceUri: Azure, with the app's identity
    storage_tracks_access: bool  # tiers follow the last access, not the age
    cosmos_endpoint: str
    cosmos_database: str
    cosmos_key: str | None  # empty: the app's identity
    audit_cosmos_key: str | None  # of the role audit-writer, local only
    audit_reader_cosmos_key: str | None  # of the role audit-reader, local only
    audit_writer_identity: str | None  # Azure: client id of the identity with that role
    audit_reader_identity: str | None  # Azure: the same for the sequencer and for auditors
    audit_log_origin: str  # the log's name, and its key's
    audit_log_key_file: str | None  # PKCS#8 PEM, P-256; local only
    audit_log_vault_key: str | None  # Azure: https://{vault}.vault.azure.net/keys/{name}
    audit_log_verifier: str | None  # the log's public key, which the witness is told beforehand
    audit_storage_url: str | None  # empty: the log lies in the app's own account
    checkpoint_storage_url: str | None  # the account with the locked container; empty: as above
    witness_name: str
    witness_key_file: str | None
    witness_vault_key: str | None
    witness_identity: str | None  # Azure: client id of the witness's own identity
    witness_storage_url: str | None
    token_issuer: str
    token_tenant_id: str
    token_audience: str
    token_authorized_parties: frozenset[str]  # empty: any client of the audience
    token_scope: str
    azure_openai_endpoint: str
    azure_openai_key: str | None  # empty: the app's identity
    azure_openai_token_scope: str
    azure_openai_concurrent_max: int
    azure_openai_starts_per_minute: int
    azure_openai_timeout_s: int
    azure_openai_batch_deployment: str | None  # of the type Global Batch; empty: rows never wait
    provider_batch_window: timedelta  # then what is undone goes on at the full price
    provider_batch_poll: timedelta  # between the first looks; later ones are up to 15 times rarer
    replicate_endpoint: str
    replicate_token: str
    replicate_output_hosts: frozenset[str]
    replicate_concurrent_max: int
    replicate_starts_per_minute: int
    replicate_poll_interval_s: float
    webhook_allowed_hosts: frozenset[str]  # host:port that alerts may go to besides public ones
    mail_connection: str | None  # Azure Communication Services: endpoint=...;accesskey=...
    mail_sender: str | None  # the address that service sends from
    mail_folder: str | None  # mail is kept here instead, as .eml files
    telemetry_connection: str | None  # Application Insights; empty: no metrics are measured
    receipt_keys: tuple[str, ...]  # base64 PKCS#8: the first signs, the others still verify
    field_key_url: str | None  # https://{vault}/keys/{name}: the key that wraps data keys
    field_key_file: str | None  # a local file of such keys instead
    privacy_key: str  # keyed hash of what the privacy screen finds, for audit events
    language_endpoint: str | None  # Azure AI Language; empty: the screen has its local layer only
    language_key: str | None  # empty: the app's identity
    language_timeout_s: int
    language_concurrent_max: int
    language_calls_per_minute: int  # of one worker; the tier S allows 1 000 for all together
    end_user_salt: str  # keyed hash of the end user that providers may see
    azure_openai_export_url: str | None  # the folder of the cost export, with its SAS
    reconciliation_lag_days: int  # a day is compared when its export is complete
    drift_basis_points_max: int  # a model that drifts further is stopped
    sweep_grace: timedelta
    sweep_restart_until: timedelta
    sweep_unknown_horizon: timedelta
    approval_escalation: timedelta  # then an approval is the Org Admins' to decide
    approval_expiry: timedelta
    approval_dual_above_micros: int  # above this, two people must approve


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raise InvariantBroken naming every variable that is missing or wrong."""
    reader = _Reader(os.environ if environment is None else environment)
    settings = Settings(
        storage_connection=reader.optional("EIG_STORAGE"),
        storage_url=reader.optional("EIG_STORAGE__blobServiceUri"),
        storage_tracks_access=reader.flag("EIG_STORAGE_TRACKS_ACCESS"),
        cosmos_endpoint=reader.required("EIG_COSMOS_ENDPOINT"),
        cosmos_database=reader.text("EIG_COSMOS_DATABASE", "eig"),
        cosmos_key=reader.optional("EIG_COSMOS_KEY"),
        audit_cosmos_key=reader.optional("EIG_AUDIT_COSMOS_KEY"),
        audit_reader_cosmos_key=reader.optional("EIG_AUDIT_READER_COSMOS_KEY"),
        audit_writer_identity=reader.optional("EIG_AUDIT_WRITER_IDENTITY"),
        audit_reader_identity=reader.optional("EIG_AUDIT_READER_IDENTITY"),
        audit_log_origin=reader.text("EIG_AUDIT_LOG_ORIGIN", "eig.local/audit-log"),
        audit_log_key_file=reader.optional("EIG_AUDIT_LOG_KEY_FILE"),
        audit_log_vault_key=reader.optional("EIG_AUDIT_LOG_VAULT_KEY"),
        audit_log_verifier=reader.optional("EIG_AUDIT_LOG_VERIFIER"),
        audit_storage_url=reader.optional("EIG_AUDIT_STORAGE_URL"),
        checkpoint_storage_url=reader.optional("EIG_CHECKPOINT_STORAGE_URL"),
        witness_name=reader.text("EIG_WITNESS_NAME", "eig.local/witness"),
        witness_key_file=reader.optional("EIG_WITNESS_KEY_FILE"),
        witness_vault_key=reader.optional("EIG_WITNESS_VAULT_KEY"),
        witness_identity=reader.optional("EIG_WITNESS_IDENTITY"),
        witness_storage_url=reader.optional("EIG_WITNESS_STORAGE_URL"),
        token_issuer=reader.required("EIG_TOKEN_ISSUER"),
        token_tenant_id=reader.required("EIG_TOKEN_TENANT_ID"),
        token_audience=reader.required("EIG_TOKEN_AUDIENCE"),
        token_authorized_parties=reader.words("EIG_TOKEN_AUTHORIZED_PARTIES"),
        token_scope=reader.text("EIG_TOKEN_SCOPE", "Images.Generate"),
        azure_openai_endpoint=reader.required("EIG_AZURE_OPENAI_ENDPOINT"),
        azure_openai_key=reader.optional("EIG_AZURE_OPENAI_KEY"),
        azure_openai_token_scope=reader.text(
            "EIG_AZURE_OPENAI_TOKEN_SCOPE", "https://cognitiveservices.azure.com/.default"
        ),
        azure_openai_concurrent_max=reader.number("EIG_AZURE_OPENAI_CONCURRENT_MAX", 16),
        azure_openai_starts_per_minute=reader.number("EIG_AZURE_OPENAI_STARTS_PER_MINUTE", 60),
        azure_openai_timeout_s=reader.number("EIG_AZURE_OPENAI_TIMEOUT_S", 180),
        azure_openai_batch_deployment=reader.optional("EIG_AZURE_OPENAI_BATCH_DEPLOYMENT"),
        provider_batch_window=reader.seconds("EIG_PROVIDER_BATCH_WINDOW_S", 82_800),
        provider_batch_poll=reader.seconds("EIG_PROVIDER_BATCH_POLL_S", 60),
        replicate_endpoint=reader.text("EIG_REPLICATE_ENDPOINT", "https://api.replicate.com/v1"),
        replicate_token=reader.required("EIG_REPLICATE_TOKEN"),
        replicate_output_hosts=reader.words(
            "EIG_REPLICATE_OUTPUT_HOSTS", "replicate.delivery *.replicate.delivery"
        ),
        replicate_concurrent_max=reader.number("EIG_REPLICATE_CONCURRENT_MAX", 16),
        replicate_starts_per_minute=reader.number("EIG_REPLICATE_STARTS_PER_MINUTE", 600),
        replicate_poll_interval_s=reader.number("EIG_REPLICATE_POLL_INTERVAL_MS", 1_000) / 1_000,
        webhook_allowed_hosts=reader.words("EIG_WEBHOOK_ALLOWED_HOSTS"),
        mail_connection=reader.optional("EIG_MAIL_CONNECTION"),
        mail_sender=reader.optional("EIG_MAIL_SENDER"),
        mail_folder=reader.optional("EIG_MAIL_FOLDER"),
        telemetry_connection=reader.optional("EIG_TELEMETRY_CONNECTION"),
        receipt_keys=tuple(reader.required("EIG_RECEIPT_KEYS").split()),
        field_key_url=reader.optional("EIG_FIELD_KEY_URL"),
        field_key_file=reader.optional("EIG_FIELD_KEY_FILE"),
        privacy_key=reader.required("EIG_PRIVACY_KEY"),
        language_endpoint=reader.optional("EIG_LANGUAGE_ENDPOINT"),
        language_key=reader.optional("EIG_LANGUAGE_KEY"),
        language_timeout_s=reader.number("EIG_LANGUAGE_TIMEOUT_S", 5),
        language_concurrent_max=reader.number("EIG_LANGUAGE_CONCURRENT_MAX", 16),
        language_calls_per_minute=reader.number("EIG_LANGUAGE_CALLS_PER_MINUTE", 900),
        end_user_salt=reader.required("EIG_END_USER_SALT"),
        azure_openai_export_url=reader.optional("EIG_AZURE_OPENAI_EXPORT_URL"),
        reconciliation_lag_days=reader.number("EIG_RECONCILIATION_LAG_DAYS", 2),
        drift_basis_points_max=reader.number("EIG_DRIFT_BASIS_POINTS_MAX", 200),
        sweep_grace=reader.seconds("EIG_SWEEP_GRACE_S", 300),
        sweep_restart_until=reader.seconds("EIG_SWEEP_RESTART_UNTIL_S", 3_600),
        sweep_unknown_horizon=reader.seconds("EIG_SWEEP_UNKNOWN_HORIZON_S", 259_200),
        approval_escalation=reader.seconds("EIG_APPROVAL_ESCALATION_S", APPROVAL_ESCALATION_S),
        approval_expiry=reader.seconds("EIG_APPROVAL_EXPIRY_S", APPROVAL_EXPIRY_S),
        approval_dual_above_micros=reader.number(
            "EIG_APPROVAL_DUAL_ABOVE_MICROS", APPROVAL_DUAL_ABOVE_MICROS
        ),
    )
    _check_together(settings, reader.faults)
    if reader.faults:
        raise InvariantBroken("Settings are not usable: " + "; ".join(reader.faults))
    return settings


def _check_together(settings: Settings, faults: list[str]) -> None:
    """Values that are usable alone and not with one another."""
    if not (settings.storage_connection or settings.storage_url):
        faults.append("EIG_STORAGE or EIG_STORAGE__blobServiceUri is missing")
    if bool(settings.field_key_url) == bool(settings.field_key_file):
        faults.append("give either EIG_FIELD_KEY_URL or EIG_FIELD_KEY_FILE")
    if settings.field_key_url and not settings.field_key_url.startswith("https://"):
        faults.append("EIG_FIELD_KEY_URL is no https address")
    if 0 < len(settings.privacy_key) < PRIVACY_KEY_CHARS_MIN:
        faults.append(f"EIG_PRIVACY_KEY has fewer than {PRIVACY_KEY_CHARS_MIN} characters")
    if settings.mail_connection and (settings.mail_folder or not settings.mail_sender):
        faults.append("EIG_MAIL_CONNECTION goes with EIG_MAIL_SENDER, not EIG_MAIL_FOLDER")
    if settings.approval_expiry > timedelta(seconds=APPROVAL_EXPIRY_S_MAX):
        faults.append(f"EIG_APPROVAL_EXPIRY_S is above {APPROVAL_EXPIRY_S_MAX}")


class _Reader:
    """Reads variables and collects what is wrong with them; never puts a value in a message."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def optional(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def required(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            self.faults.append(f"{name} is missing")
        return value or ""

    def text(self, name: str, default: str) -> str:
        return self.optional(name) or default

    def words(self, name: str, default: str = "") -> frozenset[str]:
        return frozenset(self.text(name, default).replace(",", " ").split())

    def number(self, name: str, default: int) -> int:
        value = self.optional(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and int(value) > 0):
            self.faults.append(f"{name} is not a positive whole number")
            return default
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            self.faults.append(f"{name} is neither true nor false")
        return value == "true"

    def seconds(self, name: str, default: int) -> timedelta:
        return timedelta(seconds=self.number(name, default))
