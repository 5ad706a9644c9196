"""The state file: restart, kill, full disk, unusable files."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, hubspot_client
from tests.support.processes import emulator_process

from hubspot_emulator import Emulator, StateFileError, StateFileInUseError, create_emulator

CONTACTS = "/crm/objects/2026-09/contacts"
JSON = {"Content-Type": "application/json"}
HEADERS = {"Authorization": "Bearer demo-access-token"}


async def test_restarted_emulator_loads_records_and_schema_from_file(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    first = build(file)
    deal = {"dealname": "d", "dealstage": "closedwon"}
    created_ids = first.seed(
        {"contacts": [{"email": "a@example.com", "deals": [deal]}, {"email": "b@example.com"}]}
    )
    one, two = created_ids["contacts"]
    survivor = first.merge("contacts", one, two)
    first.archive_as_other_actor("deals", first.seed({"deals": [deal]})["deals"][0])
    async with hubspot_client(first) as hubspot:
        definition = {
            "groupName": "dealinformation",
            "name": "key",
            "label": "Key",
            "type": "string",
            "fieldType": "text",
            "hasUniqueValue": True,
        }
        assert (await hubspot.post("/crm/properties/2026-09/deals", json=definition)).status_code == 201
        path = f"/crm/objects/2026-09/deals/{created_ids['deals'][0]}"
        assert (await hubspot.patch(path, json={"properties": {"key": "k1"}})).status_code == 200
        stage = {"label": "New stage", "displayOrder": 9, "metadata": {"probability": "0.5"}}
        stages = "/crm/pipelines/2026-09/deals/default/stages"
        stage_id = (await hubspot.post(stages, json=stage)).json()["id"]
    before = properties_by_id(first)
    first.close()

    second = build(file)
    assert properties_by_id(second) == before
    assert second.associations("contacts", survivor, "deals") == created_ids["deals"]
    async with hubspot_client(second) as hubspot:
        assert (await hubspot.get(f"{CONTACTS}/{two}")).json()["id"] == survivor
        response = await hubspot.get("/crm/objects/2026-09/deals/k1", params={"idProperty": "key"})
        assert response.json()["id"] == created_ids["deals"][0]
        again = {"properties": {"dealname": "e", "dealstage": stage_id, "key": "k1"}}
        assert (await hubspot.post("/crm/objects/2026-09/deals", json=again)).status_code == 400
        del again["properties"]["key"]
        new = await hubspot.post("/crm/objects/2026-09/deals", json=again)
        assert new.status_code == 201
        assert int(new.json()["id"]) > int(created_ids["deals"][0])
        by_email = {"filters": [{"propertyName": "email", "operator": "EQ", "value": "a@example.com"}]}
        assert (await hubspot.post(f"{CONTACTS}/search", json=by_email)).json()["total"] == 1


def properties_by_id(emulator: Emulator) -> dict[str, dict[str, str]]:
    records = [*emulator.records("contacts"), *emulator.records("deals")]
    return {record.id: record.properties for record in records}


def test_second_emulator_on_one_state_file_raises_error(build: Build, tmp_path: Path) -> None:
    build(tmp_path / "state.db").seed({"contacts": [{"email": "a@example.com"}]})
    with pytest.raises(StateFileInUseError):
        build(tmp_path / "state.db")


def make_folder(file: Path) -> None:
    file.mkdir()


def write_noise(file: Path) -> None:
    file.write_bytes(b"This is no database." * 500)


def create_other_database(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE state (kind, key)")
    database.close()


def insert_broken_row(file: Path) -> None:
    create_emulator(file).close()
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO state VALUES ('record', 'contacts/1', '{\"p\":')")
    database.close()


def insert_row_with_secret(file: Path) -> None:
    create_emulator(file).close()
    with sqlite3.connect(file) as database:
        row = ("contacts/secret@example.com", '{"p": {}, "c": "", "u": "", "a": null}')
        database.execute("INSERT INTO state VALUES ('record', ?, ?)", row)
    database.close()


def insert_unknown_row(file: Path) -> None:
    create_emulator(file).close()
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO state VALUES ('record', 'dragons/1', '{}')")
    database.close()


def overwrite_pages(file: Path) -> None:
    emulator = create_emulator(file)
    emulator.seed({"contacts": [{"email": f"a{number}@example.com"} for number in range(100)]})
    emulator.close()
    content = bytearray(file.read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    file.write_bytes(content)


UNUSABLE_FILES = [
    (make_folder, "is a folder"),
    (write_noise, "is damaged or not a state file of this emulator"),
    (create_other_database, "is a database, but not a state file of this emulator"),
    (insert_broken_row, "is damaged; move it away"),
    (insert_unknown_row, "is damaged; move it away"),
    (insert_row_with_secret, "is damaged; move it away"),
    (overwrite_pages, "is damaged"),
]


@pytest.mark.parametrize(
    ("make_unusable", "message"), UNUSABLE_FILES, ids=lambda value: getattr(value, "__name__", "")
)
def test_unusable_state_file_raises_error_and_is_unchanged(
    tmp_path: Path, make_unusable: Callable[[Path], None], message: str
) -> None:
    file = tmp_path / "state.db"
    make_unusable(file)
    before = None if file.is_dir() else file.read_bytes()
    with pytest.raises(StateFileError, match=message) as refused:
        create_emulator(file)
    assert "secret" not in "".join(traceback.format_exception(refused.value))
    assert file.is_dir() or file.read_bytes() == before


def test_command_reports_unusable_state_file_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    write_noise(file)
    command = [sys.executable, "-m", "crm_api", "emulator", "--port", "0", "--state", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"Error: {file} is damaged")
    assert len(ended.stderr.splitlines()) == 1


def test_command_reports_port_in_use_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "crm_api", "emulator", "--port", str(port), "--state", str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Error: port {port} of 127.0.0.1 is in use; choose another port\n"
    assert not file.exists()


def test_command_prints_address_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crm_api", "emulator", "--port", "0", "--state", str(tmp_path / "s.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert address is not None
        assert httpx.get(address.group() + CONTACTS, headers=HEADERS, timeout=10).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


def test_state_file_without_application_id_is_read(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    first = build(file)
    created_ids = first.seed({"contacts": [{"email": "a@example.com"}]})
    first.close()
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA application_id=0")
    database.close()
    assert [record.id for record in build(file).records("contacts")] == created_ids["contacts"]


async def test_property_history_is_read_from_an_older_state_file(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    first = build(file)
    [contact] = first.seed({"contacts": [{"email": "a@example.com", "firstname": "A"}]})["contacts"]
    for name in ("B", "C"):
        first.edit_as_other_actor("contacts", contact, {"firstname": name})
    first.close()
    with sqlite3.connect(file) as database:
        # Older versions had the history in the row of the record.
        database.execute(
            "UPDATE state SET body = json_set(body, '$.h', json((SELECT body FROM state WHERE kind = 'history')))"
            " WHERE kind = 'record'"
        )
        database.execute("DELETE FROM state WHERE kind = 'history'")
        database.execute("PRAGMA user_version=0")
    database.close()
    second = build(file)
    second.edit_as_other_actor("contacts", contact, {"firstname": "D"})
    async with hubspot_client(second) as hubspot:
        response = await hubspot.get(f"{CONTACTS}/{contact}", params={"propertiesWithHistory": "firstname"})
    history = response.json()["propertiesWithHistory"]["firstname"]
    assert [change["value"] for change in history] == ["D", "C", "B", "A"]


async def test_full_disk_returns_500_until_there_is_space(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    emulator = build(file)
    database = emulator._account.journal._database
    assert database is not None
    async with hubspot_client(emulator) as hubspot:

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
    # The outcome of a 500 is unknown to the caller; here the records are stored with the next flush.
    found = [record.properties["email"] for record in build(file).records("contacts")]
    assert found == [f"a{number}@example.com" for number in range(4)]


async def test_failed_journal_write_does_not_block_later_requests(build: Build, tmp_path: Path) -> None:
    emulator = build(tmp_path / "state.db")
    database = emulator._account.journal._database
    assert database is not None
    async with hubspot_client(emulator) as hubspot:
        # The statement fails and the transaction stays open, as after a disk error.
        database.execute("CREATE TRIGGER no BEFORE INSERT ON state BEGIN SELECT RAISE(FAIL, 'no'); END")
        body = {"properties": {"email": "a@example.com"}}
        assert (await hubspot.post(CONTACTS, json=body)).status_code == 500
        database.execute("DROP TRIGGER no")
        assert (await hubspot.get(CONTACTS)).status_code == 200


ESCAPED_SURROGATE = b'"\\ud83d"'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CONTACTS, b'{"properties": {"email": "b@example.com", "firstname": %s}}'),
        (f"{CONTACTS}/batch/create", b'{"inputs": [{"properties": {"firstname": %s}}]}'),
        ("/crm/pipelines/2026-09/deals", b'{"label": %s, "displayOrder": 1, "stages": []}'),
        ("/_emulator/seed", b'{"contacts": [{"firstname": %s}]}'),
    ],
)
@pytest.mark.parametrize(
    "surrogate", [ESCAPED_SURROGATE, b'"\xed\xa0\xbd"', b'"\xff"'], ids=["escaped", "raw", "no text"]
)
async def test_unpaired_surrogate_or_invalid_utf8_returns_400(
    build: Build, tmp_path: Path, path: str, body: bytes, surrogate: bytes
) -> None:
    emulator = build(tmp_path / "state.db")
    async with hubspot_client(emulator) as hubspot:
        assert (await hubspot.post(path, content=body % surrogate, headers=JSON)).status_code == 400
        assert (
            await hubspot.post(CONTACTS, json={"properties": {"email": "a@example.com"}})
        ).status_code == 201
        assert len((await hubspot.get(CONTACTS)).json()["results"]) == 1
        assert (await hubspot.get("/crm/pipelines/2026-09/deals")).status_code == 200
        assert (await hubspot.get("/_emulator/requests")).status_code == 200


async def test_escaped_surrogate_pair_is_returned_as_one_character(hubspot: httpx.AsyncClient) -> None:
    body = b'{"properties": {"firstname": "\\ud83d\\ude80"}}'
    response = await hubspot.post(CONTACTS, content=body, headers=JSON)
    assert response.json()["properties"]["firstname"] == "\N{ROCKET}"


def test_reset_removes_the_records_from_the_state_file(build: Build, tmp_path: Path) -> None:
    first = build(tmp_path / "state.db")
    first.seed({"contacts": [{"email": "a@example.com"}]})
    first.reset()
    first.close()
    assert build(tmp_path / "state.db").records("contacts") == []


def test_acknowledged_writes_survive_sigkill(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hubspot_emulator", "--port", str(port), "--state", str(file)]
    process = subprocess.Popen(command)
    created_ids = []
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
                created_ids.append(client.post(CONTACTS, json=body).json()["id"])
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert [record.id for record in build(file).records("contacts")] == created_ids


def test_state_file_is_complete_without_wal_after_sigterm(build: Build, tmp_path: Path) -> None:
    with emulator_process(tmp_path, "--state", str(tmp_path / "hubspot.db")) as process:
        seeded = httpx.post(f"{process.url}/_emulator/seed", json={"contacts": [{"email": "a@example.com"}]})
        assert seeded.status_code == 201
        process.signal_group(signal.SIGTERM)
        process.wait(10)
    # A backup copies the file alone, without SQLite's write-ahead log.
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "hubspot.db").read_bytes())
    assert [record.properties["email"] for record in build(copy).records("contacts")] == ["a@example.com"]
