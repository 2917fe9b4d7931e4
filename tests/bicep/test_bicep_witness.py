"""The witness as a deployment of its own, and the platform that knows such a witness."""

import json
from functools import cache
from typing import Any

import pytest

from functions import names
from shared.errors import InvariantBroken
from shared.settings import load_settings
from shared.witness_settings import load_witness_settings
from tests.bicep.deployments import Deployment
from tests.bicep.estates import BICEP, PLATFORM, VARIABLES, estate, witness
from tests.bicep.evaluation import evaluate, parameters_of
from tests.bicep.test_bicep_access import OWN_ROLES
from tests.bicep.test_bicep_app import HOST_SETTINGS, Asked

WITNESS = "11111111-aaaa-4bbb-8ccc-0000000000bb"
ASSIGNED = "Microsoft.Authorization/roleAssignments"
READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
LEFT_TO_LOCAL = {"EIG_STORAGE", "EIG_WITNESS_KEY_FILE", "EIG_WITNESS_IDENTITY"}


@cache
def apart() -> Deployment:
    """The platform whose witness is elsewhere."""
    template, parameters = parameters_of(BICEP / "params" / "prod.bicepparam", VARIABLES)
    switched: dict[str, Any] = {
        "witnessApart": True,
        "witnessPrincipalId": WITNESS,
        "witnessVerifier": "eig.example.org/audit-log/witness+00000000+AAAA",
        "witnessStorageUrl": "https://stwitother.blob.core.windows.net/",
    }
    return evaluate(template, parameters | switched, VARIABLES)


def settings_of(deployment: Deployment) -> dict[str, str]:
    (found,) = deployment.of_type("Microsoft.Web/sites/config")
    return found.properties


def identities_of(deployment: Deployment) -> set[str]:
    (site,) = deployment.of_type("Microsoft.Web/sites")
    return set(site.body["identity"]["userAssignedIdentities"])


def test_witness_is_told_where_the_log_is_and_nothing_of_the_platform() -> None:
    settings = settings_of(witness())
    asked = Asked({})
    with pytest.raises(InvariantBroken):
        load_witness_settings(asked)
    own = {"PYTHON_SCRIPT_FILE_NAME"}
    assert asked.names - LEFT_TO_LOCAL == set(settings) - HOST_SETTINGS - own
    assert settings["PYTHON_SCRIPT_FILE_NAME"] == "witness_app.py"
    assert (BICEP.parent / "witness_app.py").is_file()
    given = {name: str(value).strip("<>") for name, value in settings.items()}
    assert load_witness_settings(given).witness_vault_key
    assert len(identities_of(witness())) == 1


def test_witness_can_write_in_its_own_account_only_and_alone() -> None:
    reach = {
        (
            str(each.properties["principalId"]).strip("<>").split(".")[0],
            each.scope.split("/")[-1][:4],
        )
        for each in witness().of_type(ASSIGNED)
        if READER not in str(each.properties["roleDefinitionId"])
    }
    assert {where for _, where in reach} == {"stwh", "stwi", "audi"}
    assert {who for who, _ in reach} == {"identity"}
    readers = {
        str(each.properties["principalId"])
        for each in witness().of_type(ASSIGNED)
        if READER in str(each.properties["roleDefinitionId"])
    }
    assert readers == {PLATFORM}
    (signs,) = [
        each
        for each in witness().of_type("Microsoft.Authorization/roleDefinitions")
        if each.properties["roleName"].startswith("eig-signer-")
    ]
    (permission,) = signs.properties["permissions"]
    assert set(permission["dataActions"]) == OWN_ROLES["eig-signer"]
    for role in witness().of_type("Microsoft.Authorization/roleDefinitions"):
        assert "delete" not in json.dumps(role.properties).lower().replace("deletes nothing", "")


def test_witness_keeps_its_key_and_its_memory() -> None:
    (key,) = witness().of_type("Microsoft.KeyVault/vaults/keys")
    assert (key.properties["curveName"], key.properties["kty"]) == ("P-256", "EC-HSM")
    (vault,) = witness().of_type("Microsoft.KeyVault/vaults")
    assert vault.properties["enablePurgeProtection"] is True
    locked = {
        each.scope.split("/")[-1][:4] for each in witness().of_type("Microsoft.Authorization/locks")
    }
    assert locked == {"kv-w", "stwi"}
    for account in witness().of_type("Microsoft.Storage/storageAccounts"):
        assert account.properties["allowSharedKeyAccess"] is False


def test_refusal_of_the_witness_calls_somebody_on_its_own_side() -> None:
    (operators,) = witness().of_type("Microsoft.Insights/actionGroups")
    (called,) = operators.properties["emailReceivers"]
    assert called["emailAddress"] == "auditors@example.org"
    rules = {
        each.properties["displayName"]: each.properties
        for each in witness().of_type("Microsoft.Insights/scheduledQueryRules")
    }
    assert set(rules) == {"EIG: witness-refuses", "EIG: witness-stopped"}
    for rule in rules.values():
        assert rule["actions"]["actionGroups"] == [operators.id]
        assert rule["criteria"]["allOf"][0]["query"].startswith("FunctionAppLogs | ")
    (logged,) = [
        each
        for each in witness().of_type("Microsoft.Insights/diagnosticSettings")
        if "Microsoft.Web/sites" in each.scope
    ]
    assert [each["category"] for each in logged.properties["logs"]] == ["FunctionAppLogs"]
    assert {rule["scopes"][0] for rule in rules.values()} == {logged.properties["workspaceId"]}
    (query,) = rules["EIG: witness-stopped"]["criteria"]["allOf"]
    assert f'"{names.AUDIT_WITNESS}"' in query["query"]


def test_platform_with_a_witness_elsewhere_has_nothing_of_it_but_its_public_key() -> None:
    settings = settings_of(apart())
    assert settings["AzureWebJobs.AuditWitness.Disabled"] == "true"
    assert settings["EIG_WITNESS_VERIFIER"].startswith("eig.example.org/audit-log/witness+")
    assert settings["EIG_WITNESS_STORAGE_URL"] == "https://stwitother.blob.core.windows.net/"
    assert settings["EIG_WITNESS_VAULT_KEY"] == settings["EIG_WITNESS_IDENTITY"] == ""
    assert len(identities_of(apart())) == len(identities_of(estate("prod"))) - 1
    accounts = [each.name[:5] for each in apart().of_type("Microsoft.Storage/storageAccounts")]
    assert "stwit" not in accounts
    doors = {each.name for each in apart().of_type("Microsoft.Network/privateEndpoints")}
    assert not [name for name in doors if "witness" in name]
    theirs = [
        (each.scope.split("/")[-1][:4], str(each.properties["roleDefinitionId"])[-36:])
        for each in apart().of_type(ASSIGNED)
        if each.properties["principalId"] == WITNESS
    ]
    assert theirs == [("stev", READER)]


def test_platform_reads_the_settings_of_either_case() -> None:
    for deployment, elsewhere in ((estate("prod"), False), (apart(), True)):
        values = {
            name: f"secret-{name}-" + 40 * "x"
            if str(value).startswith("@Microsoft.KeyVault")
            else str(value).strip("<>")
            for name, value in settings_of(deployment).items()
        }
        values["EIG_FIELD_KEY_URL"] = "https://vault.example/keys/prompts"
        settings = load_settings(values)
        assert (settings.witness_verifier is not None) is elsewhere
        assert (settings.witness_vault_key is None) is elsewhere
        assert "AzureWebJobs.AuditWitness.Disabled" in values or not elsewhere
