"""OAuth tokens: issue, expiry, rotation, revocation, introspection."""

from typing import Any

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, ManualClock, hubspot_client

from hubspot_emulator import Emulator

TOKEN = "/oauth/2026-09/token"
CLIENT = {"client_id": "demo-client-id", "client_secret": "demo-client-secret"}
REFRESH = {**CLIENT, "grant_type": "refresh_token", "refresh_token": "demo-refresh-token"}
CONTACTS = "/crm/objects/2026-09/contacts"


@pytest.mark.parametrize("path", [TOKEN, "/oauth/2026-03/token", "/oauth/v3/token", "/oauth/v1/token"])
async def test_refresh_grant_returns_token_in_each_api_version(hubspot: httpx.AsyncClient, path: str) -> None:
    response = await hubspot.post(path, data=REFRESH)
    assert response.status_code == 200
    body = response.json()
    assert (body["refresh_token"], body["expires_in"], body["token_type"]) == (
        "demo-refresh-token",
        1800,
        "bearer",
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"refresh_token": "dead"}, "BAD_REFRESH_TOKEN"),
        ({"client_id": "other"}, "BAD_CLIENT_ID"),
        ({"client_secret": "other"}, "BAD_CLIENT_SECRET"),
        ({"grant_type": "authorization_code"}, "BAD_AUTH_CODE"),
        ({"grant_type": "magic"}, "BAD_GRANT_TYPE"),
    ],
)
async def test_token_error_has_its_code_in_the_status_member(
    hubspot: httpx.AsyncClient, changes: dict[str, str], status: str
) -> None:
    response = await hubspot.post(TOKEN, data=REFRESH | changes)
    assert (response.status_code, response.json()["status"]) == (400, status)
    assert set(response.json()) == {"status", "message", "error", "error_description"}
    assert response.headers["x-hubspot-correlation-id"]


async def test_expired_token_returns_401_with_expiry(build: Build) -> None:
    clock = ManualClock()
    emulator = build(clock=clock, monotonic=clock.monotonic)
    async with hubspot_client(emulator) as hubspot:
        headers = {
            "Authorization": f"Bearer {(await hubspot.post(TOKEN, data=REFRESH)).json()['access_token']}"
        }
        clock.seconds = 1799
        assert (await hubspot.get(CONTACTS, headers=headers)).status_code == 200
        clock.seconds = 1875
        response = await hubspot.get(CONTACTS, headers=headers)
        assert response.status_code == 401
        assert response.json()["category"] == "EXPIRED_AUTHENTICATION"
        assert "expired 75 second(s) ago" in response.json()["message"]
        assert response.json()["context"] == {"expire time": ["2026-11-02T00:30:00.000Z"]}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}])
async def test_request_without_access_token_returns_401(emulator: Emulator, headers: dict[str, str]) -> None:
    async with hubspot_client(emulator) as hubspot:
        del hubspot.headers["authorization"]
        response = await hubspot.get(CONTACTS, headers=headers)
    assert (response.status_code, response.json()["category"]) == (401, "INVALID_AUTHENTICATION")


async def test_token_not_in_the_access_tokens_setting_returns_401(build: Build) -> None:
    emulator = build(access_tokens=["right"])
    for token, status in (("right", 200), ("wrong", 401)):
        async with hubspot_client(emulator, token) as hubspot:
            assert (await hubspot.get(CONTACTS)).status_code == status


async def test_old_refresh_token_is_refused_after_rotation(build: Build) -> None:
    async with hubspot_client(build(rotate_refresh_tokens=True)) as hubspot:
        successor = (await hubspot.post(TOKEN, data=REFRESH)).json()["refresh_token"]
        assert (await hubspot.post(TOKEN, data=REFRESH)).json()["status"] == "BAD_REFRESH_TOKEN"
        assert (await hubspot.post(TOKEN, data=REFRESH | {"refresh_token": successor})).status_code == 200


async def test_revoked_refresh_token_keeps_access_tokens_valid(hubspot: httpx.AsyncClient) -> None:
    access_token = (await hubspot.post(TOKEN, data=REFRESH)).json()["access_token"]

    async def introspect(token: str) -> dict[str, Any]:
        response = await hubspot.post(f"{TOKEN}/introspect", data={**CLIENT, "token": token})
        assert response.status_code == 200
        found: dict[str, Any] = response.json()
        return found

    assert (await introspect("demo-refresh-token"))["token_use"] == "refresh_token"
    response = await hubspot.post(f"{TOKEN}/revoke", data={**CLIENT, "token": "demo-refresh-token"})
    assert response.status_code == 200
    assert await introspect("demo-refresh-token") == {"active": False}
    assert (await introspect(access_token))["expires_in"] > 0
    assert (await introspect("unknown")) == {"active": False}
    assert (await hubspot.post(TOKEN, data=REFRESH)).json()["status"] == "BAD_REFRESH_TOKEN"


async def test_v1_token_information_has_hubspots_members(hubspot: httpx.AsyncClient) -> None:
    access_token = (await hubspot.post("/oauth/v1/token", data=REFRESH)).json()["access_token"]
    access = (await hubspot.get(f"/oauth/v1/access-tokens/{access_token}")).json()
    refresh = (await hubspot.get("/oauth/v1/refresh-tokens/demo-refresh-token")).json()
    common = {"token", "user", "hub_domain", "scopes", "hub_id", "user_id", "token_type"}
    assert set(access) == common | {"app_id", "expires_in"}
    assert set(refresh) == common | {"client_id"}
    assert (access["token_type"], refresh["token_type"]) == ("access", "refresh")
    assert (await hubspot.delete("/oauth/v1/refresh-tokens/demo-refresh-token")).status_code == 204
    assert (await hubspot.get("/oauth/v1/refresh-tokens/demo-refresh-token")).status_code == 404
    assert (await hubspot.post("/oauth/v4/token", data=REFRESH)).status_code == 404


async def test_account_details_have_portal_id(hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
    response = await hubspot.get("/account-info/2026-09/details")
    assert response.json()["portalId"] == emulator.portal_id
