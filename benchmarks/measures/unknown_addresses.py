"""Whether the time of an answer tells a known address from an unknown one."""

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load import Client
from benchmarks.report import OURS, Figure, Row, at_most
from benchmarks.run import Run
from benchmarks.servers import Server
from tests.support.builders import PASSWORD, registration_body

LARGEST_DIFFERENCE_PERCENT: Final = 10.0
PENDING: Final = "pending@example.com"

Body = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class _Pair:
    """One operation, with an address that is known and one that is not."""

    path: str
    status: int
    known: Body
    unknown: Body


async def measure(run: Run) -> None:
    """A row for each operation that takes an address or what was mailed to one."""
    server = await asyncio.to_thread(
        lambda: run.stage.service(
            run.emulator, database=run.database, EMAIL_VERIFICATION="required", RATE_LIMIT_ENABLED="false"
        )
    )
    async with Client(server.url) as client:
        await client.ask("POST", "/api/register", json=registration_body(email=PENDING))
        for pair in _pairs(run.people[1].email, await _mailed_token(server)):
            run.report.rows.append(await _row(client, pair, 10 * run.pace.requests))
    server.close()


def _pairs(known: str, token: str) -> list[_Pair]:
    numbers = itertools.count()

    def nobody() -> str:
        return f"nobody-{next(numbers)}@example.com"

    def wrong(**body: str) -> Body:
        return lambda: {"password": "not the one", **body}

    return [
        _Pair(
            "/api/register",
            202,
            lambda: registration_body(email=known),
            lambda: registration_body(email=nobody()),
        ),
        _Pair(
            "/api/login",
            401,
            wrong(email=known),
            lambda: {"password": PASSWORD, "email": nobody()},
        ),
        _Pair("/api/email/verify", 400, wrong(token=token), wrong(token="a" * len(token))),
        _Pair("/api/email/verify/resend", 202, lambda: {"email": known}, lambda: {"email": nobody()}),
        _Pair("/api/password/forgot", 202, lambda: {"email": known}, lambda: {"email": nobody()}),
    ]


async def _mailed_token(server: Server) -> str:
    """The token of the one mail so far: without a mail server it stands in the log."""
    for _ in range(100):
        found = re.search(r"#token=([A-Za-z0-9_-]+)", server.log.read_text(encoding="utf-8"))
        if found:
            return found[1]
        await asyncio.sleep(0.05)
    raise AssertionError("no mail was sent")


async def _row(client: Client, pair: _Pair, times: int) -> Row:
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(times):
        # Now the one first and now the other.
        for is_known in (True, False) if number % 2 else (False, True):
            body = (pair.known if is_known else pair.unknown)()
            started = time.perf_counter()
            status = await client.send("POST", pair.path, json=body)
            taken[is_known].append((time.perf_counter() - started) * 1000)
            assert status == pair.status, f"{pair.path}: {status}"
    known, unknown = (statistics.median(taken[each]) for each in (True, False))
    figure = Figure.of([100 * abs(known / unknown - 1)], "%")
    slower = _share_of_pairs_in_which_the_first_is_larger(taken[True], taken[False])
    why = (
        f"That is {abs(known - unknown):.2f} ms. That both do the same work is held by a test; where this is more than "
        "the other rows' differences, something about it is not."
    )
    cell = f"known {known:.2f} ms, unknown {unknown:.2f} ms; known is the slower of {100 * slower:.0f} in 100 pairs"
    return Row(
        f"`POST {pair.path}`: known or unknown",
        {OURS: cell},
        figure,
        at_most(LARGEST_DIFFERENCE_PERCENT, "%"),
        why,
    )


def _share_of_pairs_in_which_the_first_is_larger(first: list[float], second: list[float]) -> float:
    """0.5 where nothing can be told."""
    wins = sum((one > other) + 0.5 * (one == other) for one in first for other in second)
    return wins / (len(first) * len(second))
