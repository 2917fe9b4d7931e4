"""What must hold of every environment, whatever else changes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.http_openapi import openapi_document
from functions.http_routes import ROUTES, path_of
from shared.adapters.lifecycle_file import LIFECYCLE_PATH, load_lifecycle
from shared.domain.generations import PROMPT_CHARS_MAX
from shared.domain.storage_tiers import parse_policy
from tests.bicep.deployments import Resource
from tests.bicep.estates import BICEP, STAGES, estate, upload_events
from tests.bicep.test_bicep_access import GRANTS

STORAGE = "Microsoft.Storage/storageAccounts"
ZONE_REDUNDANT = {"Standard_ZRS", "Standard_GZRS", "Standard_RAGZRS"}
AUSTRALIA = {"australiaeast", "australiasoutheast"}
PRIVATE = ("prod", "full", "moved")  # the stages behind private endpoints


def one(stage: str, kind: str) -> Resource:
    (found,) = estate(stage).of_type(kind)
    return found


def account(stage: str, start: str) -> Resource:
    (found,) = [each for each in estate(stage).of_type(STORAGE) if each.name.startswith(start)]
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_storage_knows_no_anonymous_caller_and_no_shared_key(stage: str) -> None:
    accounts = estate(stage).of_type(STORAGE)
    assert len(accounts) == 4
    for each in accounts:
        assert each.properties["allowBlobPublicAccess"] is False
        assert each.properties["allowSharedKeyAccess"] is False
        assert each.properties["allowCrossTenantReplication"] is False
    for container in estate(stage).of_type(f"{STORAGE}/blobServices/containers"):
        assert container.properties["publicAccess"] == "None"


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_speaks_an_old_tls(stage: str) -> None:
    for each in estate(stage).of_type(STORAGE):
        assert each.properties["minimumTlsVersion"] == "TLS1_2"
        assert each.properties["supportsHttpsTrafficOnly"] is True
    assert one(stage, "Microsoft.DocumentDB/databaseAccounts").properties["minimalTlsVersion"] == (
        "Tls12"
    )
    site = one(stage, "Microsoft.Web/sites").properties
    assert site["httpsOnly"] is True
    assert site["siteConfig"]["minTlsVersion"] == site["siteConfig"]["scmMinTlsVersion"] == "1.2"
    (subscription,) = upload_events().of_type("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    endpoint = subscription.properties["destination"]["properties"]
    assert endpoint["minimumTlsVersionAllowed"] == "1.2"


@pytest.mark.parametrize("stage", STAGES)
def test_no_service_accepts_a_key(stage: str) -> None:
    cosmos = one(stage, "Microsoft.DocumentDB/databaseAccounts").properties
    assert cosmos["disableLocalAuth"] is True
    assert cosmos["disableKeyBasedMetadataWriteAccess"] is True
    for each in estate(stage).of_type("Microsoft.CognitiveServices/accounts"):
        assert each.properties["disableLocalAuth"] is True
    assert one(stage, "Microsoft.Insights/components").properties["DisableLocalAuth"] is True
    workspace = one(stage, "Microsoft.OperationalInsights/workspaces").properties
    assert workspace["features"]["disableLocalAuth"] is True
    for each in estate(stage).of_type("Microsoft.Web/sites/basicPublishingCredentialsPolicies"):
        assert each.properties == {"allow": False}


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_deleted_can_be_brought_back(stage: str) -> None:
    for each in estate(stage).of_type(f"{STORAGE}/blobServices"):
        assert each.properties["deleteRetentionPolicy"]["enabled"] is True
        assert each.properties["deleteRetentionPolicy"]["days"] >= 7
        assert each.properties["containerDeleteRetentionPolicy"]["enabled"] is True
    vault = one(stage, "Microsoft.KeyVault/vaults").properties
    assert vault["enableRbacAuthorization"] and vault["enablePurgeProtection"]
    assert vault["softDeleteRetentionInDays"] == 90
    backup = one(stage, "Microsoft.DocumentDB/databaseAccounts").properties["backupPolicy"]
    assert backup["type"] == "Continuous"


def aging(stage: str, start: str) -> dict[str, Any]:
    """The lifecycle policy of an account."""
    (found,) = [
        each.properties["policy"]
        for each in estate(stage).of_type(f"{STORAGE}/managementPolicies")
        if each.parent is account(stage, start)
    ]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_events_that_nobody_took_are_deleted_and_nothing_else_of_the_host(stage: str) -> None:
    (rule,) = parse_policy(aging(stage, "sthost")).rules
    letters = estate(stage).outputs["EIG_DEAD_LETTERS"]
    assert (rule.enabled, rule.prefixes) == (True, (f"{letters}/",))
    assert [(each.target, each.ages) for each in rule.actions] == [("deleted", {"creation": 30})]


@pytest.mark.parametrize("stage", STAGES)
def test_pictures_age_by_the_shared_rules_and_can_reach_the_archive(stage: str) -> None:
    deployed = aging(stage, "stimg")
    assert [each["name"] for each in deployed["rules"]] == [
        each["name"] for each in json.loads(LIFECYCLE_PATH.read_text("utf-8"))["rules"]
    ]
    # What Azure does and what the app tells people are one decision.
    told = one(stage, "Microsoft.Web/sites/config").properties["EIG_STORAGE_TRACKS_ACCESS"]
    assert told == ("true" if stage == "full" else "false")
    assert parse_policy(deployed) == load_lifecycle(tracks_access=told == "true")
    assert "tierToArchive" in json.dumps(deployed)
    assert account(stage, "stimg").body["sku"]["name"] not in ZONE_REDUNDANT
    (blobs,) = [
        each
        for each in estate(stage).of_type(f"{STORAGE}/blobServices")
        if each.parent is account(stage, "stimg")
    ]
    assert blobs.properties["isVersioningEnabled"] is True
    assert blobs.properties["lastAccessTimeTrackingPolicy"]["enable"] is True


@pytest.mark.parametrize("stage", STAGES)
def test_log_files_and_checkpoints_are_written_once_in_an_account_of_their_own(stage: str) -> None:
    policies = estate(stage).of_type(f"{STORAGE}/blobServices/containers/immutabilityPolicies")
    assert {each.name.split("/")[2] for each in policies} == {"auditlog", "auditcheckpoints"}
    for each in policies:
        assert each.name.startswith("stev")
        assert each.properties["allowProtectedAppendWrites"] is False
        days = each.properties["immutabilityPeriodSinceCreationInDays"]
        assert days >= (2557 if stage in PRIVATE else 1)


@pytest.mark.parametrize("stage", STAGES)
def test_ledger_has_one_writing_region(stage: str) -> None:
    cosmos = one(stage, "Microsoft.DocumentDB/databaseAccounts").properties
    assert cosmos["enableMultipleWriteLocations"] is False
    assert {each["locationName"] for each in cosmos["locations"]} <= AUSTRALIA
    assert [each["failoverPriority"] for each in cosmos["locations"]] == list(
        range(len(cosmos["locations"]))
    )
    strong = cosmos["consistencyPolicy"]["defaultConsistencyLevel"] == "Strong"
    assert cosmos["enableAutomaticFailover"] is (strong and len(cosmos["locations"]) == 2)


@pytest.mark.parametrize("stage", PRIVATE)
def test_only_the_app_reaches_what_only_the_app_needs(stage: str) -> None:
    closed: list[dict[str, Any]] = [
        account(stage, start).properties for start in ("sthost", "stev", "stwit")
    ]
    closed += [each.properties for each in estate(stage).of_type("Microsoft.KeyVault/vaults")]
    closed += [
        each.properties for each in estate(stage).of_type("Microsoft.CognitiveServices/accounts")
    ]
    for properties in closed:
        assert properties["publicNetworkAccess"] == "Disabled"
        assert properties["networkAcls"]["defaultAction"] == "Deny"
    cosmos = one(stage, "Microsoft.DocumentDB/databaseAccounts").properties
    assert (cosmos["publicNetworkAccess"], cosmos["networkAclBypass"]) == ("Disabled", "None")
    images = account(stage, "stimg").properties["networkAcls"]
    assert (images["defaultAction"], len(images["ipRules"])) == ("Deny", 1)
    doors = {
        each.name.rpartition("-")[0]
        for each in estate(stage).of_type("Microsoft.Network/privateEndpoints")
    }
    services = {
        "cosmos",
        "vault",
        "openai",
        "language",
        "content-safety",
        "evidence-blob",
        "witness-blob",
    }
    storage = {"host-blob", "host-queue", "host-table", "images-blob", "images-queue"}
    assert doors == {f"pe-{name}" for name in services | storage}


@pytest.mark.parametrize("stage", PRIVATE)
def test_app_answers_front_door_and_event_grid_only(stage: str) -> None:
    config = one(stage, "Microsoft.Web/sites").properties["siteConfig"]
    assert config["ipSecurityRestrictionsDefaultAction"] == "Deny"
    allowed = {each["ipAddress"]: each for each in config["ipSecurityRestrictions"]}
    assert set(allowed) == {"AzureFrontDoor.Backend", "AzureEventGrid"}
    assert allowed["AzureFrontDoor.Backend"]["headers"]["x-azure-fdid"]
    firewall = one(stage, "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies").properties
    assert firewall["policySettings"]["mode"] == "Prevention"
    (rate,) = firewall["customRules"]["rules"]
    assert rate["action"] == "Block"


@pytest.mark.parametrize("stage", STAGES)
def test_everything_lies_in_australia_but_the_image_models(stage: str) -> None:
    abroad = {
        each.type
        for each in estate(stage).resources
        if each.body.get("location") not in (None, "global", *AUSTRALIA)
    }
    assert abroad == {"Microsoft.CognitiveServices/accounts"}
    (mail,) = estate(stage).of_type("Microsoft.Communication/communicationServices")
    assert mail.properties["dataLocation"] == "Australia"


@pytest.mark.parametrize("stage", PRIVATE)
def test_azure_refuses_other_places_and_keys(stage: str) -> None:
    assigned = {
        each.name: each.properties
        for each in estate(stage).of_type("Microsoft.Authorization/policyAssignments")
    }
    assert set(assigned) == {"places", "no-shared-keys", "no-cosmos-keys", "no-purge"}
    allowed = assigned["places"]["parameters"]["allowedLocations"]["value"]
    assert set(allowed) == AUSTRALIA
    rule = one(stage, "Microsoft.Authorization/policyDefinitions").properties["policyRule"]
    assert rule["then"] == {"effect": "deny"}


@pytest.mark.parametrize("stage", PRIVATE)
def test_what_holds_evidence_cannot_be_deleted_by_mistake(stage: str) -> None:
    locked = {each.scope.split("/")[-1][:4] for each in estate(stage).of_type(LOCKS)}
    assert locked == {"stim", "stev", "stwi", "cosm", "kv-e"}


LOCKS = "Microsoft.Authorization/locks"


@pytest.mark.parametrize("stage", STAGES)
def test_names_are_within_azures_limits(stage: str) -> None:
    limits = {STORAGE: 24, "Microsoft.KeyVault/vaults": 24, "Microsoft.Web/sites": 60}
    for kind, longest in limits.items():
        for each in estate(stage).of_type(kind):
            assert 3 <= len(each.name) <= longest
    for each in estate(stage).of_type(STORAGE):
        assert each.name.isalnum() and each.name.islower()


@pytest.mark.parametrize("stage", STAGES)
def test_keys_rotate_or_remind(stage: str) -> None:
    keys = {each.body["name"]: each.properties for each in estate(stage).of_type(KEYS)}
    assert set(keys) == {"audit-checkpoints", "audit-witness", "prompts"}
    actions = {
        name: {each["action"]["type"] for each in key["rotationPolicy"]["lifetimeActions"]}
        for name, key in keys.items()
    }
    assert actions["prompts"] == {"rotate", "notify"}
    assert actions["audit-checkpoints"] == actions["audit-witness"] == {"notify"}
    hardware = {key["kty"].endswith("-HSM") for key in keys.values()}
    assert hardware == {stage in PRIVATE}
    assert keys["prompts"]["keySize"] == 3072
    assert {keys[name]["curveName"] for name in keys if name != "prompts"} == {"P-256"}


KEYS = "Microsoft.KeyVault/vaults/keys"


@pytest.mark.parametrize("stage", STAGES)
def test_azures_budget_is_the_month_and_its_quarters(stage: str) -> None:
    budget = one(stage, "Microsoft.Consumption/budgets").properties
    assert budget["timeGrain"] == "Monthly"
    notices = budget["notifications"].values()
    actual = {each["threshold"] for each in notices if each["thresholdType"] == "Actual"}
    assert actual == {25, 50, 75, 100}
    assert all(each["contactGroups"] for each in notices)
    if stage == "prod":
        assert budget["amount"] == 3100  # AUD, for USD 2,000


def test_a_day_and_a_week_have_limits_of_their_own() -> None:
    alerts = {
        each.properties["displayName"]: each.properties["criteria"]["allOf"][0]["threshold"]
        for each in estate("prod").of_type("Microsoft.Insights/scheduledQueryRules")
    }
    assert alerts["EIG: a-day-costs-too-much"] == 155  # AUD, for USD 100
    rules = estate("prod").of_type("Microsoft.SecurityInsights/alertRules")
    (week,) = [
        each.properties["query"] for each in rules if "seven days" in each.properties["displayName"]
    ]
    assert week.endswith("| where Aud > 775")  # for USD 500


MATCHES: dict[str, Callable[[str, str], bool]] = {
    "Equals": lambda name, selector: name == selector,
    "EndsWith": lambda name, selector: name.endswith(selector),
}


def prompts() -> set[str]:
    """The names of the fields in our bodies that may be as long as a prompt."""
    schemas = openapi_document()["components"]["schemas"]
    return {
        name
        for schema in schemas.values()
        for name, field in schema.get("properties", {}).items()
        if f'"maxLength": {PROMPT_CHARS_MAX}' in json.dumps(field)
    }


def test_firewall_lets_prompts_pass_and_nothing_else() -> None:
    firewall = one("prod", "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies").properties
    exclusions = [
        each
        for rules in firewall["managedRules"]["managedRuleSets"]
        for each in rules["exclusions"]
    ]
    assert {each["matchVariable"] for each in exclusions} == {"RequestBodyJsonArgNames"}

    def is_let_pass(name: str) -> bool:
        return any(
            MATCHES[each["selectorMatchOperator"]](name, each["selector"]) for each in exclusions
        )

    assert prompts() == {"prompt", "negative_prompt", "text"}
    of_rows = {f"items{at}.{name}" for at in ("", ".0", "[0]") for name in prompts() - {"text"}}
    assert all(is_let_pass(name) for name in prompts() | of_rows)
    assert not any(is_let_pass(name) for name in ("model", "reason", "url", "description", "user"))


def test_front_door_passes_on_and_counts_every_route_of_the_app() -> None:
    roots = {f"/{path_of(route.name).partition('/')[0]}/" for route in ROUTES}
    (route,) = estate("prod").of_type("Microsoft.Cdn/profiles/afdEndpoints/routes")
    assert {each.removesuffix("*") for each in route.properties["patternsToMatch"]} == roots
    firewall = one("prod", "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies").properties
    (counted,) = firewall["customRules"]["rules"][0]["matchConditions"]
    assert set(counted["matchValue"]) == roots


MOVES = {  # what is made anew where the app goes
    "Microsoft.Insights/components",
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Insights/workbooks",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Storage/storageAccounts",  # the host's
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
}


def test_region_can_be_left_without_moving_data_or_keys() -> None:
    placed = {
        stage: {each.id: each for each in estate(stage).resources if not each.existing}
        for stage in ("prod", "moved")
    }
    stayed = set(placed["prod"]) & set(placed["moved"])
    for each in stayed:
        before, after = placed["prod"][each], placed["moved"][each]
        assert before.body.get("location") == after.body.get("location"), each
    went = {
        placed["moved"][each].type
        for each in set(placed["moved"]) - stayed
        if placed["moved"][each].body.get("location") == "australiasoutheast"
    }
    assert went == MOVES
    kept = {placed["prod"][each].type for each in stayed}
    assert {"Microsoft.KeyVault/vaults", "Microsoft.Cdn/profiles/afdEndpoints"} <= kept


def test_restored_ledger_gets_its_roles_and_walls_before_the_app_opens_it() -> None:
    account = one("moved", "Microsoft.DocumentDB/databaseAccounts")
    assert account.name == "cosmos-restored"
    grants = estate("moved").of_type("Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments")
    assert len(grants) == len(GRANTS)
    assert all(each.name.startswith("cosmos-restored/") for each in grants)
    order = [each.type for each in estate("moved").resources]
    app = order.index("Microsoft.Web/sites")
    last = len(order) - 1 - order[::-1].index(grants[0].type)
    assert last < app
    template = (BICEP / "main.bicep").read_text("utf-8")
    assert "  dependsOn: [\n    access\n    privateEndpoints\n  ]\n" in template
