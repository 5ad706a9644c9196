"""The service in a process: client addresses behind a proxy, and secrets in logs."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.mail import Mailbox, token_of
from tests.support.processes import Process, emulator_process, service_process

PROXY = "127.0.0.1"  # the client address of the tests
USER_AGENT = "PrivateBrowser/1.0"
LIMIT: dict[str, Any] = {"RATE_LIMIT_FAILED_LOGINS_PER_ADDRESS": "3 per 1 minute"}


async def guesses(service: Process, forwarded: list[str]) -> list[int]:
    """Return the statuses of failed logins for different users, one for each X-Forwarded-For value."""
    async with httpx.AsyncClient(base_url=service.url) as client:
        return [
            (
                await client.post(
                    "/api/login",
                    json={"email": f"user{number}@example.com", "password": "guess"},
                    headers={"X-Forwarded-For": addresses},
                )
            ).status_code
            for number, addresses in enumerate(forwarded)
        ]


@pytest.mark.parametrize("database_backend", ["sqlite"])
class TestForwardedFor:
    async def test_x_forwarded_for_is_ignored_by_default(self, database_url: str, tmp_path: Path) -> None:
        with service_process(
            tmp_path, database_url=database_url, hubspot_url="http://127.0.0.1:9", **LIMIT
        ) as service:
            statuses = await guesses(service, [f"203.0.113.{number}" for number in range(5)])
        assert statuses == [401] * 3 + [429] * 2

    async def test_only_address_added_by_trusted_proxy_counts(
        self, database_url: str, tmp_path: Path
    ) -> None:
        with service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url="http://127.0.0.1:9",
            FORWARDED_ALLOW_IPS=PROXY,
            **LIMIT,
        ) as service:
            # The proxy reports different callers.
            assert await guesses(service, [f"203.0.113.{number}" for number in range(5)]) == [401] * 5
            # One caller sends forged addresses, and the proxy appends the real one.
            forged = [f"198.51.100.{number}, 192.0.2.7" for number in range(5)]
            assert await guesses(service, forged) == [401] * 3 + [429] * 2

    async def test_x_forwarded_for_of_untrusted_proxy_is_ignored(
        self, database_url: str, tmp_path: Path
    ) -> None:
        with service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url="http://127.0.0.1:9",
            FORWARDED_ALLOW_IPS="10.0.0.1",
            **LIMIT,
        ) as service:
            statuses = await guesses(service, [f"203.0.113.{number}" for number in range(5)])
        assert statuses == [401] * 3 + [429] * 2


async def use_everything(service: Process, hubspot: Process, mailbox: Mailbox) -> list[str]:
    """Use every account operation with valid and invalid input. Return the secrets that occurred."""
    secrets = [PASSWORD, "another harbour at sea"]
    headers = {"User-Agent": USER_AGENT}
    async with httpx.AsyncClient(base_url=service.url, timeout=20, headers=headers) as client:

        async def mailed(number: int) -> str:
            async with asyncio.timeout(10):
                while len(mailbox.mails) < number:  # noqa: ASYNC110 - another thread receives the mails
                    await asyncio.sleep(0.02)
            return token_of(mailbox.mails[number - 1])

        await client.post("/api/register", json=registration_body())
        secrets.append(await mailed(1))
        body = {"token": secrets[-1], "password": PASSWORD}
        assert (await client.post("/api/email/verify", json=body | {"password": "wrong"})).status_code == 400
        assert (await client.post("/api/email/verify", json=body)).status_code == 200
        login = {"email": "ada@example.com", "password": PASSWORD}
        await client.post("/api/login", json=login | {"password": "wrong"})
        tokens = (await client.post("/api/login", json=login)).json()["data"]
        tokens = (
            await client.post("/api/token/refresh", json={"refresh_token": tokens["refresh_token"]})
        ).json()["data"]
        secrets += [tokens["access_token"], tokens["refresh_token"]]
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        deal = await client.post("/api/deals", json=deal_body(description="private words"))
        deal_id = deal.json()["data"]["id"]
        await client.post(f"/api/tickets/{deal_id}", json=ticket_body(subject="private words"))
        await client.get("/api/search", params={"q": "private words"})
        await client.patch("/api/me", json={"phone": "+44 20 7946 0999"})
        await client.patch("/api/me", json={"phone": "nonsense"})
        # HubSpot's error message repeats the rejected value.
        fault = {
            "method": "PATCH",
            "path": "/crm/objects/*",
            "status": 400,
            "body": {"message": "ada@example.com +44 20 7946 0018 private words"},
        }
        async with httpx.AsyncClient(base_url=hubspot.url) as control:
            assert (await control.post("/_emulator/faults", json=fault)).is_success
        assert (await client.patch("/api/me", json={"firstname": "Augusta"})).status_code == 502
        await client.get("/api/me/export")
        assert USER_AGENT in (await client.get("/api/me/sessions")).text
        await client.post("/api/login", content='{"email": "ada@example.com", "password": ')
        change = {"current_password": PASSWORD, "new_password": secrets[1]}
        assert (await client.post("/api/me/password", json=change)).status_code == 204
        await client.post("/api/password/forgot", json={"email": "ada@example.com"})
        # The SMTP server's error message contains the address.
        mailbox.replies = ["550 no mailbox ada@example.com here"]
        await client.post("/api/password/forgot", json={"email": "ada@example.com"})
        await client.delete("/api/me")
    return secrets


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_logs_contain_no_secret_email_or_phone(
    database_url: str, tmp_path: Path, mailbox: Mailbox, log_format: str
) -> None:
    with (
        emulator_process(tmp_path) as hubspot,
        service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url=hubspot.url,
            EMAIL_VERIFICATION="required",
            SMTP_URL=mailbox.url,
            LOG_LEVEL="DEBUG",
            LOG_FORMAT=log_format,
            SECRET_KEY="a-secret-key-that-must-not-be-logged-1",
            JWT_SECRET_KEY="a-secret-key-that-must-not-be-logged-2",
        ) as service,
    ):
        secrets = await use_everything(service, hubspot, mailbox)
        await asyncio.sleep(0.2)
        written = service.output
    assert "/api/me/export" in written
    assert '"level": "debug"' in written or "[debug" in written
    secrets += ["ada@example.com", "Lovelace", "private words", "test-access-token"]
    secrets += ["7946 0018", "7946 0999", "79460018"]
    secrets += ["a-secret-key-that-must-not-be-logged", "wrong", USER_AGENT]
    leaked = [secret for secret in secrets if secret in written]
    assert leaked == [], [line for line in written.splitlines() if any(text in line for text in leaked)][:5]
