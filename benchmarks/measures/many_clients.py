"""Fifty clients that create deals; and how the time of one grows with their number."""

import os
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.emulator import LATENCY_SECONDS
from benchmarks.load import Sample, at_once
from benchmarks.report import FASTAPI, FLASK, FLOOR, OURS, Figure, Row, at_least
from benchmarks.run import PROCESSES, Contestant, Run, customer, in_rounds, medians, rates
from benchmarks.servers import CONNECTIONS
from tests.support.builders import deal_body

CLIENTS: Final = 50
GROWTH: Final = (1, 10, 100)
CHART: Final = "Milliseconds to create a deal, by the number of users at once"


async def measure(run: Run) -> None:
    """The rows of many clients."""
    used: dict[str, list[float]] = {name: [] for name in run.contestants}

    def measured(contestant: Contestant) -> Callable[[], Awaitable[Sample]]:
        async def create() -> Sample:
            before = contestant.server.cpu_seconds
            sample = await _creating(contestant, CLIENTS, run.pace.seconds)()
            used[contestant.name].append(1000 * (contestant.server.cpu_seconds - before) / sample.good)
            return sample

        return create

    measures = {name: measured(each) for name, each in run.contestants.items()}
    samples = await in_rounds(run.pace.rounds, measures)
    found = {name: rates(taken) for name, taken in samples.items()}
    cells = {name: f"{figure}, {Figure.of(used[name])} ms of CPU each" for name, figure in found.items()}
    what = f"{CLIENTS} clients on `POST /api/deals`, {PROCESSES} processes"
    bound = PROCESSES * CONNECTIONS / LATENCY_SECONDS
    cpu = {name: Figure.of(times).median for name, times in used.items()}
    why = (
        f"{CONNECTIONS} connections in each of {PROCESSES} processes, {1000 * LATENCY_SECONDS:.0f} ms a call, let "
        f"{bound:.0f}/s through at most. On {os.cpu_count()} cores, which the emulator and the load program share, CPU "
        f"decides before that: {cpu[OURS]:.2g} ms for each request here, {cpu[FASTAPI]:.2g} at (b), {cpu[FLOOR]:.2g} "
        f"at (c), which is itself {found[FLOOR].median / found[FASTAPI].median:.2g} x (b)."
    )
    ours = found[OURS]
    run.report.rows += [
        Row(what, cells, ours.over(found[FLASK], "x (a)"), at_least(3, "x"), why),
        Row("the same, beside (b)", {}, ours.over(found[FASTAPI], "x (b)"), at_least(2, "x"), "As above."),
        Row("the same, beside (c)", {}, ours.over(found[FLOOR], "x (c)"), at_least(0.6, "x"), "As above."),
    ]
    await _growth(run)


def _creating(contestant: Contestant, clients: int, seconds: float) -> Callable[[], Awaitable[Sample]]:
    return lambda: at_once(
        lambda number: contestant.send("POST", "/api/deals", customer(number), json=deal_body()),
        clients=clients,
        seconds=seconds,
    )


async def _growth(run: Run) -> None:
    names = (OURS, FLASK, FLOOR) if run.pace.with_slow_peers else (OURS, FLOOR)
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for clients in GROWTH:
        measures = {name: _creating(run.contestants[name], clients, run.pace.seconds) for name in names}
        samples = await in_rounds(max(1, run.pace.rounds // 2), measures)
        cells = {}
        for name, taken in samples.items():
            time = medians(taken).scaled(1000, "ms")
            cells[name] = f"{time}, {rates(taken)}"
            lines[name].append((clients, time.median))
        users = "1 user" if clients == 1 else f"{clients} users at once"
        run.report.rows.append(Row(f"{users} on `POST /api/deals`", cells))
    run.report.charts[CHART] = lines
