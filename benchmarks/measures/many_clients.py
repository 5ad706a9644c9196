"""Deals created by fifty clients, and response time by the number of clients."""

import math
import os
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.emulator import LATENCY_SECONDS
from benchmarks.load import run_concurrently
from benchmarks.report import FASTAPI, FLASK, LOWER_BOUND, NODE, SERVICE, Figure, Row, at_least, at_most
from benchmarks.rounds import cell, measure_in_rounds, medians, rates
from benchmarks.run import PROCESSES, Contestant, Run, customer_index
from benchmarks.sample import Sample
from tests.support.builders import deal_body

CLIENTS: Final = 50
CALLS_OF_A_CREATE: Final = 2
CLIENT_COUNTS: Final = (1, 10, 100)
CHART: Final = "Milliseconds to create a deal, by number of concurrent users"


async def measure(run: Run) -> None:
    contestants = {**run.contestants, **({NODE: run.node} if run.node is not None else {})}
    cpu_used: dict[str, list[float]] = {name: [] for name in contestants}

    def create_deals(name: str, contestant: Contestant) -> Callable[[], Awaitable[Sample]]:
        async def create() -> Sample:
            before = contestant.server.cpu_seconds
            sample = await _create_deals(contestant, CLIENTS, run.settings.seconds)()
            seconds = contestant.server.cpu_seconds - before
            cpu_used[name].append(1000 * seconds / sample.success_count if sample.seconds else math.nan)
            return sample

        return create

    measures = {name: create_deals(name, contestant) for name, contestant in contestants.items()}
    samples = await measure_in_rounds(run.settings.rounds, measures)
    figures = {name: rates(values) for name, values in samples.items()}
    cells = {
        name: cell(f"{figure}, {Figure.of(cpu_used[name], 'ms')} of CPU each", samples[name])
        for name, figure in figures.items()
    }
    name = f"{CLIENTS} clients on `POST /api/deals`, {PROCESSES} processes"
    bound = CLIENTS / LATENCY_SECONDS / CALLS_OF_A_CREATE
    cpu = {name: Figure.of(times).median for name, times in cpu_used.items()}
    explanation = (
        f"A create is {CALLS_OF_A_CREATE} HubSpot calls, because the customer's contact is read live before it. "
        f"{CLIENTS} clients that wait for {CALLS_OF_A_CREATE} calls of {1000 * LATENCY_SECONDS:.0f} ms get at most "
        f"{bound:.0f}/s. Before that, CPU is the limit on {os.cpu_count()} cores that the emulator and "
        f"the load program share: {cpu[SERVICE]:.2g} ms per request here, {cpu[FASTAPI]:.2g} at (b), "
        f"{cpu[LOWER_BOUND]:.2g} at (c). (c) reaches {figures[LOWER_BOUND].ratio_to(figures[FASTAPI])} (b)."
    )
    figure = figures[SERVICE].ratio_to(figures[FLASK], "x (a)")
    run.report.rows.append(Row(name, cells, figure, at_least(3, "x"), explanation))
    for name, label, goal in ((FASTAPI, "(b)", at_least(2, "x")), (LOWER_BOUND, "(c)", at_least(0.6, "x"))):
        figure = figures[SERVICE].ratio_to(figures[name], f"x {label}")
        run.report.rows.append(Row(f"the same, compared with {label}", {}, figure, goal, "As above."))
    cpu_figure = Figure.of(cpu_used[SERVICE], "ms")
    run.report.rows.append(
        Row("the same: CPU of each created deal", {}, cpu_figure, at_most(2, "ms"), "As above.")
    )
    if NODE in figures:
        row = Row("the same, compared with (d)", {}, figures[SERVICE].ratio_to(figures[NODE], "x (d)"))
        run.report.rows.append(row)
    await _growth(run)


def _create_deals(contestant: Contestant, clients: int, seconds: float) -> Callable[[], Awaitable[Sample]]:
    return lambda: run_concurrently(
        lambda number: contestant.send("POST", "/api/deals", customer_index(number), json=deal_body()),
        clients=clients,
        seconds=seconds,
    )


async def _growth(run: Run) -> None:
    names = (SERVICE, FLASK, LOWER_BOUND) if run.settings.includes_slow_peers else (SERVICE, LOWER_BOUND)
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for clients in CLIENT_COUNTS:
        measures = {
            name: _create_deals(run.contestants[name], clients, run.settings.seconds) for name in names
        }
        samples = await measure_in_rounds(max(1, run.settings.rounds // 2), measures)
        cells = {}
        for name, values in samples.items():
            time = medians(values).scaled(1000, "ms")
            cells[name] = cell(f"{time}, {rates(values)}", values)
            if time.measured:
                lines[name].append((clients, time.median))
        users = "1 user" if clients == 1 else f"{clients} concurrent users"
        run.report.rows.append(Row(f"{users} on `POST /api/deals`", cells))
    run.report.charts[CHART] = lines
