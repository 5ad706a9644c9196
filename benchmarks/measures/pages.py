"""Times of a page of contacts and of single creates, as multiples of one upstream call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from benchmarks.emulator import token_of
from benchmarks.load import Client, Send, run_sequentially
from benchmarks.report import FASTAPI, FLASK, LOWER_BOUND, SERVICE, Row, at_most
from benchmarks.rounds import cell, measure_in_rounds, measure_one, medians
from benchmarks.run import CUSTOMER, STAFF, Contestant, Run
from benchmarks.sample import Sample
from tests.support.builders import deal_body, ticket_body

CONTACTS: Final = 100
DEALS_EACH: Final = 3
TICKETS_EACH: Final = 2
DEAL: Final = {"dealname": "deal", "dealstage": "qualifiedtobuy", "pipeline": "default"}
TICKET: Final = {"subject": "ticket", "hs_pipeline": "0", "hs_pipeline_stage": "1"}
ONE_CALL: Final = "one upstream call"
# A create is two dependent calls: the caller's contact or deal is read live before each write.
CREATE_BOUND: Final = 2.3

PrepareRound = Callable[[], Awaitable[Send]]
"""Function that prepares a round and returns the function that sends its requests."""


async def measure(run: Run) -> None:
    deals = [DEAL | {"tickets": [TICKET] * TICKETS_EACH}] * DEALS_EACH
    ids = await run.emulator.seed(
        contacts=[
            # The lowest IDs come first in HubSpot's lists.
            {"id": 1 + number, "email": f"page-{number}@example.com", "deals": deals}
            for number in range(CONTACTS)
        ]
    )
    path = f"/crm/objects/2026-09/contacts/{ids['contacts'][0]}"
    authorization = {"Authorization": f"Bearer {token_of('setup')}"}
    contestants = list(run.contestants.values())
    async with Client(run.emulator.url) as direct:

        async def one_call(_number: int) -> int:
            return await direct.send("GET", path, headers=authorization)

        for limit, bound in ((10, 3.3), (100, 4.0)):
            pages = {contestant.name: _prepare_page_read(contestant, limit) for contestant in contestants}
            slow_peers = {name: pages.pop(name) for name in (FLASK, FASTAPI)}
            if not run.settings.includes_slow_peers:
                slow_peers = {}
            content = f"{limit} contacts, {DEALS_EACH} deals each, {TICKETS_EACH} tickets each"
            title = f"`GET /api/new-crm-objects`: {content}"
            await _row(run, title, bound, one_call, pages, slow_peers)
        creates = {contestant.name: _prepare_deal_create(contestant) for contestant in contestants}
        await _row(run, "`POST /api/deals`", CREATE_BOUND, one_call, creates, {})
        tickets = {contestant.name: _prepare_ticket_create(contestant) for contestant in contestants}
        await _row(run, "`POST /api/tickets/{id}` on a new deal", CREATE_BOUND, one_call, tickets, {})


def _without_preparation(send: Send) -> PrepareRound:
    async def prepare() -> Send:
        return send

    return prepare


def _prepare_page_read(contestant: Contestant, limit: int) -> PrepareRound:
    path = f"/api/new-crm-objects?limit={limit}"
    return _without_preparation(lambda _number: contestant.send("GET", path, STAFF))


def _prepare_deal_create(contestant: Contestant) -> PrepareRound:
    return _without_preparation(
        lambda _number: contestant.send("POST", "/api/deals", CUSTOMER, json=deal_body())
    )


def _prepare_ticket_create(contestant: Contestant) -> PrepareRound:
    body = ticket_body()
    if contestant.name == LOWER_BOUND:
        body["content"] = body.pop("description")

    async def prepare() -> Send:
        # crm-api caches deal ownership for ten seconds, longer than a round; a round uses one connection, so one
        # process.
        response = await contestant.request_json("POST", "/api/deals", CUSTOMER, json=deal_body())
        deal_id = response["id"] if contestant.name == LOWER_BOUND else response["data"]["id"]
        return lambda _number: contestant.send("POST", f"/api/tickets/{deal_id}", CUSTOMER, json=body)

    return prepare


async def _row(
    run: Run,
    title: str,
    bound: float,
    one_call: Send,
    prepared: Mapping[str, PrepareRound],
    slow_peers: Mapping[str, PrepareRound],
) -> None:
    """Measure contestants and one upstream call in the same rounds; measure slow peers with one request each."""
    cpu_used: dict[str, float] = dict.fromkeys(run.contestants, 0.0)

    def timed(name: str, prepare: PrepareRound) -> Callable[[], Awaitable[Sample]]:
        async def measure_round() -> Sample:
            send = await prepare()
            before = run.contestants[name].server.cpu_seconds
            sample = await run_sequentially(send, run.settings.requests)
            cpu_used[name] += run.contestants[name].server.cpu_seconds - before
            return sample

        return measure_round

    async def measure_one_call() -> Sample:
        return await run_sequentially(one_call, run.settings.requests)

    measures = {name: timed(name, prepare) for name, prepare in prepared.items()}
    samples = await measure_in_rounds(run.settings.rounds, {**measures, ONE_CALL: measure_one_call})
    base = medians(samples.pop(ONE_CALL))
    await run.emulator.clear()
    calls: dict[str, int] = {}
    for name, prepare in prepared.items():
        _, calls[name] = await _count_calls(run, name, prepare)
    singles = await asyncio.gather(
        *(_count_calls(run, name, prepare) for name, prepare in slow_peers.items())
    )
    for name, (sample, number) in zip(slow_peers, singles, strict=True):
        samples[name], calls[name] = [sample], number
    cells = {}
    for name, values in samples.items():
        time = medians(values)
        number_of_calls = f"{calls[name]} call" + ("s" if calls[name] > 1 else "")
        text = f"{number_of_calls}, {time.scaled(1000, 'ms')}, {time.median / base.median:.3g} x"
        cells[name] = cell(text, values)
    figure = medians(samples[SERVICE]).ratio_to(base, f"x {ONE_CALL}")
    cpu = {
        name: 1000 * cpu_used[name] / (run.settings.rounds * run.settings.requests)
        for name in (SERVICE, LOWER_BOUND)
    }
    explanation = (
        f"(c) makes the same calls and needs {medians(samples[LOWER_BOUND]).median / base.median:.3g} x. "
        f"One response took {cpu[SERVICE]:.1f} ms of CPU here and {cpu[LOWER_BOUND]:.1f} ms at (c)."
    )
    run.report.rows.append(Row(title, cells, figure, at_most(bound, "x"), explanation))


async def _count_calls(run: Run, name: str, prepare: PrepareRound) -> tuple[Sample, int]:
    """Send one request; return its sample and its number of calls, without those of the preparation."""
    server = run.contestants[name].server.name
    counts = [len(await run.emulator.calls_of(server))]

    async def send_one() -> Sample:
        await prepare()
        counts.append(len(await run.emulator.calls_of(server)))
        # The request must use the connection of its preparation, and so the same process.
        send = await prepare()
        return await run_sequentially(send, 1)

    sample = await measure_one(name, send_one)
    counts.append(len(await run.emulator.calls_of(server)))
    return sample, (counts[-1] - counts[1]) - (counts[1] - counts[0])
