"""Which department a request is about, and whether the caller's role reaches that far."""

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.identity import Caller, Permission, Reach
from shared.errors import NotFound
from shared.ports import Directory


async def department_within_reach(
    directory: Directory,
    caller: Caller,
    department_id: str | None,
    permission: Permission,
    no_such: str,
) -> str:
    """A department of the tenant that the caller may act on; their own unless they name one.

    Raises NotFound with `no_such`, be it unknown or out of reach: the caller cannot tell which.
    """
    if department_id is None or department_id == caller.department_id:
        return caller.department_id
    known = await directory.has_department(caller.tenant_id, department_id)
    if caller.reach(permission) < Reach.ORGANISATION or not known:
        raise NotFound(no_such)
    return department_id


async def check_owner_within_reach(
    directory: Directory, caller: Caller, owner: str, permission: Permission, no_such: str
) -> None:
    """Raise NotFound with `no_such` unless the caller looks after an owner of policies or channels:
    a department, or the organisation as a whole."""
    if owner != ORGANISATION_WIDE:
        await department_within_reach(directory, caller, owner, permission, no_such)
    elif caller.reach(permission) < Reach.ORGANISATION:
        raise NotFound(no_such)
