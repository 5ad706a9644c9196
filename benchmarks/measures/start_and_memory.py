"""Start time of a process, and its memory after load."""

import asyncio
import sys
from typing import Final

from benchmarks.load import Client, run_concurrently
from benchmarks.report import SERVICE, Figure, Row, at_most
from benchmarks.run import Run
from benchmarks.servers import Server
from benchmarks.users import register_users
from tests.support.builders import deal_body

CLIENTS: Final = 20
LIBRARIES: Final = (
    "fastapi, sqlalchemy.ext.asyncio, asyncpg, httpx, jose.jwt, passlib.hash, pydantic_settings, slowapi, "
    "prometheus_client, structlog, click, uvicorn, uvloop, httptools"
)


async def measure(run: Run) -> None:
    starts: list[float] = []
    cpu_used: list[float] = []
    memory_at_start: list[float] = []
    memory_after_load: list[float] = []
    for number in range(run.settings.starts):
        server = await asyncio.to_thread(run.servers.service, run.emulator, database=run.database)
        starts.append(server.start_seconds)
        cpu_used.append(server.cpu_seconds)
        memory_at_start.append(server.memory_megabytes)
        memory_after_load.append(await _memory_after_load(server, number))
        server.close()
    start, memory = Figure.of(starts, "s"), Figure.of(memory_after_load, "MB")
    explanation = f"It took {Figure.of(cpu_used, 's of CPU')}, nearly all of them for imports."
    name = "from the start of `crm-api serve` to its first response"
    run.report.rows.append(Row(name, {SERVICE: str(start)}, start, at_most(1.2, "s"), explanation))
    explanation = (
        f"After the start it was {Figure.of(memory_at_start, 'MB')}; a process that only imports the libraries has "
        f"{await _memory_of_libraries():.0f} MB."
    )
    name = "memory of a process after load (RSS)"
    run.report.rows.append(Row(name, {SERVICE: str(memory)}, memory, at_most(110, "MB"), explanation))


async def _memory_of_libraries() -> float:
    """Return the megabytes of a process that imports only the service's libraries."""
    program = f"import psutil, {LIBRARIES}; print(psutil.Process().memory_info().rss)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return int(output) / 1e6


async def _memory_after_load(server: Server, number: int) -> float:
    async with Client(server.url) as client:
        users = await register_users(
            client, [f"memory-{number}-{client}@example.com" for client in range(CLIENTS)]
        )

        async def create(index: int) -> int:
            return await client.send("POST", "/api/deals", headers=users[index].headers, json=deal_body())

        (await run_concurrently(create, clients=CLIENTS, seconds=1.0)).require_success("creating deals")
        return server.memory_megabytes
