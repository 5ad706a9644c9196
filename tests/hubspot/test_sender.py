"""Sender: requests, retries, deadline, quota, circuit and reporting."""

import asyncio
import gzip
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import AnyJson, Stub, build_client, ok, record, refusal
from tests.support.clock import FakeClock

import crm_api.hubspot as package
from crm_api.hubspot import (
    Circuits,
    CircuitState,
    HubSpotClient,
    LastSeen,
    LocalQuota,
    Observer,
    RetryBudget,
    SearchRequest,
    call_context,
    current_call_context,
)
from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotCredentialsError,
    HubSpotDeadlineError,
    HubSpotError,
    HubSpotNotFoundError,
    HubSpotQuotaError,
    HubSpotRequestError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
    HubSpotUnreadableError,
)
from crm_api.hubspot.quota.quota import Budget
from crm_api.hubspot.wire import WireModel


class Number(WireModel):
    a: int


async def read(client: HubSpotClient, *, idempotent: bool = True, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "operation": "test.read",
        "response": AnyJson,
        "idempotent": idempotent,
    } | changes
    return (await client.sender.request("GET", "/x", **arguments)).model_dump()


async def test_request_has_user_agent_and_accept_headers() -> None:
    stub = Stub(ok({}))
    await read(build_client(stub))
    headers = stub.requests[0].headers
    assert headers["user-agent"].startswith("crm-api/")
    assert headers["accept"] == "application/json"
    assert headers["authorization"] == "Bearer pat-na1-secret"
    assert "gzip" in headers["accept-encoding"]
    assert "content-type" not in headers


async def test_request_body_is_compact_utf8_json() -> None:
    stub = Stub(ok({}))
    await build_client(stub).sender.request(
        "POST", "/x", operation="t", json={"a": "é", "b": [1]}, idempotent=True, response=AnyJson
    )
    assert stub.requests[0].content == '{"a":"é","b":[1]}'.encode()
    assert stub.requests[0].headers["content-type"] == "application/json"


async def test_query_parameters_that_are_none_are_omitted() -> None:
    stub = Stub(ok({}))
    await read(build_client(stub), params={"after": None, "limit": 5})
    assert stub.sent == [("GET", "/x?limit=5")]


async def test_query_values_are_percent_encoded() -> None:
    stub = Stub(ok({}))
    await read(build_client(stub), params={"a": "é, &+/%", "b": "~"})
    assert stub.sent == [("GET", "/x?a=%C3%A9%2C+%26%2B%2F%25&b=~")]


@pytest.mark.parametrize("base_url", ["https://proxy.test/hubspot", "https://proxy.test/hubspot/"])
async def test_path_of_the_base_url_precedes_the_path_of_a_call(base_url: str) -> None:
    stub = Stub(ok({}))
    await read(build_client(stub, base_url=base_url))
    assert [str(request.url) for request in stub.requests] == ["https://proxy.test/hubspot/x"]


async def test_cookies_of_hubspot_are_not_sent_back() -> None:
    stub = Stub(httpx.Response(200, json={}, headers={"set-cookie": "session=1; Path=/"}))
    client = build_client(stub)
    await read(client)
    await read(client)
    assert [request.headers.get("cookie") for request in stub.requests] == [None, None]


async def test_gzip_response_is_decompressed() -> None:
    content = gzip.compress(b'{"a":1}')
    answer = httpx.Response(200, content=content, headers={"content-encoding": "gzip"})
    assert await read(build_client(httpx.MockTransport(lambda _: answer))) == {"a": 1}


async def test_redirect_from_hubspot_is_not_followed() -> None:
    stub = Stub(httpx.Response(302, headers={"location": "https://elsewhere.test/"}))
    with pytest.raises(HubSpotRequestError):
        await read(build_client(stub))
    assert len(stub.requests) == 1


async def test_idempotent_call_succeeds_on_the_fourth_attempt() -> None:
    clock = FakeClock()
    stub = Stub(refusal(502), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone"), ok({"a": 1}))
    assert await read(build_client(stub, fake_clock=clock)) == {"a": 1}
    assert len(stub.requests) == 4
    assert clock.slept == [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    "failure",
    [refusal(502), httpx.Response(524, html="<html>"), httpx.ReadTimeout("slow"), httpx.ReadError("reset")],
)
async def test_non_idempotent_call_of_unknown_outcome_is_not_retried(failure: Any) -> None:
    stub = Stub(failure)
    with pytest.raises((HubSpotServerError, HubSpotConnectionError)) as raised:
        await read(build_client(stub), idempotent=False)
    assert len(stub.requests) == 1
    assert raised.value.sent


@pytest.mark.parametrize(
    "rejection",
    [
        refusal(429, "You have reached your ten_secondly_rolling limit.", policyName="TEN_SECONDLY_ROLLING"),
        refusal(423),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("full"),
    ],
)
async def test_rejected_or_unsent_non_idempotent_call_is_retried(rejection: Any) -> None:
    stub = Stub(rejection, ok({"a": 1}))
    assert await read(build_client(stub), idempotent=False) == {"a": 1}
    assert len(stub.requests) == 2


async def test_retry_of_a_429_waits_at_least_its_retry_after() -> None:
    clock = FakeClock()
    stub = Stub(refusal(429, headers={"Retry-After": "4"}), ok({}))
    await read(build_client(stub, fake_clock=clock), idempotent=False)
    assert sum(clock.slept) >= 4
    assert len(stub.requests) == 2


@pytest.mark.parametrize(
    ("rejection", "attempts_in_ten_seconds"),
    [(refusal(429, headers={"Retry-After": "1"}), 6), (refusal(423), 5)],
)
async def test_429_and_423_are_retried_until_the_deadline(
    rejection: httpx.Response, attempts_in_ten_seconds: int
) -> None:
    clock = FakeClock()
    stub = Stub(*[rejection] * 9, ok({"a": 1}))
    with call_context(60, clock=clock):
        assert await read(build_client(stub, fake_clock=clock), idempotent=False) == {"a": 1}
    stub = Stub(rejection)
    with call_context(10, clock=clock) as context, pytest.raises(HubSpotError) as raised:
        await read(build_client(stub, fake_clock=clock), idempotent=False)
    assert len(stub.requests) == attempts_in_ten_seconds
    assert not raised.value.sent
    assert raised.value.retry_after is not None
    assert 0 <= context.remaining() <= raised.value.retry_after


async def test_retry_after_beyond_deadline_raises_quota_error_at_once() -> None:
    clock = FakeClock()
    stub = Stub(refusal(429, headers={"Retry-After": "600"}))
    with pytest.raises(HubSpotQuotaError) as raised:
        await read(build_client(stub, fake_clock=clock))
    assert raised.value.retry_after is not None
    assert 10 <= raised.value.retry_after < 11
    assert not raised.value.sent
    assert clock.slept == []
    assert len(stub.requests) == 1


@pytest.mark.parametrize(("policy", "pause"), [("TEN_SECONDLY_ROLLING", 10), ("SECONDLY", 1)])
async def test_retry_after_in_milliseconds_pauses_calls_for_one_window(policy: str, pause: int) -> None:
    clock = FakeClock()
    budget: Budget = "search" if policy == "SECONDLY" else "burst"
    stub = Stub(refusal(429, policyName=policy, headers={"Retry-After": "10000"}), ok({}))
    client = build_client(stub, fake_clock=clock)
    with call_context(0.5, clock=clock), pytest.raises(HubSpotQuotaError):
        await read(client, budget=budget)
    assert client.sender.quota.snapshot()[f"{budget}_paused_seconds"] == pause
    clock.now += pause
    with call_context(0.5, clock=clock):
        await read(client, budget=budget)
    assert client.sender.quota.snapshot()[f"{budget}_paused_seconds"] == 0


async def test_no_call_is_sent_after_the_daily_limit_is_reached() -> None:
    stub = Stub(
        refusal(429, "You have reached your daily limit.", policyName="DAILY", errorType="RATE_LIMIT")
    )
    client = build_client(stub)
    with pytest.raises(HubSpotQuotaError) as raised:
        await read(client)
    assert raised.value.policy == "daily"
    with pytest.raises(HubSpotUnavailableError) as refused:
        await read(client)
    assert refused.value.retry_after is not None
    assert not refused.value.sent
    assert client.sender.quota.snapshot()["daily_paused_seconds"] == pytest.approx(300, abs=5)
    assert len(stub.requests) == 1


async def test_account_migration_raises_unavailable_with_retry_after() -> None:
    stub = Stub(refusal(477, headers={"Retry-After": "86000"}))
    with pytest.raises(HubSpotUnavailableError) as raised:
        await read(build_client(stub))
    assert raised.value.retry_after == 86000
    assert len(stub.requests) == 1


async def test_attempts_of_one_call_share_one_deadline() -> None:
    clock = FakeClock()

    async def slow(request: httpx.Request) -> httpx.Response:
        clock.now += 4
        return refusal(503)

    stub = Stub(slow)
    with (
        call_context(10, clock=clock) as context,
        pytest.raises((HubSpotServerError, HubSpotDeadlineError)) as raised,
    ):
        await read(build_client(stub, fake_clock=clock))
    assert len(stub.requests) == 3
    assert context.calls == 3
    assert raised.value.sent


async def test_no_attempt_is_sent_after_the_deadline() -> None:
    clock = FakeClock()
    stub = Stub(ok({}))
    with call_context(5, clock=clock):
        clock.now += 5
        with pytest.raises(HubSpotDeadlineError) as raised:
            await read(build_client(stub, fake_clock=clock))
    assert stub.requests == []
    assert not raised.value.sent


@pytest.mark.parametrize(
    ("deadline_seconds", "pause_seconds", "is_sent"),
    [(10.0, 8.9, True), (10.0, 9.1, False), (2.0, 1.4, True), (2.0, 1.6, False)],
)
async def test_attempt_is_sent_only_if_enough_time_remains(
    deadline_seconds: float, pause_seconds: float, *, is_sent: bool
) -> None:
    stub, clock = Stub(ok({})), FakeClock()
    quota = LocalQuota(clock=clock, sleep=clock.sleep)
    quota.on_rate_limited("burst", pause_seconds)
    client = build_client(stub, fake_clock=clock, quota=quota)
    with call_context(deadline_seconds, clock=clock):
        if is_sent:
            await read(client)
        else:
            with pytest.raises(HubSpotUnavailableError) as caught:
                await read(client)
            assert not caught.value.sent
    assert len(stub.requests) == is_sent


async def test_httpx_timeouts_are_limited_to_the_remaining_time() -> None:
    clock = FakeClock()
    stub = Stub(ok({}))
    client = build_client(stub, fake_clock=clock)
    with call_context(1.5, clock=clock):
        await read(client)
    await read(client)
    tight, usual = (request.extensions["timeout"] for request in stub.requests)
    assert tight["pool"] == 1
    assert 1.4 < tight["connect"] == tight["read"] == tight["write"] < 1.5
    assert usual == {"connect": 2, "pool": 1, "read": 4, "write": 4}


async def test_400_after_a_read_timeout_raises_error_with_sent_true() -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(400))
    with pytest.raises(HubSpotRequestError) as raised:
        await read(build_client(stub))
    assert raised.value.sent


async def test_unreadable_response_is_retried_only_if_idempotent() -> None:
    for body in (b"<html>", b"[1]", b'{"a":"secret"}', b""):
        stub = Stub(httpx.Response(200, content=body))
        with pytest.raises(HubSpotUnreadableError) as raised:
            await read(build_client(stub), idempotent=False, response=Number)
        assert raised.value.sent
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
        assert len(stub.requests) == 1
    stub = Stub(httpx.Response(200, content=b"<html>"), ok({"a": 1}))
    assert await read(build_client(stub), response=Number) == {"a": 1}


async def test_sender_limits_retries_to_a_share_of_the_calls() -> None:
    stub = Stub(refusal(503))
    clock = FakeClock()
    circuits = Circuits(failure_threshold=10_000, clock=clock)
    client = build_client(
        stub,
        fake_clock=clock,
        circuits=circuits,
        quota=LocalQuota(burst_limit=10_000, clock=clock, sleep=clock.sleep),
    )
    for _ in range(100):
        with pytest.raises(HubSpotServerError):
            await read(client)
    retries = len(stub.requests) - 100
    assert 20 <= retries <= 31


async def test_429_is_retried_with_an_empty_retry_budget() -> None:
    budget = RetryBudget(share=0, burst=0)
    stub = Stub(refusal(429, headers={"Retry-After": "1"}), ok({}))
    await read(build_client(stub, retry_budget=budget))
    assert len(stub.requests) == 2


async def test_open_circuit_raises_unavailable_with_retry_after() -> None:
    clock = FakeClock()
    stub = Stub(refusal(500))
    circuits = Circuits(failure_threshold=3, open_seconds=5, clock=clock)
    client = build_client(stub, fake_clock=clock, circuits=circuits)
    with pytest.raises(HubSpotError):
        await read(client)
    sent = len(stub.requests)
    assert sent == 3
    with pytest.raises(HubSpotUnavailableError) as raised:
        await read(client)
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= 5
    assert len(stub.requests) == sent
    clock.now += 5
    stub.replies = [ok({})]
    await read(client)
    assert circuits["objects"].state is CircuitState.CLOSED


async def test_failing_searches_do_not_stop_calls_to_other_endpoints() -> None:
    stub = Stub(lambda request: refusal(503) if request.url.path.endswith("/search") else ok({"results": []}))
    client = build_client(stub, circuits=Circuits(failure_threshold=3))
    for _ in range(5):
        with pytest.raises(HubSpotError):
            await client.contacts.search(SearchRequest())
    assert client.open_circuits == ["search"]
    with pytest.raises(HubSpotUnavailableError):
        await client.contacts.search(SearchRequest())
    await client.contacts.list_page(limit=1)
    await client.associations.batch_read("deals", "contacts", ["1"])
    await client.pipelines.list("deals")


@pytest.mark.parametrize(
    "reply",
    [refusal(401), refusal(477, headers={"Retry-After": "60"}), httpx.ConnectError("refused")],
    ids=["401", "477", "connect"],
)
async def test_account_wide_failures_open_the_circuit_of_all_calls(reply: Any) -> None:
    clock = FakeClock()
    stub = Stub(reply)
    client = build_client(stub, fake_clock=clock, circuits=Circuits(failure_threshold=3, clock=clock))
    for _ in range(3):
        with pytest.raises(HubSpotError):
            await client.contacts.get("1")
    assert client.open_circuits == ["account"]
    sent = len(stub.sent)
    with pytest.raises(HubSpotUnavailableError):
        await client.associations.batch_read("deals", "contacts", ["1"])
    assert len(stub.sent) == sent
    clock.now += 2
    stub.replies = [refusal(404)]
    with pytest.raises(HubSpotNotFoundError):
        await client.contacts.get("1")
    assert client.open_circuits == []
    assert client.sender.circuits["account"].state is CircuitState.CLOSED


async def test_call_refused_by_an_open_circuit_uses_no_quota() -> None:
    clock = FakeClock()
    client = build_client(
        Stub(refusal(500)), fake_clock=clock, circuits=Circuits(failure_threshold=1, clock=clock)
    )
    with pytest.raises(HubSpotServerError):
        await read(client, idempotent=False)
    with pytest.raises(HubSpotUnavailableError):
        await read(client)
    assert client.sender.quota.snapshot()["burst_used"] == 1


async def test_rate_limit_headers_of_a_response_correct_the_quota() -> None:
    headers = {"X-HubSpot-RateLimit-Max": "90", "X-HubSpot-RateLimit-Remaining": "20"}
    client = build_client(Stub(httpx.Response(200, json={}, headers=headers)))
    await read(client)
    counts = client.sender.quota.snapshot()
    assert (counts["burst_limit"], counts["burst_used"]) == (90, 70)


@pytest.mark.parametrize("answer", [refusal(400), refusal(404), refusal(409), refusal(429), refusal(401)])
async def test_4xx_responses_keep_the_circuit_of_objects_closed(answer: httpx.Response) -> None:
    stub = Stub(answer)
    clock = FakeClock()
    circuits = Circuits(failure_threshold=2, clock=clock)
    client = build_client(stub, fake_clock=clock, circuits=circuits)
    for _ in range(5):
        with pytest.raises(HubSpotError):
            await read(client)
    assert circuits["objects"].state is CircuitState.CLOSED


async def test_timeout_shortened_by_deadline_does_not_open_circuit() -> None:
    clock = FakeClock()
    circuits = Circuits(failure_threshold=1, clock=clock)
    client = build_client(Stub(httpx.ReadTimeout("slow")), fake_clock=clock, circuits=circuits)
    with call_context(0.5, clock=clock), pytest.raises(HubSpotTimeoutError):
        await read(client, idempotent=False)
    assert circuits["objects"].state.value == "closed"
    with call_context(5, clock=clock), pytest.raises(HubSpotTimeoutError):
        await read(client, idempotent=False)
    assert circuits["objects"].state is CircuitState.OPEN


async def test_probe_timeout_shortened_by_deadline_allows_next_probe() -> None:
    clock = FakeClock()
    circuits = Circuits(failure_threshold=1, open_seconds=2, clock=clock)
    stub = Stub(httpx.ReadTimeout("slow"))
    client = build_client(stub, fake_clock=clock, circuits=circuits)
    with pytest.raises(HubSpotTimeoutError):
        await read(client, idempotent=False)
    clock.now += 2
    with call_context(0.5, clock=clock), pytest.raises(HubSpotTimeoutError):
        await read(client, idempotent=False)
    assert circuits["objects"].state.value == "half_open"
    stub.replies = [ok({})]
    await read(client)
    assert circuits["objects"].state is CircuitState.CLOSED


async def test_cancelled_circuit_probe_allows_the_next_probe() -> None:
    clock = FakeClock()
    circuits = Circuits(failure_threshold=1, open_seconds=2, clock=clock)
    stub = Stub(refusal(500), lambda _: asyncio.Event().wait())
    client = build_client(stub, fake_clock=clock, circuits=circuits)
    with pytest.raises(HubSpotServerError):
        await read(client, idempotent=False)
    clock.now += 2
    probe = asyncio.create_task(read(client))
    await stub.busy()
    with pytest.raises(HubSpotUnavailableError):
        await read(client)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    stub.replies = [ok({})]
    await read(client)
    assert circuits["objects"].state is CircuitState.CLOSED


async def test_call_after_a_cancelled_circuit_probe_succeeds() -> None:
    clock = FakeClock()
    stub = Stub(refusal(500))
    circuits = Circuits(failure_threshold=1, open_seconds=1, clock=clock)
    client = build_client(stub, fake_clock=clock, circuits=circuits)
    with pytest.raises(HubSpotServerError):
        await read(client, idempotent=False)
    clock.now += 1
    stub.replies = [lambda _: asyncio.Event().wait()]
    probe = asyncio.create_task(read(client))
    await stub.busy()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    stub.replies = [ok({"a": 1})]
    assert await read(client) == {"a": 1}


async def test_requests_in_flight_are_limited_to_max_connections() -> None:
    async def slow(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.001)
        return ok({})

    stub = Stub(slow)
    client = build_client(stub, max_connections=3)
    await asyncio.gather(*(read(client) for _ in range(20)))
    assert stub.max_in_flight == 3


async def test_cancelled_calls_release_their_connections() -> None:
    stub = Stub(lambda _: asyncio.Event().wait())
    client = build_client(stub, max_connections=2)
    for _ in range(3):  # calls in flight, waiting for a connection and waiting for the turn
        tasks = [asyncio.create_task(read(client)) for _ in range(6)]
        await stub.busy(2)
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    stub.replies = [ok({"a": 1})]
    assert await asyncio.wait_for(asyncio.gather(*(read(client) for _ in range(5))), 5) == [{"a": 1}] * 5


async def test_wait_for_a_connection_ends_at_the_deadline() -> None:
    stub = Stub(lambda _: asyncio.Event().wait())
    client = build_client(stub, max_connections=1)
    holder = asyncio.create_task(read(client))
    await stub.busy()
    with call_context(0.05), pytest.raises(HubSpotUnavailableError) as raised:
        await read(client)
    assert not raised.value.sent
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)


async def test_call_context_counts_calls_and_waits_of_all_tasks() -> None:
    clock = FakeClock()
    quota = LocalQuota(burst_limit=2, clock=clock, sleep=clock.sleep)
    client = build_client(Stub(ok({})), fake_clock=clock, quota=quota)
    with call_context(60, caller="user:1", clock=clock) as context:
        await asyncio.gather(*(read(client) for _ in range(3)))
    assert context.calls == 3
    assert context.wait_seconds > 0
    assert current_call_context() is None


async def test_observer_receives_attempts_and_retries() -> None:
    events: list[tuple[str, dict[str, Any]]] = []

    class RecordingObserver(Observer):
        def call_finished(self, **facts: Any) -> None:
            events.append(("finished", facts))

        def retried(self, **facts: Any) -> None:
            events.append(("retried", facts))

    client = build_client(Stub(refusal(500), ok({})), observer=RecordingObserver())
    await read(client)
    assert [name for name, _ in events] == ["finished", "retried", "finished"]
    assert events[0][1]["outcome"] == "HubSpotServerError"
    assert events[1][1] == {"operation": "test.read", "reason": "HubSpotServerError"}
    assert events[2][1]["outcome"] == "ok"
    assert events[2][1]["attempt"] == 2


def seen(client: HubSpotClient) -> tuple[bool | None, str | None]:
    return client.sender.last_seen.ok, client.sender.last_seen.error


async def test_last_seen_is_ok_after_404_but_not_without_connection() -> None:
    stub = Stub(refusal(404))
    client = build_client(stub)
    assert client.sender.last_seen == LastSeen()
    with pytest.raises(HubSpotError):
        await read(client)
    assert seen(client) == (True, None)
    stub.replies = [httpx.ConnectError("refused")]
    with pytest.raises(HubSpotError):
        await read(client)
    assert seen(client) == (False, "HubSpotConnectionError")
    assert client.sender.last_seen.at is not None
    assert client.sender.last_seen.at.tzinfo is not None


@pytest.mark.parametrize(
    ("response", "is_ok"),
    [
        (refusal(400), True),
        (refusal(403, category="MISSING_SCOPES"), True),
        (refusal(404), True),
        (refusal(429, headers={"Retry-After": "600"}), True),
        (refusal(429, "You have reached your daily limit.", policyName="DAILY"), False),
        (refusal(401), False),
        (refusal(477, headers={"Retry-After": "86000"}), False),
        (refusal(500), False),
        (httpx.Response(200, content=b"<html>"), False),
    ],
)
async def test_last_seen_is_ok_unless_the_failure_affects_all_calls(
    response: httpx.Response, *, is_ok: bool
) -> None:
    client = build_client(Stub(response))
    with pytest.raises(HubSpotError):
        await read(client, idempotent=False)
    assert client.sender.last_seen.ok == is_ok


async def test_401_with_a_static_token_is_not_retried() -> None:
    stub = Stub(refusal(401, category="INVALID_AUTHENTICATION"))
    with pytest.raises(HubSpotCredentialsError) as raised:
        await read(build_client(stub))
    assert raised.value.category == "INVALID_AUTHENTICATION"
    assert len(stub.requests) == 1


async def test_client_objects_returns_the_resource_of_the_type() -> None:
    client = build_client(Stub(ok(record("7"))))
    assert client.objects("deals") is client.deals
    assert (await client.deals.get("7")).id == "7"


def test_hubspot_package_contains_no_path_with_v1_to_v4() -> None:
    sources = Path(package.__file__).parent.rglob("*.py")
    undated = re.compile(r"/v[1-4](/|\b)(?!.*guide)")
    for source in sources:
        for line in source.read_text().splitlines():
            if "developers.hubspot.com" not in line:
                assert not undated.search(line), f"{source.name}: {line}"
