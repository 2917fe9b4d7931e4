"""People, departments, roles and provisioning: what each route takes and answers."""

from collections.abc import Mapping
from typing import Final

from functions import names
from functions.http_bootstrap_models import BootstrapRequest, BootstrapView
from functions.http_departments_models import DepartmentChange, DepartmentRequest, DepartmentsQuery
from functions.http_operation import Operation
from functions.http_roles_models import RoleRequest
from functions.http_scim_errors import SCIM_JSON
from functions.http_users_models import (
    ChangesQuery,
    ImportQuery,
    ModelRulesRequest,
    StatusRequest,
    UserChange,
    UserRequest,
    UsersQuery,
)
from shared.domain.department_views import DepartmentList, DepartmentView
from shared.domain.role_views import OrganisationRulesView, RoleList, RoleView
from shared.domain.scim_views import ScimError
from shared.domain.user_views import ChangeList, ImportView, UserList, UserView


def _scim(summary: str, *errors: int, status: int = 200, others: tuple[int, ...] = ()) -> Operation:
    """An operation whose bodies are the protocol's, in its media type and with its refusals."""
    return Operation(
        summary, None, status=status, errors=(401, *errors), other_statuses=others,
        media_type=SCIM_JSON, error=ScimError,
    )  # fmt: skip


_OBJECT_ID: Final = "a0000000-0000-4000-8000-000000000009"
PEOPLE_OPERATIONS: Final[Mapping[str, Operation]] = {
    names.LIST_USERS: Operation("List people", UserList, query=UsersQuery, errors=(404, 422)),
    names.CREATE_USER: Operation(
        "Invite a person or enter a pipeline", UserView, status=201, body=UserRequest,
        example={"id": _OBJECT_ID, "department": "marketing", "role": "PowerUser"},
        errors=(404, 409, 413, 415, 422),
    ),
    names.IMPORT_USERS: Operation(
        "Import people from CSV", ImportView, query=ImportQuery, errors=(413, 415, 422),
        other_bodies=("text/csv",),
    ),
    names.GET_USER: Operation("Show a person", UserView, errors=(404,)),
    names.PUT_USER: Operation(
        "Change a person", UserView, body=UserChange,
        example={"department": "design", "role": "StandardUser"},
        errors=(404, 409, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.PUT_USER_STATUS: Operation(
        "Disable or enable a person", UserView, body=StatusRequest,
        example={"status": "disabled", "reason": "On leave"}, errors=(404, 409, 412, 413, 415, 422),
        conditional=True,
    ),
    names.DELETE_USER: Operation(
        "Delete a person", None, status=204, errors=(404, 409, 412, 422), conditional=True
    ),
    names.GET_USER_HISTORY: Operation(
        "Show the changes of a person", ChangeList, query=ChangesQuery, errors=(404, 422)
    ),
    names.LIST_DEPARTMENTS: Operation(
        "List departments", DepartmentList, query=DepartmentsQuery, errors=(422,)
    ),
    names.CREATE_DEPARTMENT: Operation(
        "Create a department", DepartmentView, status=201, body=DepartmentRequest,
        example={"id": "packaging", "name": "Packaging", "parent": "design"},
        errors=(409, 412, 413, 415, 422),
    ),
    names.GET_DEPARTMENT: Operation("Show a department", DepartmentView, errors=(404,)),
    names.PUT_DEPARTMENT: Operation(
        "Change a department", DepartmentView, body=DepartmentChange, example={"name": "Design"},
        errors=(404, 409, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.CLOSE_DEPARTMENT: Operation(
        "Close a department", None, status=204, errors=(404, 409, 412, 422, 428), conditional=True
    ),
    names.GET_DEPARTMENT_HISTORY: Operation(
        "Show the changes of a department", ChangeList, query=ChangesQuery, errors=(404, 422)
    ),
    names.LIST_ROLES: Operation("List roles", RoleList),
    names.GET_ROLE: Operation("Show a role", RoleView, errors=(404,)),
    names.PUT_ROLE: Operation(
        "Create or replace a custom role", RoleView, body=RoleRequest,
        example={
            "name": "Catalogue pipeline", "rank": "StandardUser",
            "permissions": {"generations.create": "own", "generations.read": "own"},
            "model_rules": {"models": {"gpt-image-2": "allow"}, "otherwise": "deny"},
        },
        errors=(404, 409, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.DELETE_ROLE: Operation(
        "Delete a custom role", None, status=204, errors=(404, 409, 412, 422, 428),
        conditional=True,
    ),
    names.GET_MODEL_RULES: Operation(
        "Show the organisation's rules of models", OrganisationRulesView
    ),
    names.PUT_MODEL_RULES: Operation(
        "Replace the organisation's rules of models", OrganisationRulesView,
        body=ModelRulesRequest, example={"providers": {"replicate": "deny"}},
        errors=(404, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.BOOTSTRAP: Operation(
        "Begin an organisation", BootstrapView, status=201, other_statuses=(200,),
        body=BootstrapRequest,
        example={
            "super_admin": _OBJECT_ID, "department": "operations",
            "department_name": "Operations", "limit_micros": 50_000_000,
        },
        errors=(401, 404, 409, 413, 415, 422),
    ),
    names.SCIM_CONFIG: _scim("SCIM: what is supported"),
    names.SCIM_RESOURCE_TYPES: _scim("SCIM: kinds of resources"),
    names.SCIM_SCHEMAS: _scim("SCIM: attributes"),
    names.SCIM_LIST_USERS: _scim("SCIM: find users", 400),
    names.SCIM_CREATE_USER: _scim("SCIM: create a user", 400, 409, 413, status=201),
    names.SCIM_GET_USER: _scim("SCIM: show a user", 404, others=(304,)),
    names.SCIM_PUT_USER: _scim("SCIM: replace a user", 400, 404, 409, 412, 413),
    names.SCIM_PATCH_USER: _scim("SCIM: change a user", 400, 404, 409, 412, 413),
    names.SCIM_DELETE_USER: _scim("SCIM: delete a user", 404, 409, 412, status=204),
}  # fmt: skip
