"""Known and unknown e-mail addresses cause the same response, queries, hashes and number of mails."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from tests.support.builders import PASSWORD, registration_body
from tests.support.mail import Mailbox, token_of, verified_caller, wait_for_mail, with_email_verification

from crm_api.security.passwords import Passwords
from crm_api.settings import Settings
from hubspot_emulator import Emulator

KNOWN, PENDING, UNKNOWN = "known@example.com", "pending@example.com", "unknown@example.com"


@pytest.fixture
def settings(settings: Settings, mailbox: Mailbox) -> Settings:
    return with_email_verification(settings, mailbox, rate_limit_enabled=False)


class CountingPasswords(Passwords):
    """Password pool that counts the hashes it computes."""

    def __init__(self, *, rounds: int, workers: int) -> None:
        super().__init__(rounds=rounds, workers=workers)
        # `for_caller` copies the pool, so the count must be an object that the copies share.
        self.hashes: Counter[str] = Counter()

    async def _run(self, work: Callable[[], Any]) -> Any:
        self.hashes["computed"] += 1
        return await super()._run(work)


@dataclass
class Observed:
    """Observable effects of one request."""

    status: int
    body: bytes
    headers: dict[str, str]
    statements: list[str] = field(default_factory=list)
    hashes: int = 0
    mails: int = 0
    hubspot: int = 0


@pytest.fixture
async def observe(
    app: FastAPI, client: httpx.AsyncClient, emulator: Emulator, mailbox: Mailbox
) -> AsyncGenerator[Callable[..., Awaitable[Observed]], None]:
    passwords = app.state.passwords = CountingPasswords(rounds=4, workers=1)
    statements: list[str] = []
    engine = app.state.session_factory.kw["bind"].sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)

    async def observe(
        path: str,
        body: dict[str, Any],
        *,
        form: bool = False,
        raw: bool = False,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Observed:
        statements.clear()
        passwords.hashes.clear()
        emulator.clear_requests()
        await app.state.mail.flush()
        mailbox.mails.clear()
        as_json = {"X-Request-ID": "the-same-every-time", "Content-Type": "application/json", **headers}
        if raw:
            response = await client.post(path, content=body["content"], headers=as_json | body["headers"])
        elif form:
            response = await client.post(path, data=body, headers={"X-Request-ID": "the-same-every-time"})
        else:
            # `json.dumps` escapes non-ASCII characters, so lone surrogates can be sent.
            response = await client.post(path, content=json.dumps(body), headers=as_json)
        await app.state.mail.flush()
        return Observed(
            response.status_code,
            response.content,
            dict(response.headers),
            list(statements),
            passwords.hashes["computed"],
            len(mailbox.mails),
            len(emulator.requests),
        )

    yield observe
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
async def addresses(app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    await verified_caller(app, client, mailbox, KNOWN)
    assert (await client.post("/api/register", json=registration_body(email=PENDING))).status_code == 202
    await wait_for_mail(app, mailbox, PENDING)


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize(
    ("path", "body", "mails", "hashes"),
    [
        ("/api/register", registration_body(), 1, 1),
        ("/api/login", {"password": "not the one"}, 0, 1),
        ("/api/email/verify/resend", {}, 1, 0),
        ("/api/password/forgot", {}, 1, 0),
    ],
    ids=["register", "login", "resend", "forgot"],
)
async def test_response_and_work_are_equal_for_known_and_unknown_email(
    observe: Callable[..., Awaitable[Observed]], path: str, body: dict[str, Any], mails: int, hashes: int
) -> None:
    seen = [await observe(path, body | {"email": email}) for email in (KNOWN, PENDING, UNKNOWN)]
    assert seen[0] == seen[1] == seen[2]
    assert (seen[0].mails, seen[0].hashes, seen[0].hubspot) == (mails, hashes, 0)


@pytest.mark.usefixtures("addresses")
async def test_guessed_idempotency_key_reveals_no_registration(
    observe: Callable[..., Awaitable[Observed]], client: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "1"}
    used = await client.post("/api/register", json=registration_body(email=PENDING), headers=headers)
    assert used.status_code == 202
    seen = []
    for email in (KNOWN, PENDING, UNKNOWN):
        guess = registration_body(email=email, password="the password of mallory")
        seen.append(await observe("/api/register", guess, headers=headers))
    assert seen[0] == seen[1] == seen[2]
    assert (seen[0].status, seen[0].mails) == (202, 1)


@pytest.mark.usefixtures("addresses")
async def test_token_form_responds_equally_to_known_and_unknown_email(
    observe: Callable[..., Awaitable[Observed]],
) -> None:
    seen = [
        await observe(
            "/api/token",
            {"grant_type": "password", "username": email, "password": "not the one"},
            form=True,
        )
        for email in (KNOWN, PENDING, UNKNOWN)
    ]
    assert seen[0] == seen[1] == seen[2]
    assert seen[0].hashes == 1


@pytest.mark.usefixtures("addresses")
async def test_unhashable_password_takes_equal_work_for_any_email(
    observe: Callable[..., Awaitable[Observed]], client: httpx.AsyncClient
) -> None:
    """A lone surrogate cannot be hashed, which must not make the response for known addresses faster."""
    seen = [
        await observe("/api/login", {"email": email, "password": "\ud800"})
        for email in (KNOWN, PENDING, UNKNOWN)
    ]
    assert seen[0] == seen[1] == seen[2]
    assert (seen[0].status, seen[0].hashes) == (400, 0)
    # A form's charset is chosen by the caller, so a form can send a surrogate to the password pool.
    forms = [await observe("/api/token", form_of(email), raw=True) for email in (KNOWN, PENDING, UNKNOWN)]
    assert forms[0] == forms[1] == forms[2]
    assert (forms[0].status, forms[0].hashes) == (400, 1)
    assert b"invalid_grant" in forms[0].body


def form_of(email: str) -> dict[str, Any]:
    fields = {"grant_type": "password", "username": email, "password": "+2AA-"}
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}' for name in fields]
    return {
        "content": "\r\n".join([*parts, "--x--", ""]).encode(),
        "headers": {"Content-Type": "multipart/form-data; boundary=x; charset=utf-7"},
    }


@pytest.mark.usefixtures("addresses")
async def test_unknown_mail_link_and_wrong_password_get_same_response(
    observe: Callable[..., Awaitable[Observed]],
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
) -> None:
    await client.post("/api/register", json=registration_body())
    token = token_of(await wait_for_mail(app, mailbox, "ada@example.com"))
    seen = [
        await observe("/api/email/verify", {"token": candidate, "password": "not the one"})
        for candidate in (token, "x" * 43)
    ]
    assert (seen[0].status, seen[0].body, seen[0].headers, seen[0].hashes) == (
        seen[1].status,
        seen[1].body,
        seen[1].headers,
        seen[1].hashes,
    )
    assert (seen[0].hashes, seen[0].hubspot) == (1, 0)


@pytest.mark.usefixtures("addresses")
async def test_login_before_verification_responds_as_for_unknown_email(
    observe: Callable[..., Awaitable[Observed]],
) -> None:
    """The password is the one of the pending registration."""
    right = await observe("/api/login", {"email": PENDING, "password": PASSWORD})
    assert right == await observe("/api/login", {"email": UNKNOWN, "password": PASSWORD})
    assert right.status == 401
