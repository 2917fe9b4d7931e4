"""The app's settings for the local cloud, as `local.settings.json` carries them.

Every value here opens an emulator on loopback and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
from devhost.ports import LOOPBACK, OTHER_LOOPBACK, Ports
from devhost.resources import read_resources

ANY_CREDENTIAL = "local-demo"  # the simulators ask for one and accept any
FIELD_KEY_SETTING = "EIG_FIELD_KEY_FILE"  # the stack makes the file that it names
LOCAL_SCIM_TOKENS = ("local-scim-token", "local-scim-token-2")
LOCAL_BOOTSTRAP_SECRET = "local-bootstrap-secret"  # noqa: S105 - opens an emulator alone
# Stores, keys and addresses of the app itself, and what the host reads.
_OF_THE_PLACE = re.compile(
    r"(?!EIG_)|EIG_(STORAGE|COSMOS|AUDIT|WITNESS|FIELD_KEY|PRIVACY_KEY|END_USER|RECEIPT|MAIL|CORS"
    r"|PUBLIC_ORIGIN|REPLICATE_WEBHOOK)"
)
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
        "EIG_TOKEN_AUTHORIZED_PARTIES": " ".join(
            str(each["client_id"]) for each in (*people()["clients"], *people()["pipelines"])
        ),
        "EIG_STEP_UP_CONTEXT": "c1",
        "EIG_STEP_UP_AGE_MAX_S": "7200",  # more than a token's life: tests keep their tokens
        "EIG_PUBLIC_ORIGIN": ports.url("host"),
        "EIG_SIGN_IN_CLIENT_ID": str(people()["web"]["client_id"]),
        "EIG_SIGN_IN_CLIENT_SECRET": str(people()["web"]["client_secret"]),
        # Alerts reach the receiver among the simulators, and mail stays on this machine.
        "EIG_CORS_ORIGINS": "http://127.0.0.1:3000",
        "EIG_WEBHOOK_ALLOWED_HOSTS": f"{LOOPBACK}:{ports.simulators}",
        "EIG_MAIL_FOLDER": ".devhost/mail",
        "EIG_RECEIPT_KEYS": receipt_key(),
        FIELD_KEY_SETTING: ".devhost/field_keys",
        # SHA-256 of "local-scim-token" and of "local-scim-token-2", which may replace it.
        "EIG_SCIM_TOKEN_HASHES": " ".join(
            hashlib.sha256(token.encode()).hexdigest() for token in LOCAL_SCIM_TOKENS
        ),
        "EIG_SCIM_DEPARTMENT": "operations",
        "EIG_BOOTSTRAP_SECRET_HASH": hashlib.sha256(LOCAL_BOOTSTRAP_SECRET.encode()).hexdigest(),
        "EIG_PRIVACY_KEY": "local-demo-key-of-the-privacy-screen",
        "EIG_LANGUAGE_ENDPOINT": f"{simulators}/azure-language",
        "EIG_LANGUAGE_KEY": ANY_CREDENTIAL,
        "EIG_LANGUAGE_CALLS_PER_MINUTE": "60000",  # the simulator has no quota
        "EIG_END_USER_SALT": "local",
        "EIG_PROVIDER_OPEN_MS": "100",  # a test that breaks a simulator must not stop the next one
        # The demo and the tests ask for more than people do; the tier "free" has its real limit.
        "EIG_RATE_STANDARD_IMAGES_PER_HOUR": "1000000",
        "EIG_RATE_DEPARTMENT_IMAGES_PER_DAY": "1000000",
        "EIG_RATE_SPEND_MICROS_PER_MINUTE": "1000000000000",
        # Plain JSON only across Durable boundaries: no class names in histories.
        "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "1",
    } | _provider_values(ports)


def _provider_values(ports: Ports) -> dict[str, str]:
    """The settings of the image providers, all of which are simulated."""
    simulators = ports.url("simulators")
    return {
        "EIG_AZURE_OPENAI_ENDPOINT": f"{simulators}/azure-openai",
        "EIG_AZURE_OPENAI_KEY": ANY_CREDENTIAL,
        "EIG_AZURE_OPENAI_BATCH_DEPLOYMENT": "gpt-image-2-batch",
        "EIG_PROVIDER_BATCH_POLL_S": "1",  # the simulated batches take less than a second
        "EIG_AZURE_OPENAI_EXPORT_URL": f"{simulators}/azure-cost-export",
        "EIG_REPLICATE_ENDPOINT": f"{simulators}/replicate/v1",
        "EIG_REPLICATE_TOKEN": ANY_CREDENTIAL,
        "EIG_REPLICATE_OUTPUT_HOSTS": f"{LOOPBACK}:{ports.simulators}",
        "EIG_MODELS_OFF": ",",  # none: all are simulated, and an empty setting means the default
        "EIG_REPLICATE_WEBHOOK_ORIGIN": ports.url("host"),
        "EIG_ADOBE_FIREFLY_CLIENT_ID": ANY_CREDENTIAL,
        "EIG_ADOBE_FIREFLY_CLIENT_SECRET": ANY_CREDENTIAL,
        "EIG_ADOBE_FIREFLY_ENDPOINT": f"{simulators}/adobe-firefly",
        "EIG_ADOBE_FIREFLY_SIGN_IN_URL": f"{simulators}/adobe-ims",
        # Jobs are on another host than the endpoint, as they are at Adobe.
        "EIG_ADOBE_FIREFLY_HOSTS": f"{OTHER_LOOPBACK}:{ports.simulators}",
        "EIG_ADOBE_FIREFLY_OUTPUT_HOSTS": f"{LOOPBACK}:{ports.simulators}",
        "EIG_ADOBE_FIREFLY_STARTS_PER_MINUTE": "60000",
        "EIG_ADOBE_FIREFLY_POLL_INTERVAL_MS": "100",
        "EIG_AZURE_FOUNDRY_ENDPOINT": f"{simulators}/azure-foundry",
        "EIG_AZURE_FOUNDRY_KEY": ANY_CREDENTIAL,
        "EIG_AZURE_FOUNDRY_OUTPUT_HOSTS": f"{LOOPBACK}:{ports.simulators}",
        "EIG_AZURE_FOUNDRY_STARTS_PER_MINUTE": "60000",
        "EIG_AZURE_ML_SCORING_URL": f"{simulators}/azure-ml/score",
        "EIG_AZURE_ML_KEY": ANY_CREDENTIAL,
        "EIG_AZURE_ML_DEPLOYMENT": "blue",
        "EIG_AZURE_ML_STARTS_PER_MINUTE": "60000",
        "EIG_CONTENT_SAFETY_ENDPOINT": f"{simulators}/azure-content-safety",
        "EIG_CONTENT_SAFETY_KEY": ANY_CREDENTIAL,
        "EIG_CONTENT_SAFETY_BLOCKLISTS": "local-terms",
        # The simulators answer in a fraction of a second and have no quota of their own.
        "EIG_AZURE_OPENAI_STARTS_PER_MINUTE": "60000",
        "EIG_REPLICATE_STARTS_PER_MINUTE": "60000",
        "EIG_REPLICATE_POLL_INTERVAL_MS": "100",
    }


def simulated_settings(origin: str) -> dict[str, str]:
    """What a deployed app is given to trust simulators at `origin` in the place of Entra ID and the
    providers; its stores and keys stay its own.
    """
    ports = Ports()
    values = {n: v for n, v in setting_values(ports).items() if not _OF_THE_PLACE.match(n)}
    host = urlsplit(origin).netloc
    for local in (LOOPBACK, OTHER_LOOPBACK):
        spoken = f"{local}:{ports.simulators}"
        values = {
            name: value.replace(f"http://{spoken}", origin).replace(spoken, host)
            for name, value in values.items()
        }
    return values


def settings_json(ports: Ports) -> str:
    """The text of a local.settings.json for these ports."""
    document = {"IsEncrypted": False, "Values": setting_values(ports)}
    return json.dumps(document, indent=2) + "\n"
