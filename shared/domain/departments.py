"""Departments: their names, and the tree they form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.directory import ALL_TENANTS
from shared.domain.document_versions import current_version
from shared.domain.ledger import Document
from shared.errors import Conflict

TREE_ID: Final = "department_tree"
DEPARTMENTS_MAX: Final = 1_000  # of a tenant: the tree is one document, and timers visit each
DEPTH_MAX: Final = 10  # levels of the tree; reports and people lose their way before that


@dataclass(frozen=True)
class Department:
    """A department as stored; its parent stands in the tree."""

    tenant_id: str
    department_id: str
    name: str
    closed: bool = False
    arrivals: int | None = None  # people who ever joined; None: nobody since there is a count
    created_at: str = ""
    changed_at: str = ""
    revision: int = 1
    change_id: str = ""

    @property
    def document_id(self) -> str:
        return department_document_id(self.department_id)


@dataclass(frozen=True)
class DepartmentTree:
    """Who is part of whom, for a whole tenant: one document, so that no two changes make a ring."""

    parents: Mapping[str, str]  # child -> parent; a department at the top is not in it
    revision: int = 0  # 0: the document does not exist yet

    def ancestors(self, department_id: str) -> list[str]:
        """From the parent upwards."""
        found: list[str] = []
        parent = self.parents.get(department_id)
        while parent is not None and len(found) <= DEPTH_MAX:
            found.append(parent)
            parent = self.parents.get(parent)
        return found

    def children(self, department_id: str) -> list[str]:
        return sorted(child for child, parent in self.parents.items() if parent == department_id)

    def moved(self, department_id: str, parent_id: str | None) -> "DepartmentTree":
        """The tree after a move; Conflict if that made a ring or too deep a tree."""
        others = {c: p for c, p in self.parents.items() if c != department_id}
        if parent_id is None:
            return DepartmentTree(others, self.revision + 1)
        if parent_id == department_id or department_id in self.ancestors(parent_id):
            raise Conflict(
                "A department cannot be part of itself, nor of one of its own parts.",
                code="department_ring",
            )
        after = DepartmentTree(others | {department_id: parent_id}, self.revision + 1)
        deepest = max(len(after.ancestors(each)) for each in after.parents)
        if deepest >= DEPTH_MAX:
            raise Conflict(
                f"A tree of departments has at most {DEPTH_MAX} levels.", code="department_depth"
            )
        return after


def department_document_id(department_id: str) -> str:
    return f"department:{department_id}"


def department_document(department: Department) -> Document:
    """What stands around the state of a department when it is created."""
    return {
        "id": department.document_id,
        "pk": department.tenant_id,
        "type": "department",
        "schema_version": current_version("department"),
        "department_id": department.department_id,
        "arrivals": 0,
    }


def department_state(department: Department) -> Document:
    return {
        "name": department.name,
        "created_at": department.created_at,
        "changed_at": department.changed_at,
        "change_id": department.change_id,
    }


def read_department(document: Mapping[str, Any]) -> Department:
    state = document["department"]
    return Department(
        tenant_id=document["pk"],
        department_id=document["department_id"],
        name=state["name"],
        closed=bool(document.get("closed")),
        arrivals=document.get("arrivals"),
        created_at=state["created_at"],
        changed_at=state["changed_at"],
        revision=int(document["revision"]),
        change_id=state["change_id"],
    )


def index_document(tenant_id: str, department_id: str) -> Document:
    """The entry by which timers find a department, and by which its id is taken for all tenants."""
    return {
        "id": department_id,
        "pk": ALL_TENANTS,
        "type": "department_entry",
        "schema_version": current_version("department_entry"),
        "department_id": department_id,
        "tenant_id": tenant_id,
    }


def tree_document(tenant_id: str) -> Document:
    return {
        "id": TREE_ID,
        "pk": tenant_id,
        "type": "department_tree",
        "schema_version": current_version("department_tree"),
    }


def read_tree(document: Mapping[str, Any] | None) -> DepartmentTree:
    if document is None:
        return DepartmentTree({})
    return DepartmentTree(dict(document["parents"]), int(document["revision"]))
