"""The HubSpot account that this database belongs to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotGrantError
from crm_api.models import HubSpotAccount
from crm_api.security.crypto import decrypt, encrypt, keyed_hash

logger = logging.getLogger(__name__)

T = TypeVar("T")
_TOKEN = "hubspot-refresh-token"


class AccountBinding:
    """Binds the database to the account of the credentials, and refuses another account's.

    The account is looked up after start, again and again until HubSpot answers; until then, and where the
    credentials may not read it, nothing is refused.
    """

    def __init__(self, session_factory: SessionFactory, hubspot: HubSpotClient) -> None:
        self._session_factory = session_factory
        self._hubspot = hubspot
        self.refused: str | None = None

    def require(self) -> None:
        """Raise 503 where the database belongs to another account."""
        if self.refused is not None:
            raise ApiError("service_unavailable", retry_after=60)

    async def watch(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look the account up until it is known; ends when it is, or when it cannot be."""
        wait_seconds = 1.0
        while True:
            try:
                await self.bind()
                return
            except HubSpotCredentialsError as error:
                # A 403 stays one. A dead grant or a refused token may be mended in HubSpot, and be another account's.
                if error.status_code == 403 and not isinstance(error, HubSpotGrantError):
                    logger.warning(
                        "the HubSpot account's id cannot be read with these credentials; it is not checked"
                    )
                    return
                logger.info("the HubSpot account is not known yet: %s", type(error).__name__)
            except (HubSpotError, SQLAlchemyError, OSError, TimeoutError) as error:
                logger.info("the HubSpot account is not known yet: %s", type(error).__name__)
            await sleep(wait_seconds)
            wait_seconds = min(60.0, wait_seconds * 2)

    async def bind(self) -> None:
        """Remember the account, or find that it is another. Raises HubSpot's and the database's errors."""
        details = await self._hubspot.account.details()
        known = await self._remember(details.portal_id)
        if known != details.portal_id:
            self.refused = (
                f"the database belongs to HubSpot account {known}, the credentials to {details.portal_id}"
            )
            logger.error("%s: no request to HubSpot is answered", self.refused)

    async def _remember(self, portal_id: str) -> str:
        def note(row: HubSpotAccount) -> str:
            row.portal_id = row.portal_id or portal_id
            return row.portal_id

        return await _change_row(self._session_factory, note)


async def _change_row(session_factory: SessionFactory, change: Callable[[HubSpotAccount], T]) -> T:
    """Change the one row, and make it where it is not there yet: another process may be making it at this moment."""
    for _ in range(2):
        try:
            async with session_factory.begin() as database:
                row = await database.get(HubSpotAccount, 1, with_for_update=True)
                if row is None:
                    row = HubSpotAccount(id=1)
                    database.add(row)
                return change(row)
        except IntegrityError:
            continue  # another process was first
    raise ApiError("service_unavailable")


async def stored_refresh_token(session_factory: SessionFactory, secret: str, configured: str) -> str | None:
    """The refresh token that HubSpot gave in the configured one's place; None where there is none."""
    async with session_factory() as database:
        row = (await database.execute(select(HubSpotAccount))).scalar_one_or_none()
    if row is None or row.refresh_token is None or row.refresh_token_origin != _origin(secret, configured):
        return None
    return decrypt(secret, _TOKEN, row.refresh_token)


async def store_refresh_token(
    session_factory: SessionFactory, secret: str, configured: str, changed: str
) -> None:
    """Keep a refresh token that HubSpot has changed."""

    def note(row: HubSpotAccount) -> None:
        row.refresh_token = encrypt(secret, _TOKEN, changed)
        row.refresh_token_origin = _origin(secret, configured)

    await _change_row(session_factory, note)


def _origin(secret: str, configured: str) -> str:
    return keyed_hash(secret, _TOKEN, configured)
