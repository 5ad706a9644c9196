"""The control API under /_emulator/."""

import asyncio
from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator

CONTACTS = "/crm/objects/2026-09/contacts"


async def test_faults_are_added_listed_and_deleted_over_http(hubspot: httpx.AsyncClient) -> None:
    script = [{"method": "GET", "path": "/crm/*", "status": 503, "times": 2}]
    response = await hubspot.post("/_emulator/faults", json=script)
    assert response.status_code == 201
    assert (await hubspot.get(CONTACTS)).status_code == 503
    faults = (await hubspot.get("/_emulator/faults")).json()
    assert faults["pending"][0]["times"] == 1
    assert [fault["status"] for fault in faults["used"]] == [503]
    assert (await hubspot.delete("/_emulator/faults")).status_code == 204
    assert (await hubspot.get(CONTACTS)).status_code == 200


async def test_hubspot_requests_are_recorded_but_control_requests_not(hubspot: httpx.AsyncClient) -> None:
    await hubspot.post(CONTACTS, json={"properties": {"email": "a@example.com"}}, params={"x": "y"})
    await hubspot.get("/_emulator/settings")
    [found] = (await hubspot.get("/_emulator/requests")).json()["results"]
    assert (found["method"], found["path"], found["query"], found["status"]) == (
        "POST",
        CONTACTS,
        {"x": ["y"]},
        201,
    )
    assert found["body"] == {"properties": {"email": "a@example.com"}}
    await hubspot.post("/oauth/v3/token", data={"grant_type": "magic"})
    await hubspot.post(CONTACTS, content=b"\xff", headers={"Content-Type": "application/json"})
    bodies = [result["body"] for result in (await hubspot.get("/_emulator/requests")).json()["results"]]
    assert bodies[1:] == [{"grant_type": "magic"}, "\N{REPLACEMENT CHARACTER}"]
    await hubspot.delete("/_emulator/requests")
    assert (await hubspot.get("/_emulator/requests")).json()["results"] == []


async def test_patch_of_settings_changes_switches_and_limits(
    hubspot: httpx.AsyncClient, emulator: Emulator
) -> None:
    response = await hubspot.patch("/_emulator/settings", json={"search_lag_seconds": 3, "burst_per_10s": 1})
    assert response.json()["search_lag_seconds"] == 3
    assert (emulator.switches.search_lag_seconds, emulator.limits.burst_per_10s) == (3, 1)
    assert [(await hubspot.get(CONTACTS)).status_code for _ in range(2)] == [200, 429]
    assert (await hubspot.patch("/_emulator/settings", json={"burst_per_10s": None})).status_code == 200
    assert (await hubspot.get(CONTACTS)).status_code == 200


async def test_control_paths_seed_change_and_reset_records(hubspot: httpx.AsyncClient) -> None:
    created_ids = (
        await hubspot.post("/_emulator/seed", json={"contacts": [{"email": "a@example.com"}]})
    ).json()
    found = (await hubspot.get("/_emulator/records/contacts")).json()["results"]
    assert [record["id"] for record in found] == created_ids["contacts"]
    path = f"/_emulator/records/contacts/{created_ids['contacts'][0]}"
    assert (await hubspot.patch(path, json={"firstname": "A"})).status_code == 204
    assert (await hubspot.get(f"{CONTACTS}/{created_ids['contacts'][0]}")).json()["properties"][
        "firstname"
    ] == "A"
    assert (await hubspot.delete(path)).status_code == 204
    assert (await hubspot.post("/_emulator/reset")).status_code == 204
    assert (await hubspot.get("/_emulator/records/contacts")).json()["results"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", b"{"),
        ("POST", "faults", b'{"path": "/", "kind": "fire"}'),
        ("POST", "faults", b'{"path": "/", "status": 500, "colour": 1}'),
        ("POST", "faults", b'{"status": 500}'),
        ("POST", "faults", b'[{"path": "/", "status": 500}, {"path": "/", "status": 5}]'),
        ("POST", "faults", b'{"probability": "1", "kinds": ["503"]}'),
        ("PATCH", "settings", b"[]"),
        ("PATCH", "settings", b'{"search_lag_seconds": 9, "latency_seconds": -1}'),
        ("PATCH", "settings", b'{"burst_per_10s": 9, "token_lifetime_seconds": "1"}'),
        ("PATCH", "settings", b'{"daily": 9, "colour": 1}'),
        ("PATCH", "settings", b'{"latency_seconds": 1e400}'),
        ("PATCH", "settings", b'{"association_page_size": 0}'),
        ("PATCH", "settings", b'{"required_properties": {"contacts": "phone"}}'),
        ("PATCH", "settings", b'{"required_properties": {"dragons": []}}'),
        ("PATCH", "settings", b'{"conditional_properties": {"contacts": ["zip"]}}'),
        ("PATCH", "settings", b'{"validation_rules": {"deals": {"amount": {"EVEN": "1"}}}}'),
        ("PATCH", "settings", b'{"validation_rules": {"deals": {"amount": {"MIN_NUMBER": 1}}}}'),
        ("PATCH", "settings", b'{"scopes": "oauth"}'),
        ("POST", "merge", b'{"type": "contacts", "primary": "1"}'),
        ("POST", "link", b'{"from": ["deals", "1"], "to": ["contacts", "2"]}'),
        ("POST", "link", b'{"from": "deals", "to": ["contacts", "2"]}'),
        ("GET", "records/contacts/1", b""),
        ("PATCH", "records/contacts/1", b"{}"),
        ("POST", "records/contacts/1/restore", b""),
        ("PUT", "records/contacts/1", b"{}"),
        ("PATCH", "settings", b'{"colour": 1}'),
        ("PATCH", "settings", b'{"latency_seconds": "1"}'),
        ("PATCH", "settings", b'{"burst_per_10s": "1"}'),
        ("POST", "seed", b'{"dragons": []}'),
        ("DELETE", "records/contacts/1", b""),
        ("GET", "nothing", b""),
    ],
)
async def test_invalid_control_request_keeps_settings_and_faults(
    hubspot: httpx.AsyncClient, method: str, path: str, body: bytes
) -> None:
    async def state() -> list[Any]:
        return [(await hubspot.get(f"/_emulator/{path}")).json() for path in ("settings", "faults")]

    before = await state()
    response = await hubspot.request(method, f"/_emulator/{path}", content=body)
    assert response.status_code in (400, 404)
    assert response.json()["message"]
    assert await state() == before


@pytest.mark.parametrize(
    "last",
    [{"email": "ADA@example.com"}, {"email": "no address"}, 5, {"email": "b@example.com", "deals": [{}]}],
)
async def test_seed_with_invalid_record_creates_nothing(
    hubspot: httpx.AsyncClient, emulator: Emulator, last: Any
) -> None:
    deal = {"dealname": "d", "dealstage": "closedwon"}
    body = {"contacts": [{"email": "ada@example.com", "deals": [deal]}, last]}
    assert (await hubspot.post("/_emulator/seed", json=body)).status_code in (400, 409)
    assert (emulator.records("contacts"), emulator.records("deals")) == ([], [])
    assert (await hubspot.post(f"{CONTACTS}/search", json={})).json()["total"] == 0
    # The failed seed has not reserved the e-mail addresses.
    body["contacts"].pop()
    assert (await hubspot.post("/_emulator/seed", json=body)).status_code == 201


async def test_every_control_path_listed_by_the_index_exists(hubspot: httpx.AsyncClient) -> None:
    paths = (await hubspot.get("/_emulator")).json()["paths"]
    assert paths == (await hubspot.get("/_emulator/")).json()["paths"]
    for methods, path in (line.rsplit(" ", 1) for line in paths):
        for method in methods.split(", "):
            url = f"/_emulator/{path.replace('{type}', 'contacts').replace('{id}', '1')}"
            response = await hubspot.request(method, url, content=b"{}")
            assert "the emulator has no" not in response.text, f"{method} {path}"


async def test_control_paths_link_unlink_archive_and_restore_records(
    hubspot: httpx.AsyncClient, emulator: Emulator
) -> None:
    created_ids = emulator.seed(
        {"contacts": [{"email": "a@example.com"}], "deals": [{"dealname": "d", "dealstage": "closedwon"}]}
    )
    contact_id, deal_id = created_ids["contacts"][0], created_ids["deals"][0]
    ends = {"from": ["deals", deal_id], "to": ["contacts", contact_id]}
    assert (await hubspot.post("/_emulator/link", json=ends)).status_code == 204
    assert emulator.associations("contacts", contact_id, "deals") == [deal_id]
    assert (await hubspot.post("/_emulator/unlink", json=ends)).status_code == 204
    assert emulator.associations("contacts", contact_id, "deals") == []

    path = f"/_emulator/records/contacts/{contact_id}"
    await hubspot.delete(path)
    assert (await hubspot.get(path)).json()["archived"] is True
    assert (await hubspot.get(f"{CONTACTS}/{contact_id}")).status_code == 404
    assert (await hubspot.post(f"{path}/restore")).status_code == 204
    assert (await hubspot.get(f"{CONTACTS}/{contact_id}")).status_code == 200


async def test_settle_search_applies_pending_index_changes(hubspot: httpx.AsyncClient) -> None:
    await hubspot.patch("/_emulator/settings", json={"search_lag_seconds": 1_000})
    await hubspot.post(CONTACTS, json={"properties": {"email": "a@example.com"}})
    assert (await hubspot.post(f"{CONTACTS}/search", json={})).json()["total"] == 0
    assert (await hubspot.post("/_emulator/settle-search")).status_code == 204
    assert (await hubspot.post(f"{CONTACTS}/search", json={})).json()["total"] == 1


async def test_token_settings_apply_to_new_tokens(hubspot: httpx.AsyncClient) -> None:
    settings = {"token_lifetime_seconds": 60, "rotate_refresh_tokens": True}
    assert (await hubspot.patch("/_emulator/settings", json=settings)).json().items() >= settings.items()
    refresh = {
        "grant_type": "refresh_token",
        "client_id": "demo-client-id",
        "client_secret": "demo-client-secret",
        "refresh_token": "demo-refresh-token",
    }
    token = (await hubspot.post("/oauth/2026-09/token", data=refresh)).json()
    assert token["expires_in"] == 60
    assert token["refresh_token"] != "demo-refresh-token"


async def test_concurrent_creates_never_duplicate_an_email(
    hubspot: httpx.AsyncClient, emulator: Emulator
) -> None:
    emulator.switches.latency_seconds = 0.001
    bodies = [{"properties": {"email": f"a{number % 10}@example.com"}} for number in range(50)]
    responses = await asyncio.gather(*(hubspot.post(CONTACTS, json=body) for body in bodies))
    assert sorted(response.status_code for response in responses) == [201] * 10 + [409] * 40
    assert len(emulator.records("contacts")) == 10
