"""Response times for addresses with and without a user account."""

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load import Client
from benchmarks.report import SERVICE, Figure, Row, at_most
from benchmarks.run import Run
from benchmarks.servers import Server
from tests.support.builders import PASSWORD, registration_body

MAX_DIFFERENCE_PERCENT: Final = 10.0
PENDING: Final = "pending@example.com"

Body = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class _Pair:
    """Operation with a known and an unknown address."""

    path: str
    status: int
    known: Body
    unknown: Body


async def measure(run: Run) -> None:
    server = await asyncio.to_thread(
        lambda: run.servers.service(
            run.emulator, database=run.database, EMAIL_VERIFICATION="required", RATE_LIMIT_ENABLED="false"
        )
    )
    async with Client(server.url) as client:
        await client.request_json("POST", "/api/register", json=registration_body(email=PENDING))
        for pair in _pairs(run.users[1].email, await _read_mailed_token(server)):
            run.report.rows.append(await _row(client, pair, 10 * run.settings.requests))
    server.close()


def _pairs(known: str, token: str) -> list[_Pair]:
    numbers = itertools.count()

    def unknown_address() -> str:
        return f"unknown-{next(numbers)}@example.com"

    def wrong(**body: str) -> Body:
        return lambda: {"password": "not the password", **body}

    return [
        _Pair(
            "/api/register",
            202,
            lambda: registration_body(email=known),
            lambda: registration_body(email=unknown_address()),
        ),
        _Pair(
            "/api/login",
            401,
            wrong(email=known),
            lambda: {"password": PASSWORD, "email": unknown_address()},
        ),
        _Pair("/api/email/verify", 400, wrong(token=token), wrong(token="a" * len(token))),
        _Pair(
            "/api/email/verify/resend", 202, lambda: {"email": known}, lambda: {"email": unknown_address()}
        ),
        _Pair("/api/password/forgot", 202, lambda: {"email": known}, lambda: {"email": unknown_address()}),
    ]


async def _read_mailed_token(server: Server) -> str:
    """Return the token of the mail, which crm-api logs if there is no mail server."""
    for _ in range(100):
        match = re.search(r"#token=([A-Za-z0-9_-]+)", server.log.read_text(encoding="utf-8"))
        if match:
            return match[1]
        await asyncio.sleep(0.05)
    raise AssertionError("no mail was sent")


async def _row(client: Client, pair: _Pair, times: int) -> Row:
    milliseconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(times):
        for is_known in (bool(number % 2), not number % 2):
            body = (pair.known if is_known else pair.unknown)()
            started = time.perf_counter()
            status = await client.send("POST", pair.path, json=body)
            milliseconds[is_known].append((time.perf_counter() - started) * 1000)
            assert status == pair.status, f"{pair.path}: {status}"
    known, unknown = (statistics.median(milliseconds[is_known]) for is_known in (True, False))
    figure = Figure.of([100 * abs(known / unknown - 1)], "%")
    slower_share = _share_of_larger_pairs(milliseconds[True], milliseconds[False])
    explanation = (
        f"The difference is {abs(known - unknown):.2f} ms. A test checks that both do the same work; if "
        "this row differs more than the others, they do not."
    )
    cell = (
        f"known {known:.2f} ms, unknown {unknown:.2f} ms; known slower in {100 * slower_share:.0f} % of pairs"
    )
    return Row(
        f"`POST {pair.path}`: known and unknown address",
        {SERVICE: cell},
        figure,
        at_most(MAX_DIFFERENCE_PERCENT, "%"),
        explanation,
    )


def _share_of_larger_pairs(first: list[float], second: list[float]) -> float:
    """Return the share of pairs in which the first value is larger; 0.5 if there is no difference."""
    larger = sum((value > other) + 0.5 * (value == other) for value in first for other in second)
    return larger / (len(first) * len(second))
