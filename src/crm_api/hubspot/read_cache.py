"""Read cache: responses of HubSpot reads for customers, which become older under load instead of slower.

Invariants, each with a random test in `tests/services/records/test_read_cache_random.py`:

1. A customer's own write is visible in their next response, in every process. `records_version` of the user is part
   of the key and is incremented before and after each write, and every request reads it from the database. So a read
   that was in flight during the write stores its response under an older version. If a process crashes between the
   write and the second increment, the write is visible when the cached responses are no longer fresh.
2. While HubSpot is available, no response is older than `fresh_seconds`; no response is ever older than
   `stale_seconds`. HubSpot counts as unavailable if the call would wait more than `MAX_QUOTA_WAIT_SECONDS` for quota
   behind the calls that wait already, if the circuit is open, or if the call fails or takes `MAX_CALL_SECONDS`.
   The age counts from the time when the call was sent.
3. No customer gets a response that was cached for another one, or for a contact to which they are no longer linked:
   user and contact are part of the key.
4. Only reads through `CachedReads` use the cache; everything else is live. Errors are never cached, so a 404 of
   HubSpot is always live. A service that derives a 404 from a cached response reads it live first.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from crm_api.hubspot.call_context import CallContext, current_call_context
from crm_api.hubspot.errors import HubSpotDeadlineError, HubSpotError, HubSpotRequestError
from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.observer import Observer
from crm_api.hubspot.read_cache_store import REFRESH_SHARE, CachedBody, CacheStore
from crm_api.hubspot.resources.associations import AssociationsApi
from crm_api.hubspot.resources.batches import RecordReads
from crm_api.hubspot.response_bodies import read_response
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import BatchResponse

R = TypeVar("R", bound=BaseModel)
ChargeCalls = Callable[[str, int], Awaitable[None]]
"""Counts calls that were sent for a user after their request had ended."""

# A stale response is served at once if its call would wait longer than this.
MAX_QUOTA_WAIT_SECONDS: Final = 0.2
# A stale response is served if its call takes longer than this; the call continues and refreshes the cache.
MAX_CALL_SECONDS: Final = 2.0
# Refreshes that wait for quota. HubSpot's usual limit allows 3,000 calls within 300 s.
MAX_WAITING_REFRESHES: Final = 5_000


@dataclass(frozen=True, slots=True)
class Partition:
    """Owner of cached responses: one user, while they have this contact and this `records_version`."""

    user_id: str
    contact_id: str
    records_version: int


@dataclass(frozen=True, slots=True)
class _Read(Generic[R]):
    """A HubSpot read with its key in the cache."""

    partition: Partition
    key: str = field(repr=False)
    method: str
    path: str = field(repr=False)
    operation: str
    json: Any = field(repr=False)
    params: Mapping[str, Any] | None = field(repr=False)
    response: type[R]

    @property
    def owner(self) -> str:
        return self.partition.user_id


@dataclass(slots=True, eq=False)
class _Load:
    """A running call of one key, which several requests may wait for."""

    started_at: float
    starter: CallContext | None
    """Context of the request that started the call and is charged for it; None once that request has ended."""
    may_fall_back: bool
    """True if a stale response is cached: the call is then sent at most once, and only if quota is free soon."""
    is_stored: bool = True
    """False if the user account was deleted during the call."""
    task: asyncio.Task[Any] | None = None


class ReadCache:
    """Cache of one application, in front of one sender; closed by `aclose`."""

    def __init__(
        self,
        sender: Sender,
        store: CacheStore,
        *,
        fresh_seconds: float,
        stale_seconds: float,
        charge_calls: ChargeCalls,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sender = sender
        self._clock = clock
        self._store = store
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._charge_calls = charge_calls
        self._observer = observer or Observer()
        self._loads: dict[tuple[str, str, bool], _Load] = {}
        self._refreshes: dict[tuple[str, str], asyncio.Task[None]] = {}

    @property
    def used_bytes(self) -> int:
        """Bytes that this process uses for cached responses."""
        return self._store.used_bytes

    def remove_expired(self) -> None:
        """Remove expired responses from the memory of this process; the application calls it every few seconds."""
        self._store.remove_expired()

    async def delete_user(self, user_id: str) -> None:
        """Remove the cached responses of one user."""
        for owner, key in list(self._refreshes):
            if owner == user_id:
                self._cancel_refresh(owner, key)
        for (owner, *_), load in self._loads.items():
            if owner == user_id:
                load.is_stored = False
        await self._store.delete_owner(user_id)

    async def read(self, read: _Read[R]) -> tuple[R, float | None]:
        """Return the response, and its age if it was cached. Raises `HubSpotError`s.

        Requests that wait for the same call get the same object, so they must not change it.
        """
        cached = await self._store.get(read.owner, read.key)
        if cached is None:
            self._observer.cache_read(outcome="miss")
            return await self._load(read, may_fall_back=False), None
        if self._age(cached) < self._fresh_seconds:
            self._observer.cache_read(outcome="hit")
            if self._age(cached) >= REFRESH_SHARE * self._fresh_seconds:
                self._refresh_later(read, cached)
            return await self._parsed(read, cached)
        if not self._can_send(read):
            self._refresh_later(read, cached)
        else:
            try:
                response = await self._load(read, may_fall_back=True)
            except HubSpotRequestError:
                raise  # HubSpot is available and rejects the call, for example because the record is missing
            except HubSpotError:
                pass
            else:
                self._observer.cache_read(outcome="miss")
                return response, None
        if self._age(cached) >= self._stale_seconds:
            self._observer.cache_read(outcome="miss")
            return await self._load(read, may_fall_back=False), None
        self._observer.cache_read(outcome="stale")
        return await self._parsed(read, cached)

    async def aclose(self) -> None:
        """Cancel running calls."""
        loads = [load.task for load in self._loads.values() if load.task is not None]
        tasks = [*loads, *self._refreshes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _parsed(self, read: _Read[R], cached: CachedBody) -> tuple[R, float]:
        """Return the cached response and its age."""
        age = self._age(cached)
        await self.sender.wait_to_parse(cached.body)
        return read_response(read.response, cached.body), age

    def _can_send(self, read: _Read[Any]) -> bool:
        return self.sender.can_send(read.path, max_wait_seconds=MAX_QUOTA_WAIT_SECONDS)

    def _age(self, cached: CachedBody) -> float:
        return max(0.0, self._clock() - cached.read_at)

    async def _load(self, read: _Read[R], *, may_fall_back: bool) -> R:
        """Return the response of a live call, shared by all requests that wait for this key."""
        context, now = self.sender.context(), self._clock()
        load = self._loads.get((read.owner, read.key, may_fall_back))
        if load is None or now - load.started_at >= self._fresh_seconds:
            load = self._loads[read.owner, read.key, may_fall_back] = _Load(now, context, may_fall_back)
            load.task = asyncio.ensure_future(self._send_and_store(read, load))
        assert load.task is not None
        limit = context.remaining()
        if may_fall_back:
            limit = min(limit, MAX_CALL_SECONDS)
        try:
            async with asyncio.timeout(max(0.0, limit)):
                response: R = await asyncio.shield(load.task)
                return response
        except TimeoutError:
            pass
        finally:
            if load.starter is context:
                load.starter = None
        raise HubSpotDeadlineError("no time left", operation=read.operation, sent=False)

    async def _send_and_store(self, read: _Read[R], load: _Load) -> R:
        context = self._call_context(read, self.sender.default_deadline_seconds)
        if load.may_fall_back:
            context.max_attempts = 1
            context.max_quota_wait_seconds = MAX_QUOTA_WAIT_SECONDS
        try:
            response = await self._send(read, context, load)
            self._cancel_refresh(read.owner, read.key)
            return response
        finally:
            load_key = (read.owner, read.key, load.may_fall_back)
            if self._loads.get(load_key) is load:
                del self._loads[load_key]
            if load.starter is None:
                await self._charge(read, context)
            else:
                load.starter.calls += context.calls
                load.starter.wait_seconds += context.wait_seconds

    def _refresh_later(self, read: _Read[Any], cached: CachedBody) -> None:
        """Start the background call of this key, unless it is running or the circuit is open."""
        key = (read.owner, read.key)
        if key in self._refreshes or len(self._refreshes) >= MAX_WAITING_REFRESHES:
            return
        if self.sender.is_refused(read.path):
            return
        # A refresh that is sent when the response has expired comes too late.
        seconds = self._stale_seconds - self._age(cached)
        self._refreshes[key] = task = asyncio.ensure_future(self._refresh(read, seconds))
        task.add_done_callback(lambda done: self._refresh_finished(key, done))

    async def _refresh(self, read: _Read[Any], seconds: float) -> None:
        if not await self._store.start_refresh(read.owner, read.key):
            return
        context = self._call_context(read, seconds + self.sender.default_deadline_seconds)
        context.is_background = True
        context.max_attempts = 1
        context.max_quota_wait_seconds = seconds
        try:
            await self._send(read, context)
        except HubSpotError:
            pass  # the next request for this key starts another refresh
        finally:
            await self._store.end_refresh(read.owner, read.key)
            await self._charge(read, context)

    def _refresh_finished(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._refreshes.get(key) is task:
            del self._refreshes[key]
        if not task.cancelled():
            task.exception()  # otherwise asyncio logs that nothing has read it

    def _cancel_refresh(self, owner: str, key: str) -> None:
        task = self._refreshes.pop((owner, key), None)
        if task is not None:
            task.cancel()

    async def _charge(self, read: _Read[Any], context: CallContext) -> None:
        if context.calls:
            await self._charge_calls(read.owner, context.calls)

    def _call_context(self, read: _Read[Any], seconds: float) -> CallContext:
        """Return the context of a call that may outlive the request."""
        context = CallContext(seconds, caller=f"user:{read.owner}", clock=self.sender.clock)
        request_context = current_call_context()
        if request_context is not None:
            context.headers = dict(request_context.headers)
        return context

    async def _send(self, read: _Read[R], context: CallContext, load: _Load | None = None) -> R:
        """Send the call and store its body. A record that HubSpot does not find is removed from the cache."""
        received: list[CachedBody] = []

        def keep_body(body: bytes, elapsed_seconds: float) -> None:
            received.append(CachedBody(body, self._clock() - elapsed_seconds))

        try:
            response = await self.sender.request(
                read.method,
                read.path,
                operation=read.operation,
                json=read.json,
                params=read.params,
                idempotent=True,
                response=read.response,
                context=context,
                on_body=keep_body,
            )
        except HubSpotRequestError:
            await self._store.delete(read.owner, read.key)
            raise
        [cached] = received
        is_discarded = load is not None and not load.is_stored
        # The next call may read the items that failed in this one.
        is_incomplete = isinstance(response, BatchResponse) and not response.is_complete
        if not (is_discarded or is_incomplete):
            await self._store.put(read.owner, read.key, cached)
        return response


class CachedReads:
    """Reads of one request: live for a miss, otherwise from the cache."""

    def __init__(self, cache: ReadCache, on_used: Callable[[float], None]) -> None:
        self._cache = cache
        self._on_used = on_used
        self.is_used = False
        """Whether this request has used a cached response."""

    def of(self, partition: Partition) -> "PartitionReads":
        """Return the reads of this partition."""
        return PartitionReads(_CachedSender(self._cache, partition, self._note_use))

    def _note_use(self, age: float) -> None:
        self.is_used = True
        self._on_used(age)


class PartitionReads:
    """The reads of a `HubSpotClient`, through the cache."""

    def __init__(self, sender: "_CachedSender") -> None:
        self._sender = sender
        self.associations = AssociationsApi(sender)

    def objects(self, object_type: ObjectType) -> RecordReads:
        """Return the reads of one object type's records."""
        return RecordReads(self._sender, object_type)


class _CachedSender:
    """Sender of reads that searches the cache before it calls HubSpot."""

    def __init__(self, cache: ReadCache, partition: Partition, on_used: Callable[[float], None]) -> None:
        self.paths = cache.sender.paths
        self._cache = cache
        self._partition = partition
        self._on_used = on_used

    async def request(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        idempotent: bool,
        response: type[R],
        context: CallContext | None = None,
    ) -> R:
        """Return the response of this read from the cache or from HubSpot."""
        key = _key(self._partition, method, path, params, json)
        read = _Read(self._partition, key, method, path, operation, json, params, response)
        result, age = await self._cache.read(read)
        if age is not None:
            self._on_used(age)
        return result


def _key(partition: Partition, method: str, path: str, params: Mapping[str, Any] | None, json: Any) -> str:
    """Return a hash, because bodies are long and contain IDs."""
    parts = [partition.contact_id, partition.records_version, method, path, params, json]
    return hashlib.blake2b(to_json(parts), digest_size=20).hexdigest()
