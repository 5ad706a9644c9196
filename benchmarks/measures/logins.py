"""Logins of fifty clients, compared with hashing alone, and the event-loop lag during these logins."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.load import Client, run_all
from benchmarks.report import LOWER_BOUND, SERVICE, Figure, Row, at_least, at_most
from benchmarks.run import Run
from benchmarks.sample import Sample
from benchmarks.servers import ROOT
from benchmarks.users import register_users
from tests.support.builders import PASSWORD

from crm_api.security.passwords import Passwords

CLIENTS: Final = 50
USER_COUNT: Final = 10
PROBE_PAUSE_SECONDS: Final = 0.02
DEADLINE_SECONDS: Final = "60"


async def measure(run: Run) -> None:
    service = await asyncio.to_thread(
        lambda: run.servers.service(
            run.emulator,
            database=run.database,
            BCRYPT_ROUNDS=str(run.settings.login_rounds),
            # Fifty hashes on one core take longer than the default deadline.
            REQUEST_DEADLINE_SECONDS=DEADLINE_SECONDS,
        )
    )
    probe_times: list[float] = []
    idle_probe_times: list[float] = []
    cpu_used: list[float] = []
    async with Client(service.url) as client:
        users = await register_users(client, [f"login-{number}@example.com" for number in range(USER_COUNT)])

        async def log_in(number: int) -> int:
            body = {"email": users[number % USER_COUNT].email, "password": PASSWORD}
            return await client.send("POST", "/api/login", json=body)

        async def log_in_all() -> float:
            before = service.cpu_seconds
            probe = asyncio.create_task(_probe(client))
            sample = await run_all(log_in, clients=CLIENTS, requests=run.settings.logins)
            probe.cancel()
            probe_times.extend(await probe)
            cpu_used.append(1000 * (service.cpu_seconds - before) / run.settings.logins)
            return sample.require_success("logging in").rate

        idle_probe_times.extend(await _probe(client, times=run.settings.logins))
        rates = await _measure_in_turns(
            {SERVICE: log_in_all, LOWER_BOUND: lambda: _run_hash_program(run)},
            rounds=max(2, run.settings.rounds // 2),
        )
    service.close()
    cells = {name: f"{figure}" for name, figure in rates.items()}
    name = f"{CLIENTS} clients log in, {run.settings.login_rounds} rounds of bcrypt; (c) only hashes"
    one_hash = 1000 / rates[LOWER_BOUND].median
    explanation = (
        f"A login took {Figure.of(cpu_used).median:.0f} ms of CPU in total, a hash alone {one_hash:.0f} ms of time; "
        "the difference runs on the cores that hashing leaves free, if any."
    )
    figure = rates[SERVICE].ratio_to(rates[LOWER_BOUND], "x (c)")
    run.report.rows.append(Row(name, cells, figure, at_least(0.95, "x"), explanation))
    run.report.rows.append(_lag_row(probe_times, idle_probe_times))


def _lag_row(probe_times: list[float], idle_probe_times: list[float]) -> Row:
    """Return the row of the event-loop lag: the time of a `/healthz` request minus its time on an idle server."""
    idle_time = statistics.median(idle_probe_times)
    lags = sorted(max(0.0, seconds - idle_time) * 1000 for seconds in probe_times)
    figure = Figure.of([lags[int(0.99 * len(lags))]], "ms")
    cell = f"99th percentile {figure}, maximum {lags[-1]:.1f} ms, {len(lags):,} probes"
    explanation = (
        f"The resolution is one response of {1000 * idle_time:.1f} ms; hashing takes all cores but one."
    )
    return Row("event-loop lag during these logins", {SERVICE: cell}, figure, at_most(20, "ms"), explanation)


async def _probe(client: Client, times: int | None = None) -> list[float]:
    """Send `/healthz` requests until cancelled and return their times in seconds."""
    seconds: list[float] = []
    try:
        while times is None or len(seconds) < times:
            started = time.perf_counter()
            await client.send("GET", "/healthz")
            seconds.append(time.perf_counter() - started)
            await asyncio.sleep(PROBE_PAUSE_SECONDS)
    except asyncio.CancelledError:
        pass
    return seconds


async def _measure_in_turns(
    measures: dict[str, Callable[[], Awaitable[float]]], *, rounds: int
) -> dict[str, Figure]:
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure_rate in measures.items():
            rates[name].append(await measure_rate())
    return {name: Figure.of(values, "/s") for name, values in rates.items()}


async def _run_hash_program(run: Run) -> float:
    """Return the verifications per second of a separate process with crm-api's thread pool."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.measures.logins", str(run.settings.login_rounds), str(run.settings.logins),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await program.communicate()
    return float(json.loads(output))


async def hash_only(rounds: int, logins: int) -> float:
    """Return verifications per second."""
    passwords = Passwords(
        rounds=rounds, workers=(os.cpu_count() or 2) - 1, wait_seconds=float(DEADLINE_SECONDS)
    )
    known = await passwords.hash(PASSWORD)

    async def verify(_number: int) -> int:
        is_valid, _ = await passwords.verify(PASSWORD, known)
        return 200 if is_valid else 401

    sample: Sample = await run_all(verify, clients=CLIENTS, requests=logins)
    return sample.require_success("hashing").rate


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hash_only(int(sys.argv[1]), int(sys.argv[2])))))
