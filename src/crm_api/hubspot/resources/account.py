"""Account of the credentials."""

from datetime import UTC, tzinfo

from crm_api.hubspot.auth import RefreshTokenAuth
from crm_api.hubspot.errors import HubSpotScopeError
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import AccountDetails


class AccountApi:
    """Facts about the HubSpot account. Every method raises `HubSpotError`s."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._zone: tuple[float, tzinfo] | None = None
        self.currency: str | None = None
        """The account's currency in the last details; None until `details` has read it."""

    async def details(self) -> AccountDetails:
        """Return the account's portal ID; also a cheap check of the credentials.

        https://developers.hubspot.com/docs/api-reference/account-information-v3/guide
        """
        details = await self._sender.request(
            "GET",
            self._sender.paths.account_details,
            operation="account.details",
            idempotent=True,
            response=AccountDetails,
        )
        self._zone = (self._sender.clock(), details.zone)
        self.currency = details.company_currency
        return details

    async def time_zone(self, *, max_age_seconds: float = 3600.0) -> tzinfo:
        """Return the account's time zone, at most this old; UTC if the credentials may not read it."""
        now = self._sender.clock()
        if self._zone is None or now - self._zone[0] >= max_age_seconds:
            try:
                return (await self.details()).zone
            except HubSpotScopeError:
                self._zone = (now, UTC)
        return self._zone[1]

    async def token_scopes(self) -> frozenset[str] | None:
        """Return the credentials' scopes; None for static tokens.

        OAuth apps receive them with each access token. Static tokens' scopes can only be read from an undated path.
        """
        auth = self._sender.auth
        if not isinstance(auth, RefreshTokenAuth):
            return None
        if auth.granted_scopes is None:
            await self.details()
        return auth.granted_scopes
