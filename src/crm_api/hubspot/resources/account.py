"""The account that the credentials belong to."""

from typing import TYPE_CHECKING

from crm_api.hubspot.auth import RefreshTokenAuth
from crm_api.hubspot.wire import ACCOUNT, AccountDetails

if TYPE_CHECKING:
    from crm_api.hubspot.client import HubSpotClient


class AccountApi:
    """What can be read about the account. Raises `HubSpotError`s."""

    def __init__(self, client: "HubSpotClient") -> None:
        self._client = client

    async def details(self) -> AccountDetails:
        """Portal id, time zone, currency: also a cheap check of the credentials.

        https://developers.hubspot.com/docs/api-reference/account-information-v3/guide
        """
        answer: AccountDetails = await self._client.request(
            "GET",
            self._client.paths.account_details,
            operation="account.details",
            idempotent=True,
            answer=ACCOUNT,
        )
        return answer

    async def token_scopes(self) -> frozenset[str] | None:
        """What the credentials allow; None where that cannot be read.

        Token answers of OAuth apps say so. For static tokens only an undated path does, which is not used.
        """
        auth = self._client.auth
        if not isinstance(auth, RefreshTokenAuth):
            return None
        if auth.granted_scopes is None:
            await self.details()
        return auth.granted_scopes
