"""Pytest plugin: an SMTP server on loopback, and helpers for e-mail verification."""

import asyncio
import re
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.builders import PASSWORD, registration_body
from tests.support.callers import Caller
from tests.support.processes import free_port

from crm_api.settings import Settings

WAIT_SECONDS = 5.0


@dataclass
class Mailbox:
    """Mails that the SMTP server accepted. It refuses the first mails with `replies`, one reply for each mail."""

    url: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    attempts: int = 0
    accepting: threading.Event = field(default_factory=threading.Event)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.attempts += 1
        while not self.accepting.is_set():  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(0.01)
        if self.replies:
            return self.replies.pop(0)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def mails_to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"].addresses[0].addr_spec == address]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def token_of(mail: EmailMessage) -> str:
    """Return the token in the link of the mail."""
    match = re.search(r"#token=([A-Za-z0-9_-]+)", text_of(mail))
    assert match, text_of(mail)
    return match[1]


@pytest.fixture
def mailbox() -> Generator[Mailbox, None, None]:
    """Yield the mailbox of a running SMTP server."""
    mailbox = Mailbox()
    mailbox.accepting.set()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), ready_timeout=10)
    controller.start()
    mailbox.url = f"smtp://127.0.0.1:{controller.port}"
    yield mailbox
    mailbox.accepting.set()
    controller.stop()


def with_email_verification(settings: Settings, mailbox: Mailbox, **changes: Any) -> Settings:
    return settings.model_copy(
        update={
            "email_verification": "required",
            "smtp_url": SecretStr(mailbox.url),
            "app_public_url": "https://portal.example",
        }
        | changes
    )


async def wait_for_mail(app: FastAPI, mailbox: Mailbox, address: str) -> EmailMessage:
    """Wait until all queued mails are sent; return the latest to this address."""
    async with asyncio.timeout(WAIT_SECONDS):
        await app.state.mail.flush()
    return mailbox.mails_to(address)[-1]


async def verified_caller(app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, email: str) -> Caller:
    """Register, verify the e-mail address and log in."""
    response = await client.post("/api/register", json=registration_body(email=email))
    assert response.status_code == 202, response.text
    token = token_of(await wait_for_mail(app, mailbox, email))
    response = await client.post("/api/email/verify", json={"token": token, "password": PASSWORD})
    assert response.status_code == 200, response.text
    return await Caller.log_in(client, email, PASSWORD, contact_id=response.json()["data"]["contact"]["id"])
