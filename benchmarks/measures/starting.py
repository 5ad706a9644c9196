"""From the start of the process to its first answer, and what it holds in memory once it has worked."""

import asyncio
import sys
from typing import Final

from benchmarks.load import Client, at_once
from benchmarks.people import registered
from benchmarks.report import OURS, Figure, Row, at_most
from benchmarks.run import Run
from benchmarks.servers import Server
from tests.support.builders import deal_body

CLIENTS: Final = 20
LIBRARIES: Final = (
    "fastapi, sqlalchemy.ext.asyncio, asyncpg, httpx, jose.jwt, passlib.hash, pydantic_settings, slowapi, "
    "prometheus_client, structlog, click, uvicorn, uvloop, httptools"
)


async def measure(run: Run) -> None:
    """The row of starting and the row of memory."""
    starts: list[float] = []
    used: list[float] = []
    fresh: list[float] = []
    memory: list[float] = []
    for number in range(run.pace.starts):
        server = await asyncio.to_thread(run.stage.service, run.emulator, database=run.database)
        starts.append(server.start_seconds)
        used.append(server.cpu_seconds)
        fresh.append(server.memory_megabytes)
        memory.append(await _memory_after_work(server, number))
        server.close()
    start, held = Figure.of(starts, "s"), Figure.of(memory, "MB")
    began = f"It took {Figure.of(used, 's of CPU')}, nearly all of them imports."
    libraries = await _memory_of_libraries()
    grew = (
        f"Of these {Figure.of(fresh, 'MB')} were there when it had started: the libraries alone, imported and never "
        f"used, are {libraries:.0f} MB."
    )
    run.report.rows += [
        Row(
            "start of `crm-api serve` to its first answer",
            {OURS: str(start)},
            start,
            at_most(1.5, "s"),
            began,
        ),
        Row("memory of a process that has worked (RSS)", {OURS: str(held)}, held, at_most(110, "MB"), grew),
    ]


async def _memory_of_libraries() -> float:
    """The megabytes of a process that imports what the service stands on, and nothing of the service."""
    program = f"import psutil, {LIBRARIES}; print(psutil.Process().memory_info().rss)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return int(output) / 1e6


async def _memory_after_work(server: Server, number: int) -> float:
    async with Client(server.url) as client:
        people = await registered(client, [f"memory-{number}-{each}@example.com" for each in range(CLIENTS)])

        async def create(who: int) -> int:
            return await client.send("POST", "/api/deals", headers=people[who].headers, json=deal_body())

        (await at_once(create, clients=CLIENTS, seconds=1.0)).require_good("creating deals")
        return server.memory_megabytes
