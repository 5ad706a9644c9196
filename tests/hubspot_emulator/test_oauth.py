"""Tokens: issued, expired, rotated, revoked, and described."""

from typing import Any

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, caller
from tests.hubspot_emulator.test_limits import Clock

from hubspot_emulator import Emulator

TOKEN = "/oauth/2026-09/token"
CLIENT = {"client_id": "demo-client-id", "client_secret": "demo-client-secret"}
REFRESH = {**CLIENT, "grant_type": "refresh_token", "refresh_token": "demo-refresh-token"}
CONTACTS = "/crm/objects/2026-09/contacts"


@pytest.mark.parametrize("path", [TOKEN, "/oauth/2026-03/token", "/oauth/v3/token", "/oauth/v1/token"])
async def test_a_refresh_answers_in_snake_case(hubspot: httpx.AsyncClient, path: str) -> None:
    answer = await hubspot.post(path, data=REFRESH)
    assert answer.status_code == 200
    body = answer.json()
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
async def test_a_refusal_has_its_code_in_status(
    hubspot: httpx.AsyncClient, changes: dict[str, str], status: str
) -> None:
    answer = await hubspot.post(TOKEN, data=REFRESH | changes)
    assert (answer.status_code, answer.json()["status"]) == (400, status)
    assert set(answer.json()) == {"status", "message", "error", "error_description"}
    assert answer.headers["x-hubspot-correlation-id"]


async def test_an_expired_token_is_a_401_that_says_since_when(build: Build) -> None:
    clock = Clock()
    emulator = build(clock=clock, monotonic=clock.monotonic)
    async with caller(emulator) as hubspot:
        headers = {
            "Authorization": f"Bearer {(await hubspot.post(TOKEN, data=REFRESH)).json()['access_token']}"
        }
        clock.seconds = 1799
        assert (await hubspot.get(CONTACTS, headers=headers)).status_code == 200
        clock.seconds = 1875
        answer = await hubspot.get(CONTACTS, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["category"] == "EXPIRED_AUTHENTICATION"
        assert "expired 75 second(s) ago" in answer.json()["message"]
        assert answer.json()["context"] == {"expire time": ["2026-11-02T00:30:00.000Z"]}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}])
async def test_no_token_is_a_401(emulator: Emulator, headers: dict[str, str]) -> None:
    async with caller(emulator) as hubspot:
        del hubspot.headers["authorization"]
        answer = await hubspot.get(CONTACTS, headers=headers)
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


async def test_only_named_tokens_are_let_in_when_they_are_named(build: Build) -> None:
    emulator = build(access_tokens=["right"])
    for token, status in (("right", 200), ("wrong", 401)):
        async with caller(emulator, token) as hubspot:
            assert (await hubspot.get(CONTACTS)).status_code == status


async def test_a_rotated_refresh_token_is_dead(build: Build) -> None:
    async with caller(build(rotate_refresh_tokens=True)) as hubspot:
        successor = (await hubspot.post(TOKEN, data=REFRESH)).json()["refresh_token"]
        assert (await hubspot.post(TOKEN, data=REFRESH)).json()["status"] == "BAD_REFRESH_TOKEN"
        assert (await hubspot.post(TOKEN, data=REFRESH | {"refresh_token": successor})).status_code == 200


async def test_revoking_a_refresh_token_leaves_access_tokens_alive(hubspot: httpx.AsyncClient) -> None:
    access_token = (await hubspot.post(TOKEN, data=REFRESH)).json()["access_token"]

    async def described(token: str) -> dict[str, Any]:
        answer = await hubspot.post(f"{TOKEN}/introspect", data={**CLIENT, "token": token})
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    assert (await described("demo-refresh-token"))["token_use"] == "refresh_token"
    answer = await hubspot.post(f"{TOKEN}/revoke", data={**CLIENT, "token": "demo-refresh-token"})
    assert answer.status_code == 200
    assert await described("demo-refresh-token") == {"active": False}
    assert (await described(access_token))["expires_in"] > 0
    assert (await described("unknown")) == {"active": False}
    assert (await hubspot.post(TOKEN, data=REFRESH)).json()["status"] == "BAD_REFRESH_TOKEN"


async def test_the_older_routes_describe_tokens_in_their_own_shape(hubspot: httpx.AsyncClient) -> None:
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


async def test_account_details_name_the_portal(hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
    answer = await hubspot.get("/account-info/2026-09/details")
    assert answer.json()["portalId"] == emulator.portal_id
