"""The `crm-api` command: one-line errors and progress messages."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.hubspot_emulator.conftest import served

from crm_api.cli import main
from crm_api.cli.progress import Progress
from crm_api.settings import Settings
from hubspot_emulator import Emulator


@pytest.fixture
def emulator_url(emulator: Emulator) -> Generator[str, None, None]:
    with served(emulator) as url:
        yield url


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Development settings with an unreachable HubSpot, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "test-access-token")
    monkeypatch.setenv("HUBSPOT_BASE_URL", "http://127.0.0.1:9")


def self_signed_certificate(folder: Path) -> Path:
    """Write a file with a key and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", ["serve", "migrate", "audit", "users promote ada@example.com"])
@pytest.mark.parametrize(
    ("variable", "value", "message", "status"),
    [
        ("REDIS_URL", "secret-of-mine", "REDIS_URL: write redis://host:6379/0", 2),
        ("REDIS_URL", "redis://host:secret-of-mine/0", "REDIS_URL: write redis://host:6379/0", 2),
        ("REDIS_URL", "http://host/secret-of-mine", "REDIS_URL: write redis://host:6379/0", 2),
        ("PORT", "abc", "PORT: Input should be a valid integer", 2),
        ("RATE_LIMIT_USER", "often", "RATE_LIMIT_USER: write it as `120 per 1 minute`", 2),
        ("HUBSPOT_PROPERTIES", "{bad", "HUBSPOT_PROPERTIES: not JSON", 2),
        (
            "CUSTOMER_STAGES",
            '{"deals": [1]}',
            "CUSTOMER_STAGES: deals: Input should be a valid dictionary",
            2,
        ),
        ("DATABASE_URL", "mysql://host/name", "DATABASE_URL: mysql is not supported", 1),
        ("DATABASE_URL", "sqlite:////no/such/folder/x.db", "does not exist", 1),
        ("DATABASE_URL", "secret-of-mine", "DATABASE_URL: write postgresql://", 1),
        ("DATABASE_URL", "postgresql://host:port/name", "DATABASE_URL: write postgresql://", 1),
    ],
)
def test_invalid_setting_is_reported_in_two_lines_at_most(
    monkeypatch: pytest.MonkeyPatch, command: str, variable: str, value: str, message: str, status: int
) -> None:
    monkeypatch.setenv(variable, value)
    result = run(*command.split())
    assert (result.exit_code, result.exception.__class__) == (status, SystemExit), result.output
    assert message in result.output
    assert "secret-of-mine" not in result.output
    assert len(result.output.splitlines()) <= 2


@pytest.mark.parametrize("url", ["redis://host", "rediss://:p@host:6380/1", "unix:///run/redis.sock"])
def test_valid_redis_urls_are_accepted(url: str) -> None:
    settings = Settings(_env_file=None, environment="development", redis_url=url)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
def test_closed_output_pipe_is_no_database_error(database_url: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does after its last line
    environment = {**os.environ, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "crm_api", "settings"]
    done = subprocess.run(
        command, env=environment, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["migrate", "audit", "users promote ada@example.com"])
def test_unreachable_database_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret-of-mine@127.0.0.1:1/name")
    result = run(*command.split())
    assert (result.exit_code, result.output) == (
        1,
        "Error: the database cannot be used: ConnectionRefusedError\n",
    )


class TestHubSpot:
    async def run(self, *arguments: str) -> Result:
        # In a thread, because the command runs its own event loop.
        return await asyncio.to_thread(run, "hubspot", *arguments)

    async def test_hubspot_check_finds_no_problem_after_provision(
        self, emulator_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # An operator's first command: only the token is configured.
        monkeypatch.setenv("ENVIRONMENT", "production")
        monkeypatch.setenv("HUBSPOT_BASE_URL", emulator_url)
        before = await self.run("check")
        assert before.exit_code == 1, before.output
        assert before.output.splitlines()[0] == f"Checking {emulator_url} ..."
        assert sum(line.startswith("FAIL") for line in before.output.splitlines()) == 3
        done = await self.run("provision")
        assert (done.exit_code, len(done.output.splitlines())) == (0, 6), done.output
        assert (await self.run("provision")).output == "Nothing was missing.\n"
        after = await self.run("check", "--json")
        # HubSpot does not report the scopes of this kind of token.
        not_ok = [finding["subject"] for finding in json.loads(after.stdout) if finding["state"] != "ok"]
        assert not_ok == ["scopes"]

    async def test_hubspot_command_exits_with_1_if_hubspot_is_unreachable(self) -> None:
        result = await self.run("check")
        assert result.exit_code == 1
        assert result.output.splitlines()[-1].startswith("FAIL  credentials  HubSpot could not be reached")
        result = await self.run("provision")
        assert (result.exit_code, result.output) == (
            1,
            "Error: HubSpot could not be reached (HubSpotConnectionError)\n",
        )

    @pytest.mark.parametrize("credentials", ["token", "refresh token"])
    async def test_untrusted_certificate_of_hubspot_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credentials: str
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed_certificate(tmp_path))
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        monkeypatch.setenv("HUBSPOT_BASE_URL", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        if credentials == "refresh token":
            monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
            for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"):
                monkeypatch.setenv(f"HUBSPOT_{name}", "demo")
        async with server:
            result = await self.run("check")
        assert result.exit_code == 1
        assert "HubSpot's certificate is not trusted (self-signed certificate)" in result.output
        assert "SSL_CERT_FILE" in result.output

    @pytest.mark.parametrize("command", ["check", "provision"])
    async def test_hubspot_command_without_credentials_exits_with_2(
        self, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
        result = await self.run(command)
        assert result.exit_code == 2
        assert "no HubSpot credentials" in result.output


class TestProgress:
    def test_progress_prints_current_step_of_a_slow_block(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Progress("the first", interval_seconds=0.05) as progress:
            progress("the second")
            deadline = time.monotonic() + 5
            output = ""
            while "the second (0 s)" not in output and time.monotonic() < deadline:
                time.sleep(0.01)
                output += capsys.readouterr().err
        assert "... the second (0 s)\n" in output
        assert "the first" not in output

    def test_progress_prints_nothing_for_a_quick_block(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Progress("nothing"):
            pass
        assert capsys.readouterr().err == ""
