"""Two replicas behind nginx, with PostgreSQL, Valkey, Prometheus and a mail server, from programs of this machine."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from aiosmtpd.controller import Controller
from tests.hubspot_emulator.conftest import served
from tests.support.certificates import issue_server_certificate
from tests.support.mail import Mailbox
from tests.support.postgres import PostgresServer, find_installations, start_installation
from tests.support.processes import Process, free_port, is_listening

from crm_api.hubspot import HubSpotClient, LocalQuota, StaticTokenAuth
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from hubspot_emulator import Emulator, EmulatorLimits, create_emulator

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
HOST: Final = "localhost"
START_SECONDS: Final = 60.0
UNLIMITED: Final = "1000000 per 1 minute"
DAILY_LIMIT: Final = "10000000"


class MissingProgramError(Exception):
    """Program of a Debian package that is not installed."""


def program(*names: str, package: str) -> str:
    """Return the path of the first installed program. Raises `MissingProgramError`."""
    for name in names:
        if path := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin"):
            return path
    raise MissingProgramError(f"{' or '.join(names)} is missing: apt-get install {package}")


@dataclass
class Site:
    """Servers of the trial, with the settings that the replicas share."""

    folder: Path
    postgres: PostgresServer
    emulator: Emulator
    mailbox: Mailbox
    url: str
    ports: list[int]
    metrics_ports: list[int]
    settings: dict[str, str]
    replicas: list[Process] = field(default_factory=list)

    def command(self, *arguments: str) -> str:
        """Run a `crm-api` command with the settings and return its output."""
        result = subprocess.run(
            [sys.executable, "-m", "crm_api", *arguments],
            env=self._environment(), cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout.strip()

    def start(self, number: int) -> Process:
        """Start a replica and wait until it is ready."""
        port = self.ports[number]
        environment = self._environment() | {"METRICS_PORT": str(self.metrics_ports[number])}
        command = [sys.executable, "-m", "crm_api", "serve", "--port", str(port)]
        log = self.folder / f"replica-{number}.log"
        process = Process(command, port, path="/healthz", environment=environment, log=log)
        deadline = time.monotonic() + START_SECONDS
        while httpx.get(f"{process.url}/readyz").status_code != 200:
            assert time.monotonic() < deadline, process.output
            time.sleep(0.1)
        return process

    def kill_replicas(self) -> None:
        """End the replicas with SIGKILL."""
        for replica in self.replicas:
            replica.kill()

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return inherited | self.settings


@contextmanager
def background(command: list[str], port: int, log: Path, **arguments: Any) -> Generator[None, None, None]:
    """Run a server, and wait until it listens."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **arguments)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def nginx_files(folder: Path, ports: Mapping[str, int], emulator_url: str) -> Path:
    """Write nginx's files: the documented one with this trial's ports and certificate, and TLS for the emulator."""
    site = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for old, new in {
        "127.0.0.1:4012": f"127.0.0.1:{ports['first']}",
        "127.0.0.1:4013": f"127.0.0.1:{ports['second']}",
        "listen 80;": f"listen 127.0.0.1:{ports['http']};",
        "listen 443": f"listen 127.0.0.1:{ports['https']}",
        "crm.example.com": HOST,
        "/etc/ssl/crm-api": str(folder),
    }.items():
        assert old in site, old
        site = site.replace(old, new)
    (folder / "crm-api.conf").write_text(site)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"""pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{}}
http {{
access_log off;
{temporary}
include {folder}/crm-api.conf;
server {{
    listen 127.0.0.1:{ports["emulator"]} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    location / {{ proxy_pass {emulator_url}; proxy_set_header Host $http_host; }}
}}
}}
"""
    )
    return main


@contextmanager
def site_of(folder: Path) -> Generator[Site, None, None]:
    """Start PostgreSQL, Valkey, a mail server, the emulator and nginx, and prepare database and HubSpot account."""
    valkey = program("valkey-server", "redis-server", package="valkey-server (or redis-server)")
    nginx = program("nginx", package="nginx")
    installations = [found for found in find_installations() if found.source.startswith("system")]
    if not installations:
        raise MissingProgramError("PostgreSQL is missing: apt-get install postgresql")
    folder.chmod(0o755)  # nginx's workers have another user
    certificate = issue_server_certificate()
    for name in ("authority", "certificate", "key"):
        (folder / f"{name}.pem").write_text(getattr(certificate, name))
    ports = {name: free_port() for name in ("first", "second", "http", "https", "emulator", "valkey")}
    with ExitStack() as stack:
        postgres = start_installation(installations=installations)
        stack.callback(postgres.stop)
        print(f"PostgreSQL {postgres.version}; {Path(valkey).name}; {Path(nginx).name}", flush=True)
        command = [valkey, "--port", str(ports["valkey"]), "--save", "", "--appendonly", "no"]
        stack.enter_context(background(command, ports["valkey"], folder / "valkey.log", cwd=folder))
        mailbox = Mailbox()
        mailbox.accepting.set()
        controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), ready_timeout=10)
        controller.start()
        stack.callback(controller.stop)
        emulator = create_emulator(limits=EmulatorLimits(daily=int(DAILY_LIMIT)))
        stack.callback(emulator.close)
        emulator_url = stack.enter_context(served(emulator))
        asyncio.run(prepare_account(emulator_url))
        configuration = nginx_files(folder, ports, emulator_url)
        command = [nginx, "-p", str(folder), "-c", str(configuration), "-g", "daemon off;"]
        stack.enter_context(background(command, ports["https"], folder / "nginx-output.log"))
        settings = {
            "DATABASE_URL": postgres.create_database(),
            "REDIS_URL": f"redis://127.0.0.1:{ports['valkey']}/0",
            "SECRET_KEY": secrets.token_urlsafe(32),
            "JWT_SECRET_KEY": secrets.token_urlsafe(32),
            "HUBSPOT_BASE_URL": f"https://{HOST}:{ports['emulator']}",
            "HUBSPOT_ACCESS_TOKEN": "access-token-of-the-trial",
            # The emulator's certificate has an authority of its own, as behind a company's proxy.
            "SSL_CERT_FILE": str(folder / "authority.pem"),
            "HUBSPOT_BURST_LIMIT": "1000000",
            "HUBSPOT_SEARCH_LIMIT": "1000000",
            "HUBSPOT_DAILY_LIMIT": DAILY_LIMIT,
            "SMTP_URL": f"smtp://127.0.0.1:{controller.port}",
            "APP_PUBLIC_URL": f"https://{HOST}:{ports['https']}",
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
            "RATE_LIMIT_USER": UNLIMITED,
            "RATE_LIMIT_REGISTRATIONS": UNLIMITED,
            "RATE_LIMIT_LOGINS_PER_ADDRESS": UNLIMITED,
            "BCRYPT_ROUNDS": "10",
        }
        site = Site(
            folder, postgres, emulator, mailbox, settings["APP_PUBLIC_URL"], [ports["first"], ports["second"]],
            [free_port(), free_port()], settings,
        )  # fmt: skip
        print(site.command("migrate"))
        stack.callback(site.kill_replicas)
        site.replicas = [site.start(number) for number in range(2)]
        yield site


async def prepare_account(emulator_url: str) -> None:
    """Create the properties that exactly-once creation needs."""
    hubspot = HubSpotClient(
        base_url=emulator_url, auth=StaticTokenAuth("t"), quota=LocalQuota(burst_limit=10_000)
    )
    await provision(hubspot, TICKET_CATEGORIES)
    await hubspot.aclose()


@contextmanager
def prometheus(site: Site) -> Generator[str, None, None]:
    """Run Prometheus with the alerts and yield its URL."""
    port = free_port()
    targets = json.dumps([f"127.0.0.1:{metrics_port}" for metrics_port in site.metrics_ports])
    configuration = site.folder / "prometheus.yml"
    configuration.write_text(
        f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{DEPLOY}/prometheus-alerts.yml]
scrape_configs:
  - job_name: crm-api
    static_configs: [{{targets: {targets}}}]
"""
    )
    command = [
        program("prometheus", package="prometheus"), f"--config.file={configuration}",
        f"--storage.tsdb.path={site.folder}/prometheus", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with background(command, port, site.folder / "prometheus.log"):
        yield f"http://127.0.0.1:{port}"
