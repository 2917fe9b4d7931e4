"""What the HTTP API shows of departments."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from shared.domain.departments import Department, DepartmentTree
from shared.domain.views import View


class DepartmentView(View):
    """A department, its place in the tree, and who and what belongs to it."""

    id: str
    name: str
    parent_id: str | None = Field(description="the department that it is part of")
    parts: tuple[str, ...] = Field(description="the departments that are part of it")
    status: Literal["active", "closed"]
    managers: tuple[str, ...] = Field(description="object ids of its people of a manager's role")
    projects: tuple[str, ...]
    cost_centres: tuple[str, ...]
    created_at: str
    changed_at: str
    revision: int

    @classmethod
    def of(
        cls,
        department: Department,
        tree: DepartmentTree,
        managers: Sequence[str] = (),
        projects: Sequence[str] = (),
        cost_centres: Sequence[str] = (),
    ) -> "DepartmentView":
        return cls(
            id=department.department_id,
            name=department.name,
            parent_id=tree.parents.get(department.department_id),
            parts=tuple(tree.children(department.department_id)),
            status="closed" if department.closed else "active",
            managers=tuple(managers),
            projects=tuple(projects),
            cost_centres=tuple(cost_centres),
            created_at=department.created_at,
            changed_at=department.changed_at,
            revision=department.revision,
        )


class DepartmentSummary(View):
    """A department in a listing."""

    id: str
    name: str
    parent_id: str | None
    status: Literal["active", "closed"]
    revision: int

    @classmethod
    def of(cls, department: Department, tree: DepartmentTree) -> "DepartmentSummary":
        return cls(
            id=department.department_id,
            name=department.name,
            parent_id=tree.parents.get(department.department_id),
            status="closed" if department.closed else "active",
            revision=department.revision,
        )


class DepartmentList(View):
    """The departments that the caller may see, in order of their ids."""

    items: tuple[DepartmentSummary, ...]
    continuation: str | None
