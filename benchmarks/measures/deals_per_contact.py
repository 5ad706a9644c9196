"""Response time of one contact's page by the number of their deals."""

import asyncio
from typing import Final

from benchmarks.load import Client, run_sequentially
from benchmarks.report import FASTAPI, FLASK, SERVICE, Row
from benchmarks.rounds import cell, measure_one
from benchmarks.run import Run
from benchmarks.sample import Sample
from benchmarks.users import register_users

DEAL_COUNTS: Final = (10, 100, 1000)
# A peer takes a minute for a thousand deals, so a quick run leaves that out.
MAX_DEALS_IN_QUICK_RUN: Final = 10
CHART: Final = "Milliseconds to read one contact, by number of deals"


async def measure(run: Run) -> None:
    run.report.charts[CHART] = {SERVICE: [], FLASK: [], FASTAPI: []}
    for number in DEAL_COUNTS:
        await _row(run, number)


async def _row(run: Run, number: int) -> None:
    email = f"deals-{number}@example.com"
    deal = {"dealname": "deal", "dealstage": "qualifiedtobuy", "pipeline": "default"}
    await run.emulator.seed(contacts=[{"email": email, "deals": [deal] * number}])
    await run.emulator.clear()
    with_peers = run.settings.includes_slow_peers or number <= MAX_DEALS_IN_QUICK_RUN
    names = (SERVICE, FLASK, FASTAPI) if with_peers else (SERVICE,)
    results = await asyncio.gather(*(_read(run, name, email) for name in names))
    cells = {}
    for name, (sample, calls) in zip(names, results, strict=True):
        cells[name] = cell(f"{calls} calls, {sample.median * 1000:,.0f} ms", [sample])
        if sample.seconds:
            run.report.charts[CHART][name].append((number, sample.median * 1000))
    run.report.rows.append(Row(f"`GET /api/new-crm-objects` of a contact with {number:,} deals", cells))


async def _read(run: Run, name: str, email: str) -> tuple[Sample, int]:
    """Return the sample and the number of calls of one page."""
    server = run.contestants[name].server
    calls: list[int] = []

    async def read_pages() -> Sample:
        async with Client(server.url) as client:
            [user] = await register_users(client, [email])

            async def read(_number: int) -> int:
                return await client.send("GET", "/api/new-crm-objects", headers=user.headers)

            before = len(await run.emulator.calls_of(server.name))
            sample = await run_sequentially(read, 1)
            calls.append(len(await run.emulator.calls_of(server.name)) - before)
            return await run_sequentially(read, run.settings.requests) if name == SERVICE else sample

    return await measure_one(name, read_pages), sum(calls)
