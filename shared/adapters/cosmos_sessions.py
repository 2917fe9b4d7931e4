"""Browser sessions in a container of their own, whose documents the store drops when too old."""

from collections.abc import Sequence
from typing import Final

from shared.adapters.cosmos import (
    BatchRefused,
    CosmosConnection,
    commit,
    create_once,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.predicates import equal
from shared.domain.sessions import (
    PersonSessions,
    SessionPolicy,
    read_sessions,
    session_partition,
    sessions_document,
    sessions_id,
    sessions_state,
)
from shared.errors import InvariantBroken
from shared.ports import Clock

SESSIONS_CONTAINER: Final = "sessions"
_REFUSALS: Final = frozenset({404, 409, 412})  # dropped meanwhile, there already, changed meanwhile


class CosmosSessions:
    """Implements the SessionStore port."""

    def __init__(self, connection: CosmosConnection, policy: SessionPolicy, clock: Clock) -> None:
        self._connection = connection
        self._policy = policy
        self._clock = clock

    async def find(self, tenant_id: str, object_id: str) -> PersonSessions:
        container = await self._connection.container(SESSIONS_CONTAINER)
        document = await read_or_none(
            container, sessions_id(object_id), session_partition(tenant_id, object_id).key
        )
        return read_sessions(document) if document else PersonSessions(tenant_id, object_id)

    async def write(self, after: PersonSessions, events: Sequence[AuditEvent]) -> bool:
        container = await self._connection.container(SESSIONS_CONTAINER)
        partition = after.partition
        noted = [Create(outbox_document(partition, event)) for event in events]
        try:
            await commit(container, partition.key, [self._change(after), *noted])
        except BatchRefused as refusal:
            if refusal.status not in _REFUSALS:
                raise InvariantBroken("A session was refused in an unforeseen way.") from None
            standing = await self.find(after.tenant_id, after.object_id)
            return standing.change_id == after.change_id  # our own write, sent twice
        return True

    async def note(self, tenant_id: str, object_id: str, event: AuditEvent) -> None:
        container = await self._connection.container(SESSIONS_CONTAINER)
        await create_once(
            container, outbox_document(session_partition(tenant_id, object_id), event)
        )

    def _change(self, after: PersonSessions) -> Operation:
        now = self._clock.now()
        if after.revision == 1:
            return Create(sessions_document(after, self._policy, now))
        steps = tuple(
            {"op": "set", "path": f"/{name}", "value": value}
            for name, value in sessions_state(after, self._policy, now).items()
        )
        return Patch(sessions_id(after.object_id), steps, equal({"revision": after.revision - 1}))
