"""Versions of users' cached reads: an increment makes all responses that are cached for the user unreachable."""

import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast
from uuid import UUID

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from crm_api.models import User

logger = logging.getLogger(__name__)

# Each write by a customer runs this statement twice. With the table in place of the class it takes half as long.
_USERS = cast("Table", User.__table__)
_INCREMENT = (
    update(_USERS)
    .where(_USERS.c.id == bindparam("user_id"))
    .values(records_version=_USERS.c.records_version + 1)
)


class RecordVersions:
    """Increments of `users.records_version` around writes. Does nothing if the read cache is off.

    The rules that depend on them are in `hubspot/read_cache.py`.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[AsyncConnection | AsyncSession]],
        *,
        is_enabled: bool,
    ) -> None:
        """`begin` starts a transaction of a connection or of a session; a connection takes less CPU."""
        self._begin = begin
        self._is_enabled = is_enabled

    @asynccontextmanager
    async def writing(self, user: User, contact_ids: Collection[str] = ()) -> AsyncGenerator[None, None]:
        """Increment the version before and after a HubSpot write by this user, whatever its outcome.

        A write by staff counts for the users who are linked to these contacts. Raises database errors before the
        write and logs them after it, because the write succeeded.
        """
        if not self._is_enabled:
            yield
            return
        await self.increment(user, contact_ids)
        try:
            yield
        finally:
            try:
                await self.increment(user, contact_ids)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                logger.warning("records version not incremented: error=%s", type(error).__name__)

    async def increment(self, user: User, contact_ids: Collection[str] = ()) -> None:
        """Increment the version of the user; for staff, of the users who are linked to these contacts."""
        if not self._is_enabled:
            return
        if user.role != "staff":
            await self._increment([user.id])
        elif contact_ids:
            async with self._begin() as database:
                linked = select(User.id).where(User.contact_id.in_(contact_ids))
                user_ids = (await database.execute(linked)).scalars().all()
            await self._increment(user_ids)

    async def _increment(self, user_ids: Collection[UUID]) -> None:
        # One transaction for each user, so that two writes for the same users cannot deadlock.
        for user_id in user_ids:
            async with self._begin() as database:
                await database.execute(_INCREMENT, {"user_id": user_id})
