"""Users registered with a server, and the headers of their requests."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load import Client
from tests.support.builders import PASSWORD, registration_body

from crm_api.database import create_engine, create_session_factory
from crm_api.services.accounts.profile import set_role

MAX_CONCURRENT_REGISTRATIONS: Final = 5


@dataclass(frozen=True)
class User:
    """A user with a login."""

    email: str
    contact_id: str
    headers: Mapping[str, str]

    @property
    def claims(self) -> dict[str, Any]:
        """Return the unverified claims of the access token."""
        body = self.headers["Authorization"].split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims


async def register_users(client: Client, emails: list[str]) -> list[User]:
    """Register these addresses and log in; existing contacts are linked."""
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_REGISTRATIONS)

    async def register(email: str) -> User:
        async with semaphore:
            body = await client.request_json("POST", "/api/register", json=registration_body(email=email))
            return await log_in_user(client, email, str(body["data"]["contact"]["id"]))

    return list(await asyncio.gather(*(register(email) for email in emails)))


async def log_in_user(client: Client, email: str, contact_id: str) -> User:
    """Log in and return the user."""
    body = await client.request_json("POST", "/api/login", json={"email": email, "password": PASSWORD})
    return User(email, contact_id, {"Authorization": f"Bearer {body['data']['access_token']}"})


def lower_bound_headers(user: User) -> dict[str, str]:
    """Return the headers that identify a user to the lower-bound services, which verify nothing."""
    claims = user.claims
    return {"X-Contact": user.contact_id, "X-User": claims["sub"], "X-Session": claims["sid"]}


async def make_staff(database: str, email: str) -> None:
    """Give the user the role staff, as `crm-api users promote` does."""
    engine = create_engine(database)
    try:
        assert await set_role(create_session_factory(engine), email, "staff")
    finally:
        await engine.dispose()
