"""Fifty clients that log in, against a program that does nothing but hash; and how long others wait meanwhile."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.load import Client, Sample, all_of
from benchmarks.people import registered
from benchmarks.report import FLOOR, OURS, Figure, Row, at_least, at_most
from benchmarks.run import Run
from benchmarks.servers import ROOT
from tests.support.builders import PASSWORD

from crm_api.security.passwords import Passwords

CLIENTS: Final = 50
PEOPLE: Final = 10
PROBE_PAUSE_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = "60"


async def measure(run: Run) -> None:
    """The rows of the login storm."""
    ours = await asyncio.to_thread(
        lambda: run.stage.service(
            run.emulator,
            database=run.database,
            BCRYPT_ROUNDS=str(run.pace.login_rounds),
            # Fifty hashes on one core take longer than a request may by default.
            REQUEST_DEADLINE_SECONDS=PATIENCE_SECONDS,
        )
    )
    lags: list[float] = []
    idle: list[float] = []
    used: list[float] = []
    async with Client(ours.url) as client:
        people = await registered(client, [f"login-{number}@example.com" for number in range(PEOPLE)])

        async def log_in(number: int) -> int:
            body = {"email": people[number % PEOPLE].email, "password": PASSWORD}
            return await client.send("POST", "/api/login", json=body)

        async def storm() -> float:
            before = ours.cpu_seconds
            probe = asyncio.create_task(_probe(client))
            sample = await all_of(log_in, clients=CLIENTS, requests=run.pace.logins)
            probe.cancel()
            lags.extend(await probe)
            used.append(1000 * (ours.cpu_seconds - before) / run.pace.logins)
            return sample.require_good("logging in").rate

        idle.extend(await _probe(client, times=run.pace.logins))
        found = await _in_turns(
            {OURS: storm, FLOOR: lambda: _hash_only(run)}, rounds=max(2, run.pace.rounds // 2)
        )
    ours.close()
    cells = {name: f"{figure}" for name, figure in found.items()}
    what = f"{CLIENTS} clients log in, {run.pace.login_rounds} rounds of bcrypt; (c) only hashes"
    one_hash = 1000 / found[FLOOR].median
    why = (
        f"A login took {Figure.of(used).median:.0f} ms of CPU with everything around it, a hash alone "
        f"{one_hash:.0f} ms of time; what is more than that runs on the cores that hashing leaves free, if any are."
    )
    run.report.rows += [
        Row(what, cells, found[OURS].over(found[FLOOR], "x (c)"), at_least(0.95, "x"), why),
        _lag_row(lags, idle),
    ]


def _lag_row(lags: list[float], idle: list[float]) -> Row:
    """How late the event loop was, seen from outside: what `/healthz` took more than it does when nothing happens."""
    usual = statistics.median(idle)
    late = sorted(max(0.0, each - usual) * 1000 for each in lags)
    figure = Figure.of([late[int(0.99 * len(late))]], "ms")
    cell = f"{figure} in 99 of 100, {late[-1]:.1f} ms at most, {len(late)} looks"
    why = f"One answer of {1000 * usual:.1f} ms more or less is what this can tell; hashing takes all cores but one."
    return Row("event-loop lag meanwhile", {OURS: cell}, figure, at_most(20, "ms"), why)


async def _probe(client: Client, times: int | None = None) -> list[float]:
    """The seconds that `/healthz` took, again and again until cancelled."""
    taken: list[float] = []
    try:
        while times is None or len(taken) < times:
            started = time.perf_counter()
            await client.send("GET", "/healthz")
            taken.append(time.perf_counter() - started)
            await asyncio.sleep(PROBE_PAUSE_SECONDS)
    except asyncio.CancelledError:
        pass
    return taken


async def _in_turns(measures: dict[str, Callable[[], Awaitable[float]]], *, rounds: int) -> dict[str, Figure]:
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measured in measures.items():
            found[name].append(await measured())
    return {name: Figure.of(values, "/s") for name, values in found.items()}


async def _hash_only(run: Run) -> float:
    """Verifications a second in a process of its own, with the pool that our service has."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.measures.logins", str(run.pace.login_rounds), str(run.pace.logins),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await program.communicate()
    return float(json.loads(output))


async def hash_only(rounds: int, logins: int) -> float:
    """Verifications a second."""
    passwords = Passwords(
        rounds=rounds, workers=(os.cpu_count() or 2) - 1, wait_seconds=float(PATIENCE_SECONDS)
    )
    known = await passwords.hash(PASSWORD)

    async def verify(_number: int) -> int:
        fits, _ = await passwords.verify(PASSWORD, known)
        return 200 if fits else 401

    sample: Sample = await all_of(verify, clients=CLIENTS, requests=logins)
    return sample.require_good("hashing").rate


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hash_only(int(sys.argv[1]), int(sys.argv[2])))))
