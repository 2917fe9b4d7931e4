"""Imports people from a CSV file: tried first, then carried out; a repeat changes nothing."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.domain.directory import Actor
from shared.domain.identity import (
    Caller,
    Ownership,
    Permission,
    Reach,
    require,
    require_reach,
)
from shared.domain.user_imports import ImportRow, read_import
from shared.domain.user_views import ImportRowView, ImportView
from shared.domain.users import NOBODY, Personal, Tier, User
from shared.errors import PolicyDenied, Rejected
from shared.services.directory_changes import actor_of
from shared.services.user_changes import NOT_RENAMED
from shared.services.users import UserOrder, Users

CSV_BYTES_MAX: Final = 1024 * 1024  # a thousand rows of full cells
ERRORS_SHOWN_MAX: Final = 100
End = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class UserImports:
    """Each row is a transaction of its own, under the same rules as a change of one person."""

    users: Users

    async def run(
        self, caller: Caller, content: bytes, correlation_id: str, *, dry_run: bool
    ) -> ImportView:
        """What became of the rows, or would; Invalid for a file that cannot be read at all."""
        actor = actor_of(caller, correlation_id)
        try:
            require_reach(
                caller, Permission.USERS_WRITE, Reach.DEPARTMENT, "Your role imports nobody."
            )
        except PolicyDenied as refusal:
            await self.users.changes.note_denial(
                caller.tenant_id, "users", "users.import", actor, refusal
            )
            raise
        rows = read_import(content)
        ends: Counter[str] = Counter()
        renamed: dict[str, str | None] | None = {} if dry_run else None
        errors: list[ImportRowView] = []
        for row in rows:
            faults = [(fault.field, fault.message) for fault in row.faults]
            if not faults:
                try:
                    ends[await self._imported(caller, row, actor, renamed)] += 1
                except Rejected as refusal:
                    faults = [
                        (each.field.lstrip("/"), each.message) for each in refusal.faults
                    ] or [("row", refusal.detail)]
            if faults:
                ends["failed"] += 1
                errors += [ImportRowView(row=row.number, field=f, message=m) for f, m in faults]
        return ImportView(
            dry_run=dry_run,
            rows=len(rows),
            created=ends["created"],
            updated=ends["updated"],
            unchanged=ends["unchanged"],
            failed=ends["failed"],
            errors=tuple(errors[:ERRORS_SHOWN_MAX]),
        )

    async def _imported(
        self,
        caller: Caller,
        row: ImportRow,
        actor: Actor,
        renamed: dict[str, str | None] | None,
    ) -> End:
        """Carry a row out; with `renamed`, the sign-in names after the rows before, only try it."""
        object_id = row.cells["object_id"]
        stored = await self.users.people.find(caller.tenant_id, object_id)
        standing = stored if stored and stored.is_present else None
        if standing is not None:  # or "unchanged" would tell where people of others are
            owner = Ownership(standing.tenant_id, standing.department_id, standing.key)
            require(caller, Permission.USERS_READ, owner, "user")
        order = await self._order(row, standing)
        if standing is not None:
            blank = standing
        else:
            blank = User(caller.tenant_id, object_id, order.department_id, source="csv")
        after = await self.users.ordered(blank, order)
        if after == standing:
            return "unchanged"
        notes = actor if renamed is None else None
        await self.users.check_order(caller, standing, object_id, order, notes)
        await self.users.people.check_user_name(standing, after, renamed or NOT_RENAMED)
        if renamed is None:
            await self.users.people.write(stored, after, actor)
        else:
            renamed[object_id] = after.lookups.get("user_name")
        return "updated" if standing else "created"

    async def _order(self, row: ImportRow, standing: User | None) -> UserOrder:
        """What the row asks for; empty cells leave what stands."""
        known = NOBODY
        if standing is not None:
            [known] = await self.users.personal.opened([standing])
        cells = {name: value for name, value in row.cells.items() if value}
        moved = standing is None or standing.department_id != cells["department"]
        stays = None if moved or standing is None else standing.cost_centre_id
        base = UserOrder(cells["department"]) if standing is None else order_of(standing, known)
        return replace(
            base,
            department_id=cells["department"],
            role_id=cells.get("role", base.role_id),
            tier=_tier(cells.get("tier"), base.tier),
            cost_centre_id=cells.get("cost_centre", stays),
            personal=Personal(
                cells.get("user_name", known.user_name),
                cells.get("display_name", known.display_name),
                cells.get("email", known.email),
            ),
        )


def order_of(user: User, personal: Personal) -> UserOrder:
    """The order that would make somebody what they are."""
    return UserOrder(
        department_id=user.department_id,
        role_id=user.role_id,
        kind=user.kind,
        tier=user.tier,
        cost_centre_id=user.cost_centre_id,
        personal=personal,
        external_id=user.external_id,
        rules=user.rules,
    )


def _tier(text: str | None, standing: Tier) -> Tier:
    tiers: dict[str, Tier] = {"free": "free", "standard": "standard", "enterprise": "enterprise"}
    return tiers.get(text or "", standing)
