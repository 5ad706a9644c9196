"""Sending one call to HubSpot: deadline, circuit, quota, connection, errors and retries."""

import asyncio
import json as _json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ValidationError

from crm_api.hubspot.auth import Auth
from crm_api.hubspot.call_context import CallContext, current_call_context
from crm_api.hubspot.circuit import (
    CIRCUITS,
    MIN_ATTEMPT_SECONDS,
    CallPermit,
    CircuitName,
    CircuitOpenError,
    Circuits,
    CircuitState,
    circuit_verdicts,
)
from crm_api.hubspot.connections import TIMEOUT_SECONDS, Connections
from crm_api.hubspot.error_parsing import error_from_response, error_from_transport
from crm_api.hubspot.errors import (
    HubSpotDeadlineError,
    HubSpotError,
    HubSpotQuotaError,
    HubSpotUnavailableError,
    HubSpotUnreadableError,
    are_credentials_refused,
    is_account_wide_failure,
)
from crm_api.hubspot.missing_scopes import MissingScopes
from crm_api.hubspot.names import EndpointFamily, Paths, endpoint_family, is_write
from crm_api.hubspot.observer import Observer
from crm_api.hubspot.quota.quota import Budget, Quota, QuotaTimeout
from crm_api.hubspot.response_bodies import read_response
from crm_api.hubspot.retry import RetryBudget, RetryPolicy

R = TypeVar("R", bound=BaseModel)
OnBody = Callable[[bytes, float], None]
"""Called with the body of a response that was understood, and the seconds since the call was sent."""

logger = logging.getLogger(__name__)

# httpx's own timeouts end this long before the deadline, because they know whether a connection was made.
DEADLINE_MARGIN_SECONDS: Final = 0.01
# Share of a short attempt's time (less than 4 s) that is kept for sending; the rest may be spent waiting for quota.
SENDING_SHARE: Final = 0.25
# The part of the deadline that is reserved for looking up a create with an unknown outcome.
CREATE_RESERVE_SECONDS: Final = 3.0
CREATE_RESERVE_SHARE: Final = 0.3
JSON_CONTENT: Final = {"Content-Type": "application/json"}
# Parsing a larger body takes more than a millisecond, in which the event loop serves no other request.
LARGE_BODY_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class LastSeen:
    """The last outcome of an attempt: whether HubSpot served it, and when."""

    ok: bool | None = None
    at: datetime | None = None
    error: str | None = None
    """The class name of the failure."""


@dataclass(frozen=True, slots=True)
class _Call(Generic[R]):
    method: str
    url: httpx.URL = field(repr=False)
    family: EndpointFamily
    is_write: bool
    operation: str
    content: bytes | None = field(repr=False)
    budget: Budget
    response: type[R]
    on_body: OnBody | None = field(repr=False)


class ReadSender(Protocol):
    """What reads need: paths, and a function that sends a call."""

    @property
    def paths(self) -> Paths:
        """Paths of the API version."""

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
        """Send one call and return its response."""


class Sender:
    """Sends calls to HubSpot and retries them within the deadline of their incoming request."""

    def __init__(
        self,
        *,
        connections: Connections,
        auth: Auth,
        api_version: str,
        max_connections: int,
        retry: RetryPolicy,
        retry_budget: RetryBudget,
        quota: Quota,
        circuits: Circuits,
        observer: Observer,
        default_deadline_seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        turn: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._connections = connections
        self.auth = auth
        self.paths = Paths(api_version)
        self.max_connections = max_connections
        self._connection_slots = asyncio.Semaphore(max_connections)
        self._retry = retry
        self._retry_budget = retry_budget
        self.quota = quota
        self.circuits = circuits
        for name in CIRCUITS:
            circuits[name].on_change = partial(self._circuit_changed, name)
        self._observer = observer
        self.default_deadline_seconds = default_deadline_seconds
        self.clock = clock
        self.sleep = sleep
        self._turn = turn
        self.in_flight = 0
        """Attempts that HubSpot has not responded to yet."""
        self.last_seen = LastSeen()
        self.missing_scopes = MissingScopes(observer)

    def context(self) -> CallContext:
        """Return the incoming request's context, or a new one with the default deadline."""
        return current_call_context() or CallContext(self.default_deadline_seconds, clock=self.clock)

    def is_refused(self, path: str) -> bool:
        """Return True if the circuit breaker would refuse a call now."""
        try:
            self.circuits.check(endpoint_family(path))
        except CircuitOpenError:
            return True
        return False

    def can_send(self, path: str, *, max_wait_seconds: float) -> bool:
        """Return True if a call that joins the queue now would be sent within this time."""
        return not self.is_refused(path) and self.quota.expected_wait("burst") <= max_wait_seconds

    def create_reserve_seconds(self, context: CallContext) -> float:
        """Return the seconds of the deadline that are reserved for looking up a create with an unknown outcome."""
        return min(CREATE_RESERVE_SECONDS, context.deadline_seconds * CREATE_RESERVE_SHARE)

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
        response: type[R],
        context: CallContext | None = None,
        reserve_seconds: float = 0.0,
        on_body: OnBody | None = None,
    ) -> R:
        """Send one call and retry it while the retry policy, the retry budget and the deadline allow it.

        `idempotent` means that sending twice changes no more than sending once. All attempts end
        `reserve_seconds` before the deadline. `on_body` gets the response's body. Raises a
        `HubSpotError`; its `sent` is True if HubSpot may have acted on any attempt.
        """
        context = context or self.context()
        content = None
        if json is not None:
            content = _json.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        given = {name: value for name, value in (params or {}).items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        url = httpx.URL(self._connections.base_url + target)
        family, writes = endpoint_family(path), is_write(method, path)
        call = _Call(method, url, family, writes, operation, content, budget, response, on_body)
        self._retry_budget.call_started()
        may_have_acted = False
        for attempt in count(1):
            outcome = await self._attempt(call, attempt, context, context.remaining() - reserve_seconds)
            if not isinstance(outcome, HubSpotError):
                return outcome
            may_have_acted = may_have_acted or outcome.may_have_acted
            delay = None
            if context.max_attempts is None or attempt < context.max_attempts:
                delay = self._retry.delay(outcome, attempt=attempt, idempotent=idempotent)
            if delay is not None and delay >= context.remaining() - reserve_seconds:
                outcome.retry_after = max(delay, outcome.retry_after or 0.0)
                delay = None
            if delay is None or not await self._back_off(outcome, delay):
                # A later rejection does not undo what an earlier attempt may have done.
                outcome.sent = outcome.sent or may_have_acted
                raise outcome
        raise AssertionError  # pragma: no cover - count() does not end

    async def wait_to_parse(self, body: bytes) -> None:
        """Wait for a turn if parsing this body would delay other requests."""
        if self._turn is not None and len(body) > LARGE_BODY_BYTES:
            await self._turn()

    async def wait_for_retry(self, error: HubSpotError, *, attempt: int, seconds: float) -> bool:
        """Wait before retrying an idempotent call; False if the policy, the budget or `seconds` forbid the retry."""
        delay = self._retry.delay(error, attempt=attempt, idempotent=True)
        return delay is not None and delay < seconds and await self._back_off(error, delay)

    async def _back_off(self, error: HubSpotError, delay: float) -> bool:
        if not self._retry_budget.spend(error):
            return False
        reason = type(error).__name__
        self._observer.retried(operation=error.operation or "", reason=reason)
        logger.info("retrying call: operation=%s delay_seconds=%.2f error=%s", error.operation, delay, reason)
        await self.sleep(delay)
        return True

    async def _attempt(
        self, call: _Call[R], attempt: int, context: CallContext, seconds: float
    ) -> R | HubSpotError:
        """Wait for quota and a connection, then send once.

        Errors are returned, not raised, so that their `__context__` holds no exception of httpx, which may quote
        tokens.
        """
        if seconds <= 0:
            return HubSpotDeadlineError("no time left", operation=call.operation, sent=False)
        expires_at = self.clock() + seconds
        max_wait = _max_quota_wait(seconds)
        if context.max_quota_wait_seconds is not None:
            max_wait = min(max_wait, context.max_quota_wait_seconds)
        try:
            self.circuits.check(call.family)
            waited = await self.quota.acquire(
                call.budget,
                caller=context.caller,
                timeout_seconds=max_wait,
                is_background=context.is_background,
                # A limit of this wait means that a cached response can take the place of the call's.
                has_fallback=context.max_quota_wait_seconds is not None,
                is_started_write=context.calls > 0 and call.is_write,
                connection_slot=self._connection_slots,
            )
        except CircuitOpenError as error:
            return _unavailable(call, "circuit open", error.retry_after)
        except QuotaTimeout as error:
            context.wait_seconds += max(0.0, seconds - (expires_at - self.clock()))
            return _unavailable(call, "no quota in time", error.retry_after)
        try:
            context.wait_seconds += waited
            self._observer.quota_waited(budget=call.budget, seconds=waited)
            try:
                permit = self.circuits.enter(call.family)
            except CircuitOpenError as error:
                return _unavailable(call, "circuit open", error.retry_after)
            return await self._send(call, attempt, context, permit, expires_at - self.clock())
        finally:
            self._connection_slots.release()

    async def _send(
        self, call: _Call[R], attempt: int, context: CallContext, permit: CallPermit, seconds: float
    ) -> R | HubSpotError:
        started = self.clock()
        context.calls += 1
        self.in_flight += 1
        outcome: R | HubSpotError
        was_sent = True
        try:
            response = await self._exchange(call, context.headers, seconds)
        except TimeoutError:
            outcome = HubSpotDeadlineError("cancelled at the deadline", operation=call.operation)
        except httpx.TransportError as error:
            outcome = error_from_transport(error, operation=call.operation)
        except (httpx.HTTPError, httpx.StreamError) as error:  # for example a body that does not decompress
            outcome = HubSpotUnreadableError(type(error).__name__, operation=call.operation)
        except HubSpotError as error:
            # The authentication failed: the call was not sent, or HubSpot refused it with a 401.
            was_sent = False
            error.operation = call.operation
            outcome = error.with_traceback(None)
        else:
            elapsed = self.clock() - started
            await self.wait_to_parse(response.content)
            outcome = self._read(call, response, elapsed)
        finally:
            self.in_flight -= 1
            # A cancelled call must not block the next probe. `finish` follows without an await in between.
            self.circuits.abandon(permit)
        if was_sent:
            family_failed, account_failed = circuit_verdicts(outcome, seconds)
            self.circuits.finish(permit, family_failed=family_failed, account_failed=account_failed)
        self._report(call, attempt, outcome, self.clock() - started)
        return outcome

    async def _exchange(self, call: _Call[Any], headers: dict[str, str], seconds: float) -> httpx.Response:
        """Send the call with the current access token, and after a 401 once more if there is a newer token."""
        if call.content is not None:
            headers = headers | JSON_CONTENT
        timeouts = _timeouts_within(seconds - DEADLINE_MARGIN_SECONDS)
        # The call holds one of the connection slots, so there is a connection for it.
        with self._connections.acquire() as connection:
            async with asyncio.timeout(max(0.0, seconds)):
                for is_last in (False, True):
                    token = await self.auth.access_token()
                    response = await connection.send(
                        call.method,
                        call.url,
                        headers=headers | {"Authorization": f"Bearer {token}"},
                        content=call.content,
                        timeout_seconds=timeouts,
                    )
                    if response.status_code != 401 or not self.auth.may_send_again(token, is_last=is_last):
                        break
        return response

    def _read(self, call: _Call[R], response: httpx.Response, elapsed: float) -> R | HubSpotError:
        self.quota.observe(call.budget, response.headers, elapsed_seconds=elapsed)
        if response.is_success:
            body = response.content or b"{}"
            try:
                read = read_response(call.response, body)
            except ValidationError:
                # The original exception quotes the body.
                return HubSpotUnreadableError(
                    "response not understood", status_code=response.status_code, operation=call.operation
                )
            if call.on_body is not None:
                call.on_body(body, elapsed)
            return read
        error = error_from_response(
            response, operation=call.operation, now=datetime.now(UTC), search=call.budget == "search"
        )
        if isinstance(error, HubSpotQuotaError):
            self.quota.on_rate_limited(error.policy, error.retry_after)
        return error

    def _report(self, call: _Call[Any], attempt: int, outcome: object, seconds: float) -> None:
        name = type(outcome).__name__ if isinstance(outcome, HubSpotError) else "ok"
        self._observer.call_finished(operation=call.operation, outcome=name, attempt=attempt, seconds=seconds)
        if (refused := are_credentials_refused(outcome)) is not None:
            self._observer.credentials_checked(refused=refused)
        self.missing_scopes.observe(outcome, call.operation)
        is_failure = is_account_wide_failure(outcome)
        self.last_seen = LastSeen(ok=not is_failure, at=datetime.now(UTC), error=name if is_failure else None)

    def _circuit_changed(self, name: CircuitName, state: CircuitState) -> None:
        logger.warning("HubSpot circuit breaker changed: circuit=%s state=%s", name, state.value)
        self._observer.circuit_changed(circuit=name, state=state.value)


def _unavailable(call: _Call[Any], reason: str, retry_after: float) -> HubSpotUnavailableError:
    return HubSpotUnavailableError(reason, operation=call.operation, retry_after=retry_after)


def _max_quota_wait(seconds: float) -> float:
    """Return how long an attempt with this much time may wait for quota.

    An attempt sent just before the deadline would use quota, be cancelled, and leave its outcome unknown.
    """
    return seconds - min(MIN_ATTEMPT_SECONDS, SENDING_SHARE * seconds)


def _timeouts_within(seconds: float) -> dict[str, float]:
    return {name: min(own, max(0.001, seconds)) for name, own in TIMEOUT_SECONDS.items()}
