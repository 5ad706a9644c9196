"""Speed and memory of the emulator with the records of a medium HubSpot account.

python benchmarks/emulator_speed.py [--contacts 10000] [--state FILE]

The calls are made one after the other and without a socket. With `--state`, the script also starts the emulator as a
process from the file, kills it after a write, and starts it again.
"""

import argparse
import asyncio
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from hubspot_emulator import Emulator, create_emulator

CONTACTS = "/crm/objects/2026-09/contacts"
DEALS = "/crm/objects/2026-09/deals"
TICKETS = "/crm/objects/2026-09/tickets"
STAGES = ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "closedwon", "closedlost")
WORDS = [
    "fleet",
    "renewal",
    "harbour",
    "lighthouse",
    "repair",
    "winter",
    "delivery",
    "garden",
    "bridge",
    "engine",
]


def association(to: str, type_id: int) -> dict[str, Any]:
    association_type = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}
    return {"to": {"id": to}, "types": [association_type]}


async def fill(client: httpx.AsyncClient, contacts: int) -> dict[str, list[str]]:
    """Create contacts with three deals and six tickets each, and return the IDs by object type."""
    rng = random.Random(7)

    async def create(path: str, inputs: list[dict[str, Any]]) -> list[str]:
        ids: list[str] = []
        for start in range(0, len(inputs), 100):
            response = await client.post(f"{path}/batch/create", json={"inputs": inputs[start : start + 100]})
            assert response.status_code == 201, response.text
            ids += [record["id"] for record in response.json()["results"]]
        return ids

    contact_ids = await create(
        CONTACTS,
        [
            {"properties": {"email": f"contact-{number}@example.com", "firstname": rng.choice(WORDS)}}
            for number in range(contacts)
        ],
    )
    deals = await create(
        DEALS,
        [
            {
                "properties": {
                    "dealname": f"{rng.choice(WORDS)} {rng.choice(WORDS)} {number}",
                    "dealstage": rng.choice(STAGES),
                    "amount": str(rng.randrange(100, 90_000)),
                },
                "associations": [association(contact_ids[number // 3], 3)],
            }
            for number in range(3 * contacts)
        ],
    )
    tickets = await create(
        TICKETS,
        [
            {
                "properties": {
                    "subject": f"{rng.choice(WORDS)} {rng.choice(WORDS)} {number}",
                    "hs_pipeline_stage": rng.choice("1234"),
                    "hs_ticket_priority": rng.choice(("LOW", "HIGH")),
                },
                "associations": [association(contact_ids[number // 6], 16)],
            }
            for number in range(6 * contacts)
        ],
    )
    return {"contacts": contact_ids, "deals": deals, "tickets": tickets}


def search(**body: Any) -> dict[str, Any]:
    return {"limit": 100} | body


def search_filter(name: str, operator: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": value}


def calls(
    client: httpx.AsyncClient, ids: dict[str, list[str]]
) -> dict[str, Callable[[], Awaitable[httpx.Response]]]:
    rng = random.Random(11)
    counter = iter(range(10**9))

    def post(path: str, body: Callable[[], dict[str, Any]]) -> Callable[[], Awaitable[httpx.Response]]:
        return lambda: client.post(path, json=body())

    def sample(object_type: str, count: int) -> list[dict[str, str]]:
        return [{"id": record_id} for record_id in rng.sample(ids[object_type], count)]

    def groups(*filters: dict[str, str]) -> list[dict[str, Any]]:
        return [{"filters": list(filters)}]

    by_amount = [{"propertyName": "amount", "direction": "DESCENDING"}]
    return {
        "create a deal with its contact": post(
            DEALS,
            lambda: {
                "properties": {"dealname": f"new {next(counter)}", "dealstage": "qualifiedtobuy"},
                "associations": [association(rng.choice(ids["contacts"]), 3)],
            },
        ),
        "read a deal": lambda: client.get(f"{DEALS}/{rng.choice(ids['deals'])}"),
        "change a deal": lambda: client.patch(
            f"{DEALS}/{rng.choice(ids['deals'])}", json={"properties": {"amount": str(rng.randrange(1000))}}
        ),
        "read a contact by e-mail": lambda: client.get(
            f"{CONTACTS}/contact-{rng.randrange(len(ids['contacts']))}@example.com?idProperty=email"
        ),
        "list 100 tickets": lambda: client.get(TICKETS, params={"limit": "100"}),
        "batch read of 100 deals": post(
            f"{DEALS}/batch/read",
            lambda: {"inputs": sample("deals", 100), "properties": ["dealname", "amount"]},
        ),
        "batch read of 100 associations": post(
            "/crm/associations/2026-09/contacts/deals/batch/read", lambda: {"inputs": sample("contacts", 100)}
        ),
        "batch read of 1,000 associations": post(
            "/crm/associations/2026-09/tickets/contacts/batch/read",
            lambda: {"inputs": sample("tickets", min(1000, len(ids["tickets"])))},
        ),
        "search contacts by e-mail": post(
            f"{CONTACTS}/search",
            lambda: search(
                filterGroups=groups(
                    search_filter("email", "EQ", f"contact-{rng.randrange(len(ids['contacts']))}@example.com")
                )
            ),
        ),
        "search deals by contact": post(
            f"{DEALS}/search",
            lambda: search(
                filterGroups=groups(search_filter("associations.contact", "EQ", rng.choice(ids["contacts"])))
            ),
        ),
        "search deals: stage and amount, sorted": post(
            f"{DEALS}/search",
            lambda: search(
                filterGroups=groups(
                    search_filter("dealstage", "EQ", "closedwon"),
                    search_filter("amount", "GT", str(rng.randrange(9000))),
                ),
                sorts=by_amount,
            ),
        ),
        "search deals: everything, sorted": post(f"{DEALS}/search", lambda: search(sorts=by_amount)),
        "search tickets: one word": post(f"{TICKETS}/search", lambda: search(query=rng.choice(WORDS))),
        "search tickets: two words, a stage": post(
            f"{TICKETS}/search",
            lambda: search(
                query=" ".join(rng.sample(WORDS, 2)),
                filterGroups=groups(search_filter("hs_pipeline_stage", "EQ", "1")),
            ),
        ),
    }


async def measure(emulator: Emulator, *, contacts: int, repeats: int) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(emulator.app),
        base_url="http://emulator",
        headers={"Authorization": "Bearer demo-access-token"},
    ) as client:
        started = time.perf_counter()
        ids = await fill(client, contacts)
        count = sum(map(len, ids.values()))
        seconds = time.perf_counter() - started
        print(f"{count:,} records created in {seconds:.1f} s ({count / seconds:,.0f} a second)")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{memory:,.0f} MiB resident\n")
        print(f"{'milliseconds':40} {'median':>8} {'p95':>8}")
        for name, call in calls(client, ids).items():
            times: list[float] = []
            for _ in range(repeats):
                started = time.perf_counter()
                response = await call()
                times.append((time.perf_counter() - started) * 1000)
                assert response.is_success, f"{name}: {response.text}"
            p95 = statistics.quantiles(times, n=20)[-1]
            print(f"{name:40} {statistics.median(times):8.2f} {p95:8.2f}")


def restart(state: Path) -> str:
    """Start the emulator from the file, write a record and kill the process. Return its start time and memory."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "hubspot_emulator", "--port", "0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        announcement = process.stdout.readline()
        seconds = time.perf_counter() - started
        rss = subprocess.check_output(["ps", "-o", "rss=", "-p", str(process.pid)])  # noqa: S607 - from PATH
        memory = int(rss) / 1024
        [address] = re.findall(r"http://[0-9.:]+\d", announcement)
        httpx.post(f"{address}/_emulator/seed", json={"contacts": [{"firstname": "Ada"}]}).raise_for_status()
        process.kill()
    return f"{seconds:.1f} s, {memory:,.0f} MiB resident"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=10_000, help="with 3 deals and 6 tickets each")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument(
        "--state", type=Path, help="store the records in this new file and measure starts from it"
    )
    arguments = parser.parse_args()
    emulator = create_emulator(arguments.state)
    asyncio.run(measure(emulator, contacts=arguments.contacts, repeats=arguments.repeats))
    emulator.close()
    if arguments.state:
        size = arguments.state.stat().st_size / 1024 / 1024
        print(f"\nfile of {size:,.0f} MiB")
        for event in ("start", "start after kill -9"):
            print(event, restart(arguments.state))


if __name__ == "__main__":
    main()
