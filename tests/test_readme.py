"""The demo, and the commands of the README."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from tests.support.processes import Process, emulator_process, free_port

from crm_api.cli.demo import ANY_PORT, _emulator

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SERVICE_VARIABLES = {"ENVIRONMENT", "DATABASE_URL", "PORT", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL"}

Demo = Callable[..., Process]


@contextmanager
def demo(folder: Path, **environment: str) -> Generator[Process, None, None]:
    """Run the demo in this folder, as `make run` does."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name not in SERVICE_VARIABLES}
    process = Process(
        [sys.executable, "-m", "crm_api", "demo"],
        port,
        path="/healthz",
        environment=inherited | {"PORT": str(port)} | environment,
        log=folder / "demo.log",
    )
    try:
        yield process
    finally:
        process.kill()


def commands(heading: str) -> str:
    """Return the shell commands of a README section."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return "\n".join(block.replace("$ ", "", 1).replace("\n$ ", "\n") for block in blocks)


def run_commands(section: str, url: str) -> list[Any]:
    """Run the commands of a README section and return the JSON values that they print."""
    script = commands(section).replace("http://localhost:4012", url)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def mailed_link(served: Process) -> str:
    """Wait for a mail in the demo's output and return its link."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for link in re.findall(r"^(http\S+#token=\S+)$", served.output, re.MULTILINE):
            return str(link)
        time.sleep(0.05)
    pytest.fail("the demo printed no mail")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README uses curl")
def test_readme_commands_and_demo_logins_work(tmp_path: Path) -> None:
    with demo(tmp_path) as served:
        [portal] = re.findall(r"portal +(\S+)", served.output)
        assert 'src="portal.js"' in httpx.get(portal).text
        first = run_commands("Call it", served.url)
        assert [response["message"] for response in first] == [
            "User registered successfully",
            "User authenticated successfully",
            "Pipelines retrieved successfully",
            "Deal created successfully",
            "Ticket created successfully",
            "Deals retrieved successfully",
            "Contacts retrieved successfully",
            "Profile retrieved successfully",
        ]
        [listed] = first[5]["data"]["results"]
        [contact] = first[6]["data"]["data"]["contacts"]
        [deal] = contact["deals"]
        assert (deal["id"], deal["dealname"]) == (listed["id"], "Fleet renewal")
        assert [ticket["subject"] for ticket in deal["tickets"]] == ["Third van is late"]
        second = run_commands("Call it", served.url)
        assert second[0]["code"] == "user_exists"
        assert second[3] == first[3]  # the idempotency key replays the stored response
        assert second[5] == first[5]
        for email in ("customer@example.com", "staff@example.com"):
            [password] = re.findall(rf"{email}\s+(\S+)", served.output)
            assert re.search(rf"{email} +{password}\n", README)
            login = httpx.post(f"{served.url}/api/login", json={"email": email, "password": password})
            assert login.status_code == 200
            headers = {"Authorization": f"Bearer {login.json()['data']['access_token']}"}
            page = httpx.get(f"{served.url}/api/new-crm-objects?limit=100", headers=headers)
            assert (len(page.json()["data"]["data"]["contacts"]) >= 30) == (email == "staff@example.com")
        httpx.post(f"{served.url}/api/password/forgot", json={"email": "ada@example.com"})
        assert httpx.get(mailed_link(served)).text == httpx.get(portal).text
        served.send_signal(signal.SIGINT)
        assert served.wait(20) == 0
    with demo(tmp_path) as served:
        login = httpx.post(
            f"{served.url}/api/login",
            json={"email": "ada@example.com", "password": "a lighthouse in the fog"},
        )
        headers = {"Authorization": f"Bearer {login.json()['data']['access_token']}"}
        [listed] = httpx.get(f"{served.url}/api/deals", headers=headers).json()["data"]["results"]
        assert listed["id"] == deal["id"]
        assert served.output.count("Creating the demo's users") == 1


def test_emulator_stops_if_the_demo_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path) as served:
        served.kill()
        [port] = re.findall(r"emulator on port (\d+)", served.output)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/_emulator/requests", timeout=1)
        except httpx.TransportError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the emulator still runs")
    with demo(tmp_path) as served:
        assert httpx.get(served.url + "/readyz").status_code == 200


def test_demo_runs_in_a_folder_with_special_characters(tmp_path: Path) -> None:
    folder = tmp_path / "50% #1? a%41"
    folder.mkdir()
    with demo(folder) as served:
        assert httpx.get(served.url + "/readyz").status_code == 200
    assert {path.name for path in folder.glob(".demo/*.db")} == {"crm-api.db", "hubspot.db"}


def test_two_demos_run_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with demo(tmp_path / "one") as one, demo(tmp_path / "two") as two:
        ports = [re.findall(r"emulator on port (\d+)", process.output) for process in (one, two)]
        assert ports[0] != ports[1]
        with (
            pytest.raises(AssertionError, match="is in use, perhaps by another demo"),
            demo(tmp_path / "two", PORT=one.url.rpartition(":")[2]),
        ):
            pass


def test_demo_does_not_use_the_emulator_of_another_demo(tmp_path: Path) -> None:
    with emulator_process(tmp_path) as other:
        port = int(other.url.rpartition(":")[2])
        # The other emulator took the port after the demo had found it free.
        with _emulator(tmp_path, [port, ANY_PORT]) as url:
            assert httpx.get(f"{url}/_emulator/requests").status_code == 200
            assert url != other.url
        with (
            pytest.raises(click.ClickException, match="emulator did not start"),
            _emulator(tmp_path, [port]),
        ):
            pass


def test_readme_commands_for_own_hubspot_account_work(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    inherited = {name: value for name, value in os.environ.items() if name not in SERVICE_VARIABLES}
    with emulator_process(tmp_path) as emulator:
        environment = inherited | {"HUBSPOT_BASE_URL": emulator.url, "PORT": str(free_port())}
        lines = [
            line.partition("#")[0].strip() for line in commands("Use your own HubSpot account").splitlines()
        ]
        export, *steps, serve = lines
        assert [line.removeprefix(".venv/bin/crm-api ") for line in steps] == [
            "hubspot check", "hubspot provision", "migrate"
        ]  # fmt: skip
        script = "; ".join([export, *(f"{step} || echo status $?" for step in steps), f"exec {serve}"])
        served = Process(
            ["bash", "-c", script.replace("pat-...", "test-access-token")],
            int(environment["PORT"]),
            path="/healthz",
            environment=environment,
            log=tmp_path / "serve.log",
        )
        try:
            # Only the check fails, because the account has not been provisioned yet.
            assert re.findall(r"^status .*", served.output, re.MULTILINE) == ["status 1"]
            assert httpx.get(served.url + "/readyz").status_code == 200
        finally:
            served.kill()


def test_demo_of_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    with demo(tmp_path):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / ".demo" / "crm-api.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with (
        pytest.raises(AssertionError, match=r"newer version of crm-api: delete the folder \.demo"),
        demo(tmp_path),
    ):
        pass


def test_demo_refuses_a_damaged_emulator_file(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "hubspot.db").write_text("not a database")
    with (
        pytest.raises(AssertionError, match=r"stored records, delete the folder \.demo") as error,
        demo(tmp_path),
    ):
        pass
    assert "Traceback" not in str(error.value)


def test_demo_refuses_a_folder_without_write_access(tmp_path: Path) -> None:
    (tmp_path / ".demo").write_text("a file in place of the folder")
    with pytest.raises(AssertionError, match=r"\.demo cannot be written \(File exists\)"), demo(tmp_path):
        pass


def test_make_run_without_python_prints_what_to_do(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "Makefile", tmp_path)
    for name in ("pyproject.toml", "requirements/runtime.lock", "requirements/build.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for python in ("no-such-python", "false"):
        command = ["make", "run", f"PYTHON={python}"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode != 0
        assert result.stdout.startswith("crm-api needs Python 3.11 or newer; choose one with: make PYTHON=")
        assert len(result.stdout.splitlines()) == 1
        assert "not found" not in result.stderr


def test_demo_with_own_hubspot_account_has_its_own_database(tmp_path: Path) -> None:
    with demo(tmp_path):
        pass
    (tmp_path / ".env").write_text("HUBSPOT_ACCESS_TOKEN=pat-na1-none\nHUBSPOT_BASE_URL=http://127.0.0.1:9\n")
    with demo(tmp_path) as served:
        assert "HubSpot is http://127.0.0.1:9, as configured" in served.output
        # The demo users belong to the emulator's account.
        demo_login = {"email": "staff@example.com", "password": "demo-lighthouse-42"}
        assert httpx.post(f"{served.url}/api/login", json=demo_login).status_code == 401
