"""Who calls: people registered with a server, and what their requests bear."""

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

REGISTERED_AT_ONCE: Final = 5


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in."""

    email: str
    contact_id: str
    headers: Mapping[str, str]

    @property
    def claims(self) -> dict[str, Any]:
        """What their access token says, unverified."""
        body = self.headers["Authorization"].split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims


async def registered(client: Client, emails: list[str]) -> list[Person]:
    """Register these addresses and log them in; contacts that exist are linked."""
    turns = asyncio.Semaphore(REGISTERED_AT_ONCE)

    async def one(email: str) -> Person:
        async with turns:
            made = await client.ask("POST", "/api/register", json=registration_body(email=email))
            return await logged_in(client, email, str(made["data"]["contact"]["id"]))

    return list(await asyncio.gather(*(one(email) for email in emails)))


async def logged_in(client: Client, email: str, contact_id: str) -> Person:
    """Log somebody in."""
    answer = await client.ask("POST", "/api/login", json={"email": email, "password": PASSWORD})
    return Person(email, contact_id, {"Authorization": f"Bearer {answer['data']['access_token']}"})


def at_the_floor(person: Person) -> dict[str, str]:
    """The headers by which the floors know somebody, which check nothing."""
    claims = person.claims
    return {"X-Contact": person.contact_id, "X-User": claims["sub"], "X-Session": claims["sid"]}


async def make_staff(database: str, email: str) -> None:
    """Let this person see all records, as `crm-api users promote` does."""
    engine = create_engine(database)
    try:
        assert await set_role(create_session_factory(engine), email, "staff")
    finally:
        await engine.dispose()
