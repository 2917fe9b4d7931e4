"""Property names and their fixed values, against what Azure's management SDKs know."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bicep.deployments import Resource
from tests.bicep.estates import BICEP, STAGES, estate, upload_events, witness
from tests.bicep.functions import Later
from tests.bicep.record_properties import RECORD, SOURCES
from tests.bicep.reviewed_properties import REVIEWED

RECORDED: dict[str, Any] = json.loads(RECORD.read_text("utf-8"))
TYPES: dict[str, Any] = RECORDED["types"] | REVIEWED
COSMOS = "Microsoft.DocumentDB/databaseAccounts"
SECTIONS = ("properties", "sku", "identity")


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


def test_every_type_is_recorded_or_reviewed() -> None:
    assert set(SOURCES) == set(RECORDED["types"])
    assert set(SOURCES) & set(REVIEWED) == set()
    assert {each.type for each in resources()} == set(TYPES)


def test_runbook_counts_what_is_recorded() -> None:
    page = (BICEP.parent / "docs" / "operations.md").read_text("utf-8")
    assert f"recorded from {len(RECORDED['packages'])} pinned packages" in page
    assert f"{len(REVIEWED)} small types are written by hand" in page


@pytest.mark.parametrize("kind", sorted(TYPES))
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
        (COSMOS, {"locations": "australiaeast"}, None),
        ("Microsoft.KeyVault/vaults", {"networkAcls": {"bypas": "None"}}, "unknown"),
        (f"{COSMOS}/sqlRoleDefinitions", {"type": "Custom"}, "none of"),
        (f"{COSMOS}/sqlRoleDefinitions", {"permissions": [{"actions": []}]}, "unknown"),
        (f"{COSMOS}/sqlRoleAssignments", {"roleDefinition": "x"}, "unknown"),
        ("Microsoft.Authorization/roleDefinitions", {"assignableScope": []}, "unknown"),
        ("Microsoft.Authorization/roleAssignments", {"principal": "x"}, "unknown"),
        ("Microsoft.Insights/components", {"disableLocalAuth": True}, "unknown"),
        ("Microsoft.Insights/diagnosticSettings", {"workspaceID": "x"}, "unknown"),
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
