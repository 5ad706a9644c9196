"""Measures our service, its peers and its floor side by side: `make bench`, `make bench-quick`.

Prints a table; `--write` puts it into docs/performance.md. It is no test: it ends with 0 whatever the figures are.
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
    deals_of_one,
    logins,
    many_clients,
    own_requests,
    pages,
    quota,
    starting,
    unknown_addresses,
)
from benchmarks.report import Report, plain
from benchmarks.run import FULL, QUICK, Run, opened
from benchmarks.servers import Stage

MEASURES: Final[dict[str, Callable[[Run], Awaitable[None]]]] = {
    "pages": pages.measure,
    "many-clients": many_clients.measure,
    "deals-of-one": deals_of_one.measure,
    "logins": logins.measure,
    "own-requests": own_requests.measure,
    "quota": quota.measure,
    "starting": starting.measure,
    "unknown-addresses": unknown_addresses.measure,
}


def main() -> None:
    """Read the options, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no peer that takes minutes")
    parser.add_argument(
        "--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="these measures alone"
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    report = asyncio.run(_measure(options))
    print(plain(report.rows))
    if options.write:
        write(report, pace="quick" if options.quick else "full")


async def _measure(options: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="crm-api-bench-") as folder, Stage(Path(folder)) as stage:
        started = time.perf_counter()
        async with opened(stage, QUICK if options.quick else FULL) as run:
            _note("starting everything", started)
            for name in options.only:
                started = time.perf_counter()
                await MEASURES[name](run)
                _note(name, started)
            return run.report


def _note(what: str, started: float) -> None:
    print(f"{what}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
