"""Effects of a changed SECRET_KEY and JWT_SECRET_KEY, as docs/upgrade-and-backup.md lists them."""

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.builders import PASSWORD, deal_body
from tests.support.callers import Caller, app_client
from tests.support.mail import Mailbox, token_of, wait_for_mail, with_email_verification
from tests.support.records import create_deal_as

from crm_api.settings import Settings
from hubspot_emulator import Emulator

pytestmark = pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
SECRET_KEY = {"secret_key": SecretStr("another signing secret of 41 characters!!")}
JWT_SECRET_KEY = {"jwt_secret_key": SecretStr("another token secret with 40 characters!")}


@pytest.fixture
def settings(settings: Settings, mailbox: Mailbox) -> Settings:
    return with_email_verification(settings, mailbox, email_verification="off")


async def refresh(client: httpx.AsyncClient, caller: Caller) -> int:
    body = {"refresh_token": caller.tokens["refresh_token"]}
    return (await client.post("/api/token/refresh", json=body)).status_code


async def test_changed_jwt_key_ends_access_tokens_only(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    async with app_client(settings.model_copy(update=JWT_SECRET_KEY), emulator) as client:
        changed = replace(customer, client=client)
        assert (await changed.get("/api/me")).status_code == 401
        assert await refresh(client, customer) == 200


async def test_changed_secret_key_keeps_logins_and_mail_links(
    customer: Caller, settings: Settings, emulator: Emulator, app: FastAPI, mailbox: Mailbox
) -> None:
    sent = await customer.client.post("/api/password/forgot", json={"email": customer.email})
    assert sent.status_code == 202
    link = token_of(await wait_for_mail(app, mailbox, customer.email))
    async with app_client(settings.model_copy(update=SECRET_KEY), emulator) as client:
        changed = replace(customer, client=client)
        assert (await changed.get("/api/me")).status_code == 200
        assert await refresh(client, customer) == 200
        body = {"token": link, "password": f"{PASSWORD} changed"}
        assert (await client.post("/api/password/reset", json=body)).status_code == 204


async def test_changed_secret_key_ends_cursors_and_idempotency_keys(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    key = {"Idempotency-Key": "one-deal"}
    first = await customer.post("/api/deals", deal_body(), headers=key)
    await create_deal_as(customer)
    cursor = (await customer.get("/api/deals?limit=1")).json()["data"]["next_cursor"]
    assert await refresh(customer.client, customer) == 200
    async with app_client(settings.model_copy(update=SECRET_KEY), emulator) as client:
        changed = replace(customer, client=client)
        page = await changed.get("/api/deals", params={"limit": 1, "cursor": cursor})
        assert page.json()["code"] == "invalid_cursor"
        second = await changed.post("/api/deals", deal_body(), headers=key)
        assert second.status_code == 201
        assert second.json()["data"]["id"] != first.json()["data"]["id"]
        # A second tab that refreshes at the same time as the first gets no successor, and the session stays.
        assert await refresh(client, customer) == 401
        assert (await changed.get("/api/me")).status_code == 200
