"""The state file: everything is there again, also after a kill."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, caller
from tests.support.processes import emulator_process

from hubspot_emulator import StateFileError, StateFileInUseError, create_emulator

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


def a_folder(file: Path) -> None:
    file.mkdir()


def noise(file: Path) -> None:
    file.write_bytes(b"This is no database." * 500)


def somebody_elses_database(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE state (kind, key)")
    database.close()


def a_broken_row(file: Path) -> None:
    create_emulator(file).close()
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO state VALUES ('record', 'contacts/1', '{\"p\":')")
    database.close()


def a_row_of_nothing_we_know(file: Path) -> None:
    create_emulator(file).close()
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO state VALUES ('record', 'dragons/1', '{}')")
    database.close()


def a_broken_page(file: Path) -> None:
    emulator = create_emulator(file)
    emulator.seed({"contacts": [{"email": f"a{number}@example.com"} for number in range(100)]})
    emulator.close()
    content = bytearray(file.read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    file.write_bytes(content)


UNUSABLE = [
    (a_folder, "is a folder"),
    (noise, "is damaged or not a state file of this emulator"),
    (somebody_elses_database, "is a database, but not a state file of this emulator"),
    (a_broken_row, "is damaged; move it away"),
    (a_row_of_nothing_we_know, "is damaged; move it away"),
    (a_broken_page, "is damaged"),
]


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_cannot_be_used_is_told_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    file = tmp_path / "state.db"
    spoil(file)
    before = None if file.is_dir() else file.read_bytes()
    with pytest.raises(StateFileError, match=said):
        create_emulator(file)
    assert file.is_dir() or file.read_bytes() == before


def test_the_command_says_in_one_line_why_it_cannot_start(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    noise(file)
    command = [sys.executable, "-m", "crm_api", "emulator", "--port", "0", "--state", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"Error: {file} is damaged")
    assert len(ended.stderr.splitlines()) == 1


def test_the_command_says_where_it_is_and_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crm_api", "emulator", "--port", "0", "--state", str(tmp_path / "s.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert address is not None
        assert httpx.get(address.group() + CONTACTS, headers=HEADERS, timeout=10).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


def test_a_file_of_the_time_before_files_were_marked_is_read(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    first = build(file)
    made = first.seed({"contacts": [{"email": "a@example.com"}]})
    first.close()
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA application_id=0")
    database.close()
    assert [each.id for each in build(file).records("contacts")] == made["contacts"]


async def test_a_full_disk_answers_500_until_there_is_room(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    emulator = build(file)
    database = emulator._account.journal._database
    assert database is not None
    async with caller(emulator) as hubspot:

        async def create(number: int) -> int:
            body = {"properties": {"email": f"a{number}@example.com", "firstname": "x" * 5_000}}
            return (await hubspot.post(CONTACTS, json=body)).status_code

        assert await create(0) == 201
        [pages] = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count={pages}")
        assert [await create(number) for number in (1, 2)] == [500, 500]
        database.execute("PRAGMA max_page_count=1000000")
        assert await create(3) == 201
    emulator.close()
    # A 500 leaves open whether it was done, here as there; nothing is lost or torn.
    found = [each.properties["email"] for each in build(file).records("contacts")]
    assert found == [f"a{number}@example.com" for number in range(4)]


async def test_a_write_that_the_file_refuses_stops_none_of_the_next(build: Build, tmp_path: Path) -> None:
    emulator = build(tmp_path / "state.db")
    database = emulator._account.journal._database
    assert database is not None
    async with caller(emulator) as hubspot:
        # The statement fails and the transaction stays open, as after an error of the disk.
        database.execute("CREATE TRIGGER no BEFORE INSERT ON state BEGIN SELECT RAISE(FAIL, 'no'); END")
        body = {"properties": {"email": "a@example.com"}}
        assert (await hubspot.post(CONTACTS, json=body)).status_code == 500
        database.execute("DROP TRIGGER no")
        assert (await hubspot.get(CONTACTS)).status_code == 200


HALF = b'"\\ud83d"'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CONTACTS, b'{"properties": {"email": "b@example.com", "firstname": %s}}'),
        (f"{CONTACTS}/batch/create", b'{"inputs": [{"properties": {"firstname": %s}}]}'),
        ("/crm/pipelines/2026-09/deals", b'{"label": %s, "displayOrder": 1, "stages": []}'),
        ("/_emulator/seed", b'{"contacts": [{"firstname": %s}]}'),
    ],
)
@pytest.mark.parametrize("half", [HALF, b'"\xed\xa0\xbd"', b'"\xff"'], ids=["escaped", "raw", "no text"])
async def test_half_a_character_is_refused_and_harms_nothing(
    build: Build, tmp_path: Path, path: str, body: bytes, half: bytes
) -> None:
    emulator = build(tmp_path / "state.db")
    async with caller(emulator) as hubspot:
        assert (await hubspot.post(path, content=body % half)).status_code == 400
        assert (
            await hubspot.post(CONTACTS, json={"properties": {"email": "a@example.com"}})
        ).status_code == 201
        assert len((await hubspot.get(CONTACTS)).json()["results"]) == 1
        assert (await hubspot.get("/crm/pipelines/2026-09/deals")).status_code == 200
        assert (await hubspot.get("/_emulator/requests")).status_code == 200


async def test_a_whole_character_may_be_escaped_in_two_halves(hubspot: httpx.AsyncClient) -> None:
    body = b'{"properties": {"firstname": "\\ud83d\\ude80"}}'
    answer = await hubspot.post(CONTACTS, content=body)
    assert answer.json()["properties"]["firstname"] == "\N{ROCKET}"


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
    command = [sys.executable, "-m", "hubspot_emulator", "--port", str(port), "--state", str(file)]
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
