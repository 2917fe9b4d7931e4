"""The app as it is deployed and the app as it is written: settings, containers, names, indexes."""

import json
import re
from collections.abc import Iterator, Mapping

import pytest

from devhost.local_settings import setting_values, simulated_settings
from devhost.ports import Ports
from functions import names
from shared.errors import InvariantBroken
from shared.settings import load_settings
from tests.bicep.deployments import Resource
from tests.bicep.estates import (
    BICEP,
    PARAMETER_FILES,
    STAGES,
    VARIABLES,
    estate,
    upload_events,
)
from tests.bicep.evaluation import evaluate, parameters_of

ROOT = BICEP.parent
RESOURCES = json.loads((ROOT / "devhost" / "resources.json").read_text("utf-8"))
HOST_SETTINGS = {  # read by the Functions host, its extensions and the SDKs, not by us
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "AZURE_CLIENT_ID",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "EIG_STORAGE__clientId",
    "EIG_STORAGE__credential",
    "EIG_STORAGE__queueServiceUri",
}
KEYS = "a key, and there are none in Azure: the app's identity is used"
LOCAL = "only the local cloud sets it"
DEFAULT = "the default is meant for Azure; extraSettings changes it"
CONTRACT = "only with a contract of one's own: in extraSettings, see docs/providers.md"
LEFT_OUT = {  # settings that Azure does not get, each with the reason
    "EIG_STORAGE": KEYS,
    "EIG_COSMOS_KEY": KEYS,
    "EIG_AUDIT_COSMOS_KEY": KEYS,
    "EIG_AUDIT_READER_COSMOS_KEY": KEYS,
    "EIG_AZURE_OPENAI_KEY": KEYS,
    "EIG_LANGUAGE_KEY": KEYS,
    "EIG_CONTENT_SAFETY_KEY": KEYS,
    "EIG_AZURE_FOUNDRY_KEY": KEYS,
    "EIG_AZURE_ML_KEY": KEYS,
    "EIG_AUDIT_LOG_KEY_FILE": LOCAL,
    "EIG_WITNESS_KEY_FILE": LOCAL,
    "EIG_FIELD_KEY_FILE": LOCAL,
    "EIG_MAIL_FOLDER": LOCAL,
    "EIG_WEBHOOK_ALLOWED_HOSTS": LOCAL,
    "EIG_TOKEN_SCOPE": DEFAULT,
    "EIG_TOKEN_APP_ROLE": DEFAULT,
    "EIG_SESSION_IDLE_S": DEFAULT,
    "EIG_AZURE_OPENAI_TOKEN_SCOPE": DEFAULT,
    "EIG_AZURE_OPENAI_CONCURRENT_MAX": DEFAULT,
    "EIG_AZURE_OPENAI_TIMEOUT_S": DEFAULT,
    "EIG_PROVIDER_BATCH_WINDOW_S": DEFAULT,
    "EIG_PROVIDER_BATCH_POLL_S": DEFAULT,
    "EIG_REPLICATE_ENDPOINT": DEFAULT,
    "EIG_REPLICATE_OUTPUT_HOSTS": DEFAULT,
    "EIG_REPLICATE_CONCURRENT_MAX": DEFAULT,
    "EIG_REPLICATE_STARTS_PER_MINUTE": DEFAULT,
    "EIG_REPLICATE_POLL_INTERVAL_MS": DEFAULT,
    "EIG_MODELS_OFF": DEFAULT,
    "EIG_REPLICATE_WAIT_S": DEFAULT,
    "EIG_REPLICATE_WEBHOOK_ORIGIN": "depends on the network: in extraSettings, docs/providers.md",
    "EIG_REPLICATE_WEBHOOK_SECRET": DEFAULT,
    "EIG_AZURE_OPENAI_ROUTE": DEFAULT,
    "EIG_AZURE_OPENAI_API_VERSION": DEFAULT,
    "EIG_ADOBE_FIREFLY_CLIENT_ID": CONTRACT,
    "EIG_ADOBE_FIREFLY_CLIENT_SECRET": CONTRACT,
    "EIG_ADOBE_FIREFLY_ENDPOINT": DEFAULT,
    "EIG_ADOBE_FIREFLY_SIGN_IN_URL": DEFAULT,
    "EIG_ADOBE_FIREFLY_HOSTS": DEFAULT,
    "EIG_ADOBE_FIREFLY_OUTPUT_HOSTS": DEFAULT,
    "EIG_ADOBE_FIREFLY_CONCURRENT_MAX": DEFAULT,
    "EIG_ADOBE_FIREFLY_STARTS_PER_MINUTE": DEFAULT,
    "EIG_ADOBE_FIREFLY_POLL_INTERVAL_MS": DEFAULT,
    "EIG_LANGUAGE_TIMEOUT_S": DEFAULT,
    "EIG_CONTENT_SAFETY_TIMEOUT_S": DEFAULT,
    "EIG_CONTENT_SAFETY_CONCURRENT_MAX": DEFAULT,
    "EIG_AZURE_FOUNDRY_TOKEN_SCOPE": DEFAULT,
    "EIG_AZURE_FOUNDRY_OUTPUT_HOSTS": DEFAULT,
    "EIG_AZURE_FOUNDRY_CONCURRENT_MAX": DEFAULT,
    "EIG_AZURE_FOUNDRY_STARTS_PER_MINUTE": DEFAULT,
    "EIG_AZURE_FOUNDRY_TIMEOUT_S": DEFAULT,
    "EIG_AZURE_ML_TOKEN_SCOPE": DEFAULT,
    "EIG_AZURE_ML_DEPLOYMENT": DEFAULT,
    "EIG_AZURE_ML_CONCURRENT_MAX": DEFAULT,
    "EIG_AZURE_ML_STARTS_PER_MINUTE": DEFAULT,
    "EIG_LANGUAGE_CONCURRENT_MAX": DEFAULT,
    "EIG_LANGUAGE_CALLS_PER_MINUTE": DEFAULT,
    "EIG_MODEL_STARTS_PER_MINUTE": "of deployments with a quota of their own: docs/limits.md",
    "EIG_PROVIDER_OPEN_MS": DEFAULT,
    "EIG_RATE_FREE_IMAGES_PER_HOUR": DEFAULT,
    "EIG_RATE_STANDARD_IMAGES_PER_HOUR": DEFAULT,
    "EIG_RATE_BURST_PERCENT": DEFAULT,
    "EIG_RATE_DEPARTMENT_IMAGES_PER_DAY": DEFAULT,
    "EIG_RATE_SPEND_MICROS_PER_MINUTE": DEFAULT,
    "EIG_RECONCILIATION_LAG_DAYS": DEFAULT,
    "EIG_DRIFT_BASIS_POINTS_MAX": DEFAULT,
    "EIG_SWEEP_GRACE_S": DEFAULT,
    "EIG_SWEEP_RESTART_UNTIL_S": DEFAULT,
    "EIG_SWEEP_UNKNOWN_HORIZON_S": DEFAULT,
    "EIG_APPROVAL_ESCALATION_S": DEFAULT,
    "EIG_APPROVAL_EXPIRY_S": DEFAULT,
    "EIG_APPROVAL_DUAL_ABOVE_MICROS": DEFAULT,
}


class Asked(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_, self.names = values, set[str]()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def one(stage: str, kind: str) -> Resource:
    (found,) = estate(stage).of_type(kind)
    return found


def settings_of(stage: str) -> dict[str, str]:
    return one(stage, "Microsoft.Web/sites/config").properties


def read_by_the_app() -> set[str]:
    asked = Asked({})
    with pytest.raises(InvariantBroken):
        load_settings(asked)
    return asked.names


def test_every_setting_is_deployed_or_left_out_for_a_reason() -> None:
    deployed = set(settings_of("full"))
    assert read_by_the_app() == (deployed - HOST_SETTINGS) | set(LEFT_OUT)
    assert deployed & set(LEFT_OUT) == set()
    assert deployed >= HOST_SETTINGS


@pytest.mark.parametrize("stage", STAGES)
def test_app_accepts_the_settings_it_would_get(stage: str) -> None:
    values = {name: str(value).strip("<>") for name, value in settings_of(stage).items()}
    # What Azure fills in: addresses are https, and secrets come out of the vault.
    values = {
        name: f"secret-{name}-" + 40 * "x" if value.startswith("@Microsoft.KeyVault") else value
        for name, value in values.items()
    }
    values["EIG_FIELD_KEY_URL"] = "https://vault.example/keys/prompts"
    settings = load_settings(values)
    assert settings.cosmos_key is None and settings.storage_connection is None
    assert (settings.azure_openai_batch_deployment is None) is (stage == "dev")


def test_reference_that_nobody_resolved_is_no_key() -> None:
    """Outside of Azure, and there while the vault is silent, the text of it stays in its place."""
    values = {name: str(value).strip("<>") for name, value in settings_of("prod").items()}
    names = {name for name, value in values.items() if value.startswith("@Microsoft.KeyVault(")}
    assert names >= {"EIG_PRIVACY_KEY", "EIG_RECEIPT_KEYS", "EIG_END_USER_SALT"}
    with pytest.raises(InvariantBroken) as refused:
        load_settings(values)
    assert all(f"{name} is a reference" in refused.value.detail for name in names)


@pytest.mark.parametrize("stage", PARAMETER_FILES)
def test_settings_that_the_template_leaves_out_survive_a_deployment(stage: str) -> None:
    extra = {
        **dict.fromkeys(LEFT_OUT, "kept"),
        "EIG_COSMOS_DATABASE": "another",  # what the template sets is the template's
    }
    given = VARIABLES | {
        "EIG_EXTRA_SETTINGS": json.dumps(extra),
        "EIG_CORS_ORIGINS": "https://app.example",
    }
    template, parameters = parameters_of(BICEP / "params" / f"{stage}.bicepparam", given)
    (found,) = evaluate(template, parameters, given).of_type("Microsoft.Web/sites/config")
    own = settings_of(stage)
    assert found.properties == own | extra | {
        "EIG_COSMOS_DATABASE": own["EIG_COSMOS_DATABASE"],
        "EIG_CORS_ORIGINS": "https://app.example",
    }


SIMULATORS = "https://simulators.example"


def settings_with(stage: str, extra: dict[str, str], **changes: bool) -> dict[str, str]:
    """What a stage's app gets if these further settings are given, and its parameters changed."""
    given = VARIABLES | {"EIG_EXTRA_SETTINGS": json.dumps(extra)}
    template, parameters = parameters_of(BICEP / "params" / f"{stage}.bicepparam", given)
    deployed = evaluate(template, parameters | changes, given)
    (found,) = deployed.of_type("Microsoft.Web/sites/config")
    return found.properties


def test_development_trusts_simulators_once_it_is_told_where_they_are() -> None:
    given = VARIABLES | {"EIG_TARGET_SIMULATORS": SIMULATORS}
    assert parameters_of(BICEP / "params" / "dev.bicepparam", VARIABLES)[1] == (
        parameters_of(BICEP / "params" / "dev.bicepparam", given)[1] | {"trustsSimulators": False}
    )
    extra = simulated_settings(SIMULATORS)
    assert "127.0.0.1" not in str(extra) and "localhost" not in str(extra)
    own = settings_of("dev")
    found = settings_with("dev", extra | {"EIG_COSMOS_DATABASE": "another"}, trustsSimulators=True)
    assert found == own | extra  # its stores and keys stay its own
    values = {
        name: 40 * "x" if str(value).startswith("@Microsoft.KeyVault") else str(value).strip("<>")
        for name, value in found.items()
    }
    settings = load_settings(values | {"EIG_FIELD_KEY_URL": "https://vault.example/keys/prompts"})
    assert settings.token_issuer.startswith(f"{SIMULATORS}/")
    assert settings.cosmos_key is None and settings.storage_connection is None


@pytest.mark.parametrize("changes", [{}, {"trustsSimulators": True}])
def test_production_trusts_no_simulator_whatever_it_is_told(changes: dict[str, bool]) -> None:
    own = settings_of("prod")
    found = settings_with("prod", simulated_settings(SIMULATORS), **changes)
    assert {name: found[name] for name in own} == own
    text = (BICEP / "params" / "prod.bicepparam").read_text("utf-8")
    assert "trustsSimulators" not in text and "SIMULATORS" not in text


def test_example_of_further_settings_switches_nothing_on_that_is_not_deployed() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (text,) = re.findall(r"^EIG_EXTRA_SETTINGS=(\{.*?\})$", page, re.MULTILINE | re.DOTALL)
    example = json.loads(text)
    assert set(example) <= set(LEFT_OUT)
    local = setting_values(Ports())
    by_default = load_settings({k: v for k, v in local.items() if k != "EIG_MODELS_OFF"})
    assert load_settings(local | example).models_off > by_default.models_off


@pytest.mark.parametrize("stage", STAGES)
def test_settings_hold_no_secret(stage: str) -> None:
    for name, value in settings_of(stage).items():
        assert isinstance(value, str), name
        if re.search(r"TOKEN$|SECRET$|_KEYS?$|SALT|EXPORT_URL", name) and "VAULT_KEY" not in name:
            # Read by the host when it starts, or by the app whenever it is refused.
            wanted = ("@Microsoft.KeyVault(SecretUri=", "<vault.properties.vaultUri>secrets/")
            assert value == "" or str(value).startswith(wanted), name


@pytest.mark.parametrize("stage", STAGES)
def test_app_runs_on_a_python_that_is_tested(stage: str) -> None:
    config = one(stage, "Microsoft.Web/sites").properties["functionAppConfig"]
    assert config["runtime"]["name"] == "python"
    assert config["runtime"]["version"] in ("3.11", "3.12")
    assert config["scaleAndConcurrency"]["triggers"]["http"]["perInstanceConcurrency"] == 16
    always = {each["name"] for each in config["scaleAndConcurrency"]["alwaysReady"]}
    assert always == (set() if stage == "dev" else {"durable", "http"})
    assert config["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"
    assert set(settings_of(stage)).isdisjoint({"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"})


@pytest.mark.parametrize("stage", STAGES)
def test_database_has_the_containers_that_the_code_names(stage: str) -> None:
    containers = estate(stage).of_type(
        "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"
    )
    found = {
        each.body["name"]: each.properties["resource"]["partitionKey"]["paths"]
        for each in containers
    }
    assert found == {each["id"]: [each["partition_key"]] for each in RESOURCES["containers"]}
    assert settings_of(stage)["EIG_COSMOS_DATABASE"] == RESOURCES["database"]
    for each in containers:
        # No money or evidence may be dropped by the store; -1: those documents that say when.
        resource = each.properties["resource"]
        passing = each.body["name"] in ("sessions", "limits")
        assert resource.get("defaultTtl") == (-1 if passing else None)


@pytest.mark.parametrize("stage", STAGES)
def test_storage_has_the_containers_that_the_code_names(stage: str) -> None:
    found = {
        each.body["name"]
        for each in estate(stage).of_type(
            "Microsoft.Storage/storageAccounts/blobServices/containers"
        )
    }
    assert found - {"app-package", "undelivered-events"} == set(RESOURCES["blob_containers"])


def test_uploads_reach_the_function_that_waits_for_them() -> None:
    (subscription,) = upload_events().of_type("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    (local,) = RESOURCES["event_subscriptions"]
    url = subscription.properties["destination"]["properties"]["endpointUrl"]
    assert f"functionName=Host.Functions.{names.UPLOAD_ARRIVED}&" in url
    assert local == {"container": "uploads", "function": names.UPLOAD_ARRIVED}
    begins = subscription.properties["filter"]["subjectBeginsWith"]
    assert begins == f"/blobServices/default/containers/{names.UPLOADS_PATH.split('/')[0]}/"


# Queries

# A name that goes on in braces is put together when the query runs.
FIELD = re.compile(r"\bc\.([a-z_]+(?:\.[a-z_]+)*)(?![a-z_]|\.[a-z_{])")
ALWAYS_INDEXED = {"id"}
BY_MODULE = {
    "cosmos_audit_feed": "audit",
    "cosmos_directory": "directory",
    "cosmos_directory_store": "directory",
    "cosmos_data_keys": "keys",
    "cosmos_first_tries": "limits",
    "cosmos_sessions": "sessions",
}
# A list is searched for a member, or for a field of one.
IN_LISTS = {
    "images": "images/[]/sha256",
    "providers": "providers/[]",
    "user.search_keys": "user/search_keys/[]",
}
NAMED_AT_RUN_TIME = {  # the filters of listings
    "ledger": {"status", "provider", "user_key", "batch_id"},
    "directory": {
        f"user.{name}" for name in ("department_id", "role_id", "status", "kind", "external_id")
    },
}


def searched_by_the_code() -> dict[str, set[str]]:
    found = {name: set(fields) for name, fields in NAMED_AT_RUN_TIME.items()}
    for path in (ROOT / "shared" / "adapters").glob("cosmos_*.py"):
        strings = re.findall(r'"[^"\n]*"', path.read_text("utf-8"))
        fields = {name for text in strings for name in FIELD.findall(text)}
        found.setdefault(BY_MODULE.get(path.stem, "ledger"), set()).update(fields - ALWAYS_INDEXED)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_index_has_every_path_that_is_searched_and_no_other(stage: str) -> None:
    wanted = searched_by_the_code()
    for each in estate(stage).of_type(
        "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"
    ):
        policy = each.properties["resource"]["indexingPolicy"]
        assert policy["excludedPaths"] == [{"path": "/*"}]
        indexed = {path["path"] for path in policy["includedPaths"]}
        fields = wanted.get(each.body["name"], set())
        assert indexed == {"/pk/?"} | {
            f"/{IN_LISTS.get(name, name.replace('.', '/'))}/?" for name in fields
        }
