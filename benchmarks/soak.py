"""Create 5,000 deals and tickets while one HubSpot call in five fails; fails if a record is missing or duplicated."""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import httpx
from tests.support.callers import register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.fault_run import FAULTS, FaultRun

from crm_api.cli.migrations import upgrade
from crm_api.main import create_app
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import create_emulator


async def soak(
    database_url: str, *, deals: int, tickets: int, users: int, probability: float, seed: int
) -> None:
    emulator = create_emulator()
    settings = Settings(
        _env_file=None,
        environment="development",
        database_url=database_url,
        hubspot_access_token="soak-access-token",
        hubspot_burst_limit=1_000_000,
        bcrypt_rounds=4,
        rate_limit_enabled=False,
        log_level="ERROR",
    )
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    run = FaultRun()
    started = time.perf_counter()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://crm.example") as client,
    ):
        await provision(app.state.hubspot, TICKET_CATEGORIES)
        callers = [await register_caller(client, f"user{number}@example.com") for number in range(users)]
        emulator.random_faults(probability, FAULTS, seed)
        await run.create_all(callers, deals=deals, tickets=tickets)
        emulator.random_faults(0.0, (), seed)
    run.assert_each_created_once(emulator)
    seconds = time.perf_counter() - started
    print(f"{len(run.deals)} deals and {len(run.tickets)} tickets, each exactly once, in {seconds:.0f} s")
    print(f"{len(emulator.used_faults())} faults injected; responses: {dict(run.outcomes.most_common())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=5000, help="deals and tickets together")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--probability", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=4012)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'soak.db'}"
        upgrade(url)
        half = options.records // 2
        asyncio.run(
            soak(
                url,
                deals=half,
                tickets=options.records - half,
                users=options.users,
                probability=options.probability,
                seed=options.seed,
            )
        )


if __name__ == "__main__":
    main()
