"""Concurrent registrations of one address in two processes on one PostgreSQL, for a hundred addresses."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from tests.support.builders import PASSWORD, registration_body
from tests.support.mail import Mailbox, token_of
from tests.support.processes import emulator_process, service_process

from crm_api.database import create_engine, create_session_factory
from crm_api.models import PendingRegistration, User

PAIRS = 100
# The two requests of a pair are concurrent. More pairs at once would only wait in the connection pool.
CONCURRENT_PAIRS = 10
WITHOUT_LIMITS: dict[str, Any] = {
    "RATE_LIMIT_ENABLED": "false",
    "HUBSPOT_BURST_LIMIT": "100000",
    "LOG_LEVEL": "WARNING",
}


def address(number: int) -> str:
    return f"pair{number}@example.com"


async def register_pairs(urls: list[str]) -> list[tuple[int, int]]:
    """Register each address in both processes at once and return the pairs of statuses."""
    semaphore = asyncio.Semaphore(CONCURRENT_PAIRS)
    async with httpx.AsyncClient(timeout=30) as client:

        async def pair(number: int) -> tuple[int, int]:
            async with semaphore:
                first, second = await asyncio.gather(
                    *(
                        client.post(f"{url}/api/register", json=registration_body(email=address(number)))
                        for url in urls
                    )
                )
            return first.status_code, second.status_code

        return await asyncio.gather(*(pair(number) for number in range(PAIRS)))


async def count_users(database_url: str) -> tuple[int, int, int]:
    """Return the numbers of active users, linked contacts and pending registrations."""
    engine = create_engine(database_url)
    async with create_session_factory(engine)() as database:
        active = select(func.count()).select_from(User).where(User.status == "active")
        linked = select(func.count(func.distinct(User.contact_id)))
        pending = select(func.count()).select_from(PendingRegistration)
        figures = [(await database.execute(query)).scalar_one() for query in (active, linked, pending)]
    await engine.dispose()
    return figures[0], figures[1], figures[2]


async def contacts(hubspot_url: str) -> Counter[str]:
    """Return the number of contacts in the HubSpot account for each address."""
    counts: Counter[str] = Counter()
    after: str | None = None
    async with httpx.AsyncClient(headers={"Authorization": "Bearer any"}) as client:
        while True:
            query = {"limit": "100", "properties": "email"} | ({"after": after} if after else {})
            page = (await client.get(f"{hubspot_url}/crm/objects/2026-09/contacts", params=query)).json()
            counts.update(record["properties"]["email"] for record in page["results"])
            after = page.get("paging", {}).get("next", {}).get("after")
            if after is None:
                return counts


@pytest.mark.parametrize("database_backend", ["postgresql"])
async def test_same_registration_in_two_processes_makes_one_user(database_url: str, tmp_path: Path) -> None:
    with (
        emulator_process(tmp_path) as hubspot,
        service_process(
            tmp_path, database_url=database_url, hubspot_url=hubspot.url, **WITHOUT_LIMITS
        ) as one,
        service_process(
            tmp_path, database_url=database_url, hubspot_url=hubspot.url, **WITHOUT_LIMITS
        ) as other,
    ):
        statuses = await register_pairs([one.url, other.url])
        assert Counter(tuple(sorted(pair)) for pair in statuses) == {(201, 409): PAIRS}
        assert await count_users(database_url) == (PAIRS, PAIRS, 0)
        assert await contacts(hubspot.url) == {address(number): 1 for number in range(PAIRS)}


@pytest.mark.parametrize("database_backend", ["postgresql"])
async def test_two_mail_links_used_in_two_processes_make_one_user(
    database_url: str, tmp_path: Path, mailbox: Mailbox
) -> None:
    verification = WITHOUT_LIMITS | {"EMAIL_VERIFICATION": "required", "SMTP_URL": mailbox.url}
    with (
        emulator_process(tmp_path) as hubspot,
        service_process(tmp_path, database_url=database_url, hubspot_url=hubspot.url, **verification) as one,
        service_process(
            tmp_path, database_url=database_url, hubspot_url=hubspot.url, **verification
        ) as other,
    ):
        statuses = await register_pairs([one.url, other.url])
        assert Counter(statuses) == {(202, 202): PAIRS}
        async with asyncio.timeout(20):
            while len(mailbox.mails) < 2 * PAIRS:  # noqa: ASYNC110 - another thread receives the mails
                await asyncio.sleep(0.05)
        verified = await verify_pairs([one.url, other.url], mailbox)
        assert all(sum(status == 200 for status in pair) == 1 for pair in verified)
        assert {status for pair in verified for status in pair} <= {200, 400, 409}
        assert await count_users(database_url) == (PAIRS, PAIRS, 0)
        assert await contacts(hubspot.url) == {address(number): 1 for number in range(PAIRS)}


async def verify_pairs(urls: list[str], mailbox: Mailbox) -> list[tuple[int, int]]:
    """Open both links of each address at once, one in each process, and return the pairs of statuses."""
    semaphore = asyncio.Semaphore(CONCURRENT_PAIRS)
    async with httpx.AsyncClient(timeout=30) as client:

        async def pair(number: int) -> tuple[int, int]:
            tokens = [token_of(mail) for mail in mailbox.mails_to(address(number))]
            async with semaphore:
                first, second = await asyncio.gather(
                    *(
                        client.post(f"{url}/api/email/verify", json={"token": token, "password": PASSWORD})
                        for url, token in zip(urls, tokens, strict=True)
                    )
                )
            return first.status_code, second.status_code

        return await asyncio.gather(*(pair(number) for number in range(PAIRS)))
