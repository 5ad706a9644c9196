"""Read cache: age, stale responses, single flight, refreshes, bounds, and what is never cached."""

import asyncio
import gc
from collections import Counter
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import TIMESTAMP, Stub, build_client, ok, refusal
from tests.support.clock import FakeClock

from crm_api.hubspot import (
    CachedReads,
    HubSpotClient,
    LocalQuota,
    MemoryStore,
    Observer,
    Partition,
    PartitionReads,
    ReadCache,
    call_context,
)
from crm_api.hubspot.errors import HubSpotError, HubSpotNotFoundError, HubSpotUnavailableError
from crm_api.hubspot.read_cache import MAX_CALL_SECONDS
from crm_api.hubspot.read_cache_store import ENTRY_OVERHEAD_BYTES, MAX_BODY_BYTES, CachedBody

FRESH_SECONDS, STALE_SECONDS = 10.0, 300.0
PARTITION = Partition("user", "501", 3)


def contact(name: str = "Ada", **members: Any) -> httpx.Response:
    properties = {"firstname": name}
    return ok(
        {"id": "501", "properties": properties, "createdAt": TIMESTAMP, "updatedAt": TIMESTAMP} | members
    )


class Outcomes(Observer):
    """Observer that counts the outcomes of reads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def cache_read(self, *, outcome: str) -> None:
        self.counts[outcome] += 1


class Setup:
    """A read cache over a stub of HubSpot, on a fake clock."""

    def __init__(self, *replies: Any, limit: int = 1000, max_bytes: int = 1_000_000, **changes: Any) -> None:
        self.clock = FakeClock()
        self.stub = Stub(*replies)
        self.quota = LocalQuota(burst_limit=limit, clock=self.clock, sleep=self.clock.sleep)
        self.hubspot: HubSpotClient = build_client(
            self.stub, fake_clock=self.clock, quota=changes.pop("quota", self.quota), **changes
        )
        self.outcomes = Outcomes()
        self.ages: list[float] = []
        self.charged: Counter[str] = Counter()
        self.store = MemoryStore(max_bytes=max_bytes, max_age_seconds=STALE_SECONDS, clock=self.clock)
        self.cache = ReadCache(
            self.hubspot.sender,
            self.store,
            fresh_seconds=FRESH_SECONDS,
            stale_seconds=STALE_SECONDS,
            charge_calls=self.charge,
            observer=self.outcomes,
            clock=self.clock,
        )

    async def charge(self, user_id: str, calls: int) -> None:
        self.charged[user_id] += calls

    def reads(self, partition: Partition = PARTITION) -> PartitionReads:
        return CachedReads(self.cache, self.ages.append).of(partition)

    async def name(self, partition: Partition = PARTITION, **arguments: Any) -> str | None:
        """Read the contact and return its first name."""
        with call_context(10.0, clock=self.clock):
            record = await self.reads(partition).objects("contacts").get("501", **arguments)
        return record.get("firstname")

    async def exhaust_quota(self) -> None:
        """Use up the burst limit."""
        for _ in range(self.quota.windows["burst"].limit):
            self.quota.windows["burst"].reserve(self.clock.now)

    async def until_sent(self, count: int) -> None:
        """Wait until this many calls were sent."""
        async with asyncio.timeout(60):
            while len(self.stub.requests) < count:  # noqa: ASYNC110 - polling is enough for a test
                await asyncio.sleep(0)


async def test_fresh_response_is_used_again_with_its_age() -> None:
    setup = Setup(contact("Ada"), contact("Grace"))
    assert await setup.name() == "Ada"
    assert setup.ages == []
    setup.clock.now += 8.5
    assert await setup.name() == "Ada"
    assert setup.ages == [8.5]
    setup.clock.now += 1.5
    assert await setup.name() == "Grace"
    assert setup.outcomes.counts == {"miss": 2, "hit": 1}


async def test_repaired_response_is_also_repaired_from_the_cache() -> None:
    setup = Setup(contact(properties={"firstname": ["Ada"]}))
    assert [await setup.name(), await setup.name()] == ['["Ada"]', '["Ada"]']
    assert len(setup.stub.requests) == 1


async def test_nearly_stale_response_is_refreshed_in_the_background() -> None:
    setup = Setup(contact("Ada"), contact("Grace"))
    await setup.name()
    setup.clock.now += 9.5
    assert await setup.name() == "Ada"
    await setup.until_sent(2)
    while not setup.charged:  # noqa: ASYNC110 - polling is enough for a test
        await asyncio.sleep(0)
    assert await setup.name() == "Grace"
    assert setup.outcomes.counts == {"miss": 1, "hit": 2}


async def test_nearly_stale_response_is_refreshed_when_quota_returns() -> None:
    setup = Setup(contact("Ada"), contact("Grace"), limit=20)
    await setup.name()
    setup.clock.now += 9.5
    await setup.exhaust_quota()
    assert await setup.name() == "Ada"
    assert len(setup.stub.requests) == 1
    await setup.until_sent(2)
    assert setup.clock.slept
    assert setup.ages == [9.5]


async def test_response_refreshed_by_another_process_is_not_refreshed() -> None:
    setup = Setup(contact("Ada"), contact("Grace"))
    ended: list[str] = []
    is_free = False

    async def start_refresh(owner: str, key: str) -> bool:
        return is_free

    async def end_refresh(owner: str, key: str) -> None:
        ended.append(key)

    setup.store.start_refresh = start_refresh  # type: ignore[method-assign]
    setup.store.end_refresh = end_refresh  # type: ignore[method-assign]
    await setup.name()
    setup.clock.now += 9.5
    assert await setup.name() == "Ada"
    await asyncio.gather(*setup.cache._refreshes.values())
    assert (len(setup.stub.requests), ended) == (1, [])
    is_free = True
    assert await setup.name() == "Ada"
    await setup.until_sent(2)
    await asyncio.gather(*setup.cache._refreshes.values())
    assert len(ended) == 1


async def test_age_counts_from_the_time_the_call_was_sent() -> None:
    setup = Setup(contact())

    async def slow(_request: httpx.Request) -> httpx.Response:
        setup.clock.now += 4
        return contact("Grace")

    setup.stub.replies = [slow]
    await setup.name()
    setup.clock.now += 1
    await setup.name()
    assert setup.ages == [5]


@pytest.mark.parametrize(
    "other",
    [Partition("stranger", "501", 3), Partition("user", "502", 3), Partition("user", "501", 4)],
    ids=["user", "contact", "version"],
)
async def test_other_partition_does_not_share_responses(other: Partition) -> None:
    setup = Setup(contact("Ada"), contact("Grace"))
    assert await setup.name() == "Ada"
    assert await setup.name(other) == "Grace"


async def test_other_parameters_are_another_key() -> None:
    setup = Setup(contact("Ada"), contact("Grace"))
    assert await setup.name() == "Ada"
    assert await setup.name(properties=("firstname",)) == "Grace"


async def test_concurrent_reads_of_one_key_share_one_call() -> None:
    setup = Setup(contact())
    assert await asyncio.gather(*(setup.name() for _ in range(10))) == ["Ada"] * 10
    assert len(setup.stub.requests) == 1


async def test_cancelled_request_does_not_cancel_the_shared_call() -> None:
    released = asyncio.Event()

    async def wait(_request: httpx.Request) -> httpx.Response:
        await released.wait()
        return contact()

    setup = Setup(wait)
    first = asyncio.create_task(setup.name())
    await setup.stub.busy()
    second = asyncio.create_task(setup.name())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    released.set()
    assert await second == "Ada"
    assert setup.charged == {"user": 1}  # the request that started the call has ended


async def test_errors_are_not_cached() -> None:
    setup = Setup(refusal(404), contact())
    with pytest.raises(HubSpotNotFoundError):
        await setup.name()
    assert await setup.name() == "Ada"


async def test_batch_with_failed_items_is_not_cached() -> None:
    record = {"id": "9", "properties": {}, "createdAt": TIMESTAMP, "updatedAt": TIMESTAMP}
    error = {"status": "error", "category": "SERVICE_ERROR", "message": "later", "context": {"ids": ["8"]}}
    setup = Setup(ok({"results": [record], "errors": [error]}, 207))
    for _ in range(2):
        await setup.reads().objects("deals").batch_read(["8", "9"])
    assert len(setup.stub.requests) == 2


async def test_batch_with_missing_records_is_cached() -> None:
    record = {"id": "9", "properties": {}, "createdAt": TIMESTAMP, "updatedAt": TIMESTAMP}
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "no", "context": {"ids": ["8"]}}
    setup = Setup(ok({"results": [record], "errors": [error]}, 207))
    for _ in range(2):
        assert list((await setup.reads().objects("deals").batch_read(["8", "9"])).records) == ["9"]
    assert len(setup.stub.requests) == 1


async def test_stale_response_is_used_while_quota_is_exhausted() -> None:
    setup = Setup(contact("Ada"), contact("Grace"), limit=20)
    await setup.name()
    setup.clock.now += 60
    await setup.exhaust_quota()
    assert await setup.name() == "Ada"
    assert setup.ages == [60]
    # One background call refreshes it as soon as there is quota.
    await setup.until_sent(2)
    await asyncio.sleep(0)
    assert await setup.name() == "Grace"
    assert setup.charged == {"user": 1}


async def test_one_background_call_refreshes_a_key() -> None:
    gate = asyncio.Event()

    async def gated(_request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return contact("Grace")

    setup = Setup(contact("Ada"), gated, limit=20)
    await setup.name()
    setup.clock.now += 60
    for _ in range(5):
        await setup.exhaust_quota()
        assert await setup.name() == "Ada"
        await asyncio.sleep(0)
    await setup.until_sent(2)
    gate.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(setup.stub.requests) == 2


async def test_stale_response_is_used_while_circuit_is_open() -> None:
    setup = Setup(contact("Ada"), httpx.ConnectError("refused"))
    await setup.name()
    setup.clock.now += 60
    for _ in range(20):
        assert await setup.name() == "Ada"
    # Each of the first reads sends one attempt; then the circuit is open and no background call is started.
    assert len(setup.stub.requests) == 11
    assert setup.hubspot.open_circuits == ["account"]


async def test_service_recovers_when_hubspot_does() -> None:
    setup = Setup(contact("Ada"), httpx.ConnectError("refused"))
    await setup.name()
    setup.clock.now += 60
    for _ in range(20):
        await setup.name()
    setup.stub.replies = [contact("Grace")]
    setup.clock.now += 60
    assert await setup.name() == "Grace"
    assert setup.hubspot.open_circuits == []


@pytest.mark.parametrize(
    "reply", [refusal(500), refusal(429), httpx.ReadError("lost")], ids=["500", "429", "lost"]
)
async def test_stale_response_is_used_if_the_call_fails(reply: Any) -> None:
    setup = Setup(contact("Ada"), reply)
    await setup.name()
    setup.clock.now += 60
    assert await setup.name() == "Ada"
    assert len(setup.stub.requests) == 2  # no retries while a stale response is at hand


async def test_stale_response_is_used_if_the_call_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_api.hubspot.read_cache.MAX_CALL_SECONDS", 0.01)
    gate = asyncio.Event()

    async def gated(_request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return contact("Grace")

    setup = Setup(contact("Ada"), gated)
    await setup.name()
    setup.clock.now += 60
    assert await setup.name() == "Ada"
    gate.set()
    await setup.until_sent(2)
    while not setup.charged:  # noqa: ASYNC110 - polling is enough for a test
        await asyncio.sleep(0)
    assert await setup.name() == "Grace"
    assert MAX_CALL_SECONDS == 2.0


async def test_missing_record_replaces_a_stale_response() -> None:
    setup = Setup(contact("Ada"), refusal(404), httpx.ConnectError("refused"))
    await setup.name()
    setup.clock.now += 60
    with pytest.raises(HubSpotNotFoundError):
        await setup.name()
    with pytest.raises(HubSpotError):
        await setup.name()


async def test_response_at_the_maximum_age_is_never_used() -> None:
    setup = Setup(contact("Ada"), httpx.ConnectError("refused"))
    await setup.name()
    setup.clock.now += STALE_SECONDS
    with pytest.raises(HubSpotError):
        await setup.name()


async def test_response_that_expires_during_the_call_is_not_used() -> None:
    async def fail_late(_request: httpx.Request) -> httpx.Response:
        setup.clock.now += 2
        raise httpx.ConnectError("refused")

    setup = Setup(contact("Ada"), fail_late)
    await setup.name()
    setup.clock.now += STALE_SECONDS - 1
    with pytest.raises(HubSpotError):
        await setup.name()


async def test_request_without_cached_response_waits_for_quota() -> None:
    setup = Setup(contact("Ada"), limit=20, default_deadline_seconds=60.0)
    await setup.exhaust_quota()
    started = setup.clock.now
    with call_context(60.0, clock=setup.clock):
        assert (await setup.reads().objects("contacts").get("501")).get("firstname") == "Ada"
    assert setup.clock.now - started > 9


async def test_request_without_cached_response_fails_at_its_deadline() -> None:
    setup = Setup(contact("Ada"), limit=20)
    await setup.exhaust_quota()
    with pytest.raises(HubSpotUnavailableError):
        await setup.name()


async def test_least_recently_used_response_is_evicted() -> None:
    size = len(contact().content) + ENTRY_OVERHEAD_BYTES
    setup = Setup(contact(), max_bytes=2 * size)
    first, second, third = (Partition("user", "501", version) for version in (1, 2, 3))
    await setup.name(first)
    await setup.name(second)
    await setup.name(first)
    await setup.name(third)
    assert setup.store.used_bytes == 2 * size
    await setup.name(first)
    assert len(setup.stub.requests) == 3
    await setup.name(second)
    assert len(setup.stub.requests) == 4


async def test_used_bytes_are_at_least_the_allocated_memory() -> None:
    import tracemalloc

    store = MemoryStore(max_bytes=10_000_000, max_age_seconds=300)
    gc.collect()
    tracemalloc.start()
    for number in range(1000):
        await store.put(f"user {number % 300}", f"{number:040}", CachedBody(bytes(800), float(number)))
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert allocated <= store.used_bytes


async def test_huge_response_is_not_cached() -> None:
    setup = Setup(contact("x" * MAX_BODY_BYTES), max_bytes=10 * MAX_BODY_BYTES)
    await setup.name()
    assert setup.store.used_bytes == 0


async def test_expired_responses_are_removed_without_a_read() -> None:
    setup = Setup(contact())
    await setup.name()
    setup.clock.now += STALE_SECONDS
    await setup.name(Partition("stranger", "502", 0))
    setup.cache.remove_expired()
    assert setup.store.used_bytes == len(contact().content) + ENTRY_OVERHEAD_BYTES


async def test_deleted_user_has_no_cached_responses() -> None:
    setup = Setup(contact("Ada"), contact("Grace"))
    await setup.name()
    await setup.name(Partition("stranger", "502", 0))
    await setup.cache.delete_user("user")
    assert setup.store.used_bytes == len(contact("Grace").content) + ENTRY_OVERHEAD_BYTES


async def test_call_that_runs_during_deletion_is_not_stored() -> None:
    gate = asyncio.Event()

    async def gated(_request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return contact()

    setup = Setup(gated)
    reading = asyncio.create_task(setup.name())
    await setup.stub.busy()
    await setup.cache.delete_user("user")
    gate.set()
    assert await reading == "Ada"
    assert setup.store.used_bytes == 0


async def test_older_response_does_not_replace_a_newer_one() -> None:
    store = MemoryStore(max_bytes=10_000, max_age_seconds=STALE_SECONDS, clock=FakeClock(6.0))
    await store.put("user", "key", CachedBody(b"new", 5.0))
    await store.put("user", "key", CachedBody(b"old", 4.0))
    cached = await store.get("user", "key")
    assert cached is not None
    assert cached.body == b"new"


async def test_closing_cancels_running_calls() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    setup = Setup(never)
    reading = asyncio.create_task(setup.name())
    await setup.stub.busy()
    await setup.cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await reading
