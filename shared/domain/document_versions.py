"""The schema version of every stored document, and how an older one becomes the newest on reading.

A document without `schema_version` is of version 1. `upgrade` takes it forward one version at a
time and leaves the stored one alone: it is rewritten when it is changed the next time. A newer
version than this app knows is refused, never guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.errors import InvariantBroken

Document = dict[str, Any]
Migration = Callable[[Document], Document]
VERSION: Final = "schema_version"
FIRST: Final = 1


def _user_to_2(old: Document) -> Document:
    """Version 1 knew the payers alone: roles came from tokens, so nobody has more than the least.

    Revision 0 says that it was never changed: the next change makes it revision 1.
    """
    user = {
        "kind": "person",
        "department_id": old["department_id"],
        "role_id": "StandardUser",
        "status": "active",
        "tier": "standard",
        "cost_centre_id": old.get("cost_centre_id"),
        "rules": {"models": {}, "providers": {}, "otherwise": None},
        "external_id": None,
        "sealed": None,
        "lookups": {},
        "search_keys": [],
        "source": "seed",
        "created_at": "",
        "changed_at": "",
        "change_id": "",
    }
    return old | {"revision": 0, "user": user}


def _user_to_3(old: Document) -> Document:
    """Version 2 did not say when somebody was shut out: their last change, if they are now."""
    user = old["user"]
    is_active = user["status"] == "active"
    return old | {"user": user | {"inactive_at": None if is_active else user["changed_at"] or None}}


def _user_to_4(old: Document) -> Document:
    """Version 3 did not say who shut somebody out: whoever is, was so by the organisation."""
    user = old["user"]
    shut_out_by = None if user["status"] == "active" else "organisation"
    return old | {"user": user | {"shut_out_by": shut_out_by}}


def _user_to_5(old: Document) -> Document:
    """Version 4 did not say which departments somebody had left."""
    return old | {"user": old["user"] | {"left": {}}}


def _department_to_2(old: Document) -> Document:
    """Version 1 had a name and nothing else."""
    department = {"name": old["name"], "created_at": "", "changed_at": "", "change_id": ""}
    return old | {"revision": 0, "department": department}


def _slot_to_2(old: Document) -> Document:
    """Version 1 is of before pipelines: a person asked for each link."""
    return old | {"kind": "person"}


MIGRATIONS: Final[Mapping[str, tuple[Migration, ...]]] = {
    "user": (_user_to_2, _user_to_3, _user_to_4, _user_to_5),
    "department": (_department_to_2,),
    "slot": (_slot_to_2,),
}


def current_version(kind: str) -> int:
    """The version that this app writes of a type of document."""
    return FIRST + len(MIGRATIONS.get(kind, ()))


def stamped(document: Document) -> Document:
    """A document that is about to be created, with its version; it says itself of which type."""
    kind = document.get("type")
    if not isinstance(kind, str) or VERSION in document:
        return document
    return document | {VERSION: current_version(kind)}


def upgrade(document: Document) -> Document:
    """A stored document in the newest version; InvariantBroken for one this app does not know."""
    kind = document.get("type")
    version = document.get(VERSION, FIRST)
    migrations = MIGRATIONS.get(kind, ()) if isinstance(kind, str) else ()
    newest = FIRST + len(migrations)
    if version == newest:
        return document
    if not isinstance(version, int) or isinstance(version, bool) or not FIRST <= version <= newest:
        raise InvariantBroken(
            f"A document of the type {kind} has the schema version {version!s:.20};"
            f" this app reads versions {FIRST} to {newest}: deploy the newer app again."
        )
    for migration in migrations[version - FIRST :]:
        document = migration(document)
    return document | {VERSION: newest}
