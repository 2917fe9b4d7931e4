"""Who may do what, exactly; and that the code asks for nothing else."""

import json
import re
from pathlib import Path

import pytest

from tests.bicep.deployments import Resource
from tests.bicep.estates import (
    BICEP,
    PARAMETER_FILES,
    STAGES,
    VARIABLES,
    estate,
    templates,
)
from tests.bicep.evaluation import evaluate, parameters_of

ROOT = BICEP.parent
ACCOUNTS = "Microsoft.DocumentDB/databaseAccounts"
CONTAINERS = f"{ACCOUNTS}/sqlDatabases/containers"
READS = {f"{CONTAINERS}/executeQuery", f"{CONTAINERS}/readChangeFeed"}
METADATA = f"{ACCOUNTS}/readMetadata"
ITEMS = f"{CONTAINERS}/items"
ROLES = {
    "eig-audit-writer": {METADATA, f"{ITEMS}/create"},
    "eig-audit-reader": {METADATA, f"{ITEMS}/read"} | READS,
    "eig-documents": {
        METADATA,
        *(f"{ITEMS}/{each}" for each in ("create", "read", "replace", "delete")),
    }
    | READS,
}
GRANTS = {
    ("auditWriter", "eig-audit-writer", "audit"),
    ("auditReader", "eig-audit-reader", "audit"),
    ("auditors", "eig-audit-reader", "audit"),
    ("operators", "eig-documents", "ledger"),
    ("operators", "eig-documents", "directory"),
    ("operators", "eig-documents", "keys"),
    ("app", "eig-documents", "ledger"),
    ("app", "eig-documents", "directory"),
    ("app", "eig-documents", "keys"),
    ("app", "eig-documents", "sessions"),
    ("app", "eig-documents", "limits"),
}
SDK_ACTIONS = {  # what a call of the SDK needs
    "create_item": {f"{ITEMS}/create"},
    "read_item": {f"{ITEMS}/read"},
    "patch_item": {f"{ITEMS}/replace"},
    "delete_item": {f"{ITEMS}/delete"},
    "execute_item_batch": {f"{ITEMS}/create", f"{ITEMS}/replace", f"{ITEMS}/delete"},
    "query_items": READS,
    "query_items_change_feed": {f"{CONTAINERS}/readChangeFeed"},
}
PEOPLE = {  # groups that the parameters name; identities are named by who makes them
    VARIABLES["EIG_AUDITORS_GROUP_ID"]: "auditors",
    VARIABLES["EIG_OPERATORS_GROUP_ID"]: "operators",
}
WRAP_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User


def roles(stage: str) -> dict[str, Resource]:
    found = estate(stage).of_type(f"{ACCOUNTS}/sqlRoleDefinitions")
    return {each.properties["roleName"]: each for each in found}


@pytest.mark.parametrize("stage", STAGES)
def test_data_plane_roles_allow_exactly_what_their_names_say(stage: str) -> None:
    actions = {}
    for name, role in roles(stage).items():
        (permission,) = role.properties["permissions"]
        assert set(permission) == {"dataActions"}
        actions[name] = set(permission["dataActions"])
    assert actions == ROLES
    assert not [each for allowed in actions.values() for each in allowed if "*" in each]


@pytest.mark.parametrize("stage", STAGES)
def test_each_role_is_given_on_one_container(stage: str) -> None:
    named = {role.id.rpartition("/")[2]: name for name, role in roles(stage).items()}
    found = set()
    for each in estate(stage).of_type(f"{ACCOUNTS}/sqlRoleAssignments"):
        principal = str(each.properties["principalId"])
        who = PEOPLE.get(principal) or principal.strip("<>").split(".")[0]
        container = each.properties["scope"].rpartition("/colls/")[2]
        found.add((who, named[each.properties["roleDefinitionId"].rpartition("/")[2]], container))
    assert found == GRANTS


@pytest.mark.parametrize("stage", STAGES)
def test_events_are_created_by_the_writer_alone_and_changed_by_nobody(stage: str) -> None:
    """Whoever else is let in, one identity alone writes the audit log, and only creates."""
    on_audit = {(who, frozenset(ROLES[role])) for who, role, where in GRANTS if where == "audit"}
    writers = {who for who, actions in on_audit if actions - READS - {METADATA, f"{ITEMS}/read"}}
    assert writers == {"auditWriter"}
    assert ROLES["eig-audit-writer"] == {METADATA, f"{ITEMS}/create"}
    wide = [
        each.properties["scope"]
        for each in estate(stage).of_type(f"{ACCOUNTS}/sqlRoleAssignments")
        if "/colls/" not in each.properties["scope"]
    ]
    assert wide == []


@pytest.mark.parametrize("stage", STAGES)
def test_operators_wrap_data_keys_and_can_do_nothing_else_in_azure(stage: str) -> None:
    (given,) = [
        each
        for each in estate(stage).of_type("Microsoft.Authorization/roleAssignments")
        if PEOPLE.get(each.properties["principalId"]) == "operators"
    ]
    assert given.scope.endswith("/keys/prompts")
    assert given.properties["principalType"] == "Group"
    assert given.properties["roleDefinitionId"].endswith(WRAP_USER)


@pytest.mark.parametrize("stage", PARAMETER_FILES)
def test_nobody_operates_where_no_group_is_named(stage: str) -> None:
    given = VARIABLES | {"EIG_OPERATORS_GROUP_ID": ""}
    template, parameters = parameters_of(BICEP / "params" / f"{stage}.bicepparam", given)
    found = evaluate(template, parameters, given)
    kinds = ("Microsoft.Authorization/roleAssignments", f"{ACCOUNTS}/sqlRoleAssignments")
    principals = [e.properties["principalId"] for kind in kinds for e in found.of_type(kind)]
    assert all(principals)
    assert len(found.of_type(kinds[1])) == len([1 for who, _, _ in GRANTS if who != "operators"])


def test_local_cloud_enforces_the_same_roles() -> None:
    """So whatever the app asks of a container in an integration test, Azure's role allows too."""
    resources = json.loads((ROOT / "devhost" / "resources.json").read_text("utf-8"))
    local = {each["name"]: each for each in resources["cosmos_roles"]}
    for name in ("audit-writer", "audit-reader"):
        assert set(local[name]["actions"]) == ROLES[f"eig-{name}"]
        assert local[name]["containers"] == ["audit"]
    for name in ("app", "operators"):
        reached = {container for who, _, container in GRANTS if who == name}
        assert set(local[name]["containers"]) == reached
        assert {role for who, role, _ in GRANTS if who == name} == {"eig-documents"}
        assert set(local[name]["actions"]) == ROLES["eig-documents"]


def test_code_asks_for_nothing_that_the_roles_do_not_allow() -> None:
    allowed = set().union(*ROLES.values())
    asked = set()
    for path in (ROOT / "shared").rglob("*.py"):
        for call in re.findall(
            r"container\w*\)?\.(\w+_items?\w*|execute_item_batch)\(", path.read_text()
        ):
            asked.add(call)
    assert asked <= set(SDK_ACTIONS), "a call whose action nobody looked up"
    assert {"create_item", "read_item", "execute_item_batch", "query_items"} <= asked
    assert set().union(*(SDK_ACTIONS[each] for each in asked)) <= allowed


BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
LISTS = "Microsoft.Storage/storageAccounts/blobServices/containers/read"
SIGNS = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
READ, WRITE = f"{BLOBS}/read", f"{BLOBS}/write"
OWN_ROLES = {
    "eig-pictures": {
        *(LISTS, SIGNS, READ, WRITE, f"{BLOBS}/add/action", f"{BLOBS}/filter/action"),
        *(f"{BLOBS}/tags/read", f"{BLOBS}/tags/write"),
    },
    "eig-evidence": {LISTS, READ, WRITE, f"{BLOBS}/add/action"},
    "eig-signer": {
        "Microsoft.KeyVault/vaults/keys/read",
        "Microsoft.KeyVault/vaults/keys/sign/action",
    },
}
BLOB_ACTIONS = {  # what a call of the SDK needs; clients and pages are made without a call
    "get_blob_client": set[str](),
    "get_container_client": set[str](),
    "download_blob": {READ},
    "get_blob_properties": {READ},
    "list_blob_names": {READ},
    "list_blobs": {READ},
    "upload_blob": {WRITE},
    "set_standard_blob_tier": {WRITE},
    "get_blob_tags": {f"{BLOBS}/tags/read"},
    "set_blob_tags": {f"{BLOBS}/tags/write"},
    "find_blobs_by_tags": {f"{BLOBS}/filter/action"},
    "get_user_delegation_key": {SIGNS},
}
BLOB_CALL = re.compile(r"\.(\w*(?:_blob|_blobs)(?:_\w+)?|get_user_delegation_key)\(")


@pytest.mark.parametrize("stage", STAGES)
def test_own_roles_allow_exactly_what_their_names_say(stage: str) -> None:
    found = {}
    for each in estate(stage).of_type("Microsoft.Authorization/roleDefinitions"):
        (permission,) = each.properties["permissions"]
        assert each.properties["type"] == "CustomRole"  # any text, as far as Azure's SDK knows
        assert permission["notActions"] == permission["notDataActions"] == []
        name = each.properties["roleName"].rpartition("-")[0]
        found[name] = {*permission["actions"], *permission["dataActions"]}
    assert found == OWN_ROLES


@pytest.mark.parametrize(
    ("role", "modules"),
    [
        ("eig-evidence", ["blob_audit_log"]),
        ("eig-pictures", ["blob", "blob_batch_files", "blob_images", "blob_picture_storage"]),
        ("eig-pictures", ["blob_paid_pictures", "blob_tags", "blob_uploads"]),
    ],
)
def test_code_asks_storage_for_nothing_that_its_role_does_not_allow(
    role: str, modules: list[str]
) -> None:
    for module in modules:
        text = (ROOT / "shared" / "adapters" / f"{module}.py").read_text("utf-8")
        asked = set(BLOB_CALL.findall(text))
        assert asked <= set(BLOB_ACTIONS), f"a call of {module} whose action nobody looked up"
        needed = set().union(*(BLOB_ACTIONS[each] for each in asked))
        if "tags=" in text:
            needed.add(f"{BLOBS}/tags/write")
        assert needed <= OWN_ROLES[role], module


def test_every_adapter_of_blobs_is_under_a_storage_role() -> None:
    found = {path.stem for path in (ROOT / "shared" / "adapters").rglob("blob*.py")}
    assert found == {
        *("blob", "blob_audit_log", "blob_batch_files", "blob_images", "blob_picture_storage"),
        *("blob_paid_pictures", "blob_tags", "blob_uploads"),
    }


@pytest.mark.parametrize("stage", STAGES)
def test_storage_roles_of_the_app_delete_nothing(stage: str) -> None:
    for each in estate(stage).of_type("Microsoft.Authorization/roleDefinitions"):
        (permission,) = each.properties["permissions"]
        actions = permission["actions"] + permission["dataActions"]
        assert not [action for action in actions if "delete" in action or "*" in action]


def test_code_deletes_no_blob() -> None:
    calls = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "shared").rglob("*.py")
        if re.search(r"\.delete_(blob|blobs|container)\(", path.read_text())
    ]
    assert calls == []


def test_permissions_stand_in_one_file() -> None:
    kinds = ("roleAssignments@", "roleDefinitions@", "sqlRoleAssignments@", "sqlRoleDefinitions@")
    places: set[Path] = {
        path for path in templates() if any(kind in path.read_text("utf-8") for kind in kinds)
    }
    assert {path.name for path in places} == {"access.bicep", "witness_access.bicep"}


@pytest.mark.parametrize("stage", STAGES)
def test_nobody_owns_or_contributes(stage: str) -> None:
    too_much = {
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
        "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
        "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    }
    for each in estate(stage).of_type("Microsoft.Authorization/roleAssignments"):
        role = str(each.properties["roleDefinitionId"]).rpartition("/")[2]
        assert role not in too_much
        assert each.scope.count("/providers/") == 1, "on one resource, never on a group"


@pytest.mark.parametrize("stage", STAGES)
def test_witness_writes_where_nobody_else_does(stage: str) -> None:
    writers = {
        str(each.properties["principalId"])
        for each in estate(stage).of_type("Microsoft.Authorization/roleAssignments")
        if "/stwit" in each.scope and "2a2b9908" not in str(each.properties["roleDefinitionId"])
    }
    assert writers == {"<witness.properties.principalId>"}
