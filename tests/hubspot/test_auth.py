"""Tokens: one renewal for all, before it is too late, and never in anybody's way."""

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
    NullObserver,
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
    HubSpotUnreadableError,
)

DEAD = httpx.Response(
    400,
    json={
        "error": "invalid_grant",
        "error_description": "refresh token is invalid, expired or revoked",
        "status": "BAD_REFRESH_TOKEN",
        "message": "refresh token is invalid, expired or revoked",
    },
)


class Account:
    """A HubSpot that issues tokens `t1`, `t2`, ... and refuses those it has revoked."""

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


def connect(account: Account, **changes: Any) -> HubSpotClient:
    arguments = {"clock": account.clock, "client_id": "id", "client_secret": "s3cret", "refresh_token": "r1"}
    auth = RefreshTokenAuth(token_url=token_url(BASE_URL, "2026-09"), **(arguments | changes))  # type: ignore[arg-type]
    return build_client(Stub(account), auth=auth, fake_clock=account.clock)


def connect_without_repeats(account: Account) -> HubSpotClient:
    auth = connect(account).sender.auth
    return build_client(Stub(account), auth=auth, fake_clock=account.clock, retry=RetryPolicy(max_attempts=1))


async def call(client: HubSpotClient) -> Any:
    return (await client.sender.request("GET", "/x", operation="t", idempotent=False, response=AnyJson)).root[
        "token"
    ]


@pytest.fixture
def account() -> Account:
    return Account(FakeClock())


async def test_the_token_request_is_a_form_with_everything_in_the_body(account: Account) -> None:
    await call(connect(account))
    [request] = account.token_requests
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


async def test_ten_concurrent_calls_on_a_cold_token_make_one_token_request(account: Account) -> None:
    client = connect(account)
    assert await asyncio.gather(*(call(client) for _ in range(10))) == ["t1"] * 10
    assert len(account.token_requests) == 1


async def test_ten_concurrent_refusals_make_one_token_request(account: Account) -> None:
    client = connect(account)
    await call(client)
    account.revoked.add("t1")
    assert await asyncio.gather(*(call(client) for _ in range(10))) == ["t2"] * 10
    assert len(account.token_requests) == 2
    assert account.calls["t1"] == 11


async def test_a_late_refusal_of_an_old_token_does_not_invalidate_the_new_one(account: Account) -> None:
    client = connect(account)
    await call(client)
    account.revoked.add("t1")
    account.hold = asyncio.Event()
    late = asyncio.create_task(call(client))
    await account.held.wait()
    hold, account.hold = account.hold, None
    assert await call(client) == "t2"
    hold.set()
    assert await late == "t2"
    assert await call(client) == "t2"
    assert len(account.token_requests) == 2


async def settled(client: HubSpotClient) -> None:
    """A renewal that nobody waits for is over."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_token_is_renewed_before_it_expires(account: Account) -> None:
    client = connect(account, renew_margin_seconds=300)
    await call(client)
    account.clock.now += 1499
    assert await call(client) == "t1"
    await settled(client)
    assert len(account.token_requests) == 1
    account.clock.now += 1
    await call(client)
    await settled(client)
    assert await call(client) == "t2"


async def test_the_margin_is_at_most_half_the_lifetime() -> None:
    account = Account(FakeClock(), lifetime_seconds=100)
    client = connect(account, renew_margin_seconds=300)
    await call(client)
    account.clock.now += 49
    assert await call(client) == "t1"
    await settled(client)
    assert len(account.token_requests) == 1
    account.clock.now += 1
    await call(client)
    await settled(client)
    assert await call(client) == "t2"


async def test_nobody_waits_for_an_early_renewal_while_the_token_holds(account: Account) -> None:
    client = connect(account)
    await call(client)
    account.clock.now += 1600
    go_on = asyncio.Event()

    async def slow() -> httpx.Response:
        await go_on.wait()
        return refusal(503)

    account.token_replies = [slow]
    assert await asyncio.gather(*(call(client) for _ in range(5))) == ["t1"] * 5
    assert len(account.token_requests) == 2
    go_on.set()
    await settled(client)
    assert await call(client) == "t1"


async def test_an_early_renewal_that_fails_does_not_matter_while_the_token_holds(account: Account) -> None:
    client = connect_without_repeats(account)
    await call(client)
    account.clock.now += 1600
    account.token_replies = [refusal(503)]
    assert await call(client) == "t1"
    await settled(client)
    assert await call(client) == "t1"
    await settled(client)
    assert len(account.token_requests) == 2
    account.clock.now += 11
    await call(client)
    await settled(client)
    assert await call(client) == "t3"


async def test_a_token_that_is_always_refused_is_an_error_and_not_a_storm(account: Account) -> None:
    account.revoked |= {f"t{number}" for number in range(100)}
    client = connect(account)
    for _ in range(20):
        with pytest.raises(HubSpotCredentialsError):
            await call(client)
    assert len(account.token_requests) == 2
    account.clock.now += 11
    with pytest.raises(HubSpotCredentialsError):
        await call(client)
    assert len(account.token_requests) == 3


async def test_a_refused_call_is_sent_again_with_its_body(account: Account) -> None:
    client = connect(account)
    await call(client)
    account.revoked.add("t1")
    stub = client._connections._transport
    assert isinstance(stub, Stub)
    await client.sender.request(
        "POST", "/x", operation="t", json={"a": 1}, idempotent=False, response=AnyJson
    )
    assert [request.content for request in stub.requests if request.url.path == "/x"][-2:] == [b'{"a":1}'] * 2


async def test_a_renewal_goes_on_when_whoever_began_it_is_cancelled(account: Account) -> None:
    kept: list[str] = []

    async def keep(refresh_token: str) -> None:
        kept.append(refresh_token)

    client = connect(account, store_refresh_token=keep)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> httpx.Response:
        asked.set()
        await go_on.wait()
        return ok({"access_token": "t1", "refresh_token": "r2", "expires_in": 1800})

    account.token_replies = [slow]
    first = asyncio.create_task(call(client))
    await asked.wait()
    second = asyncio.create_task(call(client))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert await asyncio.wait_for(second, 2) == "t1"
    assert kept == ["r2"]
    assert len(account.token_requests) == 1


async def test_closing_gives_a_renewal_a_moment_to_end(account: Account) -> None:
    kept: list[str] = []

    async def keep(refresh_token: str) -> None:
        await asyncio.sleep(0.01)
        kept.append(refresh_token)

    account.refresh_token = "r2"
    client = connect(account, store_refresh_token=keep)
    task = asyncio.create_task(call(client))
    await settled(client)
    assert len(account.token_requests) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.aclose()
    assert kept == ["r2"]


class TestAnotherProcessRenewedFirst:
    """HubSpot changed the refresh token for another process, which kept it; ours is dead now."""

    async def test_the_kept_token_is_taken_up(
        self, account: Account, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def kept() -> str:
            return "r2"

        client = connect(account, load_refresh_token=kept)
        account.token_replies = [DEAD]
        assert await call(client) == "t2"
        sent = [parse_qs(request.content.decode())["refresh_token"] for request in account.token_requests]
        assert sent == [["r1"], ["r2"]]
        assert not caplog.records

    async def test_a_kept_token_that_is_dead_too_is_asked_about_once(self, account: Account) -> None:
        async def kept() -> str:
            return "r2"

        client = connect(account, load_refresh_token=kept)
        account.token_replies = [DEAD] * 10
        with pytest.raises(HubSpotGrantError):
            await call(client)
        assert len(account.token_requests) == 2

    @pytest.mark.parametrize("found", [None, "r1", RuntimeError("secret")])
    async def test_without_another_one_the_grant_is_dead(
        self, account: Account, found: str | Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def kept() -> str | None:
            if isinstance(found, Exception):
                raise found
            return found

        client = connect(account, load_refresh_token=kept)
        account.token_replies = [DEAD] * 10
        with pytest.raises(HubSpotGrantError):
            await call(client)
        assert len(account.token_requests) == 1
        assert "secret" not in caplog.text


@pytest.mark.parametrize("lifetime", [0, -1, "soon", None, "NaN", "Infinity"])
async def test_a_lifetime_that_is_none_is_not_understood(account: Account, lifetime: Any) -> None:
    text = lifetime if lifetime in ("NaN", "Infinity") else json.dumps(lifetime)
    content = f'{{"access_token": "t", "expires_in": {text}}}'.encode()
    account.token_replies = [httpx.Response(200, content=content)]
    client = connect_without_repeats(account)
    with pytest.raises(HubSpotUnreadableError):
        await call(client)


async def test_token_requests_are_told(account: Account) -> None:
    told: list[str] = []

    class Watching(NullObserver):
        def token_refreshed(self, *, outcome: str) -> None:
            told.append(outcome)

    auth = connect(account).sender.auth
    client = build_client(Stub(account), auth=auth, fake_clock=account.clock, observer=Watching())
    account.token_replies = [refusal(503), DEAD]
    with pytest.raises(HubSpotGrantError):
        await call(client)
    account.clock.now += 61
    await call(client)
    assert told == ["HubSpotServerError", "dead_grant", "ok"]


async def test_a_dead_grant_is_reported_once_and_then_refused_without_asking(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(account)
    account.token_replies = [DEAD] * 100
    with caplog.at_level(logging.ERROR):
        outcomes = await asyncio.gather(*(call(client) for _ in range(10)), return_exceptions=True)
        assert all(isinstance(each, HubSpotGrantError) for each in outcomes)
        with pytest.raises(HubSpotGrantError) as raised:
            await call(client)
        assert (len(account.token_requests), account.calls.total()) == (1, 0)
        account.clock.now += 61
        with pytest.raises(HubSpotGrantError):
            await call(client)
        assert (client.last_seen.ok, client.last_seen.error) == (False, "HubSpotGrantError")
    assert len(account.token_requests) == 2
    assert raised.value.category == "BAD_REFRESH_TOKEN"
    assert not raised.value.sent
    assert len([each for each in caplog.records if "BAD_REFRESH_TOKEN" in each.getMessage()]) == 1


async def test_a_grant_that_is_alive_again_is_used(account: Account) -> None:
    client = connect(account)
    account.token_replies = [DEAD]
    with pytest.raises(HubSpotGrantError):
        await call(client)
    account.clock.now += 61
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
async def test_other_refusals_of_the_token_endpoint_are_dead_grants_too(account: Account, body: Any) -> None:
    account.token_replies = [httpx.Response(403, json=body)]
    with pytest.raises(HubSpotGrantError):
        await call(connect(account))


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
async def test_a_token_request_that_fails_means_that_the_call_was_not_sent_and_may_be_repeated(
    account: Account, reply: Any
) -> None:
    client = connect(account)
    account.token_replies = [reply]
    assert await call(client) == "t2"
    assert account.calls == {"t2": 1}


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
async def test_the_failure_of_a_token_request_says_that_the_call_was_not_sent(
    account: Account, reply: Any, error: type[Exception]
) -> None:
    client = connect(account)
    account.token_replies = [reply] * 10
    with pytest.raises(error) as raised:
        await call(client)
    assert not raised.value.sent  # type: ignore[attr-defined]
    assert account.calls.total() == 0
    if isinstance(raised.value, HubSpotQuotaError):
        assert raised.value.policy == "token"


async def test_callers_that_wait_behind_a_failing_renewal_share_its_failure(account: Account) -> None:
    client = connect(account)
    account.token_replies = [refusal(429, headers={"Retry-After": "100"})] * 100
    outcomes = await asyncio.gather(*(call(client) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(each, HubSpotQuotaError) for each in outcomes)
    assert len(account.token_requests) == 1


async def test_callers_share_a_failed_connection_too(account: Account) -> None:
    client = connect(account)
    account.token_replies = [httpx.ReadTimeout("slow")] * 100
    await asyncio.gather(*(call(client) for _ in range(10)), return_exceptions=True)
    assert (
        len(account.token_requests) <= 8
    )  # each round of repeats asks once, or a little more; not ten times four


async def test_a_hung_token_endpoint_ends_at_each_callers_deadline(account: Account) -> None:
    client = connect(account, renewal_seconds=0.3)
    account.token_replies = [lambda: asyncio.Event().wait()] * 100
    started = asyncio.get_running_loop().time()

    async def impatient() -> None:
        with call_context(0.1):
            await call(client)

    outcomes = await asyncio.gather(*(impatient() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(each, HubSpotDeadlineError) for each in outcomes)
    assert asyncio.get_running_loop().time() - started < 1
    account.token_replies = []
    assert (await call(client)).startswith("t")


async def test_a_changed_refresh_token_is_kept_and_handed_over(account: Account) -> None:
    kept: list[str] = []

    async def keep(refresh_token: str) -> None:
        kept.append(refresh_token)

    client = connect(account, store_refresh_token=keep)
    await call(client)
    assert kept == []
    account.refresh_token = "r2"
    account.clock.now += 1800
    await call(client)
    account.clock.now += 1800
    await call(client)
    assert kept == ["r2"]
    sent = [parse_qs(request.content.decode())["refresh_token"] for request in account.token_requests]
    assert sent == [["r1"], ["r1"], ["r2"]]


async def test_a_changed_refresh_token_is_handed_over_even_if_the_caller_is_cancelled_meanwhile(
    account: Account,
) -> None:
    began, go_on, kept = asyncio.Event(), asyncio.Event(), []

    async def keep(refresh_token: str) -> None:
        began.set()
        await go_on.wait()
        kept.append(refresh_token)

    account.refresh_token = "r2"
    client = connect(account, store_refresh_token=keep)
    task = asyncio.create_task(call(client))
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go_on.set()
    assert await call(client) == "t1"
    assert kept == ["r2"]


async def test_a_refresh_token_that_cannot_be_kept_does_not_fail_the_call(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    async def keep(refresh_token: str) -> None:
        raise RuntimeError(refresh_token)

    account.refresh_token = "r2-secret"
    assert await call(connect(account, store_refresh_token=keep)) == "t1"
    await asyncio.sleep(0)
    assert "not stored: error=RuntimeError" in caplog.text
    assert "r2-secret" not in caplog.text


async def test_token_response_sets_granted_scopes(account: Account) -> None:
    client = connect(account)
    await call(client)
    assert isinstance(client.sender.auth, RefreshTokenAuth)
    assert await client.account.token_scopes() == frozenset({"oauth"})
    assert await build_client(Stub(ok({}))).account.token_scopes() is None


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é"])
def test_a_token_that_no_header_can_carry_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(ValueError, match="characters") as raised:
        StaticTokenAuth(token)
    assert not token.strip() or token not in str(raised.value)
