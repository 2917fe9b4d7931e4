"""What a witness in an app of its own is told: where the log lies, whose it is, what it signs with.

Nothing else of the platform: no database, no provider, no other key.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import InvariantBroken
from shared.setting_reader import Reader
from shared.settings import ENVIRONMENT


@dataclass(frozen=True)
class WitnessSettings:
    """The settings of the witness alone; those of the app have the same fields."""

    audit_log_verifier: str
    audit_storage_url: str | None
    checkpoint_storage_url: str | None
    witness_name: str
    witness_key_file: str | None
    witness_vault_key: str | None
    witness_identity: str | None
    witness_storage_url: str | None
    storage_connection: str | None  # local only: one account for all
    storage_url: str | None = None
    witness_verifier: str | None = None  # it has the key itself


def load_witness_settings(environment: Mapping[str, str] | None = None) -> WitnessSettings:
    """Read the settings; raise InvariantBroken naming every variable that is missing or wrong."""
    reader = Reader(ENVIRONMENT if environment is None else environment)
    settings = WitnessSettings(
        audit_log_verifier=reader.required("EIG_AUDIT_LOG_VERIFIER"),
        audit_storage_url=reader.optional("EIG_AUDIT_STORAGE_URL"),
        checkpoint_storage_url=reader.optional("EIG_CHECKPOINT_STORAGE_URL"),
        witness_name=reader.required("EIG_WITNESS_NAME"),
        witness_key_file=reader.optional("EIG_WITNESS_KEY_FILE"),
        witness_vault_key=reader.optional("EIG_WITNESS_VAULT_KEY"),
        witness_identity=reader.optional("EIG_WITNESS_IDENTITY"),
        witness_storage_url=reader.optional("EIG_WITNESS_STORAGE_URL"),
        storage_connection=reader.optional("EIG_STORAGE"),
    )
    accounts = (
        settings.audit_storage_url,
        settings.checkpoint_storage_url,
        settings.witness_storage_url,
    )
    if not settings.storage_connection and not all(accounts):
        reader.faults.append("the addresses of the log, its checkpoints and the witness are needed")
    if bool(settings.witness_key_file) == bool(settings.witness_vault_key):
        reader.faults.append("give either EIG_WITNESS_VAULT_KEY or EIG_WITNESS_KEY_FILE")
    if reader.faults:
        raise InvariantBroken("Settings are not usable: " + "; ".join(reader.faults))
    return settings
