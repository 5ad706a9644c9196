"""Requests without HubSpot calls, per second of the server's CPU time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from benchmarks.load import Client, run_concurrently
from benchmarks.report import LOWER_BOUND, SERVICE, Figure, Row, at_least
from benchmarks.run import CUSTOMER, Run
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
    lower_bound = await asyncio.to_thread(run.servers.local_lower_bound, run.database, pipelines)
    base_costs: dict[str, float] = {}
    headers = lower_bound_headers(run.users[CUSTOMER])
    async with Client(service.url) as our_client, Client(lower_bound.url) as floor_client:
        for path in (HEALTH_PATH, *PATHS):
            measures = {
                SERVICE: _per_cpu_second(run, service, our_client, path, run.service.headers[CUSTOMER]),
                LOWER_BOUND: _per_cpu_second(run, lower_bound, floor_client, path, headers),
            }
            await _row(run, path, measures, base_costs)
    service.close()
    lower_bound.close()


Measure = Callable[[], Awaitable[tuple[float, float]]]


def _per_cpu_second(
    run: Run, server: Server, client: Client, path: str, headers: Mapping[str, str]
) -> Measure:
    async def measured() -> tuple[float, float]:
        before = server.cpu_seconds
        sample = await run_concurrently(
            lambda _number: client.send("GET", path, headers=headers),
            clients=CLIENTS,
            seconds=run.settings.seconds,
        )
        sample.require_success(path)
        return sample.success_count / (server.cpu_seconds - before), sample.rate

    return measured


async def _row(run: Run, path: str, measures: Mapping[str, Measure], base_costs: dict[str, float]) -> None:
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in measures}
    for number in range(run.settings.rounds):
        names = list(measures) if number % 2 else list(measures)[::-1]
        for name in names:
            results[name].append(await measures[name]())
    per_cpu = {
        name: Figure.of([per_second for per_second, _ in values], "/CPU s")
        for name, values in results.items()
    }
    wall = {name: Figure.of([rate for _, rate in values], "/s") for name, values in results.items()}
    cells = {name: f"{per_cpu[name]}, {wall[name]}" for name in measures}
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
