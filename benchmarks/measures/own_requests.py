"""Requests that HubSpot has no part in, for each second of the server's CPU time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from benchmarks.load import Client, at_once
from benchmarks.people import at_the_floor
from benchmarks.report import FLOOR, OURS, Figure, Row, at_least
from benchmarks.run import CUSTOMER, Run
from benchmarks.servers import Server

CLIENTS: Final = 10
NOTHING: Final = "/healthz"
"""What every request costs: connection, routing, id, deadline, access line, metrics, headers."""
PATHS: Final = ("/api/me", "/api/pipelines")


async def measure(run: Run) -> None:
    """The rows of our own requests, on PostgreSQL."""
    answer = await run.ours.ask("GET", "/api/pipelines", CUSTOMER)
    pipelines = run.stage.folder / "pipelines.json"
    pipelines.write_text(json.dumps(answer), encoding="utf-8")
    # One process each: of several, the kernel gives one more of the connections than another.
    ours = await asyncio.to_thread(lambda: run.stage.service(run.emulator, database=run.database))
    floor = await asyncio.to_thread(run.stage.own_floor, run.database, pipelines)
    costs_of_nothing: dict[str, float] = {}
    headers = at_the_floor(run.people[CUSTOMER])
    async with Client(ours.url) as our_client, Client(floor.url) as floor_client:
        for path in (NOTHING, *PATHS):
            sides = {
                OURS: _per_cpu_second(run, ours, our_client, path, run.ours.headers[CUSTOMER]),
                FLOOR: _per_cpu_second(run, floor, floor_client, path, headers),
            }
            await _row(run, path, sides, costs_of_nothing)
    ours.close()
    floor.close()


Measure = Callable[[], Awaitable[tuple[float, float]]]


def _per_cpu_second(
    run: Run, server: Server, client: Client, path: str, headers: Mapping[str, str]
) -> Measure:
    async def measured() -> tuple[float, float]:
        before = server.cpu_seconds
        sample = await at_once(
            lambda _number: client.send("GET", path, headers=headers),
            clients=CLIENTS,
            seconds=run.pace.seconds,
        )
        sample.require_good(path)
        return sample.good / (server.cpu_seconds - before), sample.rate

    return measured


async def _row(run: Run, path: str, sides: Mapping[str, Measure], costs_of_nothing: dict[str, float]) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(run.pace.rounds):
        names = list(sides) if number % 2 else list(sides)[::-1]
        for name in names:
            found[name].append(await sides[name]())
    per_cpu = {name: Figure.of([each for each, _ in values], "/CPU s") for name, values in found.items()}
    wall = {name: Figure.of([each for _, each in values], "/s") for name, values in found.items()}
    cells = {name: f"{per_cpu[name]}, {wall[name]}" for name in sides}
    figure = per_cpu[OURS].over(per_cpu[FLOOR], "x (c)")
    row = Row(f"`GET {path}`, per core", cells, figure)
    cost = {name: 1e6 / per_cpu[name].median for name in sides}
    if path == NOTHING:
        costs_of_nothing.update(cost)
    else:
        why = (
            f"It costs {cost[OURS]:.0f} us of CPU, of which {costs_of_nothing[OURS]:.0f} are what every request "
            f"costs ({NOTHING}); at (c) they are {cost[FLOOR]:.0f} and {costs_of_nothing[FLOOR]:.0f}. The rest, "
            "beside the same read: the token, the limit of the user, FastAPI's dependencies, checked answers."
        )
        row = replace(row, goal=at_least(0.6, "x"), why=why)
    run.report.rows.append(row)
