"""TLS to a PostgreSQL server that refuses connections without it."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from tests.support.callers import app_client
from tests.support.certificates import ServerCertificate, issue_server_certificate
from tests.support.databases import migrate
from tests.support.postgres import PostgresServer

from crm_api.database import create_engine
from crm_api.settings import Settings
from hubspot_emulator import Emulator

pytestmark = pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)


def on_host(url: str, host: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{host}:{parts.port}").geturl()


@pytest.fixture
def root(tmp_path: Path, certificate: ServerCertificate) -> Path:
    """Return the file of the authority that signed the server's certificate."""
    path = tmp_path / "root.crt"
    path.write_text(certificate.authority)
    return path


@pytest.fixture
def other_root(tmp_path: Path) -> Path:
    path = tmp_path / "other.crt"
    path.write_text(issue_server_certificate().authority)
    return path


async def uses_tls(url: str) -> bool:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool((await connection.execute(query)).scalar_one())
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    ("host", "parameters"),
    [
        ("127.0.0.1", ""),
        ("127.0.0.1", "?sslmode=prefer"),
        ("127.0.0.1", "?sslmode=require&application_name=crm&connect_timeout=10"),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert={root}"),
        ("localhost", "?sslmode=verify-full&sslrootcert={root}&channel_binding=require"),
    ],
)
async def test_connection_uses_tls(
    database_backend: str, tls_server: PostgresServer, root: Path, host: str, parameters: str
) -> None:
    assert await uses_tls(on_host(tls_server.url, host) + parameters.format(root=root))


@pytest.mark.parametrize(
    ("host", "parameters"),
    [
        ("127.0.0.1", "?sslmode=verify-full&sslrootcert={root}"),  # the certificate is for localhost
        ("localhost", "?sslmode=verify-full&sslrootcert={other}"),
        ("localhost", "?sslmode=verify-full&sslrootcert=system"),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert={other}"),
        ("127.0.0.1", "?sslmode=require&sslrootcert={other}"),
    ],
)
async def test_wrong_certificate_is_an_outage(
    tls_server: PostgresServer,
    root: Path,
    other_root: Path,
    settings: Settings,
    emulator: Emulator,
    host: str,
    parameters: str,
) -> None:
    url = on_host(tls_server.url, host) + parameters.format(root=root, other=other_root)
    async with app_client(settings.model_copy(update={"database_url": url}), emulator) as client:
        readiness = await client.get("/readyz")
        assert readiness.status_code == 503
        assert readiness.json()["database"]["problem"] == "SSLCertVerificationError"
        login = await client.post("/api/login", json={"email": "ada@example.com", "password": "a password"})
        assert (login.status_code, login.json()["code"]) == (503, "service_unavailable")


async def test_connection_without_tls_is_refused_by_the_server(
    tls_server: PostgresServer, settings: Settings, emulator: Emulator
) -> None:
    url = tls_server.url + "?sslmode=disable"
    async with app_client(settings.model_copy(update={"database_url": url}), emulator) as client:
        readiness = await client.get("/readyz")
    assert readiness.json()["database"]["problem"] == "InvalidAuthorizationSpecificationError"


def test_commands_use_tls(
    database_backend: str, tls_server: PostgresServer, root: Path, tmp_path: Path
) -> None:
    url = tls_server.create_database()
    url = f"{on_host(url, 'localhost')}?sslmode=verify-full&sslrootcert={root}"
    migrate(url)
    environment = {
        **os.environ,
        "ENVIRONMENT": "development",
        "HUBSPOT_ACCESS_TOKEN": "x",
        "DATABASE_URL": url,
    }
    for command in ("migrate", "audit"):
        subprocess.run(
            [sys.executable, "-m", "crm_api", *command.split()], cwd=tmp_path, env=environment, check=True
        )
