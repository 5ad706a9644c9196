"""The state file: everything is there again, also after a kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, caller
from tests.support.processes import emulator_process

from crm_api.hubspot_emulator import StateFileInUseError

CONTACTS = "/crm/objects/2026-09/contacts"
HEADERS = {"Authorization": "Bearer demo-access-token"}


async def test_a_second_start_finds_everything(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    first = build(file)
    deal = {"dealname": "d", "dealstage": "closedwon"}
    made = first.seed({"contacts": [{"email": "a@example.com", "deals": [deal]}, {"email": "b@example.com"}]})
    one, two = made["contacts"]
    survivor = first.merge("contacts", one, two)
    first.archive_as_other_actor("deals", first.seed({"deals": [deal]})["deals"][0])
    async with caller(first) as hubspot:
        definition = {
            "groupName": "dealinformation",
            "name": "key",
            "label": "Key",
            "type": "string",
            "fieldType": "text",
            "hasUniqueValue": True,
        }
        assert (await hubspot.post("/crm/properties/2026-09/deals", json=definition)).status_code == 201
        path = f"/crm/objects/2026-09/deals/{made['deals'][0]}"
        assert (await hubspot.patch(path, json={"properties": {"key": "k1"}})).status_code == 200
        stage = {"label": "New stage", "displayOrder": 9, "metadata": {"probability": "0.5"}}
        stages = "/crm/pipelines/2026-09/deals/default/stages"
        stage_id = (await hubspot.post(stages, json=stage)).json()["id"]
    before = {each: [(r.id, r.properties) for r in first.records(each)] for each in ("contacts", "deals")}
    first.close()

    second = build(file)
    assert {each: [(r.id, r.properties) for r in second.records(each)] for each in before} == before
    assert second.associations("contacts", survivor, "deals") == made["deals"]
    async with caller(second) as hubspot:
        assert (await hubspot.get(f"{CONTACTS}/{two}")).json()["id"] == survivor
        answer = await hubspot.get("/crm/objects/2026-09/deals/k1", params={"idProperty": "key"})
        assert answer.json()["id"] == made["deals"][0]
        again = {"properties": {"dealname": "e", "dealstage": stage_id, "key": "k1"}}
        assert (await hubspot.post("/crm/objects/2026-09/deals", json=again)).status_code == 400
        del again["properties"]["key"]
        new = await hubspot.post("/crm/objects/2026-09/deals", json=again)
        assert new.status_code == 201
        assert int(new.json()["id"]) > int(made["deals"][0])
        by_email = {"filters": [{"propertyName": "email", "operator": "EQ", "value": "a@example.com"}]}
        assert (await hubspot.post(f"{CONTACTS}/search", json=by_email)).json()["total"] == 1


def test_two_emulators_do_not_share_a_file(build: Build, tmp_path: Path) -> None:
    build(tmp_path / "state.db").seed({"contacts": [{"email": "a@example.com"}]})
    with pytest.raises(StateFileInUseError):
        build(tmp_path / "state.db")


def test_reset_empties_the_file_too(build: Build, tmp_path: Path) -> None:
    first = build(tmp_path / "state.db")
    first.seed({"contacts": [{"email": "a@example.com"}]})
    first.reset()
    first.close()
    assert build(tmp_path / "state.db").records("contacts") == []


def test_what_was_answered_outlives_a_kill(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "crm_api.hubspot_emulator", "--port", str(port), "--state", str(file)]
    process = subprocess.Popen(command)
    answered = []
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HEADERS) as client:
            deadline = time.monotonic() + 20
            while True:
                try:
                    client.get(CONTACTS)
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            for number in range(50):
                body = {"properties": {"email": f"a{number}@example.com"}}
                answered.append(client.post(CONTACTS, json=body).json()["id"])
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert [each.id for each in build(file).records("contacts")] == answered


def test_the_file_is_complete_once_it_was_told_to_stop(build: Build, tmp_path: Path) -> None:
    with emulator_process(tmp_path, "--state", str(tmp_path / "hubspot.db")) as process:
        seeded = httpx.post(f"{process.url}/_emulator/seed", json={"contacts": [{"email": "a@example.com"}]})
        assert seeded.status_code == 201
        process.signal(signal.SIGTERM)
        process.wait(10)
    # The file alone, as a backup would take it: what SQLite keeps beside it while it runs is not needed.
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "hubspot.db").read_bytes())
    assert [each.properties["email"] for each in build(copy).records("contacts")] == ["a@example.com"]
