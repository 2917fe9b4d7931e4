"""The app's settings: one frozen object, read from the environment once; no other file reads it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final

from shared.domain.content_safety import SafetyThresholds
from shared.domain.token_issuers import TokenIssuer
from shared.errors import InvariantBroken
from shared.identity_settings import check_identity
from shared.setting_reader import Reader

APPROVAL_ESCALATION_S = 24 * 3_600
APPROVAL_EXPIRY_S = 72 * 3_600  # a weekend; the storage provider keeps a timer for six days
APPROVAL_EXPIRY_S_MAX = 5 * 86_400
REPLICATE_WAIT_S_MAX = 60  # what Replicate accepts
PRIVACY_KEY_CHARS_MIN = 32  # whoever guesses it can try all nine-digit numbers
APPROVAL_DUAL_ABOVE_MICROS = 100_000_000  # a hundred AUD for one request

ENVIRONMENT: Final[Mapping[str, str]] = os.environ  # read by nobody else


Read = Callable[[Reader], Any]
READ: Final = "read"


def _setting(read: Read) -> Any:
    """A field of Settings that knows how it is read from the environment."""
    return field(metadata={READ: read})


def _optional(name: str) -> Any:
    return _setting(lambda reader: reader.optional(name))


def _required(name: str) -> Any:
    return _setting(lambda reader: reader.required(name))


def _text(name: str, default: str) -> Any:
    return _setting(lambda reader: reader.text(name, default))


def _words(name: str, default: str = "") -> Any:
    return _setting(lambda reader: reader.words(name, default))


def _words_in_order(name: str) -> Any:
    return _setting(lambda reader: tuple(reader.required(name).split()))


def _number(name: str, default: int) -> Any:
    return _setting(lambda reader: reader.number(name, default))


def _figures(name: str) -> Any:
    """Positive whole numbers by name."""
    return _setting(lambda reader: reader.figures(name))


def _seconds(name: str, default: int) -> Any:
    return _setting(lambda reader: timedelta(seconds=reader.number(name, default)))


def _optional_seconds(name: str) -> Any:
    """None where it is not set."""
    return _setting(lambda reader: timedelta(seconds=n) if (n := reader.number(name, 0)) else None)


def _issuers(name: str) -> Any:
    return _setting(lambda reader: reader.issuers(name))


def _milliseconds(name: str, default: int) -> Any:
    """Read in milliseconds, held as seconds."""
    return _setting(lambda reader: reader.number(name, default) / 1_000)


def _thresholds(name: str) -> Any:
    return _setting(lambda reader: reader.thresholds(name))


def _flag(name: str) -> Any:
    return _setting(lambda reader: reader.flag(name))


@dataclass(frozen=True)
class Settings:
    """Every value the app can be configured with; each field names its environment variable."""

    # EIG_STORAGE: a connection string, local only
    storage_connection: str | None = _optional("EIG_STORAGE")
    # EIG_STORAGE__blobServiceUri: Azure, with the app's identity
    storage_url: str | None = _optional("EIG_STORAGE__blobServiceUri")
    # tiers follow the last access, not the age
    storage_tracks_access: bool = _flag("EIG_STORAGE_TRACKS_ACCESS")
    cosmos_endpoint: str = _required("EIG_COSMOS_ENDPOINT")
    cosmos_database: str = _text("EIG_COSMOS_DATABASE", "eig")
    # empty: the app's identity
    cosmos_key: str | None = _optional("EIG_COSMOS_KEY")
    # of the role audit-writer, local only
    audit_cosmos_key: str | None = _optional("EIG_AUDIT_COSMOS_KEY")
    # of the role audit-reader, local only
    audit_reader_cosmos_key: str | None = _optional("EIG_AUDIT_READER_COSMOS_KEY")
    # Azure: client id of the identity with that role
    audit_writer_identity: str | None = _optional("EIG_AUDIT_WRITER_IDENTITY")
    # Azure: the same for the sequencer and for auditors
    audit_reader_identity: str | None = _optional("EIG_AUDIT_READER_IDENTITY")
    # the log's name, and its key's
    audit_log_origin: str = _text("EIG_AUDIT_LOG_ORIGIN", "eig.local/audit-log")
    # PKCS#8 PEM, P-256; local only
    audit_log_key_file: str | None = _optional("EIG_AUDIT_LOG_KEY_FILE")
    # Azure: https://{vault}.vault.azure.net/keys/{name}
    audit_log_vault_key: str | None = _optional("EIG_AUDIT_LOG_VAULT_KEY")
    # the log's public key, which the witness is told beforehand
    audit_log_verifier: str | None = _optional("EIG_AUDIT_LOG_VERIFIER")
    # empty: the log lies in the app's own account
    audit_storage_url: str | None = _optional("EIG_AUDIT_STORAGE_URL")
    # the account with the locked container; empty: as above
    checkpoint_storage_url: str | None = _optional("EIG_CHECKPOINT_STORAGE_URL")
    witness_name: str = _text("EIG_WITNESS_NAME", "eig.local/witness")
    witness_key_file: str | None = _optional("EIG_WITNESS_KEY_FILE")
    witness_vault_key: str | None = _optional("EIG_WITNESS_VAULT_KEY")
    # Azure: client id of the witness's own identity
    witness_identity: str | None = _optional("EIG_WITNESS_IDENTITY")
    # the public key of a witness in an app of its own; empty: it runs here
    witness_verifier: str | None = _optional("EIG_WITNESS_VERIFIER")
    witness_storage_url: str | None = _optional("EIG_WITNESS_STORAGE_URL")
    token_issuer: str = _required("EIG_TOKEN_ISSUER")
    token_tenant_id: str = _required("EIG_TOKEN_TENANT_ID")
    token_audience: str = _required("EIG_TOKEN_AUDIENCE")
    # empty: any client of the audience
    token_authorized_parties: frozenset[str] = _words("EIG_TOKEN_AUTHORIZED_PARTIES")
    token_scope: str = _text("EIG_TOKEN_SCOPE", "Images.Generate")
    # the app role of pipelines, whose tokens name no person
    token_app_role: str = _text("EIG_TOKEN_APP_ROLE", "Images.Generate.All")
    # a JSON list of further issuers, docs/identity.md
    token_issuers: tuple[TokenIssuer, ...] = _issuers("EIG_TOKEN_ISSUERS")
    # c1 to c99: the authentication context of sensitive routes; empty: they want no more proof
    step_up_context: str | None = _optional("EIG_STEP_UP_CONTEXT")
    # how old the sign-in may be on sensitive routes; empty: any age
    step_up_age_max: timedelta | None = _optional_seconds("EIG_STEP_UP_AGE_MAX_S")
    # https://host of the app as browsers see it; empty: no browser signs in
    public_origin: str | None = _optional("EIG_PUBLIC_ORIGIN")
    sign_in_client_id: str | None = _optional("EIG_SIGN_IN_CLIENT_ID")
    # empty: a public client, which PKCE alone protects
    sign_in_client_secret: str | None = _optional("EIG_SIGN_IN_CLIENT_SECRET")
    # standard or government, docs/sessions.md
    session_profile: str = _text("EIG_SESSION_PROFILE", "standard")
    # shorter than the profile's; empty: the profile's
    session_idle: timedelta | None = _optional_seconds("EIG_SESSION_IDLE_S")
    azure_openai_endpoint: str = _required("EIG_AZURE_OPENAI_ENDPOINT")
    # empty: the app's identity
    azure_openai_key: str | None = _optional("EIG_AZURE_OPENAI_KEY")
    azure_openai_token_scope: str = _text(
        "EIG_AZURE_OPENAI_TOKEN_SCOPE", "https://cognitiveservices.azure.com/.default"
    )
    azure_openai_concurrent_max: int = _number("EIG_AZURE_OPENAI_CONCURRENT_MAX", 16)
    # what a fresh deployment has; raise it with the deployment's quota, docs/limits.md
    azure_openai_starts_per_minute: int = _number("EIG_AZURE_OPENAI_STARTS_PER_MINUTE", 5)
    azure_openai_timeout_s: int = _number("EIG_AZURE_OPENAI_TIMEOUT_S", 180)
    # of the type Global Batch; empty: rows never wait
    azure_openai_batch_deployment: str | None = _optional("EIG_AZURE_OPENAI_BATCH_DEPLOYMENT")
    # then what is undone goes on at the full price
    provider_batch_window: timedelta = _seconds("EIG_PROVIDER_BATCH_WINDOW_S", 82_800)
    # between the first looks; later ones are up to 15 times rarer
    provider_batch_poll: timedelta = _seconds("EIG_PROVIDER_BATCH_POLL_S", 60)
    replicate_endpoint: str = _text("EIG_REPLICATE_ENDPOINT", "https://api.replicate.com/v1")
    replicate_token: str = _required("EIG_REPLICATE_TOKEN")
    replicate_output_hosts: frozenset[str] = _words(
        "EIG_REPLICATE_OUTPUT_HOSTS", "replicate.delivery *.replicate.delivery"
    )
    replicate_concurrent_max: int = _number("EIG_REPLICATE_CONCURRENT_MAX", 16)
    replicate_starts_per_minute: int = _number("EIG_REPLICATE_STARTS_PER_MINUTE", 600)
    replicate_poll_interval_s: float = _milliseconds("EIG_REPLICATE_POLL_INTERVAL_MS", 1_000)
    # empty: Firefly's models are not on offer
    adobe_firefly_client_id: str | None = _optional("EIG_ADOBE_FIREFLY_CLIENT_ID")
    adobe_firefly_client_secret: str | None = _optional("EIG_ADOBE_FIREFLY_CLIENT_SECRET")
    adobe_firefly_endpoint: str = _text(
        "EIG_ADOBE_FIREFLY_ENDPOINT", "https://firefly-api.adobe.io"
    )
    # where its access tokens come from
    adobe_firefly_sign_in_url: str = _text(
        "EIG_ADOBE_FIREFLY_SIGN_IN_URL", "https://ims-na1.adobelogin.com"
    )
    # the only hosts that get such a token: jobs run on hosts of Adobe's choice
    adobe_firefly_hosts: frozenset[str] = _words("EIG_ADOBE_FIREFLY_HOSTS", "*.adobe.io")
    adobe_firefly_output_hosts: frozenset[str] = _words(
        "EIG_ADOBE_FIREFLY_OUTPUT_HOSTS", "pre-signed-firefly-prod.s3-accelerate.amazonaws.com"
    )
    adobe_firefly_concurrent_max: int = _number("EIG_ADOBE_FIREFLY_CONCURRENT_MAX", 8)
    adobe_firefly_starts_per_minute: int = _number("EIG_ADOBE_FIREFLY_STARTS_PER_MINUTE", 4)
    adobe_firefly_poll_interval_s: float = _milliseconds(
        "EIG_ADOBE_FIREFLY_POLL_INTERVAL_MS", 2_000
    )
    # FLUX on Azure AI Foundry; empty: its models are not on offer
    azure_foundry_endpoint: str | None = _optional("EIG_AZURE_FOUNDRY_ENDPOINT")
    # empty: the app's identity
    azure_foundry_key: str | None = _optional("EIG_AZURE_FOUNDRY_KEY")
    azure_foundry_token_scope: str = _text(
        "EIG_AZURE_FOUNDRY_TOKEN_SCOPE", "https://cognitiveservices.azure.com/.default"
    )
    azure_foundry_output_hosts: frozenset[str] = _words(
        "EIG_AZURE_FOUNDRY_OUTPUT_HOSTS", "*.blob.core.windows.net *.bfl.ai"
    )
    azure_foundry_concurrent_max: int = _number("EIG_AZURE_FOUNDRY_CONCURRENT_MAX", 8)
    # the lowest tier of the slower of its models
    azure_foundry_starts_per_minute: int = _number("EIG_AZURE_FOUNDRY_STARTS_PER_MINUTE", 6)
    azure_foundry_timeout_s: int = _number("EIG_AZURE_FOUNDRY_TIMEOUT_S", 180)
    # our own endpoint on Azure Machine Learning; empty: its models are not on offer
    azure_ml_scoring_url: str | None = _optional("EIG_AZURE_ML_SCORING_URL")
    # empty: the app's identity
    azure_ml_key: str | None = _optional("EIG_AZURE_ML_KEY")
    azure_ml_token_scope: str = _text("EIG_AZURE_ML_TOKEN_SCOPE", "https://ml.azure.com/.default")
    # empty: the endpoint's own traffic rules decide
    azure_ml_deployment: str | None = _optional("EIG_AZURE_ML_DEPLOYMENT")
    # twice the machines: the endpoint refuses what waits beyond that
    azure_ml_concurrent_max: int = _number("EIG_AZURE_ML_CONCURRENT_MAX", 2)
    azure_ml_starts_per_minute: int = _number("EIG_AZURE_ML_STARTS_PER_MINUTE", 30)
    # Azure AI Content Safety; empty: models that need it are not on offer
    content_safety_endpoint: str | None = _optional("EIG_CONTENT_SAFETY_ENDPOINT")
    # empty: the app's identity
    content_safety_key: str | None = _optional("EIG_CONTENT_SAFETY_KEY")
    content_safety_timeout_s: int = _number("EIG_CONTENT_SAFETY_TIMEOUT_S", 10)
    content_safety_concurrent_max: int = _number("EIG_CONTENT_SAFETY_CONCURRENT_MAX", 16)
    # over the defaults: "violence=2 hate=off"
    content_safety_thresholds: SafetyThresholds = _thresholds("EIG_CONTENT_SAFETY_REFUSED_FROM")
    # names of blocklists of that resource; a text that hits one is refused
    content_safety_blocklists: frozenset[str] = _words("EIG_CONTENT_SAFETY_BLOCKLISTS")
    # deployments with a limit of their own: model=starts a minute, e.g. "flux-2-pro=15"
    model_starts_per_minute: Mapping[str, int] = _figures("EIG_MODEL_STARTS_PER_MINUTE")
    # a provider that fails is left alone for so long at first
    provider_open_s: float = _milliseconds("EIG_PROVIDER_OPEN_MS", 30_000)
    # models that nobody has deployed; by default those that Bicep does not deploy
    models_off: frozenset[str] = _words(
        "EIG_MODELS_OFF", "gpt-image-2.5-flare gpt-image-2.5-sunburst gpt-image-1-mini"
    )
    # https://host by which Replicate reaches this app; empty: it sends no webhooks
    replicate_webhook_origin: str | None = _optional("EIG_REPLICATE_WEBHOOK_ORIGIN")
    # empty: asked for at Replicate
    replicate_webhook_secret: str | None = _optional("EIG_REPLICATE_WEBHOOK_SECRET")
    # 1 to 60: hold a submission open for its pictures; empty: poll from the start
    replicate_wait_s: int = _number("EIG_REPLICATE_WAIT_S", 0)
    # v1, or deployment: the older route, which names the deployment in the address
    azure_openai_route: str = _text("EIG_AZURE_OPENAI_ROUTE", "v1")
    # of the deployment route
    azure_openai_api_version: str = _text("EIG_AZURE_OPENAI_API_VERSION", "2025-04-01-preview")
    # pictures that a person may ask for, by tier; the tier "enterprise" has no such limit
    rate_free_images_per_hour: int = _number("EIG_RATE_FREE_IMAGES_PER_HOUR", 10)
    rate_standard_images_per_hour: int = _number("EIG_RATE_STANDARD_IMAGES_PER_HOUR", 100)
    # of an hour's quota, at once
    rate_burst_percent: int = _number("EIG_RATE_BURST_PERCENT", 100)
    rate_department_images_per_day: int = _number("EIG_RATE_DEPARTMENT_IMAGES_PER_DAY", 10_000)
    # that one person may set aside: a thousand AUD
    rate_spend_micros_per_minute: int = _number("EIG_RATE_SPEND_MICROS_PER_MINUTE", 1_000_000_000)
    # origins whose pages may call us with a token of their own; empty: none
    cors_origins: frozenset[str] = _words("EIG_CORS_ORIGINS")
    # host:port that alerts may go to besides public ones
    webhook_allowed_hosts: frozenset[str] = _words("EIG_WEBHOOK_ALLOWED_HOSTS")
    # Azure Communication Services: endpoint=...;accesskey=...
    mail_connection: str | None = _optional("EIG_MAIL_CONNECTION")
    # the address that service sends from
    mail_sender: str | None = _optional("EIG_MAIL_SENDER")
    # mail is kept here instead, as .eml files
    mail_folder: str | None = _optional("EIG_MAIL_FOLDER")
    # Application Insights; empty: no metrics are measured
    telemetry_connection: str | None = _optional("EIG_TELEMETRY_CONNECTION")
    # base64 PKCS#8: the first signs, the others still verify
    receipt_keys: tuple[str, ...] = _words_in_order("EIG_RECEIPT_KEYS")
    # https://{vault}/keys/{name}: the key that wraps data keys
    field_key_url: str | None = _optional("EIG_FIELD_KEY_URL")
    # a local file of such keys instead
    field_key_file: str | None = _optional("EIG_FIELD_KEY_FILE")
    # SHA-256 of the secret that names the first Super Admin; empty: the directory is seeded
    bootstrap_secret_hash: str | None = _optional("EIG_BOOTSTRAP_SECRET_HASH")
    # SHA-256 of the provisioning app's token, and of the next one while it is replaced
    scim_token_hashes: frozenset[str] = _words("EIG_SCIM_TOKEN_HASHES")
    # of provisioned people whose department we do not know
    scim_department: str | None = _optional("EIG_SCIM_DEPARTMENT")
    # keyed hash of what the privacy screen finds, for audit events
    privacy_key: str = _required("EIG_PRIVACY_KEY")
    # Azure AI Language; empty: the screen has its local layer only
    language_endpoint: str | None = _optional("EIG_LANGUAGE_ENDPOINT")
    # empty: the app's identity
    language_key: str | None = _optional("EIG_LANGUAGE_KEY")
    language_timeout_s: int = _number("EIG_LANGUAGE_TIMEOUT_S", 5)
    language_concurrent_max: int = _number("EIG_LANGUAGE_CONCURRENT_MAX", 16)
    # of one worker; the tier S allows 1 000 for all together
    language_calls_per_minute: int = _number("EIG_LANGUAGE_CALLS_PER_MINUTE", 900)
    # keyed hash of the end user that providers may see
    end_user_salt: str = _required("EIG_END_USER_SALT")
    # the folder of the cost export, with its SAS
    azure_openai_export_url: str | None = _optional("EIG_AZURE_OPENAI_EXPORT_URL")
    # a day is compared when its export is complete
    reconciliation_lag_days: int = _number("EIG_RECONCILIATION_LAG_DAYS", 2)
    # a model that drifts further is stopped
    drift_basis_points_max: int = _number("EIG_DRIFT_BASIS_POINTS_MAX", 200)
    sweep_grace: timedelta = _seconds("EIG_SWEEP_GRACE_S", 300)
    sweep_restart_until: timedelta = _seconds("EIG_SWEEP_RESTART_UNTIL_S", 3_600)
    sweep_unknown_horizon: timedelta = _seconds("EIG_SWEEP_UNKNOWN_HORIZON_S", 259_200)
    # then an approval is the Org Admins' to decide
    approval_escalation: timedelta = _seconds("EIG_APPROVAL_ESCALATION_S", APPROVAL_ESCALATION_S)
    approval_expiry: timedelta = _seconds("EIG_APPROVAL_EXPIRY_S", APPROVAL_EXPIRY_S)
    # above this, two people must approve
    approval_dual_above_micros: int = _number(
        "EIG_APPROVAL_DUAL_ABOVE_MICROS", APPROVAL_DUAL_ABOVE_MICROS
    )


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raise InvariantBroken naming every variable that is missing or wrong."""
    reader = Reader(ENVIRONMENT if environment is None else environment)
    settings = Settings(**{each.name: each.metadata[READ](reader) for each in fields(Settings)})
    _check_together(settings, reader.faults)
    if reader.faults:
        raise InvariantBroken("Settings are not usable: " + "; ".join(reader.faults))
    return settings


def _check_together(settings: Settings, faults: list[str]) -> None:
    """Values that are usable alone and not with one another."""
    check_identity(settings, faults)
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
    if settings.replicate_wait_s > REPLICATE_WAIT_S_MAX:
        faults.append(f"EIG_REPLICATE_WAIT_S is above {REPLICATE_WAIT_S_MAX}")
    if settings.azure_openai_route not in ("v1", "deployment"):
        faults.append("EIG_AZURE_OPENAI_ROUTE is neither v1 nor deployment")
    if bool(settings.adobe_firefly_client_id) != bool(settings.adobe_firefly_client_secret):
        faults.append("EIG_ADOBE_FIREFLY_CLIENT_ID goes with EIG_ADOBE_FIREFLY_CLIENT_SECRET")
    if settings.approval_expiry > timedelta(seconds=APPROVAL_EXPIRY_S_MAX):
        faults.append(f"EIG_APPROVAL_EXPIRY_S is above {APPROVAL_EXPIRY_S_MAX}")
