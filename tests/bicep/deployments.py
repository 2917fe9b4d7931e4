"""What a template would deploy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.bicep.functions import resource_path


class EvaluationError(Exception):
    """A template that would not deploy."""


@dataclass
class Resource:
    """One resource; `body` is what stands between its braces, without scope and dependsOn."""

    symbol: str
    type: str
    api_version: str
    body: dict[str, Any]
    existing: bool
    file: str
    scope: str
    parent: Resource | None = None

    @property
    def name(self) -> str:
        own = str(self.body.get("name", ""))
        return f"{self.parent.name}/{own}" if self.parent else own

    @property
    def id(self) -> str:
        return f"{self.scope}/providers/{resource_path(self.type, self.name.split('/'))}"

    @property
    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.get("properties", {})
        return found


@dataclass
class Absent:
    """A resource or module whose condition is false."""

    symbol: str


@dataclass
class Deployment:
    """What one file deploys: its own resources, its modules' in `modules`."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of_type(self, kind: str) -> list[Resource]:
        """New resources of a type, such as Microsoft.Storage/storageAccounts."""
        return [each for each in self.resources if each.type == kind and not each.existing]
