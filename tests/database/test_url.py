"""DATABASE_URL: forms, libpq's parameters, and refusals by name."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from tests.support.certificates import ServerCertificate

from crm_api.cli import main
from crm_api.database import DatabaseUrlError, create_engine, parse_database_url
from crm_api.database.url import PARAMETERS

HOST = "postgresql://crm@db.example/crm"


def arguments(parameters: str) -> dict[str, Any]:
    return parse_database_url(f"{HOST}?{parameters}").connect_args


@pytest.mark.parametrize(
    ("url", "rendered"),
    [
        ("postgresql://c%40rm@db:5433/crm", "postgresql+asyncpg://c%40rm@db:5433/crm"),
        ("postgres://crm@db/crm", "postgresql+asyncpg://crm@db/crm"),
        ("postgresql+asyncpg://crm@db/crm", "postgresql+asyncpg://crm@db/crm"),
        ("postgresql://db/?user=crm&dbname=a%20b", "postgresql+asyncpg://crm@db/a b"),
        ("postgresql://crm@[::1]:5433/crm", "postgresql+asyncpg://crm@[::1]:5433/crm"),
    ],
)
def test_database_url_is_passed_to_the_async_driver(url: str, rendered: str) -> None:
    assert parse_database_url(url).url.render_as_string(hide_password=False) == rendered


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgresql://crm@one,two:5433/crm", ["one", "two"], [5432, 5433]),
        ("postgresql://crm@one:1,[::1]:2/crm", ["one", "::1"], [1, 2]),
        ("postgresql:///crm?host=/var/run/postgresql", ["/var/run/postgresql"], [5432]),
        ("postgresql:///crm?host=one,two&port=1,2", ["one", "two"], [1, 2]),
        ("postgresql:///crm?host=one:1&host=two:2", ["one", "two"], [1, 2]),
        ("postgresql://crm@/crm?host=one&port=6432", ["one"], [6432]),
    ],
)
def test_hosts_may_be_listed_as_in_libpq(url: str, hosts: list[str], ports: list[int]) -> None:
    arguments = parse_database_url(url).connect_args
    assert (arguments["host"], arguments["port"]) == (hosts, ports)


def test_parameters_become_arguments_of_the_driver() -> None:
    result = arguments(
        "application_name=crm&options=-c%20search_path%3Dcrm&connect_timeout=7&target_session_attrs=read-write"
    )
    assert result["server_settings"] == {"application_name": "crm", "options": "-c search_path=crm"}
    assert (result["timeout"], result["target_session_attrs"]) == (7, "read-write")


def test_connect_timeout_of_zero_keeps_a_limit() -> None:
    assert arguments("connect_timeout=0")["timeout"] == arguments("connect_timeout=")["timeout"] == 2


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_optional_tls_is_left_to_the_driver(mode: str) -> None:
    assert arguments(f"sslmode={mode}")["ssl"] == mode


@pytest.mark.parametrize("parameter", ["sslmode=require", "ssl=require", "ssl=true"])
def test_required_tls_has_a_context(parameter: str) -> None:
    context = arguments(parameter)["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_verified_tls_can_use_the_certificates_of_the_system() -> None:
    for parameters in ("sslmode=verify-full&sslrootcert=system", "sslrootcert=system"):
        context = arguments(parameters + "&channel_binding=require")["ssl"]
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_tls_versions_and_direct_negotiation_are_passed_on() -> None:
    result = arguments("sslmode=require&sslnegotiation=direct&ssl_min_protocol_version=TLSv1.3")
    assert (result["direct_tls"], result["ssl"].minimum_version) == (True, ssl.TLSVersion.TLSv1_3)


def test_parameters_without_effect_are_accepted() -> None:
    arguments(
        "channel_binding=prefer&gssencmode=prefer&client_encoding=UTF8&sslsni=1&sslcompression=0"
        "&sslcertmode=allow&load_balance_hosts=disable"
    )


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (
            "sslmod=require",
            "unknown parameter sslmod; the known parameters are application_name, channel_binding,",
        ),
        ("pool=1&hostaddr=10.0.0.1&sslmode=require", "unknown parameter hostaddr, pool;"),
        ("sslmode=on", "sslmode is not one of disable, allow"),
        ("ssl=1", "sslmode is not one of disable, allow"),
        ("sslmode=verify-full", "sslmode=verify-full needs sslrootcert"),
        ("sslmode=require&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("sslmode=require&sslrootcert=/no/such/file", "sslrootcert cannot be used: "),
        ("sslmode=require&sslcert=/no/such/file", "sslcert or sslkey cannot be used: "),
        ("sslmode=require&sslcrl=/no/such/file", "sslcrl cannot be used: "),
        ("sslmode=require&ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version is not one of TLSv1.2"),
        ("sslmode=require&sslnegotiation=quick", "sslnegotiation is not postgres or direct"),
        (
            "sslmode=require&channel_binding=require",
            "the driver has no channel binding: replace",
        ),
        ("channel_binding=on", "channel_binding is not disable, prefer or require"),
        ("gssencmode=require", "gssencmode can only be disable or prefer"),
        ("client_encoding=latin1", "client_encoding can only be utf8"),
        ("connect_timeout=soon", "connect_timeout is not a number"),
        ("statement_cache_size=-1", "statement_cache_size is not a number"),
        ("statement_cache_size=1001", "statement_cache_size must be at most 1000"),
        ("target_session_attrs=writable", "target_session_attrs is not one of any, primary"),
        ("port=1,2", "port must be one number, or one number for each host"),
        ("host=one,two&port=1,2,3", "port must be one number, or one number for each host"),
        ("port=http", "port must be one number, or one number for each host"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "migrate", "audit", "users promote ada@example.com"])
def test_unusable_parameter_is_refused_by_name(
    parameters: str, problem: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "test-access-token")
    monkeypatch.setenv("DATABASE_URL", f"{HOST}?{parameters}")
    # root.crt of the user who runs the tests must not count.
    monkeypatch.setenv("HOME", str(tmp_path))
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 1
    assert f"DATABASE_URL: {problem}" in result.output
    assert len(result.output.splitlines()) <= 2


def test_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        parse_database_url("postgresql://db/crm?user=crm&password=hidden&sslmode=hidden")
    assert "hidden" not in str(caught.value)


def test_file_with_certificates_of_the_user_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: ServerCertificate
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".postgresql"
    folder.mkdir()
    (folder / "root.crt").write_text(certificate.authority)
    assert arguments("sslmode=require")["ssl"].verify_mode == ssl.CERT_REQUIRED


def test_documented_parameters_are_the_accepted_ones() -> None:
    document = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
    section = document.partition("## Parameters of DATABASE_URL")[2].partition("\n#")[0]
    names = {
        name
        for row in section.splitlines()
        if row.startswith("| `")
        for name in row.split("|")[1].split("`")[1::2]
    }
    assert {name.partition("=")[0] for name in names} == PARAMETERS


@pytest.mark.parametrize("name", ["50%", "a%41b", "what?", "a#b", "with space", "ä"])
@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_sqlite_path_may_contain_any_character(
    name: str, database_backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    engine = create_engine(f"sqlite:///{quote(str(folder))}/crm.db")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (id INTEGER)"))
    await engine.dispose()
    assert (folder / "crm.db").stat().st_size > 0


@pytest.mark.parametrize("name", ["50%", "a#b", "with space"])
def test_sqlite_path_may_contain_characters_that_are_no_escapes(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert (
        parse_database_url(f"sqlite:///{tmp_path}/{name}/crm.db").url.database == f"{tmp_path}/{name}/crm.db"
    )


def test_sqlite_path_with_question_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUrlError, match="write \\? as %3F"):
        parse_database_url(f"sqlite:///{tmp_path}/a?b/crm.db")
