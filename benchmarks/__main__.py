"""Measure this service, three peers and a lower bound, and print a table: `make bench`, `make bench-quick`.

`--write` puts the table into docs/performance.md. The exit status does not depend on the figures.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from benchmarks.document import write
from benchmarks.measures import (
    address_timing,
    cached_pages,
    deals_per_contact,
    local_requests,
    logins,
    many_clients,
    pages,
    quota,
    start_and_memory,
)
from benchmarks.report import Report, plain
from benchmarks.run import FULL, QUICK, Run, start_run
from benchmarks.servers import Servers

MEASURES: Final[dict[str, Callable[[Run], Awaitable[None]]]] = {
    "pages": pages.measure,
    "many-clients": many_clients.measure,
    "deals-per-contact": deals_per_contact.measure,
    "logins": logins.measure,
    "local-requests": local_requests.measure,
    "quota": quota.measure,
    "cached-pages": cached_pages.measure,
    "start-and-memory": start_and_memory.measure,
    "address-timing": address_timing.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, without the slow measures of the peers"
    )
    parser.add_argument(
        "--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="run only these measures"
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args()
    report = asyncio.run(_measure(options))
    print(plain(report.rows))
    if options.write:
        write(report, run_name="quick" if options.quick else "full")


async def _measure(options: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="crm-api-bench-") as folder, Servers(Path(folder)) as servers:
        started = time.perf_counter()
        async with start_run(servers, QUICK if options.quick else FULL) as run:
            _report_time("start of the servers", started)
            for name in options.only:
                started = time.perf_counter()
                await MEASURES[name](run)
                _report_time(name, started)
            return run.report


def _report_time(name: str, started: float) -> None:
    print(f"{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
