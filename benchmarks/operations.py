"""Try a rolling restart, a key rotation and a restore under load, with PostgreSQL, Valkey and nginx of this machine."""

import argparse
import asyncio
import json
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from benchmarks.operations_site import (
    DEPLOY,
    START_SECONDS,
    MissingProgramError,
    Site,
    program,
    prometheus,
    site_of,
)
from tests.support.builders import PASSWORD, deal_body, registration_body
from tests.support.mail import token_of

USERS: Final = 8


@dataclass
class Load:
    """Callers who create and list deals without a pause, and retry what fails with the same idempotency key."""

    client: httpx.AsyncClient
    emails: list[str]
    phase: str = ""
    statuses: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    deals: dict[str, str] = field(default_factory=dict)
    """Name to ID of each deal with a 201."""
    phase_of_deal: dict[str, str] = field(default_factory=dict)
    """Name of each deal to the phase in which its first request was sent."""
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    failures: Counter[str] = field(default_factory=Counter)
    """Phase, request, status and error code of responses with a 5xx."""
    _stopped: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Send requests until the block ends, then finish the creates that have begun."""
        tasks = [asyncio.create_task(self._work(number, email)) for number, email in enumerate(self.emails)]
        try:
            yield
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        self._stopped = True
        await asyncio.gather(*tasks)

    async def _work(self, number: int, email: str) -> None:
        tokens = await self._log_in(email)
        count = 0
        while not self._stopped:
            count += 1
            name = f"deal {number}-{count}"
            self.phase_of_deal[name] = self.phase
            key = {"Idempotency-Key": name.replace(" ", "-")}
            while name not in self.deals:
                response = await self._send(
                    "POST", "/api/deals", tokens, json=deal_body(dealname=name), headers=key
                )
                if response is None or response.status_code in (409, 500, 502, 503, 504):
                    await asyncio.sleep(0.2)
                elif response.status_code == 401:
                    tokens = await self._log_in(email)
                else:
                    assert response.status_code == 201, response.text
                    self.deals[name] = response.json()["data"]["id"]
            await self._send("GET", "/api/deals", tokens)

    async def _log_in(self, email: str) -> dict[str, str]:
        while True:
            body = {"email": email, "password": PASSWORD}
            response = await self._send("POST", "/api/login", {}, json=body)
            if response is not None and response.status_code == 200:
                tokens: dict[str, str] = response.json()["data"]
                return tokens
            await asyncio.sleep(0.2)

    async def _send(
        self,
        method: str,
        path: str,
        tokens: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> httpx.Response | None:
        phase, started = self.phase, time.monotonic()
        authorization = {"Authorization": f"Bearer {tokens['access_token']}"} if tokens else {}
        try:
            response = await self.client.request(
                method, path, json=json, headers={**authorization, **(headers or {})}
            )
        except httpx.TransportError as error:
            self.statuses[phase][type(error).__name__] += 1
            return None
        self.statuses[phase][str(response.status_code)] += 1
        if response.status_code >= 500:
            is_json = response.headers["content-type"].endswith("json")
            source = response.json()["code"] if is_json else response.headers.get("server", "no code")
            self.failures[f"{phase}: {method} {path}: {response.status_code} {source}"] += 1
        self.slowest[phase] = max(self.slowest[phase], time.monotonic() - started)
        return response


async def register(site: Site, client: httpx.AsyncClient, email: str) -> None:
    """Register a user and verify the address with the mailed link."""
    earlier = len(site.mailbox.mails_to(email))
    response = await client.post("/api/register", json=registration_body(email=email))
    assert response.status_code == 202, response.text
    async with asyncio.timeout(START_SECONDS):
        while len(site.mailbox.mails_to(email)) == earlier:  # noqa: ASYNC110 - the mail server has its own thread
            await asyncio.sleep(0.05)
    body = {"token": token_of(site.mailbox.mails_to(email)[-1]), "password": PASSWORD}
    response = await client.post("/api/email/verify", json=body)
    assert response.status_code == 200, response.text


async def restart_replicas(site: Site, **changed: str | None) -> None:
    """Change settings (None removes one), then stop and start one replica after the other."""
    for name, value in changed.items():
        if value is None:
            site.settings.pop(name, None)
        else:
            site.settings[name] = value
    for number, replica in enumerate(site.replicas):
        replica.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(replica.wait, 60)
        assert status == 0, replica.output
        site.replicas[number] = await asyncio.to_thread(site.start, number)


async def rotate_keys(site: Site) -> None:
    """Replace both keys in the documented order: all replicas first know the new key, then use it."""
    old = {name: site.settings[name] for name in ("SECRET_KEY", "JWT_SECRET_KEY")}
    new = {name: secrets.token_urlsafe(32) for name in old}
    await restart_replicas(site, **{f"{name}_PREVIOUS": value for name, value in new.items()})
    await restart_replicas(site, **new, **{f"{name}_PREVIOUS": value for name, value in old.items()})


async def back_up(site: Site) -> Path:
    """Dump the database while the replicas serve."""
    dump = site.folder / "crm-api.dump"
    command = [program("pg_dump", package="postgresql-client"), "--format=custom", f"--file={dump}"]
    await asyncio.to_thread(subprocess.run, [*command, site.settings["DATABASE_URL"]], check=True)
    return dump


async def restore(site: Site, dump: Path) -> None:
    """Stop the replicas, restore the dump into an empty database, migrate it, and start the replicas."""
    for replica in site.replicas:
        replica.send_signal(signal.SIGTERM)
    for replica in site.replicas:
        assert await asyncio.to_thread(replica.wait, 60) == 0, replica.output
    site.settings["DATABASE_URL"] = await asyncio.to_thread(site.postgres.create_database)
    command = [program("pg_restore", package="postgresql-client"), "--no-owner", "--exit-on-error"]
    target = f"--dbname={site.settings['DATABASE_URL']}"
    await asyncio.to_thread(subprocess.run, [*command, target, str(dump)], check=True)
    await asyncio.to_thread(site.command, "migrate")
    site.replicas = [await asyncio.to_thread(site.start, number) for number in range(2)]


def print_resets(site: Site) -> None:
    """Print the errors of nginx other than those of replicas that do not listen."""
    expected = ("Connection refused", "no live upstreams")
    for line in (site.folder / "nginx.log").read_text(encoding="utf-8").splitlines():
        if "[error]" in line and not any(text in line for text in expected):
            print(line)


def duplicates(site: Site, load: Load, has_phase: Callable[[str], bool]) -> int:
    """Return the number of superfluous deals whose first request was sent in these phases."""
    names = Counter(record.properties["dealname"] for record in site.emulator.records("deals"))
    return sum(
        names[name] - 1 for name, phase in load.phase_of_deal.items() if has_phase(phase) and names[name]
    )


async def try_all(site: Site, seconds: float) -> bool:
    """Run the phases and print their counts. Return True if only the restore made requests fail."""
    trusted = ssl.create_default_context(cafile=str(site.folder / "authority.pem"))
    async with httpx.AsyncClient(base_url=site.url, verify=trusted, timeout=30) as client:
        emails = [f"user{number}@example.com" for number in range(USERS)]
        for email in emails:
            await register(site, client, email)
        load = Load(client, emails, phase="before")
        async with load.running():
            await asyncio.sleep(seconds)
            load.phase = "rolling restart"
            await restart_replicas(site)
            load.phase = "key rotation"
            await rotate_keys(site)
            load.phase = "backup"
            dump = await back_up(site)
            await asyncio.sleep(seconds)
            await register(site, client, "after-backup@example.com")
            load.phase = "restore"
            started = time.monotonic()
            await restore(site, dump)
            restore_seconds = time.monotonic() - started
            load.phase = "after"
            await asyncio.sleep(seconds)
        await register(site, client, "after-backup@example.com")
    print(
        "\n| Phase | Requests | Statuses | Deals | Duplicates | Slowest response |\n|---|---|---|---|---|---|"
    )
    for phase, statuses in load.statuses.items():
        count = sum(1 for of_deal in load.phase_of_deal.values() if of_deal == phase)
        shown = ", ".join(f"{status} ({number})" for status, number in sorted(statuses.items()))
        cells = [phase, f"{statuses.total():,}", shown, str(count), str(duplicates(site, load, phase.__eq__))]
        print(f"| {' | '.join(cells)} | {load.slowest[phase]:.1f} s |")
    for failure, count in load.failures.items():
        print(f"{failure} ({count})")
    print_resets(site)
    contacts = Counter(record.properties["email"] for record in site.emulator.records("contacts"))
    print(f"\nRestore, from the first SIGTERM until both replicas were ready: {restore_seconds:.1f} s")
    print(f"Contacts: {contacts.total()}, duplicates: {contacts.total() - len(contacts)}")
    lost = set(load.deals.values()) - {record.id for record in site.emulator.records("deals")}
    print(f"Deals with a 201: {len(load.deals)}, of which HubSpot does not have: {len(lost)}")
    undisturbed = [statuses for phase, statuses in load.statuses.items() if phase not in ("restore", "after")]
    is_clean = all(status in ("200", "201") for statuses in undisturbed for status in statuses)
    # The restored database does not know idempotency keys from after the backup, as the documents say.
    once = not duplicates(site, load, lambda phase: phase not in ("backup", "restore"))
    return is_clean and once and not lost and contacts.total() == len(contacts)


def check_monitoring(url: str) -> bool:
    """Print the state of the alerts and the dashboard's queries without a result; return True if all rules work."""
    groups = httpx.get(f"{url}/api/v1/rules").raise_for_status().json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    print(f"Alerts: {len(rules)}, states: {dict(Counter(rule['state'] for rule in rules))}")
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]
    queries = {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "1m")
        for panel in panels
        for target in panel.get("targets", [])
    }
    empty = []
    for title, query in queries.items():
        response = httpx.get(f"{url}/api/v1/query", params={"query": query}).raise_for_status()
        if not response.json()["data"]["result"]:
            empty.append(title)
    print(f"Queries of the dashboard: {len(queries)}, without a result: {', '.join(empty) or 'none'}")
    return all(rule["health"] == "ok" for rule in rules)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the load between the changes")
    options = parser.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="crm-api-operations-") as folder,
            site_of(Path(folder)) as site,
            prometheus(site) as prometheus_url,
        ):
            succeeded = asyncio.run(try_all(site, options.seconds))
            succeeded = check_monitoring(prometheus_url) and succeeded
    except MissingProgramError as error:
        sys.exit(str(error))
    sys.exit(0 if succeeded else 1)


if __name__ == "__main__":
    main()
