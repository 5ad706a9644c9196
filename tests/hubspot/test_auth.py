"""Authentication: token renewal, rotation and rejection."""

import asyncio
import json
import logging
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from tests.hubspot.stubs import BASE_URL, AnyJson, Stub, build_client, ok, refusal
from tests.support.clock import FakeClock

from crm_api.hubspot import (
    HubSpotClient,
    Observer,
    RefreshTokenAuth,
    RetryPolicy,
    StaticTokenAuth,
    call_context,
    token_url,
)
from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotCredentialsError,
    HubSpotDeadlineError,
    HubSpotGrantError,
    HubSpotQuotaError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
    HubSpotUnreadableError,
)

REJECTED = httpx.Response(
    400,
    json={
        "error": "invalid_grant",
        "error_description": "refresh token is invalid, expired or revoked",
        "status": "BAD_REFRESH_TOKEN",
        "message": "refresh token is invalid, expired or revoked",
    },
)


class FakeHubSpot:
    """Fake HubSpot that issues tokens `t1`, `t2`, ... and rejects revoked ones."""

    def __init__(self, clock: FakeClock, *, lifetime_seconds: int = 1800) -> None:
        self.clock = clock
        self.lifetime_seconds = lifetime_seconds
        self.token_replies: list[Any] = []
        self.token_requests: list[httpx.Request] = []
        self.calls: Counter[str] = Counter()
        self.revoked: set[str] = set()
        self.refresh_token = "r1"
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/oauth/"):
            self.token_requests.append(request)
            number = len(self.token_requests)
            await asyncio.sleep(0)
            if self.token_replies:
                reply = self.token_replies.pop(0)
                if callable(reply):
                    reply = await reply()
                if isinstance(reply, httpx.TransportError):
                    reply.request = request
                    raise reply
                return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
            return ok(
                {
                    "access_token": f"t{number}",
                    "refresh_token": self.refresh_token,
                    "expires_in": self.lifetime_seconds,
                    "token_type": "bearer",
                    "hub_id": 123,
                    "scopes": ["oauth"],
                }
            )
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.calls[token] += 1
        await asyncio.sleep(0)
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        if token in self.revoked:
            return refusal(
                401, "The OAuth token used to make this call expired.", category="EXPIRED_AUTHENTICATION"
            )
        return ok({"token": token})


def connect(hubspot: FakeHubSpot, **changes: Any) -> HubSpotClient:
    arguments = {"clock": hubspot.clock, "client_id": "id", "client_secret": "s3cret", "refresh_token": "r1"}
    auth = RefreshTokenAuth(token_url=token_url(BASE_URL, "2026-09"), **(arguments | changes))  # type: ignore[arg-type]
    return build_client(Stub(hubspot), auth=auth, fake_clock=hubspot.clock)


def connect_without_retries(hubspot: FakeHubSpot) -> HubSpotClient:
    auth = connect(hubspot).sender.auth
    return build_client(Stub(hubspot), auth=auth, fake_clock=hubspot.clock, retry=RetryPolicy(max_attempts=1))


async def call(client: HubSpotClient) -> Any:
    return (await client.sender.request("GET", "/x", operation="t", idempotent=False, response=AnyJson)).root[
        "token"
    ]


@pytest.fixture
def hubspot() -> FakeHubSpot:
    return FakeHubSpot(FakeClock())


async def test_token_request_is_a_form_with_secrets_in_the_body(hubspot: FakeHubSpot) -> None:
    await call(connect(hubspot))
    [request] = hubspot.token_requests
    assert (request.method, request.url.raw_path) == ("POST", b"/oauth/2026-09/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in request.headers
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["id"],
        "client_secret": ["s3cret"],
        "refresh_token": ["r1"],
    }
    assert request.extensions["timeout"] == {"connect": 2, "pool": 1, "read": 4, "write": 4}


async def test_ten_concurrent_first_calls_send_one_token_request(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    assert await asyncio.gather(*(call(client) for _ in range(10))) == ["t1"] * 10
    assert len(hubspot.token_requests) == 1


async def test_ten_concurrent_401s_send_one_token_request(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    await call(client)
    hubspot.revoked.add("t1")
    assert await asyncio.gather(*(call(client) for _ in range(10))) == ["t2"] * 10
    assert len(hubspot.token_requests) == 2
    assert hubspot.calls["t1"] == 11


async def test_late_401_for_an_old_token_requests_no_third_token(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    await call(client)
    hubspot.revoked.add("t1")
    hubspot.hold = asyncio.Event()
    late = asyncio.create_task(call(client))
    await hubspot.held.wait()
    hold, hubspot.hold = hubspot.hold, None
    assert await call(client) == "t2"
    hold.set()
    assert await late == "t2"
    assert await call(client) == "t2"
    assert len(hubspot.token_requests) == 2


async def finish_renewal(client: HubSpotClient) -> None:
    """Let a renewal that runs in the background finish."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_access_token_is_renewed_before_its_expiry(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot, renew_margin_seconds=300)
    await call(client)
    hubspot.clock.now += 1499
    assert await call(client) == "t1"
    await finish_renewal(client)
    assert len(hubspot.token_requests) == 1
    hubspot.clock.now += 1
    await call(client)
    await finish_renewal(client)
    assert await call(client) == "t2"


async def test_token_renewal_margin_is_at_most_half_the_lifetime() -> None:
    hubspot = FakeHubSpot(FakeClock(), lifetime_seconds=100)
    client = connect(hubspot, renew_margin_seconds=300)
    await call(client)
    hubspot.clock.now += 49
    assert await call(client) == "t1"
    await finish_renewal(client)
    assert len(hubspot.token_requests) == 1
    hubspot.clock.now += 1
    await call(client)
    await finish_renewal(client)
    assert await call(client) == "t2"


async def test_calls_do_not_wait_for_renewal_of_a_valid_token(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    await call(client)
    hubspot.clock.now += 1600
    go_on = asyncio.Event()

    async def slow() -> httpx.Response:
        await go_on.wait()
        return refusal(503)

    hubspot.token_replies = [slow]
    assert await asyncio.gather(*(call(client) for _ in range(5))) == ["t1"] * 5
    assert len(hubspot.token_requests) == 2
    go_on.set()
    await finish_renewal(client)
    assert await call(client) == "t1"


async def test_failed_token_renewal_keeps_the_still_valid_token(hubspot: FakeHubSpot) -> None:
    client = connect_without_retries(hubspot)
    await call(client)
    hubspot.clock.now += 1600
    hubspot.token_replies = [refusal(503)]
    assert await call(client) == "t1"
    await finish_renewal(client)
    assert await call(client) == "t1"
    await finish_renewal(client)
    assert len(hubspot.token_requests) == 2
    hubspot.clock.now += 11
    await call(client)
    await finish_renewal(client)
    assert await call(client) == "t3"


async def test_repeated_401s_renew_the_token_again_only_after_a_pause(hubspot: FakeHubSpot) -> None:
    hubspot.revoked |= {f"t{number}" for number in range(100)}
    client = connect(hubspot)
    # One call more would open the account's circuit breaker.
    for _ in range(9):
        with pytest.raises(HubSpotCredentialsError):
            await call(client)
    assert len(hubspot.token_requests) == 2
    hubspot.clock.now += 11
    with pytest.raises(HubSpotCredentialsError):
        await call(client)
    assert len(hubspot.token_requests) == 3


async def test_failing_token_endpoint_opens_only_its_own_circuit(hubspot: FakeHubSpot) -> None:
    hubspot.token_replies = [refusal(503)] * 100
    client = connect_without_retries(hubspot)
    for _ in range(10):
        with pytest.raises(HubSpotServerError):
            await call(client)
    assert client.open_circuits == ["tokens"]
    with pytest.raises(HubSpotUnavailableError):
        await call(client)
    assert len(hubspot.token_requests) == 10
    hubspot.token_replies = []
    hubspot.clock.now += 2
    await call(client)
    assert client.open_circuits == []


async def test_call_is_resent_with_its_body_after_a_401(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    await call(client)
    hubspot.revoked.add("t1")
    stub = client._connections._transport
    assert isinstance(stub, Stub)
    await client.sender.request(
        "POST", "/x", operation="t", json={"a": 1}, idempotent=False, response=AnyJson
    )
    assert [request.content for request in stub.requests if request.url.path == "/x"][-2:] == [b'{"a":1}'] * 2


async def test_token_renewal_continues_if_its_caller_is_cancelled(hubspot: FakeHubSpot) -> None:
    stored: list[str] = []

    async def store(refresh_token: str) -> None:
        stored.append(refresh_token)

    client = connect(hubspot, store_refresh_token=store)
    requested, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> httpx.Response:
        requested.set()
        await go_on.wait()
        return ok({"access_token": "t1", "refresh_token": "r2", "expires_in": 1800})

    hubspot.token_replies = [slow]
    first = asyncio.create_task(call(client))
    await requested.wait()
    second = asyncio.create_task(call(client))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert await asyncio.wait_for(second, 2) == "t1"
    assert stored == ["r2"]
    assert len(hubspot.token_requests) == 1


async def test_aclose_waits_for_a_running_token_renewal(hubspot: FakeHubSpot) -> None:
    stored: list[str] = []

    async def store(refresh_token: str) -> None:
        await asyncio.sleep(0.01)
        stored.append(refresh_token)

    hubspot.refresh_token = "r2"
    client = connect(hubspot, store_refresh_token=store)
    task = asyncio.create_task(call(client))
    await finish_renewal(client)
    assert len(hubspot.token_requests) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.aclose()
    assert stored == ["r2"]


class TestRefreshTokenRotatedByAnotherProcess:
    """HubSpot rotated the refresh token for another process, which stored the new one, and rejects the old one."""

    async def test_stored_refresh_token_is_used_after_a_rejected_one(
        self, hubspot: FakeHubSpot, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def load() -> str:
            return "r2"

        client = connect(hubspot, load_refresh_token=load)
        hubspot.token_replies = [REJECTED]
        assert await call(client) == "t2"
        sent = [parse_qs(request.content.decode())["refresh_token"] for request in hubspot.token_requests]
        assert sent == [["r1"], ["r2"]]
        assert not caplog.records

    async def test_rejected_stored_refresh_token_is_sent_only_once(self, hubspot: FakeHubSpot) -> None:
        async def load() -> str:
            return "r2"

        client = connect(hubspot, load_refresh_token=load)
        hubspot.token_replies = [REJECTED] * 10
        with pytest.raises(HubSpotGrantError):
            await call(client)
        assert len(hubspot.token_requests) == 2

    @pytest.mark.parametrize("found", [None, "r1", RuntimeError("secret")])
    async def test_rejected_refresh_token_without_newer_one_raises_error(
        self, hubspot: FakeHubSpot, found: str | Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def load() -> str | None:
            if isinstance(found, Exception):
                raise found
            return found

        client = connect(hubspot, load_refresh_token=load)
        hubspot.token_replies = [REJECTED] * 10
        with pytest.raises(HubSpotGrantError):
            await call(client)
        assert len(hubspot.token_requests) == 1
        assert "secret" not in caplog.text


@pytest.mark.parametrize("lifetime", [0, -1, "soon", None, "NaN", "Infinity"])
async def test_invalid_expires_in_raises_unreadable_error(hubspot: FakeHubSpot, lifetime: Any) -> None:
    text = lifetime if lifetime in ("NaN", "Infinity") else json.dumps(lifetime)
    content = f'{{"access_token": "t", "expires_in": {text}}}'.encode()
    hubspot.token_replies = [httpx.Response(200, content=content)]
    client = connect_without_retries(hubspot)
    with pytest.raises(HubSpotUnreadableError):
        await call(client)


async def test_observer_receives_the_outcome_of_each_token_request(hubspot: FakeHubSpot) -> None:
    outcomes: list[str] = []

    class RecordingObserver(Observer):
        def token_refreshed(self, *, outcome: str) -> None:
            outcomes.append(outcome)

    auth = connect(hubspot).sender.auth
    client = build_client(Stub(hubspot), auth=auth, fake_clock=hubspot.clock, observer=RecordingObserver())
    hubspot.token_replies = [refusal(503), REJECTED]
    with pytest.raises(HubSpotGrantError):
        await call(client)
    hubspot.clock.now += 61
    await call(client)
    assert outcomes == ["HubSpotServerError", "dead_grant", "ok"]


async def test_rejected_grant_is_logged_once_and_not_retried_at_once(
    hubspot: FakeHubSpot, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(hubspot)
    hubspot.token_replies = [REJECTED] * 100
    with caplog.at_level(logging.ERROR):
        outcomes = await asyncio.gather(*(call(client) for _ in range(10)), return_exceptions=True)
        assert all(isinstance(outcome, HubSpotGrantError) for outcome in outcomes)
        with pytest.raises(HubSpotGrantError) as raised:
            await call(client)
        assert (len(hubspot.token_requests), hubspot.calls.total()) == (1, 0)
        hubspot.clock.now += 61
        with pytest.raises(HubSpotGrantError):
            await call(client)
        assert (client.sender.last_seen.ok, client.sender.last_seen.error) == (False, "HubSpotGrantError")
    assert len(hubspot.token_requests) == 2
    assert raised.value.category == "BAD_REFRESH_TOKEN"
    assert not raised.value.sent
    assert len([line for line in caplog.records if "BAD_REFRESH_TOKEN" in line.getMessage()]) == 1


async def test_rejected_grant_is_retried_after_a_minute(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    hubspot.token_replies = [REJECTED]
    with pytest.raises(HubSpotGrantError):
        await call(client)
    hubspot.clock.now += 61
    assert await call(client) == "t2"


@pytest.mark.parametrize(
    "body",
    [
        {"status": "BAD_CLIENT_ID", "message": "missing or unknown client id"},
        {"status": "BAD_CLIENT_SECRET"},
        {"status": "BAD_HUB", "message": "missing or unknown hub id", "error": "access_denied"},
        {"error": "invalid_grant"},
        {},
    ],
)
async def test_403_of_the_token_endpoint_raises_grant_error(hubspot: FakeHubSpot, body: Any) -> None:
    hubspot.token_replies = [httpx.Response(403, json=body)]
    with pytest.raises(HubSpotGrantError):
        await call(connect(hubspot))


@pytest.mark.parametrize(
    "reply",
    [
        refusal(429, "You have reached your rate limit.", headers={"Retry-After": "1"}),
        refusal(503),
        httpx.Response(502, html="<html>"),
        ok({"expires_in": 1800}),
        ok({"access_token": "a b", "expires_in": 1800}),
        httpx.Response(200, content=b"<html>"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
    ],
)
async def test_call_is_sent_after_the_retry_of_a_failed_token_request(
    hubspot: FakeHubSpot, reply: Any
) -> None:
    client = connect(hubspot)
    hubspot.token_replies = [reply]
    assert await call(client) == "t2"
    assert hubspot.calls == {"t2": 1}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(429, headers={"Retry-After": "60"}), HubSpotQuotaError),
        (refusal(503), HubSpotServerError),
        (ok([]), HubSpotUnreadableError),
        (httpx.ConnectError("refused"), HubSpotConnectionError),
        (httpx.ReadTimeout("slow"), HubSpotTimeoutError),
    ],
)
async def test_token_request_error_has_sent_false(
    hubspot: FakeHubSpot, reply: Any, error: type[Exception]
) -> None:
    client = connect(hubspot)
    hubspot.token_replies = [reply] * 10
    with pytest.raises(error) as raised:
        await call(client)
    assert not raised.value.sent  # type: ignore[attr-defined]
    assert hubspot.calls.total() == 0
    if isinstance(raised.value, HubSpotQuotaError):
        assert raised.value.policy == "token"


async def test_waiting_calls_share_one_failed_token_renewal(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    hubspot.token_replies = [refusal(429, headers={"Retry-After": "100"})] * 100
    outcomes = await asyncio.gather(*(call(client) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(outcome, HubSpotQuotaError) for outcome in outcomes)
    assert len(hubspot.token_requests) == 1


async def test_waiting_calls_share_token_requests_that_time_out(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    hubspot.token_replies = [httpx.ReadTimeout("slow")] * 100
    await asyncio.gather(*(call(client) for _ in range(10)), return_exceptions=True)
    # About one token request per attempt, not one per attempt and call (40).
    assert len(hubspot.token_requests) <= 8


async def test_calls_end_at_deadlines_while_the_token_endpoint_hangs(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot, renewal_seconds=0.3)
    hubspot.token_replies = [lambda: asyncio.Event().wait()] * 100
    started = asyncio.get_running_loop().time()

    async def impatient() -> None:
        with call_context(0.1):
            await call(client)

    outcomes = await asyncio.gather(*(impatient() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(outcome, HubSpotDeadlineError) for outcome in outcomes)
    assert asyncio.get_running_loop().time() - started < 1
    hubspot.token_replies = []
    assert (await call(client)).startswith("t")


async def test_rotated_refresh_token_is_stored_and_used(hubspot: FakeHubSpot) -> None:
    stored: list[str] = []

    async def store(refresh_token: str) -> None:
        stored.append(refresh_token)

    client = connect(hubspot, store_refresh_token=store)
    await call(client)
    assert stored == []
    hubspot.refresh_token = "r2"
    hubspot.clock.now += 1800
    await call(client)
    hubspot.clock.now += 1800
    await call(client)
    assert stored == ["r2"]
    sent = [parse_qs(request.content.decode())["refresh_token"] for request in hubspot.token_requests]
    assert sent == [["r1"], ["r1"], ["r2"]]


async def test_rotated_token_is_stored_if_the_call_is_cancelled(
    hubspot: FakeHubSpot,
) -> None:
    started, go_on, stored = asyncio.Event(), asyncio.Event(), []

    async def store(refresh_token: str) -> None:
        started.set()
        await go_on.wait()
        stored.append(refresh_token)

    hubspot.refresh_token = "r2"
    client = connect(hubspot, store_refresh_token=store)
    task = asyncio.create_task(call(client))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go_on.set()
    assert await call(client) == "t1"
    assert stored == ["r2"]


async def test_failed_refresh_token_storage_does_not_fail_the_call(
    hubspot: FakeHubSpot, caplog: pytest.LogCaptureFixture
) -> None:
    async def store(refresh_token: str) -> None:
        raise RuntimeError(refresh_token)

    hubspot.refresh_token = "r2-secret"
    assert await call(connect(hubspot, store_refresh_token=store)) == "t1"
    await asyncio.sleep(0)
    assert "not stored: error=RuntimeError" in caplog.text
    assert "r2-secret" not in caplog.text


async def test_token_scopes_returns_the_scopes_of_the_token_response(hubspot: FakeHubSpot) -> None:
    client = connect(hubspot)
    await call(client)
    assert isinstance(client.sender.auth, RefreshTokenAuth)
    assert await client.account.token_scopes() == frozenset({"oauth"})
    assert await build_client(Stub(ok({}))).account.token_scopes() is None


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é"])
def test_error_for_invalid_access_token_does_not_quote_the_token(token: str) -> None:
    with pytest.raises(ValueError, match="characters") as raised:
        StaticTokenAuth(token)
    assert not token.strip() or token not in str(raised.value)
