"""Attacks on a served process over loopback: response times of another user, and memory growth.

`python -m benchmarks.attacks` starts the emulator and the service, and each attack in its own process. Each attack does
a limited amount of work. The exit status is 1 if another user's `GET /api/me` took longer than 0.3 s, or if the memory
of the service grew by more than 60 MB. Linux only.
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
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from tests.support.callers import Caller, register_caller
from tests.support.processes import Process, emulator_process, service_process

from crm_api.cli.migrations import upgrade

MAX_SECONDS: Final = 0.3
MAX_GROWTH_MEGABYTES: Final = 60.0
ATTACKER_ADDRESS: Final = "127.0.0.2"
ATTACK_SECONDS: Final = 8.0
FLOODING_CONNECTIONS: Final = 16
PIPELINED_BYTES: Final = 250_000
PAGES: Final = 100
DEALS: Final = 20
DESCRIPTION: Final = "x" * 60_000
UNLIMITED: Final = "100000000 per 1 minute"


@dataclass(frozen=True)
class Target:
    """Port of the service, and the access token of the attacker."""

    port: int
    token: str


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
    page = request(f"/api/deals?limit={DEALS}", f"Authorization: Bearer {target.token}")
    sockets = []
    for _ in range(PAGES):
        client = await open_socket(target, receive_buffer=4096)
        sockets.append(client)
        await loop.sock_sendall(client, page)
        await loop.sock_recv(client, 1)
    for client in sockets:
        client.close()


async def pipelined_requests(target: Target) -> None:
    """Send 250 KB of pipelined requests on each of 16 connections."""
    content = request("/healthz")
    await flood(target, content * (PIPELINED_BYTES // len(content)))


async def upgrade_offers(target: Target) -> None:
    """Send 250 KB of pipelined requests that offer an upgrade."""
    content = request("/healthz", "Connection: Upgrade", "Upgrade: h2c")
    await flood(target, content * (PIPELINED_BYTES // len(content)))


async def large_heads(target: Target) -> None:
    """Send heads of 10 MB."""
    await flood(target, request("/healthz", "X-A: " + "a" * 10_000_000))


ATTACKS: Final[dict[str, Callable[[Target], Coroutine[Any, Any, None]]]] = {
    attack.__name__: attack
    for attack in (unread_connections, unread_pages, pipelined_requests, upgrade_offers, large_heads)
}


def memory_megabytes(process: Process) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def measure(attack: str, target: Target, service: Process, victim: Caller) -> dict[str, Any]:
    """Run an attack while another user makes requests."""
    before = highest = memory_megabytes(service)
    seconds: list[float] = []
    command = [sys.executable, "-m", "benchmarks.attacks", "--attack", attack, "--target"]
    attacker = await asyncio.create_subprocess_exec(*command, json.dumps(asdict(target)))
    while attacker.returncode is None:
        started = time.perf_counter()
        response = await victim.get("/api/me")
        seconds.append(time.perf_counter() - started)
        assert response.status_code == 200, response.text
        highest = max(highest, memory_megabytes(service))
        await asyncio.sleep(0.02)
    assert attacker.returncode == 0
    return {
        "attack": attack,
        "requests": len(seconds),
        "median_ms": round(statistics.median(seconds) * 1000, 1),
        "max_ms": round(max(seconds) * 1000, 1),
        "memory_before_mb": round(before, 1),
        "memory_growth_mb": round(highest - before, 1),
    }


async def run(folder: Path, attacks: list[str]) -> list[dict[str, Any]]:
    """Start the servers and measure the attacks."""
    database_url = f"sqlite:///{folder / 'attacks.db'}"
    await asyncio.to_thread(upgrade, database_url)
    with emulator_process(folder) as emulator:
        deal = {"dealname": "Fleet renewal", "dealstage": "closedwon", "description": DESCRIPTION}
        attacker_contact = {"email": "attacker@example.com", "deals": [deal] * DEALS}
        async with httpx.AsyncClient(base_url=emulator.url, timeout=60) as control:
            (await control.post("/_emulator/seed", json={"contacts": [attacker_contact]})).raise_for_status()
        with service_process(
            folder,
            database_url=database_url,
            hubspot_url=emulator.url,
            RATE_LIMIT_USER=UNLIMITED,
            HUBSPOT_BURST_LIMIT="1000000",
        ) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                attacker = await register_caller(client, "attacker@example.com")
                victim = await register_caller(client, "ada@example.com")
                # The first responses fill caches, which do not count as growth.
                for _ in range(3):
                    for path in ("/openapi.json", f"/api/deals?limit={DEALS}", "/api/me"):
                        assert (await attacker.get(path)).status_code == 200
                target = Target(int(service.url.rpartition(":")[2]), attacker.tokens["access_token"])
                return [await measure(attack, target, service, victim) for attack in attacks]


def main() -> int:
    """Print the measurements and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", help=f"any of {', '.join(ATTACKS)}; default: all")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack is not None:
        asyncio.run(ATTACKS[options.attack](Target(**options.target)))
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
