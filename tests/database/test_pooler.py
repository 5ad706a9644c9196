"""A real transaction pooler, PgBouncer, between the service and PostgreSQL."""

import asyncio
from collections import Counter

import pytest
from tests.support.builders import PASSWORD, deal_body
from tests.support.callers import Caller, app_client, register_caller
from tests.support.databases import migrate

from crm_api.settings import Settings
from hubspot_emulator import Emulator

CUSTOMERS = 8
ROUNDS = 6

pytestmark = pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)


async def use(caller: Caller) -> Counter[int]:
    """Return the statuses of reads, creates and logins."""
    login = {"email": caller.email, "password": PASSWORD}
    statuses: Counter[int] = Counter()
    for _ in range(ROUNDS):
        responses = [
            await caller.post("/api/deals", deal_body()),
            await caller.get("/api/deals"),
            await caller.get("/api/me"),
            await caller.client.post("/api/login", json=login),
        ]
        statuses.update(response.status_code for response in responses)
    return statuses


async def test_all_requests_succeed_behind_a_transaction_pooler(
    settings: Settings, emulator: Emulator, pooler_url: str
) -> None:
    changes = {
        "database_url": pooler_url + "?statement_cache_size=0",
        **{f"rate_limit_{name}": "10000 per 1 minute" for name in ("user", "logins_per_address")},
        "max_sessions_per_user": 1000,
    }
    changed = settings.model_copy(update=changes)
    # Two services have the connections of two processes.
    async with app_client(changed, emulator) as one, app_client(changed, emulator) as other:
        clients = [one, other] * (CUSTOMERS // 2)
        callers = await asyncio.gather(
            *(register_caller(client, f"ada{number}@example.com") for number, client in enumerate(clients))
        )
        results = await asyncio.gather(*(use(caller) for caller in callers))
        assert sum(results, Counter()) == {200: 3 * CUSTOMERS * ROUNDS, 201: CUSTOMERS * ROUNDS}
        assert (await one.get("/readyz")).status_code == 200


def test_migrations_run_behind_a_transaction_pooler(pooler_url: str) -> None:
    migrate(pooler_url + "?statement_cache_size=0")
