"""A page of contacts with deals and tickets, and single creates: how many upstream calls' time each takes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from benchmarks.emulator import token_of
from benchmarks.load import Client, Sample, Send, one_by_one
from benchmarks.report import FASTAPI, FLASK, FLOOR, OURS, Row, at_most
from benchmarks.run import CUSTOMER, STAFF, Contestant, Run, in_rounds, medians
from tests.support.builders import deal_body, ticket_body

CONTACTS: Final = 100
DEALS_EACH: Final = 3
TICKETS_EACH: Final = 2
DEAL: Final = {"dealname": "deal", "dealstage": "qualifiedtobuy", "pipeline": "default"}
TICKET: Final = {"subject": "ticket", "hs_pipeline": "0", "hs_pipeline_stage": "1"}
ONE_CALL: Final = "one upstream call"

Prepare = Callable[[], Awaitable[Send]]
"""What has to be done before a round, and how a request of it is sent."""


async def measure(run: Run) -> None:
    """The first rows of the table."""
    made = await run.emulator.seed(
        contacts=[
            # In HubSpot's list order they come first, because their ids are lower than anybody's.
            {"id": 1 + number, "email": f"page-{number}@example.com", "deals": [_a_deal()] * DEALS_EACH}
            for number in range(CONTACTS)
        ]
    )
    path = f"/crm/objects/2026-09/contacts/{made['contacts'][0]}"
    authorization = {"Authorization": f"Bearer {token_of('nobody')}"}
    everybody = list(run.contestants.values())
    async with Client(run.emulator.url) as direct:
        one_call = _ready(lambda _number: direct.send("GET", path, headers=authorization))
        for limit, bound in ((10, 3.3), (100, 4.0)):
            pages = {each.name: _ready(_reading(each, limit)) for each in everybody}
            slow = {name: pages.pop(name) for name in (FLASK, FASTAPI)}
            what = f"{limit} contacts, {DEALS_EACH} deals each, {TICKETS_EACH} tickets each"
            row = f"`GET /api/new-crm-objects`: {what}"
            await _row(run, row, bound, one_call, pages, slow if run.pace.with_slow_peers else {})
        deals = {each.name: _ready(_opening(each)) for each in everybody}
        await _row(run, "`POST /api/deals`", bound := 1.15, one_call, deals, {})
        tickets = {each.name: _on_a_new_deal(each) for each in everybody}
        await _row(run, "`POST /api/tickets/{id}` on a deal just opened", bound, one_call, tickets, {})


def _a_deal() -> dict[str, object]:
    return DEAL | {"tickets": [TICKET] * TICKETS_EACH}


def _ready(send: Send) -> Prepare:
    async def prepare() -> Send:
        return send

    return prepare


def _reading(contestant: Contestant, limit: int) -> Send:
    return lambda _number: contestant.send("GET", f"/api/new-crm-objects?limit={limit}", STAFF)


def _opening(contestant: Contestant) -> Send:
    return lambda _number: contestant.send("POST", "/api/deals", CUSTOMER, json=deal_body())


def _on_a_new_deal(contestant: Contestant) -> Prepare:
    body = ticket_body()
    if contestant.name == FLOOR:
        body["content"] = body.pop("description")

    async def prepare() -> Send:
        # Whose deal it is is remembered for ten seconds, longer than a round takes. The requests of a round share one
        # connection and so one of the two processes.
        answer = await contestant.ask("POST", "/api/deals", CUSTOMER, json=deal_body())
        deal_id = answer["id"] if contestant.name == FLOOR else answer["data"]["deal"]["id"]
        return lambda _number: contestant.send("POST", f"/api/tickets/{deal_id}", CUSTOMER, json=body)

    return prepare


async def _row(
    run: Run,
    what: str,
    bound: float,
    one_call: Prepare,
    quick: Mapping[str, Prepare],
    slow: Mapping[str, Prepare],
) -> None:
    """Measure the quick ones and one upstream call in the same rounds, and the slow ones by a single request each."""

    used: dict[str, float] = dict.fromkeys(run.contestants, 0.0)

    def timed(name: str, prepare: Prepare) -> Callable[[], Awaitable[Sample]]:
        async def measured() -> Sample:
            send = await prepare()
            if name == ONE_CALL:
                return await one_by_one(send, run.pace.requests)
            server = run.contestants[name].server
            before = server.cpu_seconds
            sample = await one_by_one(send, run.pace.requests)
            used[name] += server.cpu_seconds - before
            return sample

        return measured

    everything = {**quick, ONE_CALL: one_call}
    samples = await in_rounds(
        run.pace.rounds, {name: timed(name, prepare) for name, prepare in everything.items()}
    )
    base = medians(samples.pop(ONE_CALL))
    # What was asked till now is long to list.
    await run.emulator.clear()
    calls: dict[str, int] = {}
    for name, prepare in quick.items():
        _, calls[name] = await _counted(run, name, prepare)
    # At once: each has one call under way and next to nothing to compute.
    singles = await asyncio.gather(*(_counted(run, name, prepare) for name, prepare in slow.items()))
    for name, (sample, number) in zip(slow, singles, strict=True):
        samples[name], calls[name] = [sample], number
    cells = {}
    for name, taken in samples.items():
        time = medians(taken)
        number_of_calls = f"{calls[name]} call" + ("s" if calls[name] > 1 else "")
        cells[name] = f"{number_of_calls}, {time.scaled(1000, 'ms')}, {time.median / base.median:.3g} x"
    figure = medians(samples[OURS]).over(base, f"x {ONE_CALL}")
    cpu = {name: 1000 * used[name] / (run.pace.rounds * run.pace.requests) for name in (OURS, FLOOR)}
    why = (
        f"(c) makes the same calls and needs {medians(samples[FLOOR]).median / base.median:.3g} x. "
        f"One answer took {cpu[OURS]:.1f} ms of CPU here and {cpu[FLOOR]:.1f} ms at (c)."
    )
    run.report.rows.append(Row(what, cells, figure, at_most(bound, "x"), why))


async def _counted(run: Run, name: str, prepare: Prepare) -> tuple[Sample, int]:
    """One request, and the calls that it cost, beside those that preparing it cost."""
    server = run.contestants[name].server.name
    counts = [len(await run.emulator.calls(of=server))]
    await prepare()
    counts.append(len(await run.emulator.calls(of=server)))
    # Nothing between the two: the request is to find the connection, and so the process, that prepared it.
    send = await prepare()
    sample = (await one_by_one(send, 1)).require_good(name)
    counts.append(len(await run.emulator.calls(of=server)))
    return sample, (counts[2] - counts[1]) - (counts[1] - counts[0])
