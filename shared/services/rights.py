"""What people may do now, as workers ask it for work that was admitted before."""

from shared.domain.identity import Principal, Rights
from shared.ports import Clock, Directory
from shared.services.fresh_views import FreshViews


class RightsWatch:
    """One worker's view of people's rights; one that is not fresh is read again before its use."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._views = FreshViews(self._read, clock)

    async def rights(self, user_key: str) -> Rights | None:
        """What the directory lets somebody do; None if it knows nothing of them.

        Raises Unavailable if nobody can say.
        """
        return await self._views.get(user_key)

    async def _read(self, user_key: str) -> Rights | None:
        tenant_id, _, object_id = user_key.partition(".")
        user = await self._directory.user(Principal(tenant_id, object_id))
        return user.rights if user else None
