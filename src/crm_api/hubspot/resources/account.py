"""The account that the credentials belong to."""

from crm_api.hubspot.auth import RefreshTokenAuth
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import AccountDetails


class AccountApi:
    """What can be read about the account. Raises `HubSpotError`s."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def details(self) -> AccountDetails:
        """Portal id, time zone, currency: also a cheap check of the credentials.

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
        """What the credentials allow; None where that cannot be read.

        Token answers of OAuth apps say so. For static tokens only an undated path does, which is not used.
        """
        auth = self._sender.auth
        if not isinstance(auth, RefreshTokenAuth):
            return None
        if auth.granted_scopes is None:
            await self.details()
        return auth.granted_scopes
