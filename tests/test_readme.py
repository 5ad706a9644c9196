"""The README, done word by word: the demo, and what it says to type in another terminal."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.processes import Process, free_port

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
OURS = {"ENVIRONMENT", "DATABASE_URL", "PORT", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL"}

Demo = Callable[..., Process]


@contextmanager
def demo(folder: Path, **environment: str) -> Generator[Process, None, None]:
    """The demo in a folder of its own, as `make run` starts it."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
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
    """What stands behind `$ ` under a heading, with the lines that continue it."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return "\n".join(block.replace("$ ", "", 1).replace("\n$ ", "\n") for block in blocks)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README uses curl")
def test_what_the_readme_says_to_type_works(tmp_path: Path) -> None:
    with demo(tmp_path) as served:
        script = commands("Call it").replace("http://localhost:4012", served.url)
        assert script.count("curl -s") == 7
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        decoder, answers, rest = json.JSONDecoder(), [], done.stdout.strip()
        while rest:
            answer, end = decoder.raw_decode(rest)
            answers.append(answer)
            rest = rest[end:].strip()
        assert [each["message"] for each in answers] == [
            "User registered successfully",
            "Pipelines retrieved successfully",
            "Ticket created successfully",
            "CRM objects retrieved successfully",
            "Profile retrieved successfully",
        ]
        [contact] = answers[3]["data"]["data"]["contacts"]
        [deal] = contact["deals"]
        assert (deal["dealname"], [ticket["subject"] for ticket in deal["tickets"]]) == (
            "Fleet renewal",
            ["Third van is late"],
        )
        # The logins that it prints.
        for email in ("customer@example.com", "staff@example.com"):
            [password] = re.findall(rf"{email}\s+(\S+)", served.output)
            login = httpx.post(f"{served.url}/api/login", json={"email": email, "password": password})
            assert login.status_code == 200
            headers = {"Authorization": f"Bearer {login.json()['data']['access_token']}"}
            page = httpx.get(f"{served.url}/api/new-crm-objects?limit=100", headers=headers)
            assert (len(page.json()["data"]["data"]["contacts"]) >= 30) == (email == "staff@example.com")
        served.tell(signal.SIGINT)
        assert served.wait(20) == 0
    # Everything is found again.
    with demo(tmp_path) as served:
        login = httpx.post(
            f"{served.url}/api/login",
            json={"email": "ada@example.com", "password": "a lighthouse in the fog"},
        )
        headers = {"Authorization": f"Bearer {login.json()['data']['access_token']}"}
        [found] = httpx.get(f"{served.url}/api/deals", headers=headers).json()["data"]["results"]
        assert found["id"] == deal["id"]
        assert served.output.count("Making the demo's people") == 1


def test_a_killed_demo_leaves_no_emulator_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as served:
        served.kill()
        [url] = re.findall(r"emulator on port (\d+)", served.output)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{url}/_emulator/requests", timeout=1)
        except httpx.TransportError:
            break
        time.sleep(0.05)
    with demo(tmp_path) as served:
        assert httpx.get(served.url + "/readyz").status_code == 200


def test_two_demos_stand_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with demo(tmp_path / "one") as one, demo(tmp_path / "two") as two:
        ports = [re.findall(r"emulator on port (\d+)", each.output) for each in (one, two)]
        assert ports[0] != ports[1]
        with (
            pytest.raises(AssertionError, match="is taken, perhaps by another demo"),
            demo(tmp_path / "two", PORT=one.url.rpartition(":")[2]),
        ):
            pass


def test_an_account_of_ones_own_has_a_database_of_its_own(tmp_path: Path) -> None:
    with demo(tmp_path):
        pass
    (tmp_path / ".env").write_text("HUBSPOT_ACCESS_TOKEN=pat-na1-none\nHUBSPOT_BASE_URL=http://127.0.0.1:9\n")
    with demo(tmp_path) as served:
        assert "HubSpot is http://127.0.0.1:9, as the environment says" in served.output
        # The demo's people are the emulator account's.
        known = {"email": "staff@example.com", "password": "demo-lighthouse-42"}
        assert httpx.post(f"{served.url}/api/login", json=known).status_code == 401
