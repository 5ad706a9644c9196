"""One run: its settings, servers and contestants."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.emulator import Emulator
from benchmarks.load import Client
from benchmarks.report import FASTAPI, FLASK, LOWER_BOUND, NODE, PEERS, SERVICE, Report
from benchmarks.rounds import log_failure
from benchmarks.servers import Server, Servers
from benchmarks.users import User, lower_bound_headers, make_staff, register_users
from tests.support.builders import deal_body

PROCESSES: Final = 2
USER_COUNT: Final = 50
STAFF: Final = 0
CUSTOMER: Final = 1


@dataclass(frozen=True)
class RunSettings:
    """Number and length of the measurements."""

    rounds: int
    requests: int
    """Requests of one client in a round."""
    seconds: float
    """Duration of a round with many clients."""
    includes_slow_peers: bool
    """True to include measures that take the peers a minute."""
    starts: int
    login_rounds: int
    """Rounds of bcrypt."""
    logins: int
    quota_windows: int
    """Number of quota windows of ten seconds."""
    quota_deadline_seconds: float
    """Deadline of a request while the quota is measured."""


FULL: Final = RunSettings(
    rounds=3,
    requests=20,
    seconds=2.0,
    includes_slow_peers=True,
    starts=5,
    login_rounds=12,
    logins=60,
    quota_windows=2,
    quota_deadline_seconds=10.0,
)
QUICK: Final = RunSettings(
    rounds=2,
    requests=2,
    seconds=0.3,
    includes_slow_peers=False,
    starts=1,
    login_rounds=10,
    logins=8,
    quota_windows=1,
    quota_deadline_seconds=5.0,
)


@dataclass(frozen=True)
class MissingServer:
    """Peer that did not start; requests to it get no response."""

    name: str
    url: str = "http://127.0.0.1:9"
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Contestant:
    """Server with its client and the users who call it."""

    name: str
    server: Server | MissingServer
    client: Client
    headers: Sequence[Mapping[str, str]]
    """Headers of each user."""

    async def send(self, method: str, path: str, user: int, *, json: Any = None) -> int:
        """Send a request of the user with this number and return the status."""
        return await self.client.send(method, path, headers=self.headers[user], json=json)

    async def request_json(self, method: str, path: str, user: int, *, json: Any = None) -> Any:
        """Return the body of a successful response. Raises `AssertionError` for an error status."""
        return await self.client.request_json(method, path, headers=self.headers[user], json=json)


Contestants = Mapping[str, Contestant]


@dataclass
class Run:
    """Argument of every measure."""

    servers: Servers
    settings: RunSettings
    emulator: Emulator
    """Emulator with latency and without limits, shared by all contestants."""
    contestants: Contestants
    """crm-api, the peers and the lower bound, each with two processes."""
    users: Sequence[User]
    """Users of crm-api: the first is staff, the others are customers."""
    database: str
    """Database URL of crm-api."""
    node: Contestant | None = None
    """Peer (d), which only creates deals; None without Node."""
    report: Report = field(default_factory=Report)

    @property
    def service(self) -> Contestant:
        return self.contestants[SERVICE]


@asynccontextmanager
async def start_run(servers: Servers, settings: RunSettings) -> AsyncGenerator[Run, None]:
    """Start the servers, register the users and yield the run."""
    emulator = await asyncio.to_thread(servers.emulator)
    await emulator.provision()
    database = await asyncio.to_thread(servers.database)
    starters: dict[str, Callable[[], Server]] = {
        SERVICE: lambda: servers.service(emulator, workers=PROCESSES, database=database),
        FLASK: lambda: servers.flask(emulator, workers=PROCESSES),
        FASTAPI: lambda: servers.fastapi(emulator, workers=PROCESSES),
        LOWER_BOUND: lambda: servers.lower_bound(emulator, workers=PROCESSES),
    }
    emails = [f"user-{number}@example.com" for number in range(USER_COUNT)]
    users: dict[str, list[User]] = {}
    contestants: dict[str, Contestant] = {}
    async with AsyncExitStack() as clients:
        started = await asyncio.gather(
            *(asyncio.to_thread(start_contestant, name, starters[name]) for name in starters)
        )
        for name, server in zip(starters, started, strict=True):
            client = await clients.enter_async_context(Client(server.url))
            headers: list[dict[str, str]] = [{} for _ in emails]
            if name == LOWER_BOUND:
                headers = [lower_bound_headers(user) for user in users[SERVICE]]
            else:
                try:
                    users[name] = await register_users(client, emails)
                    headers = [dict(user.headers) for user in users[name]]
                except Exception as error:  # noqa: BLE001 - `log_failure` raises those of crm-api
                    # Its requests are refused then, which its cells show.
                    log_failure(name, error)
            contestants[name] = Contestant(name, server, client, headers)
        node = await clients.enter_async_context(start_node(servers, emulator, contestants[FASTAPI].headers))
        await make_staff(database, emails[STAFF])
        # Each process reads the pipelines once; that is not part of the measures.
        for contestant in (*contestants.values(), *([node] if node is not None else [])):
            await _warm_up(contestant)
        await emulator.add_latency()
        yield Run(servers, settings, emulator, contestants, users[SERVICE], database, node)


@asynccontextmanager
async def start_node(
    servers: Servers, emulator: Emulator, headers: Sequence[Mapping[str, str]]
) -> AsyncGenerator[Contestant | None, None]:
    """Start peer (d), which accepts the tokens of peer (b)."""
    server: Server | MissingServer | None
    try:
        server = await asyncio.to_thread(lambda: servers.node(emulator, workers=PROCESSES))
    except Exception as error:  # noqa: BLE001 - the run goes on without the peer
        log_failure(NODE, error)
        server = MissingServer(NODE)
    if server is None:
        yield None
        return
    async with Client(server.url) as client:
        yield Contestant(NODE, server, client, headers)


async def _warm_up(contestant: Contestant) -> None:
    """Send enough concurrent requests to reach all processes."""
    users = range(CUSTOMER, USER_COUNT)
    sent = [contestant.send("POST", "/api/deals", user, json=deal_body()) for user in users]
    if contestant.name == SERVICE:  # the others check no stages
        sent += [contestant.send("GET", "/api/pipelines", user) for user in users]
    statuses = set(await asyncio.gather(*sent))
    assert contestant.name in PEERS or statuses <= {200, 201}, statuses


def start_contestant(name: str, start: Callable[[], Server]) -> Server | MissingServer:
    """Start a server. A peer that does not start is missing in the run."""
    try:
        return start()
    except Exception as error:  # noqa: BLE001 - `log_failure` raises those of crm-api
        log_failure(name, error)
        return MissingServer(name)


def customer_index(number: int) -> int:
    """Return the customer that the client with this number uses."""
    return CUSTOMER + number % (USER_COUNT - 1)
