"""How the page of one contact grows with the number of their deals."""

import asyncio
from typing import Final

from benchmarks.load import Client, one_by_one
from benchmarks.people import registered
from benchmarks.report import FASTAPI, FLASK, OURS, Row
from benchmarks.run import Run

NUMBERS: Final = (10, 100, 1000)
# A serial peer takes a minute for a thousand; that is measured in the full run alone.
QUICK_PEERS: Final = 10
CHART: Final = "Milliseconds to read one contact, by the number of their deals"


async def measure(run: Run) -> None:
    """The rows of growth, and their chart."""
    run.report.charts[CHART] = {OURS: [], FLASK: [], FASTAPI: []}
    for number in NUMBERS:
        await _row(run, number)


async def _row(run: Run, number: int) -> None:
    email = f"deals-{number}@example.com"
    deal = {"dealname": "deal", "dealstage": "qualifiedtobuy", "pipeline": "default"}
    await run.emulator.seed(contacts=[{"email": email, "deals": [deal] * number}])
    await run.emulator.clear()
    with_peers = run.pace.with_slow_peers or number <= QUICK_PEERS
    names = (OURS, FLASK, FASTAPI) if with_peers else (OURS,)
    found = await asyncio.gather(*(_read(run, name, email) for name in names))
    cells = {}
    for name, (seconds, calls) in zip(names, found, strict=True):
        run.report.charts[CHART][name].append((number, seconds * 1000))
        cells[name] = f"{calls} calls, {seconds * 1000:,.0f} ms"
    run.report.rows.append(Row(f"`GET /api/new-crm-objects` of a contact with {number:,} deals", cells))


async def _read(run: Run, name: str, email: str) -> tuple[float, int]:
    """The seconds of a page and the calls that it cost. The peers are read at once: each has one call under way."""
    server = run.contestants[name].server
    async with Client(server.url) as client:
        [person] = await registered(client, [email])

        async def read(_number: int) -> int:
            return await client.send("GET", "/api/new-crm-objects", headers=person.headers)

        before = len(await run.emulator.calls(of=server.name))
        sample = await one_by_one(read, 1)
        calls = len(await run.emulator.calls(of=server.name)) - before
        if name == OURS:
            sample = await one_by_one(read, run.pace.requests)
    return sample.require_good(name).median, calls
