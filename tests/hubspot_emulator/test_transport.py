"""What lies under the answers: compression, methods, and how a path is read."""

import gzip

import httpx
import pytest

from hubspot_emulator import Emulator

CONTACTS = "/crm/objects/2026-09/contacts"


@pytest.fixture
def many(emulator: Emulator) -> int:
    emulator.seed({"contacts": [{"email": f"a{number}@example.com"} for number in range(20)]})
    return 20


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("GZIP", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("deflate", False),
        ("", False),
    ],
)
async def test_gzip_is_for_those_who_accept_it(
    hubspot: httpx.AsyncClient, many: int, accepted: str, compressed: bool
) -> None:
    request = hubspot.build_request(
        "GET", CONTACTS, params={"limit": "100"}, headers={"Accept-Encoding": accepted}
    )
    answer = await hubspot.send(request, stream=True)
    raw = b"".join([each async for each in answer.aiter_raw()])
    await answer.aclose()
    assert (answer.headers.get("content-encoding") == "gzip") == compressed
    assert int(answer.headers["content-length"]) == len(raw)
    text = gzip.decompress(raw) if compressed else raw
    assert text.count(b'"archived":false') == many


async def test_small_answers_are_not_worth_it_and_it_can_be_switched_off(
    hubspot: httpx.AsyncClient, emulator: Emulator, many: int
) -> None:
    small = await hubspot.get(CONTACTS, params={"limit": "1"})
    assert "content-encoding" not in small.headers
    emulator.switches.compression = False
    assert "content-encoding" not in (await hubspot.get(CONTACTS, params={"limit": "100"})).headers


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "BREW"])
async def test_a_known_path_with_another_method_is_a_405(
    hubspot: httpx.AsyncClient, emulator: Emulator, method: str
) -> None:
    answer = await hubspot.request(method, CONTACTS)
    assert answer.status_code == 405
    assert answer.headers["x-hubspot-correlation-id"]
    assert emulator.requests[-1].status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/crm/2026-09/objects/contacts",
        "/crm/v4/objects/contacts",
        "/crm/objects/v3/contacts",
        "/crm/objects/2026/contacts",
        "/crm/v3/pipelines/deals/default/audit",
        "/CRM/objects/2026-09/contacts",
        "/crm/objects/2026-09/contacts%2F1",
        "/_emulators",
    ],
)
async def test_what_is_not_there_is_hubspots_404(hubspot: httpx.AsyncClient, path: str) -> None:
    answer = await hubspot.get(path)
    assert answer.status_code == 404
    assert answer.json() == {
        "status": "error",
        "message": "resource not found",
        "correlationId": answer.headers["x-hubspot-correlation-id"],
    }


@pytest.mark.parametrize(
    "email", ["a+b@example.com", "a/b@example.com", "50%25@example.com", "a'b@example.com"]
)
async def test_an_address_is_found_whatever_is_in_it(hubspot: httpx.AsyncClient, email: str) -> None:
    made = (await hubspot.post(CONTACTS, json={"properties": {"email": email}})).json()
    quoted = "".join(f"%{byte:02X}" for byte in email.encode())
    answer = await hubspot.get(f"{CONTACTS}/{quoted}", params={"idProperty": "email"})
    assert answer.json()["id"] == made["id"]
    changed = await hubspot.patch(
        f"{CONTACTS}/{quoted}", params={"idProperty": "email"}, json={"properties": {"firstname": "A"}}
    )
    assert changed.status_code == 200
