"""One run: its pace, its servers, and the contestants that are measured side by side."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.emulator import Emulator
from benchmarks.load import Client, Sample
from benchmarks.people import Person, at_the_floor, make_staff, registered
from benchmarks.report import CONTESTANTS, FASTAPI, FLASK, FLOOR, OURS, Figure, Report
from benchmarks.servers import Server, Stage
from tests.support.builders import deal_body

PROCESSES: Final = 2
PEOPLE: Final = 50
STAFF: Final = 0
CUSTOMER: Final = 1


@dataclass(frozen=True)
class Pace:
    """How often and how long everything is measured."""

    rounds: int
    requests: int
    """Of one client, in a round."""
    seconds: float
    """Of many clients, in a round."""
    with_slow_peers: bool
    """Whether what takes the peers a minute is measured too."""
    starts: int
    login_rounds: int
    """bcrypt's."""
    logins: int
    quota_windows: int
    """Of ten seconds."""
    quota_patience: float
    """Seconds: the deadline of a request there."""


FULL: Final = Pace(
    rounds=3,
    requests=20,
    seconds=2.0,
    with_slow_peers=True,
    starts=5,
    login_rounds=12,
    logins=60,
    quota_windows=2,
    quota_patience=10.0,
)
QUICK: Final = Pace(
    rounds=2,
    requests=2,
    seconds=0.3,
    with_slow_peers=False,
    starts=1,
    login_rounds=10,
    logins=8,
    quota_windows=1,
    quota_patience=5.0,
)


@dataclass(frozen=True)
class Contestant:
    """A server, and the people who call it."""

    name: str
    server: Server
    client: Client
    headers: Sequence[Mapping[str, str]]
    """Of each person."""

    async def send(self, method: str, path: str, person: int, *, json: Any = None) -> int:
        """A request of the person of this number; the status of its answer."""
        return await self.client.send(method, path, headers=self.headers[person], json=json)

    async def ask(self, method: str, path: str, person: int, *, json: Any = None) -> Any:
        """The same; the body of its answer. Raises `AssertionError` where it is no success."""
        return await self.client.ask(method, path, headers=self.headers[person], json=json)


Contestants = Mapping[str, Contestant]


@dataclass
class Run:
    """What every measure is given."""

    stage: Stage
    pace: Pace
    emulator: Emulator
    """With latency and without limits, for all contestants."""
    contestants: Contestants
    """Our service and its peers, each on two processes."""
    people: Sequence[Person]
    """Of our service: the first is staff, the others are customers."""
    database: str
    """Our service's."""
    report: Report = field(default_factory=Report)

    @property
    def ours(self) -> Contestant:
        """Our service."""
        return self.contestants[OURS]


@asynccontextmanager
async def opened(stage: Stage, pace: Pace) -> AsyncGenerator[Run, None]:
    """A run with everything started and everybody registered."""
    emulator = await asyncio.to_thread(stage.emulator)
    await emulator.provision()
    database = await asyncio.to_thread(stage.database)
    start: dict[str, Callable[[], Server]] = {
        OURS: lambda: stage.service(emulator, workers=PROCESSES, database=database),
        FLASK: lambda: stage.flask(emulator, workers=PROCESSES),
        FASTAPI: lambda: stage.fastapi(emulator, workers=PROCESSES),
        FLOOR: lambda: stage.floor(emulator, workers=PROCESSES),
    }
    emails = [f"person-{number}@example.com" for number in range(PEOPLE)]
    people: dict[str, list[Person]] = {}
    found: dict[str, Contestant] = {}
    async with AsyncExitStack() as clients:
        servers = await asyncio.gather(*(asyncio.to_thread(start[name]) for name in CONTESTANTS))
        for name, server in zip(CONTESTANTS, servers, strict=True):
            client = await clients.enter_async_context(Client(server.url))
            if name == FLOOR:
                headers = [at_the_floor(each) for each in people[OURS]]
            else:
                people[name] = await registered(client, emails)
                headers = [dict(each.headers) for each in people[name]]
            found[name] = Contestant(name, server, client, headers)
        await make_staff(database, emails[STAFF])
        # What a process does once, such as reading the pipelines, is none of what is measured.
        for each in found.values():
            await _begin(each)
        await emulator.slow()
        yield Run(stage, pace, emulator, found, people[OURS], database)


async def _begin(contestant: Contestant) -> None:
    """So many requests at once that all processes have a part in it."""
    people = range(CUSTOMER, PEOPLE)
    sent = [contestant.send("POST", "/api/deals", each, json=deal_body()) for each in people]
    if contestant.name == OURS:  # the others check no stages
        sent += [contestant.send("GET", "/api/pipelines", each) for each in people]
    assert set(await asyncio.gather(*sent)) <= {200, 201}, contestant.name


def customer(number: int) -> int:
    """The person who is the client of this number; never the first, who is staff."""
    return CUSTOMER + number % (PEOPLE - 1)


async def in_rounds(
    rounds: int, measures: Mapping[str, Callable[[], Awaitable[Sample]]]
) -> dict[str, list[Sample]]:
    """Every measure once in each round, another one first each time, so that what drifts drifts for all."""
    names = list(measures)
    found: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            sample = await measures[name]()
            found[name].append(sample.require_good(name))
    return found


def medians(samples: Sequence[Sample]) -> Figure:
    """The median time of each round, in seconds."""
    return Figure.of([sample.median for sample in samples], "s")


def rates(samples: Sequence[Sample]) -> Figure:
    """The successes a second of each round."""
    return Figure.of([sample.rate for sample in samples], "/s")
