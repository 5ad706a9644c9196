"""Attacks on a served process over loopback: response times of another user, and memory growth.

`python -m benchmarks.attacks` starts the emulator and the service, and each attack in its own process. Each attack does
a limited amount of work, and no rate limit ends it earlier. The exit status is 1 if another user's `GET /api/me` took
longer than 0.3 s, or if the memory of the service grew by more than 60 MB. Linux only.
"""

import argparse
import asyncio
import json
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from sqlalchemy import create_engine, insert
from tests.support.callers import Caller, register_caller
from tests.support.processes import Process, emulator_process, service_process

from crm_api.cli.migrations import upgrade
from crm_api.models import AuditEntry, now

MAX_SECONDS: Final = 0.3
MAX_GROWTH_MEGABYTES: Final = 60.0
ATTACKER_ADDRESS: Final = "127.0.0.2"
ATTACK_SECONDS: Final = 8.0
FLOODING_CONNECTIONS: Final = 16
PIPELINED_BYTES: Final = 250_000
PAGES: Final = 100
SIMULTANEOUS_PAGES: Final = 60
PARALLEL_SEARCHES: Final = 16
INVALID_CONNECTIONS: Final = 3
AUDIT_ENTRIES: Final = 100_000
LONG: Final = "x" * 60_000
MARKS: Final = "\u0301\u0323"
EXPENSIVE: Final = "a" + MARKS * 32_767
# Number of deals of each attacker, and the description of each deal.
ATTACKERS: Final[dict[str, tuple[int, str]]] = {
    "small-pages": (20, LONG),
    "large-pages": (100, LONG),
    "one-expensive-deal": (1, EXPENSIVE),
    "expensive-deals": (100, EXPENSIVE),
    "ordinary-deals": (100, "Three vans and a lorry"),
    "audited": (0, ""),
}
UNLIMITED: Final = "100000000 per 1 minute"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Target:
    """Port of the service, and the access token of each attacker."""

    port: int
    tokens: dict[str, str]

    def authorization(self, attacker: str) -> str:
        """Return the header's value."""
        return f"Bearer {self.tokens[attacker]}"


@dataclass(frozen=True)
class Message:
    """Request with a response that the attacker reads."""

    method: str
    path: str
    attacker: str | None = None
    content: bytes = b""
    content_type: str = JSON


def open_client(target: Target) -> httpx.AsyncClient:
    """Return a client with the attacker's address."""
    transport = httpx.AsyncHTTPTransport(local_address=ATTACKER_ADDRESS)
    return httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{target.port}", timeout=60)


async def repeat(target: Target, messages: list[Message]) -> Counter[int]:
    """Send these messages in turn on one connection, and return the number of responses by status."""
    statuses: Counter[int] = Counter()
    end = time.monotonic() + ATTACK_SECONDS
    async with open_client(target) as client:
        while time.monotonic() < end:
            for message in messages:
                headers = {"Content-Type": message.content_type}
                if message.attacker is not None:
                    headers["Authorization"] = target.authorization(message.attacker)
                try:
                    response = await client.request(
                        message.method, message.path, content=message.content, headers=headers
                    )
                except httpx.TransportError:
                    # The service closes the connection after it has refused a large body.
                    statuses[0] += 1
                else:
                    statuses[response.status_code] += 1
    return statuses


async def repeat_on_all(target: Target, connections: list[list[Message]]) -> Counter[int]:
    """Send each list of messages in turn on a connection of its own."""
    results = await asyncio.gather(*(repeat(target, messages) for messages in connections))
    return sum(results, Counter[int]())


async def open_socket(target: Target, *, receive_buffer: int | None = None) -> socket.socket:
    """Connect from the attacker's address."""
    client = socket.socket()
    client.setblocking(False)
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.bind((ATTACKER_ADDRESS, 0))
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", target.port))
    return client


def request(path: str, *headers: str) -> bytes:
    """Return the bytes of a GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: crm.example", *headers, "", ""]).encode()


async def keep_unread(target: Target, content: bytes, count: int) -> None:
    """Send the content on this number of connections and read nothing."""
    sockets = []
    for _ in range(count):
        with suppress(OSError):
            client = await open_socket(target, receive_buffer=4096)
            sockets.append(client)
            await asyncio.get_running_loop().sock_sendall(client, content)
    await asyncio.sleep(ATTACK_SECONDS / 2)
    for client in sockets:
        client.close()


async def flood(target: Target, content: bytes) -> None:
    """Send the content on 16 connections, and on new ones when the service closes them."""
    loop = asyncio.get_running_loop()
    end = time.monotonic() + ATTACK_SECONDS

    async def flood_connection() -> None:
        while time.monotonic() < end:
            with suppress(OSError, TimeoutError):
                client = await open_socket(target)
                with client:
                    await loop.sock_sendall(client, content)
                    async with asyncio.timeout(1):
                        while await loop.sock_recv(client, 65_536):
                            pass
            await asyncio.sleep(0.1)

    await asyncio.gather(*(flood_connection() for _ in range(FLOODING_CONNECTIONS)))


async def unread_connections(target: Target) -> None:
    """Open 1,100 connections that read nothing, twice."""
    for _ in range(2):
        await keep_unread(target, request("/openapi.json"), 1100)


async def unread_pages(target: Target) -> None:
    """Request 100 pages of 1.2 MB one after the other, and read only their first bytes."""
    loop = asyncio.get_running_loop()
    page = request("/api/deals?limit=20", f"Authorization: {target.authorization('small-pages')}")
    sockets = []
    for _ in range(PAGES):
        client = await open_socket(target, receive_buffer=4096)
        sockets.append(client)
        await loop.sock_sendall(client, page)
        await loop.sock_recv(client, 1)
    for client in sockets:
        client.close()


async def simultaneous_pages(target: Target) -> None:
    """Request 60 pages of 6 MB at the same time and read nothing, twice."""
    page = request("/api/deals?limit=100", f"Authorization: {target.authorization('large-pages')}")
    for _ in range(2):
        await keep_unread(target, page, SIMULTANEOUS_PAGES)


async def read_pages(target: Target) -> Counter[int]:
    """Request pages of 6 MB on 60 connections, and read them."""
    page = Message("GET", "/api/deals?limit=100", "large-pages")
    return await repeat_on_all(target, [[page]] * SIMULTANEOUS_PAGES)


async def pipelined_requests(target: Target) -> None:
    """Send 250 KB of pipelined requests on each of 16 connections."""
    content = request("/healthz")
    await flood(target, content * (PIPELINED_BYTES // len(content)))


async def pipelined_profiles(target: Target) -> None:
    """Send 250 KB of pipelined requests with a login on each of 16 connections."""
    content = request("/api/me", f"Authorization: {target.authorization('small-pages')}")
    await flood(target, content * (PIPELINED_BYTES // len(content)))


async def upgrade_offers(target: Target) -> None:
    """Send 250 KB of pipelined requests that offer an upgrade."""
    content = request("/healthz", "Connection: Upgrade", "Upgrade: h2c")
    await flood(target, content * (PIPELINED_BYTES // len(content)))


async def large_heads(target: Target) -> None:
    """Send heads of 10 MB."""
    await flood(target, request("/healthz", "X-A: " + "a" * 10_000_000))


async def expensive_texts(target: Target) -> Counter[int]:
    """Search and sort deals whose descriptions have 65,534 combining marks."""
    paths = ("/api/search?q=x", "/api/deals?sort=description")
    return await repeat_on_all(
        target,
        [
            [Message("GET", path, attacker)]
            for path in paths
            for attacker in ("one-expensive-deal", "expensive-deals")
        ],
    )


async def expensive_filters(target: Target) -> Counter[int]:
    """Filter 100 deals by 245 values of 490 combining marks, 16 searches at a time."""
    # The last value matches all deals, so the service compares every filter.
    values = [*(MARKS * 245 + f" {index}" for index in range(49)), "Van"]
    condition = {"property": "dealname", "operator": "IN", "values": values}
    content = json.dumps({"filters": [condition] * 5}, ensure_ascii=False).encode()
    search = Message("POST", "/api/deals/search", "ordinary-deals", content)
    return await repeat_on_all(target, [[search]] * PARALLEL_SEARCHES)


async def invalid_bodies(target: Target) -> Counter[int]:
    """Send 110,000 unknown keys or a form of 1 MB, and as much as account operations accept, on 3 connections."""
    keys = ["".join(letters) for letters in islice(product(ascii_lowercase, repeat=4), 110_000)]
    messages = []
    # An account operation accepts 16 KiB.
    for count, size in ((len(keys), 1_000_000), (1_800, 16_000)):
        unknown = dict.fromkeys(keys[:count], 0)
        content = json.dumps(unknown, separators=(",", ":")).encode()
        paths = ("/api/login", "/api/email/verify", "/api/password/reset", "/api/token/refresh")
        messages += [Message("POST", path, content=content) for path in paths]
        messages.append(Message("POST", "/api/token", content=b"%" * size, content_type=FORM))
        deal = {"dealname": "Van", "dealstage": "closedwon", "properties": unknown}
        content = json.dumps(deal, separators=(",", ":")).encode()
        messages.append(Message("POST", "/api/deals", "small-pages", content))
    return await repeat_on_all(target, [messages] * INVALID_CONNECTIONS)


async def audit_export(target: Target) -> Counter[int]:
    """Export 100,000 entries of the audit log, page by page."""
    pages: Counter[int] = Counter()
    cursor, entries = None, 0
    headers = {"Authorization": target.authorization("audited")}
    async with open_client(target) as client:
        while pages[200] == 0 or cursor is not None:
            params: dict[str, str] = {} if cursor is None else {"cursor": cursor}
            response = await client.get("/api/me/export", params=params, headers=headers)
            response.raise_for_status()
            pages[response.status_code] += 1
            export = response.json()["data"]
            entries += len(export["audit"])
            cursor = export["next_cursor"]
    assert entries >= AUDIT_ENTRIES, entries
    return pages


ATTACKS: Final[dict[str, Callable[[Target], Coroutine[Any, Any, Counter[int] | None]]]] = {
    attack.__name__: attack
    for attack in (
        unread_connections,
        unread_pages,
        simultaneous_pages,
        read_pages,
        pipelined_requests,
        pipelined_profiles,
        upgrade_offers,
        large_heads,
        expensive_texts,
        expensive_filters,
        invalid_bodies,
        audit_export,
    )
}


def memory_megabytes(process: Process) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def loop_cpu_seconds(process: Process) -> float:
    """Return the CPU time of the thread that runs the event loop, which is the main thread."""
    counters = Path(f"/proc/{process.pid}/task/{process.pid}/schedstat").read_text(encoding="ascii")
    return int(counters.split()[0]) / 1e9


async def measure(attack: str, target: Target, service: Process, victim: Caller) -> dict[str, Any]:
    """Run an attack while another user makes requests."""
    before = highest = memory_megabytes(service)
    seconds: list[float] = []
    loop_seconds: list[float] = []
    command = [sys.executable, "-m", "benchmarks.attacks", "--attack", attack, "--target"]
    attacker = await asyncio.create_subprocess_exec(
        *command, json.dumps(asdict(target)), stdout=asyncio.subprocess.PIPE
    )
    while attacker.returncode is None:
        started, cpu_started = time.perf_counter(), loop_cpu_seconds(service)
        response = await victim.get("/api/me")
        seconds.append(time.perf_counter() - started)
        loop_seconds.append(loop_cpu_seconds(service) - cpu_started)
        assert response.status_code == 200, response.text
        highest = max(highest, memory_megabytes(service))
        await asyncio.sleep(0.02)
    assert attacker.returncode == 0
    assert attacker.stdout is not None
    return {
        "attack": attack,
        "requests": len(seconds),
        "median_ms": round(statistics.median(seconds) * 1000, 1),
        "max_ms": round(max(seconds) * 1000, 1),
        # On a busy machine, this part of the longest time is the service's own.
        "max_loop_cpu_ms": round(max(loop_seconds) * 1000, 1),
        "memory_before_mb": round(before, 1),
        "memory_growth_mb": round(highest - before, 1),
        "attack_responses": json.loads(await attacker.stdout.read()),
    }


def add_audit_entries(database_url: str, user_id: str) -> None:
    """Add entries about this user to the audit log."""
    engine = create_engine(database_url)
    entry = {"at": now(), "event": "login_succeeded", "user_id": UUID(user_id), "actor": "user"}
    with engine.begin() as connection:
        rows = [
            entry | {"id": uuid4(), "address": "203.0.113.7", "request_id": "0" * 32}
            for _ in range(AUDIT_ENTRIES)
        ]
        connection.execute(insert(AuditEntry), rows)
    engine.dispose()


async def log_in_attackers(client: httpx.AsyncClient, database_url: str) -> dict[str, str]:
    """Register the attackers and return their access tokens."""
    tokens = {}
    for name in ATTACKERS:
        attacker = await register_caller(client, f"{name}@example.com")
        tokens[name] = attacker.tokens["access_token"]
        # The first responses fill caches, which do not count as growth.
        for _ in range(3):
            for path in ("/openapi.json", "/api/deals?limit=20", "/api/me"):
                response = await attacker.get(path)
                assert response.status_code == 200, response.text
        if name == "audited":
            user_id = response.json()["data"]["id"]
            await asyncio.to_thread(add_audit_entries, database_url, user_id)
    return tokens


async def run(folder: Path, attacks: list[str]) -> list[dict[str, Any]]:
    """Start the servers and measure the attacks."""
    database_url = f"sqlite:///{folder / 'attacks.db'}"
    await asyncio.to_thread(upgrade, database_url)
    with emulator_process(folder) as emulator:
        contacts = [
            {
                "email": f"{name}@example.com",
                "deals": [
                    {"dealname": "Van", "dealstage": "closedwon", "description": text} for _ in range(count)
                ],
            }
            for name, (count, text) in ATTACKERS.items()
        ]
        async with httpx.AsyncClient(base_url=emulator.url, timeout=60) as control:
            (await control.post("/_emulator/seed", json={"contacts": contacts})).raise_for_status()
        with service_process(
            folder,
            database_url=database_url,
            hubspot_url=emulator.url,
            RATE_LIMIT_USER=UNLIMITED,
            RATE_LIMIT_INVALID_REQUESTS=UNLIMITED,
            HUBSPOT_BURST_LIMIT="1000000",
            HUBSPOT_DAILY_LIMIT_PER_USER="100000000",
        ) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                victim = await register_caller(client, "ada@example.com")
                assert (await victim.get("/api/me")).status_code == 200
                tokens = await log_in_attackers(client, database_url)
                target = Target(int(service.url.rpartition(":")[2]), tokens)
                return [await measure(attack, target, service, victim) for attack in attacks]


def main() -> int:
    """Print the measurements and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", help=f"any of {', '.join(ATTACKS)}; default: all")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack is not None:
        print(json.dumps(asyncio.run(ATTACKS[options.attack](Target(**options.target)))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(run(Path(folder), options.attacks or list(ATTACKS)))
    print(json.dumps(results, indent=2))
    is_exceeded = any(
        result["max_ms"] > MAX_SECONDS * 1000 or result["memory_growth_mb"] > MAX_GROWTH_MEGABYTES
        for result in results
    )
    return 1 if is_exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
