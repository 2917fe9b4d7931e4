"""How an organisation begins: one request, with a secret that works once, names its Super Admin."""

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import Any

from shared.domain.directory import Actor, Change, noted
from shared.domain.ledger import Create, Document
from shared.domain.user_changes import SUPER_ADMINS_ID
from shared.domain.users import User
from shared.errors import (
    Conflict,
    FieldFault,
    Invalid,
    InvariantBroken,
    NotFound,
    Unauthenticated,
)
from shared.ports import Clock
from shared.services.departments import already_exists
from shared.services.organisation import Organisation

BOOTSTRAP_ID = "bootstrap"
ACTOR = "system:bootstrap"
ALREADY = "The organisation has begun already."


@dataclass(frozen=True)
class Beginning:
    """What the first request says: who is Super Admin, and the first department with its budget."""

    object_id: str
    department_id: str
    department_name: str
    limit_micros: int


@dataclass(frozen=True)
class Bootstrap:
    """Works once for each tenant; the same request again finds its work done."""

    organisation: Organisation
    tenant_id: str
    secret_hash: str | None = field(repr=False)  # SHA-256, in hex; None: there is no such request
    clock: Clock

    def check_secret(self, secret: str) -> None:
        """Raise NotFound where no secret is configured, Unauthenticated for another one."""
        if self.secret_hash is None:
            raise NotFound("There is nothing here.")
        shown = hashlib.sha256(secret.encode(errors="replace")).hexdigest()
        if not hmac.compare_digest(shown, self.secret_hash):
            raise Unauthenticated("The bootstrap secret is not the one that is configured.")

    async def begin(self, wanted: Beginning, correlation_id: str) -> bool:
        """True when this request did it, False when it finds that it did it before.

        Raises Conflict when somebody else has begun, or when there is a Super Admin already;
        Invalid for a pipeline, which is no Super Admin.
        """
        await self._known(wanted.object_id)
        document = self._marker(wanted)
        is_first = await self._claimed(document, correlation_id)
        # What follows finds its own traces: should this worker die, the same request goes on.
        await self.organisation.seed(self._file(wanted))
        await self._raise_once(wanted.object_id, correlation_id)
        return is_first

    async def _known(self, object_id: str) -> User | None:
        """Who is in the directory under this id; Invalid for a pipeline."""
        standing = await self.organisation.people.find(self.tenant_id, object_id)
        if standing is not None and standing.kind == "service":
            fault = FieldFault("/super_admin", "name a person")
            raise Invalid("A pipeline has no administrator's role.", faults=[fault])
        return standing

    async def _raise_once(self, object_id: str, correlation_id: str) -> None:
        """Whom the seed found in the directory becomes Super Admin, unless there ever was one."""
        people = self.organisation.people
        if await people.store.find(self.tenant_id, SUPER_ADMINS_ID) is not None:
            return
        standing = await self._known(object_id)
        if standing is None:
            raise InvariantBroken("The seed entered nobody.")
        raised = replace(standing.with_status("active", "organisation"), role_id="SuperAdmin")
        await people.write(standing, raised, Actor(ACTOR, "system", correlation_id))

    async def _claimed(self, document: Document, correlation_id: str) -> bool:
        store = self.organisation.departments.store
        standing = await store.find(self.tenant_id, BOOTSTRAP_ID)
        if standing is None:
            if await store.find(self.tenant_id, SUPER_ADMINS_ID) is not None:
                raise Conflict(ALREADY, code="already_begun")
            # Before the marker, which would bind the tenant to an id that it cannot have.
            if not await store.claim_department(self.tenant_id, document["department_id"]):
                raise already_exists()
            change = Change(
                object_id=BOOTSTRAP_ID,
                revision=1,
                action="organisation.begun",
                changed_at=self.clock.now().isoformat(),
                details={key: document[key] for key in ("object_id", "department_id")},
            )
            actor = Actor(ACTOR, "system", correlation_id)
            operations = [Create(document), *noted(self.tenant_id, change, actor)]
            if await store.commit(self.tenant_id, operations) is None:
                return True
            standing = await store.find(self.tenant_id, BOOTSTRAP_ID)
        # Markers of older versions say less; what one does not say is taken as the same.
        if standing is None or any(standing.get(k, v) != v for k, v in document.items()):
            raise Conflict(ALREADY, code="already_begun")
        return False

    def _marker(self, wanted: Beginning) -> Document:
        return {
            "id": BOOTSTRAP_ID,
            "pk": self.tenant_id,
            "type": "bootstrap",
            "object_id": wanted.object_id,
            "department_id": wanted.department_id,
            "department_name": wanted.department_name,
            "limit_micros": wanted.limit_micros,
        }

    def _file(self, wanted: Beginning) -> dict[str, Any]:
        """The same as an organisation file would say."""
        return {
            "tenant_id": self.tenant_id,
            "departments": [
                {
                    "department_id": wanted.department_id,
                    "name": wanted.department_name,
                    "limit_micros": wanted.limit_micros,
                }
            ],
            "users": [
                {
                    "object_id": wanted.object_id,
                    "department_id": wanted.department_id,
                    "role": "SuperAdmin",
                    "limit_micros": wanted.limit_micros,
                }
            ],
        }
