"""Requests without HubSpot calls, per second of the server's CPU time; among them pages from the read cache."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from benchmarks.load import Client, run_concurrently
from benchmarks.report import LOWER_BOUND, SERVICE, Figure, Row, at_least
from benchmarks.rounds import cell, measure_one, rates
from benchmarks.run import CUSTOMER, MissingServer, Run, start_contestant
from benchmarks.sample import Sample
from benchmarks.servers import Server
from benchmarks.users import lower_bound_headers, register_users
from tests.support.builders import deal_body, ticket_body

CLIENTS: Final = 10
HEALTH_PATH: Final = "/healthz"
"""Path whose requests have only the costs of every request: routing, ID, deadline, access log, metrics, headers."""
ME_PATH: Final = "/api/me"
PATHS: Final = (ME_PATH, "/api/pipelines")
PAGE_PATH: Final = "/api/new-crm-objects"
DEALS: Final = 2


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
                    run, SERVICE, service, our_client, path, [run.service.headers[CUSTOMER]]
                ),
                LOWER_BOUND: _per_cpu_second(run, LOWER_BOUND, lower_bound, floor_client, path, [headers]),
            }
            await _row(run, path, measures, base_costs)
        await _cached_page_row(run, service, our_client)
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
    headers: Sequence[Mapping[str, str]],
) -> Measure:
    """Return the measure of one path; each client sends the headers of one of these users."""

    async def measured() -> tuple[Sample, float]:
        seconds = math.nan

        async def take_sample() -> Sample:
            nonlocal seconds
            before = server.cpu_seconds
            sample = await run_concurrently(
                lambda number: client.send("GET", path, headers=headers[number % len(headers)]),
                clients=CLIENTS,
                seconds=run.settings.seconds,
            )
            seconds = server.cpu_seconds - before
            return sample

        sample = await measure_one(name, take_sample)
        return sample, sample.success_count / seconds if sample.seconds and seconds else math.nan

    return measured


async def _measure_in_turn(
    run: Run, measures: Mapping[str, Measure]
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Return the successes per second of CPU time, and the cells of the table."""
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
    return per_cpu, {
        name: cell(f"{per_cpu[name]}, {rates(values)}", values) for name, values in samples.items()
    }


async def _row(run: Run, path: str, measures: Mapping[str, Measure], base_costs: dict[str, float]) -> None:
    per_cpu, cells = await _measure_in_turn(run, measures)
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


async def _cached_page_row(run: Run, service: Server, client: Client) -> None:
    """Compare the page of a customer with two deals and two tickets, from the read cache, with `/api/me`.

    Each client is a customer of its own, because the simultaneous requests of one customer are limited.
    """
    users = await register_users(client, [f"cached-page-{number}@example.com" for number in range(CLIENTS)])
    for user in users:
        for _ in range(DEALS):
            deal = await client.request_json("POST", "/api/deals", headers=user.headers, json=deal_body())
            path = f"/api/tickets/{deal['data']['id']}"
            await client.request_json("POST", path, headers=user.headers, json=ticket_body())
    headers = [user.headers for user in users]
    measures = {
        path: _per_cpu_second(run, SERVICE, service, client, path, headers) for path in (ME_PATH, PAGE_PATH)
    }
    per_cpu, cells = await _measure_in_turn(run, measures)
    figure = per_cpu[PAGE_PATH].ratio_to(per_cpu[ME_PATH], f"x `{ME_PATH}`")
    explanation = (
        f"A request takes {1e6 / per_cpu[PAGE_PATH].median:.0f} us of CPU, `{ME_PATH}` "
        f"{1e6 / per_cpu[ME_PATH].median:.0f} us. The page parses four cached responses and builds their records again."
    )
    name = f"`GET {PAGE_PATH}` from the read cache, {DEALS} deals, {DEALS} tickets, per core"
    run.report.rows.append(Row(name, {SERVICE: cells[PAGE_PATH]}, figure, at_least(0.6, "x"), explanation))
