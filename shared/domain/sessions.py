"""Browser sessions: what is kept of a person's sessions, and the token that opens one.

    token    base64url of tenant id | object id | family id | secret (16 + 16 + 16 + 32 bytes)
    kept     SHA-256 of the secret that is current, and of the one before it

All sessions of a person are one document, so that whatever happens to them is one conditional
write: their number, their rotation, their end. A family is one sign-in on one device; its secret
is replaced again and again, its id stays.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from shared.domain.access_tokens import Authentication
from shared.domain.ids import Partition
from shared.domain.ledger import Document

SECRET_BYTES: Final = 32  # 256 bits: nobody guesses one
PARTITIONS: Final = 8  # of a tenant's sessions: 80,000 request units a second between them
_ID_BYTES: Final = 16
_TOKEN_BYTES: Final = 3 * _ID_BYTES + SECRET_BYTES


@dataclass(frozen=True)
class SessionPolicy:
    """How long a session lives and how many a person may have."""

    idle: timedelta
    absolute: timedelta  # since the sign-in, however much it was used
    rotate_after: timedelta  # a secret that is older is replaced on the next request
    sessions_max: int


GOVERNMENT: Final = "government"  # keeps to the Australian ISM: a lock after 15 minutes (ISM-0428)
PROFILES: Final[Mapping[str, SessionPolicy]] = {
    "standard": SessionPolicy(timedelta(minutes=30), timedelta(hours=12), timedelta(minutes=10), 5),
    GOVERNMENT: SessionPolicy(timedelta(minutes=15), timedelta(hours=12), timedelta(minutes=5), 2),
}


@dataclass(frozen=True)
class SessionToken:
    """What the cookie holds: where the session is kept, and the secret that opens it."""

    tenant_id: str
    object_id: str
    family_id: str
    secret: bytes = field(repr=False)

    def text(self) -> str:
        ids = (self.tenant_id, self.object_id, self.family_id)
        packed = bytes.fromhex("".join(ids).replace("-", "")) + self.secret
        return urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_token(text: str) -> SessionToken | None:
    """The token of a cookie; None for everything that `SessionToken.text` does not write."""
    try:
        packed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        return None
    if len(packed) != _TOKEN_BYTES:
        return None
    tenant, person, family = (packed[at : at + _ID_BYTES].hex() for at in (0, 16, 32))
    token = SessionToken(_guid(tenant), _guid(person), family, packed[3 * _ID_BYTES :])
    return token if token.text() == text else None


def _guid(digits: str) -> str:
    """32 hex digits as Entra writes them."""
    cuts = (0, 8, 12, 16, 20, 32)
    return "-".join(digits[at:end] for at, end in pairwise(cuts))


@dataclass(frozen=True)
class Device:
    """The browser that a request comes from, as far as it can be told."""

    secret_sha256: str  # of a cookie of its own
    agent_sha256: str  # of the header User-Agent
    label: str  # for the device list: "Firefox on Linux"
    address_prefix: str  # for the device list: a network, not a person


@dataclass(frozen=True)
class Session:
    """One family of tokens: a sign-in on a device, as it is kept."""

    family_id: str
    device: Device  # as it was at the last rotation: who rotates may ask again for the answer
    created_at: datetime  # the absolute limit counts from here, also after a step-up
    seen_at: datetime
    rotated_at: datetime
    secret_sha256: str
    previous_sha256: str | None
    successor_salt: str = field(repr=False)  # with the previous secret, it gives the current one
    csrf_salt: str = field(repr=False)
    authentication: Authentication
    checked_at: datetime  # when the issuer last said that the account may still sign in
    refresh_token: Mapping[str, Any] | None = field(
        default=None, repr=False
    )  # the issuer's, sealed
    generation: int = 1

    @property
    def public_id(self) -> str:
        """What lists and events call it: the family id itself never leaves the cookie."""
        return hashlib.sha256(self.family_id.encode()).hexdigest()[:32]

    @property
    def csrf_token(self) -> str:
        """What scripts of our pages send along with unsafe requests."""
        salt = bytes.fromhex(self.csrf_salt)
        return hmac.digest(salt, self.family_id.encode(), "sha256").hex()

    def ends_at(self, policy: SessionPolicy) -> datetime:
        """When it ends if nobody uses it any more."""
        return min(self.seen_at + policy.idle, self.created_at + policy.absolute)


@dataclass(frozen=True)
class PersonSessions:
    """All sessions of a person: revision 0 is nothing kept yet."""

    tenant_id: str
    object_id: str
    sessions: tuple[Session, ...] = ()
    revision: int = 0
    change_id: str = ""

    @property
    def user_key(self) -> str:
        return f"{self.tenant_id}.{self.object_id}"

    @property
    def partition(self) -> Partition:
        return session_partition(self.tenant_id, self.object_id)

    def find(self, family_id: str) -> Session | None:
        return next((each for each in self.sessions if each.family_id == family_id), None)

    def changed(self, sessions: tuple[Session, ...], change_id: str) -> "PersonSessions":
        """The next revision."""
        return replace(self, sessions=sessions, revision=self.revision + 1, change_id=change_id)


def sha256_hex(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def session_partition(tenant_id: str, object_id: str) -> Partition:
    """Where a person's sessions are kept, beside the audit events about them."""
    shard = hashlib.sha256(object_id.encode()).digest()[0] % PARTITIONS
    return Partition(tenant_id, f"sessions-{shard}")


def session_partitions(tenant_id: str) -> tuple[Partition, ...]:
    return tuple(Partition(tenant_id, f"sessions-{shard}") for shard in range(PARTITIONS))


# Documents

_TTL_MARGIN: Final = timedelta(hours=1)  # clocks differ; what is expired is refused anyway


def sessions_id(object_id: str) -> str:
    return f"sessions:{object_id}"


def sessions_state(person: PersonSessions, policy: SessionPolicy, now: datetime) -> Document:
    """The fields of the document that change; the store drops it when all in it is too old."""
    last = max((each.created_at for each in person.sessions), default=now)
    ends_in = max(last + policy.absolute, now) - now + _TTL_MARGIN
    return {
        "sessions": [_session_json(each) for each in person.sessions],
        "revision": person.revision,
        "change_id": person.change_id,
        "ttl": int(ends_in.total_seconds()),
    }


def sessions_document(person: PersonSessions, policy: SessionPolicy, now: datetime) -> Document:
    return {
        "id": sessions_id(person.object_id),
        "pk": person.partition.key,
        "type": "sessions",
        "schema_version": 1,
        "tenant_id": person.tenant_id,
        "object_id": person.object_id,
        **sessions_state(person, policy, now),
    }


def read_sessions(document: Mapping[str, Any]) -> PersonSessions:
    return PersonSessions(
        tenant_id=document["tenant_id"],
        object_id=document["object_id"],
        sessions=tuple(_read_session(each) for each in document["sessions"]),
        revision=int(document["revision"]),
        change_id=document["change_id"],
    )


_MOMENTS: Final = ("created_at", "seen_at", "rotated_at", "checked_at")
_PLAIN: Final = (
    "family_id",
    "secret_sha256",
    "previous_sha256",
    "successor_salt",
    "csrf_salt",
    "refresh_token",
    "generation",
)


def _session_json(session: Session) -> Document:
    shown = session.authentication
    return {
        **{name: getattr(session, name) for name in _PLAIN},
        **{name: getattr(session, name).isoformat() for name in _MOMENTS},
        "device": dict(vars(session.device)),
        "contexts": sorted(shown.contexts),
        "signed_in_at": shown.signed_in_at.isoformat() if shown.signed_in_at else None,
    }


def _read_session(document: Mapping[str, Any]) -> Session:
    signed_in_at = document["signed_in_at"]
    values: dict[str, Any] = {name: document[name] for name in _PLAIN}
    values |= {name: datetime.fromisoformat(document[name]) for name in _MOMENTS}
    return Session(
        **values,
        device=Device(**document["device"]),
        authentication=Authentication(
            frozenset(document["contexts"]),
            datetime.fromisoformat(signed_in_at) if signed_in_at else None,
        ),
    )
