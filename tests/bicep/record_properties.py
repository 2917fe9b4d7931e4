"""Writes properties.json: what Azure's own management SDKs know of each resource type we use.

Not a test. The SDKs are large and their answers change slowly, so CI compares with the record:

    python -m venv /tmp/mgmt && /tmp/mgmt/bin/pip install azure-mgmt-storage ... (SOURCES below)
    /tmp/mgmt/bin/python -m tests.bicep.record_properties
"""

import importlib
import json
import re
import typing
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

RECORD: Final = Path(__file__).parent / "properties.json"
DEPTH_MAX: Final = 9  # below that nothing of ours is nested
SOURCES: Final = {  # resource type: package and class of azure.mgmt
    "Microsoft.Authorization/roleAssignments": "authorization.RoleAssignmentCreateParameters",
    "Microsoft.Authorization/roleDefinitions": "authorization.RoleDefinition",
    "Microsoft.CognitiveServices/accounts": "cognitiveservices.Account",
    "Microsoft.CognitiveServices/accounts/deployments": "cognitiveservices.Deployment",
    "Microsoft.Communication/communicationServices": "communication.CommunicationServiceResource",
    "Microsoft.Communication/emailServices": "communication.EmailServiceResource",
    "Microsoft.Communication/emailServices/domains": "communication.DomainResource",
    "Microsoft.Consumption/budgets": "consumption.Budget",
    "Microsoft.Cdn/profiles": "cdn.Profile",
    "Microsoft.Cdn/profiles/afdEndpoints": "cdn.AFDEndpoint",
    "Microsoft.Cdn/profiles/afdEndpoints/routes": "cdn.Route",
    "Microsoft.Cdn/profiles/originGroups": "cdn.AFDOriginGroup",
    "Microsoft.Cdn/profiles/originGroups/origins": "cdn.AFDOrigin",
    "Microsoft.Cdn/profiles/securityPolicies": "cdn.SecurityPolicy",
    "Microsoft.DocumentDB/databaseAccounts": "cosmosdb.DatabaseAccountCreateUpdateParameters",
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases": (
        "cosmosdb.SqlDatabaseCreateUpdateParameters"
    ),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers": (
        "cosmosdb.SqlContainerCreateUpdateParameters"
    ),
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments": (
        "cosmosdb.SqlRoleAssignmentCreateUpdateParameters"
    ),
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions": (
        "cosmosdb.SqlRoleDefinitionCreateUpdateParameters"
    ),
    "Microsoft.EventGrid/systemTopics": "eventgrid.SystemTopic",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": "eventgrid.EventSubscription",
    "Microsoft.Insights/actionGroups": "monitor.ActionGroupResource",
    "Microsoft.Insights/activityLogAlerts": "monitor.ActivityLogAlertResource",
    "Microsoft.Insights/components": "applicationinsights.ApplicationInsightsComponent",
    "Microsoft.Insights/metricAlerts": "monitor.MetricAlertResource",
    "Microsoft.Insights/scheduledQueryRules": "monitor.ScheduledQueryRuleResource",
    "Microsoft.Insights/workbooks": "applicationinsights.Workbook",
    "Microsoft.KeyVault/vaults": "keyvault.VaultCreateOrUpdateParameters",
    "Microsoft.KeyVault/vaults/keys": "keyvault.KeyCreateParameters",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "msi.Identity",
    "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies": (
        "frontdoor.WebApplicationFirewallPolicy"
    ),
    "Microsoft.Network/ddosProtectionPlans": "network.DdosProtectionPlan",
    "Microsoft.Network/networkSecurityGroups": "network.NetworkSecurityGroup",
    "Microsoft.Network/privateDnsZones": "privatedns.PrivateZone",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "privatedns.VirtualNetworkLink",
    "Microsoft.Network/privateEndpoints": "network.PrivateEndpoint",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "network.PrivateDnsZoneGroup",
    "Microsoft.Network/virtualNetworks": "network.VirtualNetwork",
    "Microsoft.OperationalInsights/workspaces": "loganalytics.Workspace",
    "Microsoft.Security/pricings": "security.Pricing",
    "Microsoft.SecurityInsights/alertRules": "securityinsight.ScheduledAlertRule",
    "Microsoft.SecurityInsights/onboardingStates": "securityinsight.SentinelOnboardingState",
    "Microsoft.Storage/storageAccounts": "storage.StorageAccountCreateParameters",
    "Microsoft.Storage/storageAccounts/blobServices": "storage.BlobServiceProperties",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "storage.BlobContainer",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies": (
        "storage.ImmutabilityPolicy"
    ),
    "Microsoft.Storage/storageAccounts/managementPolicies": "storage.ManagementPolicy",
    "Microsoft.Web/serverfarms": "web.AppServicePlan",
    "Microsoft.Web/sites": "web.Site",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        "web.CsmPublishingCredentialsPoliciesEntity"
    ),
    "Microsoft.Web/sites/config": "web.StringDictionary",  # the app settings
}


def main() -> None:
    """Record every type."""
    types, packages = {}, {}
    for kind, source in SOURCES.items():
        package, _, name = source.partition(".")
        models = importlib.import_module(f"azure.mgmt.{package}.models")
        types[kind] = _describe(getattr(models, name), models, 0)
        packages[f"azure-mgmt-{package}"] = version(f"azure-mgmt-{package}")
    record = {"packages": packages, "types": types}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")


def _describe(model: Any, models: Any, depth: int) -> Any:
    """A model as names and what they hold: null is anything, a list an enumeration."""
    if depth > DEPTH_MAX:
        return None
    variants = list((getattr(model, "__mapping__", None) or {}).values())
    for names in (getattr(model, "_subtype_map", None) or {}).values():
        variants += [getattr(models, name) for name in names.values()]
    fields: dict[str, Any] = {}
    for each in [model, *variants]:
        found = _old_fields(each, models, depth) or _new_fields(each, models, depth)
        _merge(fields, found)
    return fields or None


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        known = into.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif known is None:
            into[name] = value


def _new_fields(model: Any, models: Any, depth: int) -> dict[str, Any]:
    hints = typing.get_type_hints(model, vars(models) | {"_models": models})
    return {
        field._rest_name_input or name: _of_hint(hints.get(name), models, depth)
        for kind in reversed(model.__mro__)
        for name, field in vars(kind).items()
        if type(field).__name__ == "_RestField" and field._visibility != ["read"]
    }


def _of_hint(hint: Any, models: Any, depth: int) -> Any:
    arguments = [each for each in typing.get_args(hint) if each is not type(None)]
    origin = typing.get_origin(hint)
    if origin is list:
        return {"[]": _of_hint(arguments[0], models, depth)}
    if origin is dict:
        return None
    for each in arguments:
        if isinstance(each, type) and issubclass(each, Enum):
            return [str(member.value) for member in each]
    if len(arguments) == 1:
        return _of_hint(arguments[0], models, depth)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(member.value) for member in hint]
    if isinstance(hint, type) and hint.__module__.startswith("azure.mgmt"):
        return _describe(hint, models, depth + 1)
    return None


def _old_fields(model: Any, models: Any, depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for attribute in (getattr(model, "_attribute_map", None) or {}).values():
        path = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", attribute["key"])]
        place = fields
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = _of_text(attribute["type"], models, depth)
    return fields


def _of_text(text: str, models: Any, depth: int) -> Any:
    if text.startswith("["):
        return {"[]": _of_text(text[1:-1], models, depth)}
    named = getattr(models, text, None)
    return _describe(named, models, depth + 1) if isinstance(named, type) else None


if __name__ == "__main__":
    main()
