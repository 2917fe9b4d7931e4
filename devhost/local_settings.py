"""The app's settings for the local cloud, as `local.settings.json` carries them.

Every value here opens an emulator on loopback and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devhost.azurite import connection_string
from devhost.cosmos.roles import role_key
from devhost.note_keys import (
    LOG_KEY_FILE,
    LOG_NAME,
    WITNESS_KEY_FILE,
    WITNESS_NAME,
    verifier,
)
from devhost.ports import LOOPBACK, Ports
from devhost.resources import read_resources

ANY_CREDENTIAL = "local-demo"  # the simulators ask for one and accept any
FIELD_KEY_SETTING = "EIG_FIELD_KEY_FILE"  # the stack makes the file that it names
PEOPLE_FILE = Path(__file__).parent / "simulators" / "users.json"


@cache
def people() -> dict[str, Any]:
    """The tenants, users and clients that the identity simulator knows."""
    content: dict[str, Any] = json.loads(PEOPLE_FILE.read_text("utf-8"))
    return content


def home_tenant_id() -> str:
    """The tenant that the local app trusts."""
    return str(people()["tenants"][0]["id"])


def token_issuer(ports: Ports) -> str:
    return f"{ports.url('simulators')}/{home_tenant_id()}/v2.0"


@cache
def receipt_key() -> str:
    """The key that signs local receipts, always the same, so that old ones can be checked."""
    seed = int.from_bytes(hashlib.sha256(b"local receipts").digest(), "big")
    return base64.b64encode(
        ec.derive_private_key(seed, ec.SECP256R1()).private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ).decode()


def setting_values(ports: Ports) -> dict[str, str]:
    """Each app setting with its local value; a new setting of the app gets a line here."""
    storage = connection_string(ports)
    simulators = ports.url("simulators")
    return {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": storage,
        "EIG_STORAGE": storage,
        "EIG_STORAGE_TRACKS_ACCESS": "false",  # the emulator does not
        "EIG_COSMOS_ENDPOINT": ports.url("cosmos"),
        "EIG_COSMOS_KEY": role_key("app"),
        "EIG_AUDIT_COSMOS_KEY": role_key("audit-writer"),
        "EIG_AUDIT_READER_COSMOS_KEY": role_key("audit-reader"),
        "EIG_AUDIT_LOG_ORIGIN": LOG_NAME,
        "EIG_AUDIT_LOG_KEY_FILE": LOG_KEY_FILE,
        "EIG_AUDIT_LOG_VERIFIER": verifier(LOG_NAME),
        "EIG_WITNESS_NAME": WITNESS_NAME,
        "EIG_WITNESS_KEY_FILE": WITNESS_KEY_FILE,
        "EIG_COSMOS_DATABASE": read_resources().database,
        "EIG_TOKEN_ISSUER": token_issuer(ports),
        "EIG_TOKEN_TENANT_ID": home_tenant_id(),
        "EIG_TOKEN_AUDIENCE": str(people()["api"]["client_id"]),
        "EIG_AZURE_OPENAI_ENDPOINT": f"{simulators}/azure-openai",
        "EIG_AZURE_OPENAI_KEY": ANY_CREDENTIAL,
        "EIG_AZURE_OPENAI_BATCH_DEPLOYMENT": "gpt-image-2-batch",
        "EIG_PROVIDER_BATCH_POLL_S": "1",  # the simulated batches take less than a second
        "EIG_AZURE_OPENAI_EXPORT_URL": f"{simulators}/azure-cost-export",
        "EIG_REPLICATE_ENDPOINT": f"{simulators}/replicate/v1",
        "EIG_REPLICATE_TOKEN": ANY_CREDENTIAL,
        "EIG_REPLICATE_OUTPUT_HOSTS": f"{LOOPBACK}:{ports.simulators}",
        # Alerts reach the receiver among the simulators, and mail stays on this machine.
        "EIG_WEBHOOK_ALLOWED_HOSTS": f"{LOOPBACK}:{ports.simulators}",
        "EIG_MAIL_FOLDER": ".devhost/mail",
        "EIG_RECEIPT_KEYS": receipt_key(),
        FIELD_KEY_SETTING: ".devhost/field_keys",
        "EIG_PRIVACY_KEY": "local-demo-key-of-the-privacy-screen",
        "EIG_LANGUAGE_ENDPOINT": f"{simulators}/azure-language",
        "EIG_LANGUAGE_KEY": ANY_CREDENTIAL,
        "EIG_LANGUAGE_CALLS_PER_MINUTE": "60000",  # the simulator has no quota
        "EIG_END_USER_SALT": "local",
        # The simulators answer in a fraction of a second and have no quota of their own.
        "EIG_AZURE_OPENAI_STARTS_PER_MINUTE": "60000",
        "EIG_REPLICATE_STARTS_PER_MINUTE": "60000",
        "EIG_REPLICATE_POLL_INTERVAL_MS": "100",
        # Plain JSON only across Durable boundaries: no class names in histories.
        "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "1",
    }


def settings_json(ports: Ports) -> str:
    """The text of a local.settings.json for these ports."""
    document = {"IsEncrypted": False, "Values": setting_values(ports)}
    return json.dumps(document, indent=2) + "\n"
