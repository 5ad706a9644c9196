"""Retry rules: policy table, delays, budget and `Retry-After`."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.hubspot import RetryBudget, RetryPolicy, parse_retry_after
from crm_api.hubspot import errors as e

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FINAL = "never"
ALWAYS = "always"
UNTIL_DEADLINE = "until the deadline"
IF_IDEMPOTENT = "only if idempotent"

# The retry rule of each error class; it depends on the fields of some classes.
RULE: list[tuple[str, e.HubSpotError, str]] = [
    ("connection never made", e.HubSpotConnectionError(sent=False), ALWAYS),
    ("connect timeout", e.HubSpotTimeoutError(sent=False), ALWAYS),
    ("untrusted certificate", e.HubSpotCertificateError(sent=False), ALWAYS),
    ("connection lost", e.HubSpotConnectionError(), IF_IDEMPOTENT),
    ("read timeout", e.HubSpotTimeoutError(), IF_IDEMPOTENT),
    ("502", e.HubSpotServerError(status_code=502), IF_IDEMPOTENT),
    ("token endpoint 502", e.HubSpotServerError(status_code=502, sent=False), ALWAYS),
    ("unreadable", e.HubSpotUnreadableError(status_code=200), IF_IDEMPOTENT),
    ("429 burst", e.HubSpotQuotaError(policy="burst"), UNTIL_DEADLINE),
    ("429 search", e.HubSpotQuotaError(policy="search"), UNTIL_DEADLINE),
    ("429 token", e.HubSpotQuotaError(policy="token"), UNTIL_DEADLINE),
    ("429 unknown", e.HubSpotQuotaError(policy="unknown"), UNTIL_DEADLINE),
    ("429 daily", e.HubSpotQuotaError(policy="daily"), FINAL),
    ("423", e.HubSpotLockedError(status_code=423), UNTIL_DEADLINE),
    ("401", e.HubSpotCredentialsError(status_code=401), FINAL),
    ("rejected grant", e.HubSpotGrantError(), FINAL),
    ("scope", e.HubSpotScopeError(status_code=403), FINAL),
    ("4xx", e.HubSpotRequestError(status_code=414), FINAL),
    ("400", e.HubSpotValidationError(status_code=400), FINAL),
    ("404", e.HubSpotNotFoundError(status_code=404), FINAL),
    ("409", e.HubSpotConflictError(status_code=409), FINAL),
    ("circuit open", e.HubSpotUnavailableError(), FINAL),
    ("deadline", e.HubSpotDeadlineError(), FINAL),
    ("outcome unknown", e.HubSpotOutcomeUnknownError(), FINAL),
    ("other", e.HubSpotError(), FINAL),
]


def all_classes(kind: type[e.HubSpotError] = e.HubSpotError) -> set[type[e.HubSpotError]]:
    return {kind}.union(*map(all_classes, kind.__subclasses__()))


def test_retry_table_has_every_hubspot_error_class() -> None:
    assert {type(error) for _, error, _ in RULE} == all_classes()


@pytest.mark.parametrize("attempt", [1, 2, 3, 4, 5, 2000])
@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize(("error", "rule"), [row[1:] for row in RULE], ids=[row[0] for row in RULE])
def test_retry_policy_follows_the_table_of_error_classes(
    error: e.HubSpotError, rule: str, *, idempotent: bool, attempt: int
) -> None:
    is_allowed = rule == ALWAYS or (rule == IF_IDEMPOTENT and idempotent)
    is_retried = rule == UNTIL_DEADLINE or (is_allowed and attempt < 4)
    delay = RetryPolicy(max_attempts=4).delay(error, attempt=attempt, idempotent=idempotent)
    assert (delay is not None) == is_retried


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_backoff_has_full_jitter_and_doubles(attempt: int) -> None:
    error = e.HubSpotServerError(status_code=503)
    waits = [
        RetryPolicy(base=0.2, random=lambda share=share: share).delay(error, attempt=attempt, idempotent=True)  # type: ignore[misc]
        for share in (0.0, 1.0)
    ]
    assert waits == [0.0, pytest.approx(0.2 * 2 ** (attempt - 1))]


def test_backoff_does_not_exceed_the_cap() -> None:
    policy = RetryPolicy(max_attempts=100, cap=5.0, random=lambda: 1.0)
    assert policy.delay(e.HubSpotServerError(), attempt=90, idempotent=True) == 5.0


@pytest.mark.parametrize(
    "error",
    [
        e.HubSpotQuotaError(policy="burst", retry_after=7.0),
        e.HubSpotServerError(retry_after=7.0),
        e.HubSpotLockedError(retry_after=7.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_retry_delay_is_at_least_retry_after(error: e.HubSpotError) -> None:
    delay = RetryPolicy(random=lambda: 0.0).delay(error, attempt=1, idempotent=True)
    assert delay == 7.0


@pytest.mark.parametrize(
    ("error", "min_seconds", "max_seconds"),
    [
        (e.HubSpotLockedError(), 2.0, 2.2),
        (e.HubSpotQuotaError(policy="search"), 1.0, 1.2),
        (e.HubSpotQuotaError(policy="burst"), 1.25, 2.5),
    ],
    ids=["423", "search", "burst"],
)
def test_delay_of_423_or_429_without_retry_after_is_in_range(
    error: e.HubSpotError, min_seconds: float, max_seconds: float
) -> None:
    for share in (0.0, 0.5, 1.0):
        delay = RetryPolicy(random=lambda share=share: share).delay(error, attempt=1, idempotent=False)  # type: ignore[misc]
        assert delay is not None
        assert min_seconds <= delay <= max_seconds


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_burst_429_delay_does_not_exceed_the_window(attempt: int) -> None:
    delay = RetryPolicy(random=lambda: 1.0).delay(
        e.HubSpotQuotaError(policy="burst"), attempt=attempt, idempotent=True
    )
    assert delay is not None
    assert delay <= 10.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-1", None),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("9" * 35, 86_400.0),
        ("1e400", None),
        ("", None),
        ("   ", None),
        ("soon", None),
        ("5 seconds", None),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=400), usegmt=True), 86_400.0),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30.0),
        ("Mon, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_parse_retry_after_returns_seconds(value: str, seconds: float | None) -> None:
    assert parse_retry_after(httpx.Headers({"Retry-After": value}), now=NOW) == seconds


def test_parse_retry_after_without_header_returns_none() -> None:
    assert parse_retry_after(httpx.Headers(), now=NOW) is None


@given(st.text(max_size=60))
def test_parse_retry_after_never_raises(value: str) -> None:
    seconds = parse_retry_after({"retry-after": value}, now=NOW)
    assert seconds is None or 0 <= seconds <= 86_400


def test_retry_budget_limits_retries_to_a_share_of_the_calls() -> None:
    budget, retries = RetryBudget(share=0.2, burst=10), 0
    for _ in range(1000):
        budget.call_started()
        while budget.spend(e.HubSpotServerError()):
            retries += 1
    assert retries <= 0.2 * 1000 + 10


def test_retry_after_a_429_consumes_no_retry_budget() -> None:
    budget = RetryBudget(share=0.0, burst=1)
    assert all(budget.spend(e.HubSpotQuotaError()) for _ in range(5))
    assert budget.spend(e.HubSpotServerError())
    assert not budget.spend(e.HubSpotServerError())


def test_retry_budget_does_not_exceed_its_burst() -> None:
    budget = RetryBudget(share=1.0, burst=2)
    for _ in range(100):
        budget.call_started()
    assert [budget.spend(e.HubSpotServerError()) for _ in range(3)] == [True, True, False]
