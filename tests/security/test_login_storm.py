"""More concurrent logins than the hash threads can serve."""

import asyncio
import threading
from typing import Any

import pytest
from fastapi import FastAPI
from tests.support.builders import PASSWORD
from tests.support.callers import Caller

from crm_api.security.passwords import Passwords
from crm_api.settings import Settings


class TestManyLogins:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        # Rate limits stay enabled, because counting needs threads too, but are too high to be reached.
        many = "100000 per 1 minute"
        return settings.model_copy(
            update={
                "rate_limit_failed_logins_per_account": many,
                "rate_limit_failed_logins_per_account_total": many,
                "rate_limit_failed_logins_per_address": many,
                "rate_limit_logins_per_address": many,
                "bcrypt_rounds": 10,  # about 60 ms each
            }
        )

    async def test_requests_without_hashing_succeed_during_60_logins(
        self, customer: Caller, app: FastAPI
    ) -> None:
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        class Stuck:
            def verify_and_update(self, *_arguments: Any) -> tuple[bool, None]:
                loop.call_soon_threadsafe(begun.set)
                assert go_on.wait(30)
                return False, None

        app.state.passwords._context = Stuck()
        body = {"email": customer.email, "password": "wrong"}
        # The number exceeds the threads of the default pool.
        storm = [asyncio.create_task(customer.client.post("/api/login", json=body)) for _ in range(60)]
        try:
            async with asyncio.timeout(30):
                await begun.wait()
                for path in ("/api/me", "/api/pipelines", "/healthz"):
                    assert (await customer.get(path)).status_code == 200
            assert not any(task.done() for task in storm)
        finally:
            go_on.set()
            responses = await asyncio.gather(*storm)
        assert {response.status_code for response in responses} <= {
            401,
            503,
        }  # 503 for logins that waited too long

    async def test_login_waiting_too_long_for_a_hash_thread_returns_503(
        self, customer: Caller, app: FastAPI
    ) -> None:
        app.state.passwords = Passwords(rounds=10, workers=1, wait_seconds=0.1)
        body = {"email": customer.email, "password": PASSWORD}
        responses = await asyncio.gather(*(customer.client.post("/api/login", json=body) for _ in range(10)))
        statuses = sorted(response.status_code for response in responses)
        assert statuses[0] == 200
        assert statuses[-1] == 503
        assert set(statuses) == {200, 503}
        assert all("retry-after" in response.headers for response in responses if response.status_code == 503)
