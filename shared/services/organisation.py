"""Enters departments and people into the directory; what exists already is left as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.money import MICROS_MAX
from shared.errors import Invalid
from shared.ports import Directory

GUID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ALL_DEPARTMENTS_PARTITION = "departments"
FAULTS_SHOWN_MAX = 20


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    monthly_limit_micros: int = Field(ge=0, le=MICROS_MAX)


class DepartmentEntry(_Entry):
    """A department and its monthly limit in micro-AUD."""

    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    name: str = Field(min_length=1, max_length=100)


class UserEntry(_Entry):
    """A person by identity key, the department that pays, and a monthly limit in micro-AUD."""

    object_id: str = Field(pattern=GUID_PATTERN)
    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")


class OrganisationFile(BaseModel):
    """What an organisation file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant_id: str = Field(pattern=GUID_PATTERN)
    departments: tuple[DepartmentEntry, ...] = Field(min_length=1, max_length=1_000)
    users: tuple[UserEntry, ...] = Field(max_length=100_000)


@dataclass(frozen=True)
class Organisation:
    """Seeds the directory."""

    directory: Directory

    async def seed(self, document: Mapping[str, Any]) -> int:
        """Create what is missing; returns how many entries were new; Invalid for a bad file."""
        try:
            file = OrganisationFile.model_validate(document)
        except ValidationError as fault:
            places = {"/" + "/".join(map(str, error["loc"])) for error in fault.errors()}
            named = ", ".join(sorted(places)[:FAULTS_SHOWN_MAX])
            raise Invalid(f"The organisation file is not usable at: {named}.") from fault
        known = {department.department_id for department in file.departments}
        for user in file.users:
            if user.department_id not in known:
                raise Invalid(f"The department {user.department_id} of a user is not in the file.")
        departments = [
            {
                "id": f"department:{d.department_id}",
                "pk": file.tenant_id,
                "type": "department",
                **d.model_dump(),
            }
            for d in file.departments
        ]
        index = [
            {
                "id": d.department_id,
                "pk": ALL_DEPARTMENTS_PARTITION,
                "type": "department_entry",
                "department_id": d.department_id,
                "tenant_id": file.tenant_id,
            }
            for d in file.departments
        ]
        users = [
            {
                "id": f"user:{u.object_id}",
                "pk": file.tenant_id,
                "type": "user",
                **u.model_dump(),
            }
            for u in file.users
        ]
        return await self.directory.put([*departments, *index, *users])
