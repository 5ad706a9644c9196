"""Account of the credentials."""

from crm_api.hubspot.auth import RefreshTokenAuth
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import AccountDetails


class AccountApi:
    """Facts about the HubSpot account. Every method raises `HubSpotError`s."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def details(self) -> AccountDetails:
        """Return the account's portal ID; also a cheap check of the credentials.

        https://developers.hubspot.com/docs/api-reference/account-information-v3/guide
        """
        return await self._sender.request(
            "GET",
            self._sender.paths.account_details,
            operation="account.details",
            idempotent=True,
            response=AccountDetails,
        )

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
