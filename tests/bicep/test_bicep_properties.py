"""Property names and their fixed values, against what Azure's management SDKs know."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bicep.deployments import Resource
from tests.bicep.estates import STAGES, estate, upload_events, witness
from tests.bicep.functions import Later
from tests.bicep.record_properties import RECORD, SOURCES

TYPES: dict[str, Any] = json.loads(RECORD.read_text("utf-8"))["types"]
SECTIONS = ("properties", "sku", "identity")
# Types that no pinned SDK describes well: few properties, each looked up by hand.
NOT_RECORDED = {
    "Microsoft.Authorization/locks",
    "Microsoft.Authorization/policyAssignments",
    "Microsoft.Authorization/policyDefinitions",
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions",
    "Microsoft.Insights/components",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.Insights/workbooks",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.SecurityInsights/onboardingStates",
    "Microsoft.Web/sites/config",
}


def resources() -> list[Resource]:
    found = [each for stage in STAGES for each in estate(stage).resources]
    found += [*upload_events().resources, *witness().resources]
    return [each for each in found if not each.existing]


def faults(value: Any, known: Any, path: str) -> Iterator[str]:
    if known is None or value is None or isinstance(value, Later):
        return
    if isinstance(known, list):
        if str(value) not in known:
            yield f"{path}: {value} is none of {known}"
    elif isinstance(value, list):
        if "[]" not in known:
            yield f"{path} is no list"
            return
        for each in value:
            yield from faults(each, known["[]"], f"{path}[]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in known:
                yield f"{path}.{name} is unknown"
            else:
                yield from faults(inner, known[name], f"{path}.{name}")


def faults_of(resource: Resource) -> list[str]:
    known = TYPES[resource.type]
    return [
        fault
        for section in SECTIONS
        if section in resource.body
        for fault in faults(resource.body[section], known.get(section), section)
    ]


def test_every_type_is_recorded_or_listed_as_not() -> None:
    used = {each.type for each in resources()}
    assert used - set(SOURCES) == NOT_RECORDED
    assert set(SOURCES) == set(TYPES)
    assert set(SOURCES) - used == set()


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_properties_are_known_to_azure(kind: str) -> None:
    found = {
        f"{each.file} {each.symbol}: {fault}"
        for each in resources()
        if each.type == kind
        for fault in faults_of(each)
    }
    assert found == set()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("Microsoft.Storage/storageAccounts", {"allowBlobPublicAcess": False}, "unknown"),
        ("Microsoft.Storage/storageAccounts", {"minimumTlsVersion": "1.2"}, "none of"),
        ("Microsoft.DocumentDB/databaseAccounts", {"locations": "australiaeast"}, None),
        ("Microsoft.KeyVault/vaults", {"networkAcls": {"bypas": "None"}}, "unknown"),
    ],
)
def test_misspelling_is_found(stage: str, kind: str, change: dict[str, Any], told: str) -> None:
    first = estate(stage).of_type(kind)[0]
    body = first.body | {"properties": first.properties | change}
    changed = Resource(first.symbol, kind, "", body, False, first.file, first.scope)
    if told:
        assert any(told in fault for fault in faults_of(changed))
    else:
        assert faults_of(first) == []
