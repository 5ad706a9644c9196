"""Circuit breaker: when it opens, its probes, and how long it stays open."""

import pytest
from tests.support.clock import FakeClock

from crm_api.hubspot import CircuitBreaker, CircuitOpenError, CircuitState
from crm_api.hubspot.circuit import circuit_verdicts
from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotCredentialsError,
    HubSpotDeadlineError,
    HubSpotNotFoundError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def circuit(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(
        failure_threshold=3, window_seconds=10, open_seconds=2, max_open_seconds=5, clock=clock
    )


def call(circuit: CircuitBreaker, *, failed: bool) -> None:
    circuit.finish(circuit.enter(), failed=failed)


def open_circuit(circuit: CircuitBreaker) -> None:
    for _ in range(3):
        call(circuit, failed=True)
    assert circuit.state is CircuitState.OPEN


def test_circuit_opens_when_failures_reach_the_threshold(circuit: CircuitBreaker) -> None:
    call(circuit, failed=True)
    call(circuit, failed=True)
    assert circuit.state is CircuitState.CLOSED
    call(circuit, failed=True)
    with pytest.raises(CircuitOpenError) as refusal:
        circuit.enter()
    assert refusal.value.retry_after == pytest.approx(2)


def test_minority_of_failures_keeps_the_circuit_closed(circuit: CircuitBreaker) -> None:
    for _ in range(10):
        call(circuit, failed=False)
    for _ in range(5):
        call(circuit, failed=True)
    assert circuit.state is CircuitState.CLOSED


def test_failures_outside_the_window_keep_the_circuit_closed(
    circuit: CircuitBreaker, clock: FakeClock
) -> None:
    for _ in range(6):
        call(circuit, failed=True)
        clock.now += 6
    assert circuit.state is CircuitState.CLOSED


def test_half_open_circuit_admits_one_probe(circuit: CircuitBreaker, clock: FakeClock) -> None:
    open_circuit(circuit)
    clock.now += 2
    circuit.enter()
    with pytest.raises(CircuitOpenError):
        circuit.enter()


def test_successful_probe_closes_the_circuit(circuit: CircuitBreaker, clock: FakeClock) -> None:
    open_circuit(circuit)
    clock.now += 2
    call(circuit, failed=False)
    assert circuit.state is CircuitState.CLOSED
    call(circuit, failed=False)


def test_failed_probe_doubles_open_time_up_to_the_maximum(circuit: CircuitBreaker, clock: FakeClock) -> None:
    open_circuit(circuit)
    seconds = []
    for _ in range(3):
        clock.now += 10
        call(circuit, failed=True)
        with pytest.raises(CircuitOpenError) as refusal:
            circuit.enter()
        seconds.append(refusal.value.retry_after)
    assert seconds == [4, 5, 5]


def test_circuit_admits_another_probe_after_an_abandoned_one(
    circuit: CircuitBreaker, clock: FakeClock
) -> None:
    open_circuit(circuit)
    clock.now += 2
    circuit.abandon(circuit.enter())
    call(circuit, failed=False)
    assert circuit.state is CircuitState.CLOSED


def test_failures_of_calls_sent_before_opening_are_ignored(circuit: CircuitBreaker, clock: FakeClock) -> None:
    late = [circuit.enter() for _ in range(3)]
    open_circuit(circuit)
    clock.now += 2
    call(circuit, failed=False)
    for permit in late:
        circuit.finish(permit, failed=True)
    assert circuit.state is CircuitState.CLOSED


def test_check_of_a_half_open_circuit_does_not_use_its_probe(
    circuit: CircuitBreaker, clock: FakeClock
) -> None:
    open_circuit(circuit)
    clock.now += 2
    circuit.check()
    circuit.check()
    circuit.enter()


def test_on_change_receives_each_new_circuit_state(circuit: CircuitBreaker, clock: FakeClock) -> None:
    states: list[str] = []
    circuit.on_change = lambda state: states.append(state.value)
    open_circuit(circuit)
    clock.now += 2
    call(circuit, failed=False)
    assert states == ["open", "half_open", "closed"]


@pytest.mark.parametrize(
    ("outcome", "given_seconds", "verdicts"),
    [
        ("response", 4.0, (False, False)),
        (HubSpotNotFoundError(status_code=404), 4.0, (False, False)),
        (HubSpotServerError(status_code=503), 0.5, (True, False)),
        (HubSpotTimeoutError(), 1.0, (True, False)),
        (HubSpotTimeoutError(), 0.9, (None, None)),
        (HubSpotDeadlineError(), 1.0, (True, None)),
        (HubSpotDeadlineError(), 0.9, (None, None)),
        (HubSpotConnectionError(), 4.0, (True, False)),
        (HubSpotConnectionError(sent=False), 4.0, (None, True)),
        (HubSpotCredentialsError(status_code=401), 4.0, (None, True)),
        (HubSpotCredentialsError(status_code=403), 4.0, (False, False)),
        (HubSpotUnavailableError(status_code=477), 4.0, (None, True)),
    ],
)
def test_outcome_counts_for_the_circuits_that_it_concerns(
    outcome: object, given_seconds: float, verdicts: tuple[bool | None, bool | None]
) -> None:
    assert circuit_verdicts(outcome, given_seconds) == verdicts
