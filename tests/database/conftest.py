"""Fixtures: PostgreSQL behind a proxy, as a standby, with TLS, and behind a transaction pooler."""

from collections.abc import AsyncGenerator, Callable, Generator
from urllib.parse import urlsplit

import pytest
from tests.support.certificates import ServerCertificate, issue_server_certificate
from tests.support.pgbouncer import find_pgbouncer, pgbouncer
from tests.support.postgres import PostgresServer, PostgresUnavailableError, start_installation
from tests.support.tcp_proxy import TcpProxy


def with_port(url: str, port: int) -> str:
    """Return the URL with another port of the loopback address."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()


@pytest.fixture
async def proxy(database_url: str) -> AsyncGenerator[TcpProxy, None]:
    """Yield an open proxy in front of the test's PostgreSQL."""
    proxy = TcpProxy(urlsplit(database_url).port or 5432)
    await proxy.open()
    yield proxy
    await proxy.close()


@pytest.fixture
def start_standby(
    database_url: str, postgres_server: PostgresServer
) -> Generator[Callable[[], PostgresServer], None, None]:
    """Yield a function that starts a standby with a copy of the test's database."""
    assert database_url.startswith("postgresql")
    servers = []

    def start() -> PostgresServer:
        try:
            servers.append(start_installation(primary=postgres_server))
        except PostgresUnavailableError as error:
            pytest.skip(f"no standby of this PostgreSQL: {error}")
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def certificate() -> ServerCertificate:
    return issue_server_certificate()


@pytest.fixture(scope="session")
def tls_server(certificate: ServerCertificate) -> Generator[PostgresServer, None, None]:
    """Yield a PostgreSQL server that refuses connections without TLS."""
    files = {
        "server.crt": certificate.certificate,
        "server.key": certificate.key,
        "pg_hba.conf": "hostssl all all all password\n",
    }
    try:
        server = start_installation(settings={"ssl": "on"}, files=files)
    except PostgresUnavailableError as error:
        pytest.skip(f"no PostgreSQL with TLS: {error}")
    yield server
    server.stop()


@pytest.fixture
def pooler_url(database_url: str) -> Generator[str, None, None]:
    """Yield the URL of a transaction pooler in front of the test's PostgreSQL."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip("no PgBouncer: install the package pgbouncer")
    with pgbouncer(program, database_url) as url:
        yield url
