"""Authorisation decisions of one request, noted where permissions are weighed.

A caller carries a `Decisions`; every look at a permission (`identity.py`) leaves its trace there.
How the request ended is known to the HTTP edge, which hands both to the access log.
"""

from collections.abc import Mapping
from typing import Final, Literal

from shared.domain.permissions import Permission, Reach

# By which rule a permission reached something; "not_reached" is an object that exists.
Rule = Literal["own", "department", "organisation", "not_reached", "none", "before_rights"]
_BY_REACH: Final[Mapping[Reach, Rule]] = {
    Reach.NONE: "none",
    Reach.OWN: "own",
    Reach.DEPARTMENT: "department",
    Reach.ORGANISATION: "organisation",
}
_WIDTH: Final[Mapping[Rule, int]] = {
    "not_reached": 0,
    "own": 1,
    "department": 2,
    "organisation": 3,
}
_OF_OTHERS: Final = frozenset({"department", "organisation"})
# Their answers show what people did, wrote or spent: nobody reads that of others unlogged.
SENSITIVE: Final = frozenset(
    {
        Permission.GENERATIONS_READ,
        Permission.BATCHES_READ,
        Permission.APPROVALS_READ,
        Permission.REPORTS_READ,
        Permission.STATEMENTS_READ,
        Permission.PRIVACY_OVERRIDES_READ,
        Permission.AUDIT_READ,
        Permission.USERS_READ,
    }
)


class Decisions:
    """What was weighed while one request was carried out."""

    def __init__(self) -> None:
        self._rules: dict[Permission, Rule] = {}
        self._met: set[Permission] = set()  # those that were decided on a known object
        self._last: tuple[str, Rule] = ("none", "before_rights")

    def weighed(self, permission: Permission, reach: Reach) -> None:
        """Note a look at how far a permission reaches, while no object is known."""
        self._last = (str(permission), _BY_REACH[reach])
        if permission not in self._met:
            self._rules[permission] = _BY_REACH[reach]

    def met(self, permission: Permission, rule: Rule) -> None:
        """Note a decision on an object; of several objects the widest rule counts."""
        self._last = (str(permission), rule)
        widest = self._rules[permission] if permission in self._met else "not_reached"
        self._rules[permission] = max(rule, widest, key=_WIDTH.__getitem__)
        self._met.add(permission)

    @property
    def uses(self) -> tuple[tuple[str, Rule], ...]:
        """Each permission with the rule by which it was decided."""
        return tuple((str(name), rule) for name, rule in self._rules.items())

    @property
    def decisive(self) -> tuple[str, Rule]:
        """The permission that was weighed last, and how; nothing, before the first one."""
        return self._last

    @property
    def is_sensitive(self) -> bool:
        """Whether something of other people was reached that nobody may read unlogged."""
        return any(name in SENSITIVE and rule in _OF_OTHERS for name, rule in self._rules.items())
