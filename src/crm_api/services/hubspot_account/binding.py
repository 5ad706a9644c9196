"""Binding of the database to one HubSpot account, and storage of that account's refresh token."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotGrantError
from crm_api.models import HubSpotAccount, IdempotencyKey, RecentWrite, RecordLease, User
from crm_api.security.crypto import KeyRing, decrypt, encrypt, keyed_hash
from crm_api.services import audit
from crm_api.services.audit import Origin

logger = logging.getLogger(__name__)

T = TypeVar("T")
_TOKEN = "hubspot-refresh-token"
_IS_LINKED = or_(User.contact_id.is_not(None), User.lost_contact_id.is_not(None))


class AccountBinding:
    """Binds the database to the HubSpot account of the credentials, and rejects those of another HubSpot account.

    `watch` looks up the HubSpot account after start. Until that succeeds, or if the credentials may not read it,
    requests are allowed.
    """

    def __init__(self, session_factory: SessionFactory, hubspot: HubSpotClient) -> None:
        self._session_factory = session_factory
        self._hubspot = hubspot
        self.mismatch: str | None = None

    def require_match(self) -> None:
        """Raise 503 if the database belongs to another HubSpot account."""
        if self.mismatch is not None:
            raise ApiError("service_unavailable", retry_after=60)

    async def watch(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Try to bind until it succeeds or the credentials may not read the HubSpot account."""
        wait_seconds = 1.0
        while True:
            try:
                return await self.bind()
            except (HubSpotError, SQLAlchemyError, OSError, TimeoutError) as error:
                if _is_forbidden(error):
                    logger.warning(
                        "these credentials may not read the HubSpot account's ID; it is not checked"
                    )
                    return None
                logger.info("the HubSpot account is not known yet: %s", type(error).__name__)
            await sleep(wait_seconds)
            wait_seconds = min(60.0, wait_seconds * 2)

    async def bind(self) -> None:
        """Store the HubSpot account's ID, or record the mismatch with the stored one.

        Raises a `HubSpotError` or a database error if the ID cannot be read or stored.
        """
        details = await self._hubspot.account.details()

        def set_if_unset(row: HubSpotAccount) -> str:
            row.portal_id = row.portal_id or details.portal_id
            return row.portal_id

        bound = await _change_row(self._session_factory, set_if_unset)
        if bound != details.portal_id:
            self.mismatch = (
                f"the database belongs to HubSpot account {bound}, the credentials to {details.portal_id}"
            )
            logger.error("%s: requests that need HubSpot are rejected", self.mismatch)


async def bound_account(session_factory: SessionFactory) -> str | None:
    """Return the ID of the HubSpot account that the database is bound to, or None."""
    async with session_factory() as database:
        return (await database.execute(select(HubSpotAccount.portal_id))).scalar_one_or_none()


async def linked_users(session_factory: SessionFactory) -> int:
    """Return how many users have a link to a contact, lost links included."""
    async with session_factory() as database:
        return (await database.execute(select(func.count()).select_from(User).where(_IS_LINKED))).scalar_one()


async def move_binding(session_factory: SessionFactory, portal_id: str, *, origin: Origin) -> None:
    """Bind the database to another HubSpot account, and delete what refers to records of the previous one.

    Every user's link ends: the same contact ID is another person in another HubSpot account. Does nothing if the
    database is bound to this HubSpot account already.
    """
    async with session_factory.begin() as database:
        row = await database.get(HubSpotAccount, 1, with_for_update=True)
        if row is None or row.portal_id == portal_id:
            return
        row.portal_id = portal_id
        links = (
            await database.execute(select(User.id, User.contact_id, User.lost_contact_id).where(_IS_LINKED))
        ).all()
        await database.execute(
            update(User)
            .where(_IS_LINKED)
            .values(contact_id=None, lost_contact_id=None, contact_lost_at=None, contact_lookup_at=None)
        )
        for user_id, contact_id, lost_contact_id in links:
            detail = f"was {contact_id or lost_contact_id}, is None: moved to HubSpot account {portal_id}"
            audit.record(database, "contact_link_lost", user_id, origin=origin, detail=detail)
        for table in (IdempotencyKey, RecentWrite, RecordLease):
            await database.execute(delete(table))


def _is_forbidden(error: Exception) -> bool:
    # Only a 403 is permanent: a revoked grant or an invalid token (401) can be replaced in HubSpot.
    return (
        isinstance(error, HubSpotCredentialsError)
        and error.status_code == 403
        and not isinstance(error, HubSpotGrantError)
    )


async def _change_row(session_factory: SessionFactory, change: Callable[[HubSpotAccount], T]) -> T:
    """Change the table's only row, which is created if absent. Returns the result of `change`."""
    for _ in range(2):
        try:
            async with session_factory.begin() as database:
                row = await database.get(HubSpotAccount, 1, with_for_update=True)
                if row is None:
                    row = HubSpotAccount(id=1)
                    database.add(row)
                return change(row)
        except IntegrityError:
            continue  # another process created the row first: retry with that row
    raise ApiError("service_unavailable")


async def stored_refresh_token(session_factory: SessionFactory, keys: KeyRing, configured: str) -> str | None:
    """Return the refresh token that replaced the configured one, or None."""
    async with session_factory() as database:
        row = (await database.execute(select(HubSpotAccount))).scalar_one_or_none()
    return _decrypted(row, keys, configured) if row is not None else None


async def encrypt_with_current_key(session_factory: SessionFactory, keys: KeyRing, configured: str) -> None:
    """Encrypt the stored refresh token with the current key, so that the other key of a rotation can be removed."""

    def set_token(row: HubSpotAccount) -> None:
        refresh_token = _decrypted(row, keys, configured)
        if refresh_token is not None:
            _set_refresh_token(row, keys, configured, refresh_token)

    await _change_row(session_factory, set_token)


async def store_refresh_token(
    session_factory: SessionFactory, keys: KeyRing, configured: str, changed: str
) -> None:
    """Store the refresh token that HubSpot issued in place of the configured one."""

    await _change_row(session_factory, lambda row: _set_refresh_token(row, keys, configured, changed))


def _set_refresh_token(row: HubSpotAccount, keys: KeyRing, configured: str, changed: str) -> None:
    row.refresh_token = encrypt(keys.current, _TOKEN, changed)
    row.refresh_token_origin = _origin(keys.current, configured)


def _decrypted(row: HubSpotAccount, keys: KeyRing, configured: str) -> str | None:
    if row.refresh_token is None or row.refresh_token_origin not in {
        _origin(key, configured) for key in keys
    }:
        return None
    return decrypt(keys, _TOKEN, row.refresh_token)


def _origin(key: str, configured: str) -> str:
    return keyed_hash(key, _TOKEN, configured)
