"""SCIM 2.0 (RFC 7643, RFC 7644): what identity providers send about users, and how we show them.

Only what the directory keeps is read. What a resource holds besides is passed over, because
providers send more than anybody keeps; a path of a PATCH that names no attribute is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.domain.users import NAME_CHARS_MAX, NOT_IN_NAMES
from shared.errors import EigError, ScimRefused

CORE: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
LIST_RESPONSE: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
BODY_BYTES_MAX: Final = 256 * 1024
OPERATIONS_MAX: Final = 100
PER_PAGE_MAX: Final = 100
FILTER_CHARS_MAX: Final = 1_000
GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What the directory keeps, by the lower-case path of the standard.
_KEPT: Final = {
    "username": "user_name",
    "displayname": "display_name",
    "name.formatted": "display_name",
    "externalid": "external_id",
    "active": "active",
    f"{ENTERPRISE}:department".lower(): "department",
}
_PASSED_OVER: Final = re.compile(
    r"schemas|id|meta|name|nickname|profileurl|title|usertype|preferredlanguage|locale|timezone"
    r"|password|phonenumbers|ims|photos|addresses|groups|entitlements|roles|x509certificates"
)
_PASSED_OVER_ENTERPRISE: Final = re.compile(
    r"employeenumber|costcenter|organization|division|manager"
)
# A path into the addresses, in lower case: which of them, and what of each.
_EMAILS: Final = re.compile(
    r"emails(?:\[(?P<which>.+)\])?(?:\.(?P<part>value|type|primary|display|\$ref))?"
)
# The one address that is kept: the one at work, which is shown as the primary one.
_KEPT_ADDRESS: Final = re.compile(r'type\s+eq\s+"work"|primary\s+eq\s+"?true"?')
# Of several addresses the first of the first kind that there is.
_ADDRESSES_OF_OURS: Final[tuple[Callable[[Mapping[str, Any]], bool], ...]] = (
    lambda entry: entry.get("primary") is True,
    lambda entry: entry.get("type") == "work",
    lambda entry: not entry.get("type"),
)
_READ_ONLY: Final = re.compile(r"(?:id|meta)(?:[.\[].*)?")  # of the attributes that all have
_FILTER: Final = re.compile(
    rf'\s*(?:{re.escape(CORE)}:)?([a-z]+)\s+eq\s+("(?:[^"\\]|\\.)*")\s*', re.IGNORECASE
)
_FILTERED: Final = {"username": "user_name", "externalid": "external_id", "id": "id"}
_VERSION: Final = re.compile(r'(?:W/)?"([1-9][0-9]{0,9})"')


@dataclass(frozen=True)
class ScimUser:
    """A user as a provider sends it, as far as the directory keeps it."""

    user_name: str | None = None
    external_id: str | None = None
    active: bool | None = None  # None: the provider says nothing of it
    display_name: str | None = None
    email: str | None = None
    department: str | None = None  # an id or a name

    def with_members(self, members: Mapping[str, Any]) -> "ScimUser":
        """The user with the members of a JSON object; those of nobody's schema are passed over."""
        changed = self
        for name, value in members.items():
            try:
                changed = changed.set(name, value)
            except ScimRefused as refusal:
                if refusal.scim_type != "invalidPath":
                    raise
        return changed

    def set(self, path: str, value: object) -> "ScimUser":
        """The user with another value at a path of the standard; None removes it."""
        lowered = _lowered(path)
        name = _KEPT.get(lowered)
        if name == "active":
            return replace(self, active=None if value is None else _flag(value))
        if name == "user_name" and value is None:
            raise ScimRefused("mutability", "userName cannot be removed.")
        if name is not None:
            changes: dict[str, Any] = {name: None if value is None else _text(value)}
            return replace(self, **changes)
        emails = _EMAILS.fullmatch(lowered)
        if emails is not None:
            which = (emails["which"] or 'type eq "work"').strip()
            if emails["part"] not in (None, "value") or not _KEPT_ADDRESS.fullmatch(which):
                return self  # of another address, or what we do not keep of ours
            return replace(self, email=None if value is None else _email(value, self.email))
        if lowered == ENTERPRISE.lower() and value is None:
            return replace(self, department=None)
        if lowered in ("name", ENTERPRISE.lower()) and isinstance(value, Mapping):
            separator = "." if lowered == "name" else ":"
            return self.with_members({f"{lowered}{separator}{k}": v for k, v in value.items()})
        if _is_passed_over(lowered):
            return self
        raise ScimRefused("invalidPath", "There is no such attribute.")


@dataclass(frozen=True)
class Shown:
    """A user of the directory, to be shown as a resource."""

    object_id: str
    user: ScimUser
    created_at: str
    changed_at: str
    revision: int


def read_resource(body: Mapping[str, Any]) -> ScimUser:
    """The user of a POST or PUT; ScimRefused for what the standard does not allow."""
    if CORE not in _schemas(body):
        raise ScimRefused("invalidSyntax", "The body is no SCIM user.")
    names = {name.lower(): value for name, value in body.items()}
    if not names.get("username"):
        raise ScimRefused("invalidValue", "userName is needed.")
    members = {k: v for k, v in body.items() if k.lower() not in ("name", "displayname")}
    user = ScimUser().with_members(members)
    return user.set("displayName", names.get("displayname") or _whole_name(names.get("name")))


def patched(object_id: str, user: ScimUser, body: Mapping[str, Any]) -> ScimUser:
    """The user after the operations of a PATCH, in their order; all of them or none."""
    operations = next((v for k, v in body.items() if k.lower() == "operations"), None)
    if PATCH_OP not in _schemas(body) or not isinstance(operations, list):
        raise ScimRefused("invalidSyntax", "The body is no SCIM PatchOp.")
    if not 1 <= len(operations) <= OPERATIONS_MAX:
        raise ScimRefused("tooMany", f"Send 1 to {OPERATIONS_MAX} operations.")
    for operation in operations:
        user = _after(object_id, user, operation)
    return user


def _after(object_id: str, user: ScimUser, operation: object) -> ScimUser:
    """What an operation makes of a user; providers may write "Replace", or leave out the path."""
    if not isinstance(operation, Mapping):
        raise ScimRefused("invalidSyntax", "An operation is an object.")
    verb = str(operation.get("op", "")).lower()
    path, value = operation.get("path"), operation.get("value")
    if verb not in ("add", "replace", "remove"):
        raise ScimRefused("invalidSyntax", "op is add, replace or remove.")
    if path is not None and not isinstance(path, str):
        raise ScimRefused("invalidPath", "A path is a text.")
    _check_may_set(object_id, path, value)
    if verb == "remove":
        if not path:
            raise ScimRefused("noTarget", "remove needs a path.")
        return user.set(path, None)
    if "value" not in operation:
        raise ScimRefused("invalidValue", "add and replace need a value.")
    if path:
        return user.set(path, value)
    if not isinstance(value, Mapping):
        raise ScimRefused("invalidValue", "Without a path, the value is an object.")
    return user.with_members(value)


def _check_may_set(object_id: str, path: str | None, value: object) -> None:
    """Raise ScimRefused for what is ours to set; the id may be repeated beside a change."""
    if path:
        is_ours = _READ_ONLY.fullmatch(_lowered(path)) is not None
    else:
        members = value if isinstance(value, Mapping) else {}
        is_ours = any(k.lower() == "id" and v != object_id for k, v in members.items())
    if is_ours:
        raise ScimRefused("mutability", "This attribute is ours to set.")


def read_filter(text: str) -> tuple[str, str]:
    """(field, value) of the filters that providers look people up by; ScimRefused for others."""
    found = _FILTER.fullmatch(text) if len(text) <= FILTER_CHARS_MAX else None
    field = _FILTERED.get(found[1].lower()) if found else None
    if found is None or field is None:
        raise ScimRefused("invalidFilter", 'Filter by userName, externalId or id, as id eq "x".')
    try:
        value = str(json.loads(found[2]))
        value.encode()
    except ValueError:  # also half a surrogate pair, which is no text
        raise ScimRefused("invalidFilter", "The value of the filter is no JSON text.") from None
    return field, value


def read_version(header: str | None) -> int | None:
    """The revision in an If-Match header; None when any will do."""
    if header is None or header.strip() == "*":
        return None
    found = _VERSION.fullmatch(header.strip())
    return int(found[1]) if found else 0  # no revision is 0: nothing matches


def version_of(revision: int) -> str:
    return f'W/"{revision}"'


def resource(shown: Shown, location: str) -> dict[str, Any]:
    """A user as RFC 7643 writes it; attributes without a value are left out."""
    user = shown.user
    body: dict[str, Any] = {
        "schemas": [CORE, ENTERPRISE],
        "id": shown.object_id,
        "externalId": user.external_id,
        "userName": user.user_name or shown.object_id,
        "displayName": user.display_name,
        "active": bool(user.active),
        "emails": [{"value": user.email, "type": "work", "primary": True}] if user.email else None,
        ENTERPRISE: {"department": user.department},
        "meta": {
            "resourceType": "User",
            "created": shown.created_at or None,
            "lastModified": shown.changed_at or None,
            "location": location,
            "version": version_of(shown.revision),
        },
    }
    return {name: value for name, value in body.items() if value is not None}


def chosen(body: dict[str, Any], attributes: str | None, excluded: str | None) -> dict[str, Any]:
    """The attributes that were asked for; `id`, `schemas` and `meta` always come along."""
    always = {"id", "schemas", "meta"}
    if attributes:
        kept = set(map(_top_attribute, attributes.split(",")))
        return {k: v for k, v in body.items() if k in always or k.lower() in kept}
    dropped = set(map(_top_attribute, (excluded or "").split(",")))
    return {k: v for k, v in body.items() if k in always or k.lower() not in dropped}


def _top_attribute(name: str) -> str:
    """The member of a resource that an attribute is, or is part of; names may have their schema."""
    lowered = name.strip().lower()
    if lowered.startswith(ENTERPRISE.lower()):
        return ENTERPRISE.lower()
    return lowered.removeprefix(f"{CORE.lower()}:").split(".")[0]


def listing(resources: list[dict[str, Any]], total: int, start: int) -> dict[str, Any]:
    return {
        "schemas": [LIST_RESPONSE],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def error_body(error: EigError, status: int) -> dict[str, Any]:
    """RFC 7644, 3.12: the status is a text there."""
    body = {"schemas": [ERROR], "status": str(status), "detail": error.detail}
    if isinstance(error, ScimRefused):
        body["scimType"] = error.scim_type
    elif error.problem_code == "already_exists":
        body["scimType"] = "uniqueness"
    return body


def _lowered(path: str) -> str:
    """A path as it is compared, without the schema that all paths of a user may begin with."""
    return path.strip().lower().removeprefix(f"{CORE.lower()}:")


def _schemas(body: Mapping[str, Any]) -> list[Any]:
    schemas = body.get("schemas")
    return schemas if isinstance(schemas, list) else []


def _is_passed_over(path: str) -> bool:
    enterprise = f"{ENTERPRISE.lower()}:"
    if path.startswith(enterprise):
        first = re.split(r"[.\[]", path.removeprefix(enterprise))[0]
        return _PASSED_OVER_ENTERPRISE.fullmatch(first) is not None
    return _PASSED_OVER.fullmatch(re.split(r"[.\[]", path)[0]) is not None


def _flag(value: object) -> bool:
    """A boolean; providers also send it as a text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ScimRefused("invalidValue", "active is true or false.")


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARS_MAX:
        raise ScimRefused("invalidValue", f"It is a text of at most {NAME_CHARS_MAX} characters.")
    if NOT_IN_NAMES.search(value):
        raise ScimRefused("invalidValue", "It is a text on one line.")
    return value


def _email(value: object, standing: str | None) -> str | None:
    """The address we keep: of a text, or of a list the primary, else that at work, else one without
    a type. A list of others only says nothing of it (RFC 7644, 3.5.2.1); an empty one removes it.
    """
    if isinstance(value, str):
        return _text(value)
    entries = value if isinstance(value, list) else [value]
    addresses = [each for each in entries if isinstance(each, Mapping) and each.get("value")]
    ours = (each for fits in _ADDRESSES_OF_OURS for each in addresses if fits(each))
    kept = next(ours, None)
    if kept is None:
        return standing if addresses else None
    return _text(kept["value"])


def _whole_name(name: object) -> str | None:
    if not isinstance(name, Mapping):
        return None
    parts = [name.get("givenName"), name.get("familyName")]
    joined = " ".join(part for part in parts if isinstance(part, str))
    return str(name.get("formatted") or joined) or None
