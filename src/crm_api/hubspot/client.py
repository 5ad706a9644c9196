"""The client: one request at a time through circuit, quota, connection, errors and repeats."""

import asyncio
import json as _json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import httpx
from pydantic import TypeAdapter, ValidationError

from crm_api.hubspot.auth import RefreshTokenAuth
from crm_api.hubspot.call_context import RequestScope, current_scope
from crm_api.hubspot.circuit import CircuitBreaker, CircuitOpenError, CircuitPermit, CircuitState
from crm_api.hubspot.connections import Connections
from crm_api.hubspot.error_parsing import error_from_response, error_from_transport
from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotDeadlineError,
    HubSpotError,
    HubSpotGrantError,
    HubSpotQuotaError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
    HubSpotUnreadableError,
)
from crm_api.hubspot.names import ObjectType, Paths
from crm_api.hubspot.observer import NullObserver, Observer
from crm_api.hubspot.quota.quota import Budget, LocalQuota, Quota, QuotaTimeout
from crm_api.hubspot.resources.account import AccountApi
from crm_api.hubspot.resources.associations import AssociationsApi
from crm_api.hubspot.resources.objects import ObjectsApi
from crm_api.hubspot.resources.pipelines import PipelinesApi
from crm_api.hubspot.resources.properties import PropertiesApi
from crm_api.hubspot.retry import RetryBudget, RetryPolicy

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = httpx.Timeout(connect=2.0, pool=1.0, read=4.0, write=4.0)
USER_AGENT: Final = "crm-api/0.1"
# httpx's own timeouts end by so much before the deadline: they know whether the connection was ever made.
DEADLINE_MARGIN_SECONDS: Final = 0.01
# An attempt that was given less says nothing about HubSpot when it times out.
FAIR_CHANCE_SECONDS: Final = 1.0
# The part of an attempt's time that is kept for sending, where that is less than a fair chance.
SENDING_SHARE: Final = 0.25


@dataclass(slots=True)
class LastSeen:
    """When HubSpot last answered or failed, and how."""

    ok: bool | None = None
    at: datetime | None = None
    error: str | None = None
    """The class name of the failure."""


class HubSpotClient:
    """An asynchronous client of HubSpot's dated CRM API; one per process, closed by `aclose`."""

    def __init__(
        self,
        *,
        base_url: str,
        auth: httpx.Auth,
        api_version: str = "2026-09",
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        max_connections: int = 20,
        verify: ssl.SSLContext | bool = True,
        retry: RetryPolicy | None = None,
        retry_budget: RetryBudget | None = None,
        quota: Quota | None = None,
        circuit: CircuitBreaker | None = None,
        observer: Observer | None = None,
        default_deadline_seconds: float = 10.0,
        reserve_seconds: float = 3.0,
        user_agent: str = USER_AGENT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._auth = auth
        self._timeout = timeout
        self._retry = retry or RetryPolicy()
        self._retry_budget = retry_budget or RetryBudget()
        self._quota: Quota = quota or LocalQuota(clock=clock, sleep=sleep)
        self._circuit = circuit or CircuitBreaker(clock=clock)
        self._circuit.on_change = self._circuit_changed
        self._observer: Observer = observer or NullObserver()
        self.default_deadline_seconds = default_deadline_seconds
        self._reserve_seconds = reserve_seconds
        self.clock = clock
        self._sleep = sleep
        self._now = now
        self._slots = asyncio.Semaphore(max_connections)
        self.max_connections = max_connections
        self.in_flight = 0
        """Requests that HubSpot has not answered yet."""
        self._connections = Connections(
            base_url=base_url,
            transport=transport,
            timeout=timeout,
            verify=verify,
            user_agent=user_agent,
        )
        if isinstance(auth, RefreshTokenAuth):
            auth.connect(self._connections.for_tokens, self._observer)
        self.last_seen = LastSeen()
        self.paths = Paths(api_version)
        self._objects: dict[str, ObjectsApi] = {}
        self.contacts = self.objects("contacts")
        self.deals = self.objects("deals")
        self.tickets = self.objects("tickets")
        self.associations = AssociationsApi(self)
        self.pipelines = PipelinesApi(self, clock=clock)
        self.properties = PropertiesApi(self, clock=clock)
        self.account = AccountApi(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._connections.base_url!r})"

    @property
    def auth(self) -> httpx.Auth:
        """How this client says who it is."""
        return self._auth

    @property
    def quota(self) -> Quota:
        """What decides when a request may leave."""
        return self._quota

    @property
    def circuit(self) -> CircuitBreaker:
        """This process's circuit breaker toward HubSpot."""
        return self._circuit

    def objects(self, object_type: ObjectType) -> ObjectsApi:
        """The records of a type."""
        if object_type not in self._objects:
            self._objects[object_type] = ObjectsApi(self, object_type)
        return self._objects[object_type]

    def scope(self) -> RequestScope:
        """The incoming request's scope, or a new one with the default deadline."""
        return current_scope() or RequestScope(self.default_deadline_seconds, clock=self.clock)

    def create_reserve_seconds(self, scope: RequestScope) -> float:
        """How much of the deadline is kept for finding out what became of a create."""
        return min(self._reserve_seconds, scope.deadline_seconds * 0.3)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.pipelines.aclose()
        await self.properties.aclose()
        if isinstance(self._auth, RefreshTokenAuth):
            await self._auth.aclose()
        await self._connections.aclose()

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)

    async def pause_before_repeat(self, error: HubSpotError, *, attempt: int, seconds: float) -> bool:
        """Wait the backoff after attempt `attempt`; False where the rule, the budget or the time forbids another."""
        delay = self._retry.delay(error, attempt=attempt, idempotent=True)
        if delay is None or delay >= seconds or not self._retry_budget.spend(error):
            return False
        self._observer.retried(operation=error.operation or "", reason=type(error).__name__)
        await self._sleep(delay)
        return True

    async def request(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        idempotent: bool,
        budget: Budget = "burst",
        answer: TypeAdapter[Any] | None = None,
        scope: RequestScope | None = None,
        reserve_seconds: float = 0.0,
    ) -> Any:
        """Send one logical request: wait for quota, send, repeat what may be repeated, all before the deadline.

        Returns the body validated by `answer`, or parsed as JSON without one; None for an empty body.
        `idempotent` says that a second arrival changes nothing more. All tries end `reserve_seconds` before the
        deadline. Raises a `HubSpotError`; its `sent` is True if any try may have been acted on.
        """
        scope = scope or self.scope()
        call = _Call(
            method=method,
            path=path,
            operation=operation,
            content=None
            if json is None
            else _json.dumps(json, ensure_ascii=False, separators=(",", ":")).encode(),
            params={name: value for name, value in (params or {}).items() if value is not None},
            budget=budget,
            answer=answer,
        )
        self._retry_budget.call_started()
        may_have_acted = False
        for attempt in count(1):
            error, result = await self._try(call, attempt, scope, scope.remaining() - reserve_seconds)
            if error is None:
                return result
            may_have_acted = may_have_acted or error.may_have_acted
            delay = self._retry.delay(error, attempt=attempt, idempotent=idempotent)
            if delay is not None and delay >= scope.remaining() - reserve_seconds:
                error.retry_after = max(delay, error.retry_after or 0.0)
                delay = None
            if delay is None or not self._retry_budget.spend(error):
                # What an earlier try may have done, no later refusal undoes.
                error.sent = error.sent or may_have_acted
                raise error
            self._observer.retried(operation=operation, reason=type(error).__name__)
            logger.info("repeating %s in %.2f s after %s", operation, delay, type(error).__name__)
            await self._sleep(delay)
        raise AssertionError  # pragma: no cover - count() does not end

    async def _try(
        self, call: "_Call", attempt: int, scope: RequestScope, seconds: float
    ) -> tuple[HubSpotError | None, Any]:
        """One attempt in `seconds`. Errors are returned, so that none carries httpx's in its context."""
        if seconds <= 0:
            return HubSpotDeadlineError("no time left", operation=call.operation, sent=False), None
        expires_at = self.clock() + seconds
        try:
            self._circuit.check()
            waited = await self._quota.acquire(
                call.budget, caller=scope.caller, timeout_seconds=_patience(seconds), slot=self._slots
            )
        except CircuitOpenError as refusal:
            return self._unavailable(call, "circuit open", refusal.retry_after), None
        except QuotaTimeout as refusal:
            scope.wait_seconds += max(0.0, seconds - (expires_at - self.clock()))
            return self._unavailable(call, "no quota in time", refusal.retry_after), None
        try:
            scope.wait_seconds += waited
            self._observer.quota_waited(budget=call.budget, seconds=waited)
            try:
                permit = self._circuit.enter()
            except CircuitOpenError as refusal:
                return self._unavailable(call, "circuit open", refusal.retry_after), None
            return await self._send(call, attempt, scope, permit, expires_at - self.clock())
        finally:
            self._slots.release()

    async def _send(
        self, call: "_Call", attempt: int, scope: RequestScope, permit: CircuitPermit, seconds: float
    ) -> tuple[HubSpotError | None, Any]:
        started = self.clock()
        scope.calls += 1
        self.in_flight += 1
        failed: bool | None = None
        try:
            error, result = await self._exchange(call, scope, seconds)
            failed = _speaks_against_hubspot(error, seconds)
        finally:
            self.in_flight -= 1
            if failed is None:
                self._circuit.abandon(permit)
            else:
                self._circuit.finish(permit, failed=failed)
        self._note(call, attempt, error, self.clock() - started)
        return error, result

    async def _exchange(
        self, call: "_Call", scope: RequestScope, seconds: float
    ) -> tuple[HubSpotError | None, Any]:
        started = self.clock()
        try:
            # Who has a slot has a connection.
            with self._connections.one() as http:
                async with asyncio.timeout(max(0.0, seconds)):
                    response = await http.request(
                        call.method,
                        call.path,
                        content=call.content,
                        params=call.params or None,
                        headers=scope.headers if call.content is None else {**scope.headers, **_JSON_BODY},
                        auth=self._auth,
                        timeout=self._timeout_within(seconds - DEADLINE_MARGIN_SECONDS),
                    )
        except TimeoutError:
            return HubSpotDeadlineError("cut off", operation=call.operation), None
        except httpx.TransportError as failure:
            return error_from_transport(failure, operation=call.operation), None
        except (httpx.HTTPError, httpx.StreamError) as failure:  # a body that does not decompress, for one
            return HubSpotUnreadableError(type(failure).__name__, operation=call.operation), None
        except HubSpotError as failure:  # from the authentication: the call itself never left
            failure.operation = call.operation
            return failure.with_traceback(None), None
        return self._read(call, response, self.clock() - started)

    def _read(
        self, call: "_Call", response: httpx.Response, elapsed: float
    ) -> tuple[HubSpotError | None, Any]:
        self._quota.observe(call.budget, response.headers, elapsed_seconds=elapsed)
        if response.is_success:
            try:
                return None, call.result_from(response.content)
            except (ValidationError, ValueError, RecursionError):
                # The original quotes the body.
                error = HubSpotUnreadableError(
                    "answer not understood", status_code=response.status_code, operation=call.operation
                )
            return error, None
        refusal = error_from_response(
            response, operation=call.operation, now=self._now(), search=call.budget == "search"
        )
        if isinstance(refusal, HubSpotQuotaError):
            self._quota.penalise(refusal.policy, refusal.retry_after)
        return refusal, None

    def _timeout_within(self, seconds: float) -> httpx.Timeout:
        seconds = max(0.001, seconds)
        own = self._timeout
        return httpx.Timeout(
            connect=_least(own.connect, seconds),
            pool=_least(own.pool, seconds),
            read=_least(own.read, seconds),
            write=_least(own.write, seconds),
        )

    def _note(self, call: "_Call", attempt: int, error: HubSpotError | None, seconds: float) -> None:
        outcome = "ok" if error is None else type(error).__name__
        self._observer.call_finished(
            operation=call.operation, outcome=outcome, attempt=attempt, seconds=seconds
        )
        failed = _serves_nobody(error)
        self.last_seen = LastSeen(ok=not failed, at=self._now(), error=outcome if failed else None)

    def _unavailable(self, call: "_Call", reason: str, retry_after: float) -> HubSpotUnavailableError:
        return HubSpotUnavailableError(reason, operation=call.operation, retry_after=retry_after)

    def _circuit_changed(self, state: CircuitState) -> None:
        logger.warning("circuit toward HubSpot is %s", state.value)
        self._observer.circuit_changed(state=state.value)


# The token is refused; the account is on the move.
_FOR_ALL: Final = frozenset({401, 477})
_JSON_BODY: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    operation: str
    content: bytes | None
    params: Mapping[str, Any]
    budget: Budget
    answer: TypeAdapter[Any] | None

    def result_from(self, body: bytes) -> Any:
        if self.answer is not None:
            return self.answer.validate_json(body)
        return _json.loads(body) if body else None


def _patience(seconds: float) -> float:
    """How long an attempt that has so many seconds may wait for quota.

    One that left in the last moment would use quota, be cut off, and leave open what became of it.
    """
    return seconds - min(FAIR_CHANCE_SECONDS, SENDING_SHARE * seconds)


def _least(own: float | None, seconds: float) -> float:
    return seconds if own is None else min(own, seconds)


def _serves_nobody(error: HubSpotError | None) -> bool:
    """Whether the next call will fare no better, whatever it asks for: what an operator wants to know of."""
    if isinstance(error, HubSpotQuotaError):
        return error.policy == "daily"
    failures = HubSpotConnectionError | HubSpotServerError | HubSpotDeadlineError | HubSpotGrantError
    return isinstance(error, failures) or (error is not None and error.status_code in _FOR_ALL)


def _speaks_against_hubspot(error: HubSpotError | None, given_seconds: float) -> bool | None:
    """Whether HubSpot fails: 4xx and 429 do not say so. None where nothing was learned.

    Nothing says a timeout that our deadline made short, nor a dead grant that was not even asked about.
    """
    if isinstance(error, HubSpotGrantError):
        return None
    if isinstance(error, HubSpotTimeoutError | HubSpotDeadlineError) and given_seconds < FAIR_CHANCE_SECONDS:
        return None
    return isinstance(error, HubSpotConnectionError | HubSpotServerError | HubSpotDeadlineError)
