"""The circuit breaker: when it opens, what it lets through half open, and how long it stays open."""

import pytest
from tests.support.clock import FakeClock

from crm_api.hubspot import CircuitBreaker, CircuitOpenError, CircuitState


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


def open_it(circuit: CircuitBreaker) -> None:
    for _ in range(3):
        call(circuit, failed=True)
    assert circuit.state is CircuitState.OPEN


def test_repeated_failures_open_it(circuit: CircuitBreaker) -> None:
    call(circuit, failed=True)
    call(circuit, failed=True)
    assert circuit.state is CircuitState.CLOSED
    call(circuit, failed=True)
    with pytest.raises(CircuitOpenError) as refusal:
        circuit.enter()
    assert refusal.value.retry_after == pytest.approx(2)


def test_failures_among_many_successes_do_not_open_it(circuit: CircuitBreaker) -> None:
    for _ in range(10):
        call(circuit, failed=False)
    for _ in range(5):
        call(circuit, failed=True)
    assert circuit.state is CircuitState.CLOSED


def test_failures_far_apart_do_not_open_it(circuit: CircuitBreaker, clock: FakeClock) -> None:
    for _ in range(6):
        call(circuit, failed=True)
        clock.now += 6
    assert circuit.state is CircuitState.CLOSED


def test_half_open_lets_one_probe_through(circuit: CircuitBreaker, clock: FakeClock) -> None:
    open_it(circuit)
    clock.now += 2
    circuit.enter()
    with pytest.raises(CircuitOpenError):
        circuit.enter()


def test_a_probe_that_succeeds_closes_it(circuit: CircuitBreaker, clock: FakeClock) -> None:
    open_it(circuit)
    clock.now += 2
    call(circuit, failed=False)
    assert circuit.state is CircuitState.CLOSED
    call(circuit, failed=False)


def test_a_probe_that_fails_opens_it_for_longer_up_to_a_limit(
    circuit: CircuitBreaker, clock: FakeClock
) -> None:
    open_it(circuit)
    seconds = []
    for _ in range(3):
        clock.now += 10
        call(circuit, failed=True)
        with pytest.raises(CircuitOpenError) as refusal:
            circuit.enter()
        seconds.append(refusal.value.retry_after)
    assert seconds == [4, 5, 5]


def test_a_probe_that_is_abandoned_leaves_its_place_to_the_next(
    circuit: CircuitBreaker, clock: FakeClock
) -> None:
    open_it(circuit)
    clock.now += 2
    circuit.abandon(circuit.enter())
    call(circuit, failed=False)
    assert circuit.state is CircuitState.CLOSED


def test_an_outcome_of_before_it_opened_says_nothing_about_now(
    circuit: CircuitBreaker, clock: FakeClock
) -> None:
    late = [circuit.enter() for _ in range(3)]
    open_it(circuit)
    clock.now += 2
    call(circuit, failed=False)
    for permit in late:
        circuit.finish(permit, failed=True)
    assert circuit.state is CircuitState.CLOSED


def test_looking_takes_no_probe(circuit: CircuitBreaker, clock: FakeClock) -> None:
    open_it(circuit)
    clock.now += 2
    circuit.check()
    circuit.check()
    circuit.enter()


def test_changes_are_told(circuit: CircuitBreaker, clock: FakeClock) -> None:
    states: list[str] = []
    circuit.on_change = lambda state: states.append(state.value)
    open_it(circuit)
    clock.now += 2
    call(circuit, failed=False)
    assert states == ["open", "half_open", "closed"]
