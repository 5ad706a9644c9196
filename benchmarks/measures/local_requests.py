"""Requests without HubSpot calls, per second of the server's CPU time."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from benchmarks.load import Client, run_concurrently
from benchmarks.report import LOWER_BOUND, SERVICE, Figure, Row, at_least
from benchmarks.rounds import cell, measure_one, rates
from benchmarks.run import CUSTOMER, MissingServer, Run, start_contestant
from benchmarks.sample import Sample
from benchmarks.servers import Server
from benchmarks.users import lower_bound_headers

CLIENTS: Final = 10
HEALTH_PATH: Final = "/healthz"
"""Path whose requests have only the costs of every request: routing, ID, deadline, access log, metrics, headers."""
PATHS: Final = ("/api/me", "/api/pipelines")


async def measure(run: Run) -> None:
    response = await run.service.request_json("GET", "/api/pipelines", CUSTOMER)
    pipelines = run.servers.folder / "pipelines.json"
    pipelines.write_text(json.dumps(response), encoding="utf-8")
    # One process each, because the kernel shares connections unevenly between several.
    service = await asyncio.to_thread(lambda: run.servers.service(run.emulator, database=run.database))
    lower_bound = await asyncio.to_thread(
        start_contestant, LOWER_BOUND, lambda: run.servers.local_lower_bound(run.database, pipelines)
    )
    base_costs: dict[str, float] = {}
    headers = lower_bound_headers(run.users[CUSTOMER])
    async with Client(service.url) as our_client, Client(lower_bound.url) as floor_client:
        for path in (HEALTH_PATH, *PATHS):
            measures = {
                SERVICE: _per_cpu_second(
                    run, SERVICE, service, our_client, path, run.service.headers[CUSTOMER]
                ),
                LOWER_BOUND: _per_cpu_second(run, LOWER_BOUND, lower_bound, floor_client, path, headers),
            }
            await _row(run, path, measures, base_costs)
    service.close()
    if isinstance(lower_bound, Server):
        lower_bound.close()


Measure = Callable[[], Awaitable[tuple[Sample, float]]]
"""Function that takes a sample and returns it with its successes per second of the server's CPU time."""


def _per_cpu_second(
    run: Run,
    name: str,
    server: Server | MissingServer,
    client: Client,
    path: str,
    headers: Mapping[str, str],
) -> Measure:
    async def measured() -> tuple[Sample, float]:
        seconds = math.nan

        async def take_sample() -> Sample:
            nonlocal seconds
            before = server.cpu_seconds
            sample = await run_concurrently(
                lambda _number: client.send("GET", path, headers=headers),
                clients=CLIENTS,
                seconds=run.settings.seconds,
            )
            seconds = server.cpu_seconds - before
            return sample

        sample = await measure_one(name, take_sample)
        return sample, sample.success_count / seconds if sample.seconds and seconds else math.nan

    return measured


async def _row(run: Run, path: str, measures: Mapping[str, Measure], base_costs: dict[str, float]) -> None:
    results: dict[str, list[tuple[Sample, float]]] = {name: [] for name in measures}
    for number in range(run.settings.rounds):
        names = list(measures) if number % 2 else list(measures)[::-1]
        for name in names:
            results[name].append(await measures[name]())
    per_cpu = {
        name: Figure.of([per_second for _, per_second in values], "/CPU s")
        for name, values in results.items()
    }
    samples = {name: [sample for sample, _ in values] for name, values in results.items()}
    cells = {name: cell(f"{per_cpu[name]}, {rates(values)}", values) for name, values in samples.items()}
    figure = per_cpu[SERVICE].ratio_to(per_cpu[LOWER_BOUND], "x (c)")
    row = Row(f"`GET {path}`, per core", cells, figure)
    cost = {name: 1e6 / per_cpu[name].median for name in measures}
    if path == HEALTH_PATH:
        base_costs.update(cost)
    else:
        explanation = (
            f"A request takes {cost[SERVICE]:.0f} us of CPU, of which {base_costs[SERVICE]:.0f} are the costs of every "
            f"request ({HEALTH_PATH}); at (c) it is {cost[LOWER_BOUND]:.0f} and {base_costs[LOWER_BOUND]:.0f}. The "
            "database read is the same; the difference is the token, the rate limit, dependencies and validation."
        )
        row = replace(row, goal=at_least(0.6, "x"), explanation=explanation)
    run.report.rows.append(row)
