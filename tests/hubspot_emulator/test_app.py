"""Compression, methods and decoding of paths."""

import gzip

import httpx
import pytest

from hubspot_emulator import Emulator

CONTACTS = "/crm/objects/2026-09/contacts"


@pytest.fixture
def contact_count(emulator: Emulator) -> int:
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
async def test_large_response_is_gzipped_if_accept_encoding_allows(
    hubspot: httpx.AsyncClient, contact_count: int, accepted: str, compressed: bool
) -> None:
    request = hubspot.build_request(
        "GET", CONTACTS, params={"limit": "100"}, headers={"Accept-Encoding": accepted}
    )
    response = await hubspot.send(request, stream=True)
    raw = b"".join([chunk async for chunk in response.aiter_raw()])
    await response.aclose()
    assert (response.headers.get("content-encoding") == "gzip") == compressed
    assert int(response.headers["content-length"]) == len(raw)
    text = gzip.decompress(raw) if compressed else raw
    assert text.count(b'"archived":false') == contact_count


async def test_small_response_or_disabled_compression_is_not_gzipped(
    hubspot: httpx.AsyncClient, emulator: Emulator, contact_count: int
) -> None:
    small = await hubspot.get(CONTACTS, params={"limit": "1"})
    assert "content-encoding" not in small.headers
    emulator.switches.compression = False
    assert "content-encoding" not in (await hubspot.get(CONTACTS, params={"limit": "100"})).headers


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "BREW"])
async def test_wrong_method_on_known_path_returns_405(
    hubspot: httpx.AsyncClient, emulator: Emulator, method: str
) -> None:
    response = await hubspot.request(method, CONTACTS)
    assert response.status_code == 405
    assert response.headers["x-hubspot-correlation-id"]
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
async def test_unknown_path_returns_hubspot_404(hubspot: httpx.AsyncClient, path: str) -> None:
    response = await hubspot.get(path)
    assert response.status_code == 404
    assert response.json() == {
        "status": "error",
        "message": "resource not found",
        "correlationId": response.headers["x-hubspot-correlation-id"],
    }


@pytest.mark.parametrize(
    "email", ["a+b@example.com", "a/b@example.com", "50%25@example.com", "a'b@example.com"]
)
async def test_contact_is_found_by_email_with_special_characters(
    hubspot: httpx.AsyncClient, email: str
) -> None:
    created = (await hubspot.post(CONTACTS, json={"properties": {"email": email}})).json()
    quoted = "".join(f"%{byte:02X}" for byte in email.encode())
    response = await hubspot.get(f"{CONTACTS}/{quoted}", params={"idProperty": "email"})
    assert response.json()["id"] == created["id"]
    changed = await hubspot.patch(
        f"{CONTACTS}/{quoted}", params={"idProperty": "email"}, json={"properties": {"firstname": "A"}}
    )
    assert changed.status_code == 200
