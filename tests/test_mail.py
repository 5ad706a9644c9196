"""The mail queue with a real SMTP server on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.mail import Mailbox, text_of

from crm_api.mail import Mail, MailQueue, SmtpServer, build_message
from crm_api.settings import Settings

MAIL = {"to": "ada@example.com", "subject": "Hello", "text": "Dear Ada — welcome\n", "html": "<p>welcome</p>"}


def queue_for(url: str | None, *, environment: str = "development", **options: Any) -> MailQueue:
    settings = Settings(
        _env_file=None,
        environment=environment,
        smtp_url=SecretStr(url) if url else None,
        mail_from="Portal <no-reply@portal.example>",
    )
    return MailQueue(settings, **options)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def sleep(waits: list[float]) -> Callable[[float], Awaitable[None]]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return sleep


async def test_mail_arrives_as_text_and_html(mailbox: Mailbox) -> None:
    queue = queue_for(mailbox.url)
    queue.start()
    queue.send(**MAIL)
    await queue.aclose()
    [mail] = mailbox.mails
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        "Hello",
        "Portal <no-reply@portal.example>",
        "ada@example.com",
    )
    assert text_of(mail) == MAIL["text"]
    html = mail.get_body(("html",))
    assert html is not None
    assert html.get_content().strip() == MAIL["html"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"]
    assert mail["Date"]


async def test_mail_queue_send_does_not_wait_for_smtp_server(mailbox: Mailbox) -> None:
    mailbox.accepting.clear()
    queue = queue_for(mailbox.url)
    queue.start()
    for number in range(50):
        queue.send(**MAIL | {"to": f"user{number}@example.com"})
    assert mailbox.mails == []
    mailbox.accepting.set()
    await queue.aclose()
    assert len(mailbox.mails) == 50


async def test_mail_queue_close_sends_pending_mails(mailbox: Mailbox) -> None:
    queue = queue_for(mailbox.url)
    queue.start()
    for number in range(20):
        queue.send(**MAIL | {"to": f"user{number}@example.com"})
    await queue.aclose()
    assert len(mailbox.mails) == 20


async def test_mail_queue_close_stops_at_flush_timeout(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.accepting.clear()
    queue = queue_for(mailbox.url, flush_timeout_seconds=0.2)
    queue.start()
    for _ in range(5):
        queue.send(**MAIL)
    async with asyncio.timeout(3):
        await queue.aclose()
    assert "mails lost at shutdown" in caplog.text


async def test_full_mail_queue_drops_further_mails(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    queue = queue_for(mailbox.url, max_pending=3)
    for _ in range(5):
        queue.send(**MAIL)
    assert caplog.text.count("mail dropped") == 2
    queue.start()
    await queue.aclose()
    assert len(mailbox.mails) == 3


async def test_one_recipient_cannot_fill_the_mail_queue(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    queue = queue_for(mailbox.url, max_pending=8)
    for _ in range(50):
        queue.send(**MAIL)
    queue.send(**MAIL | {"to": "other@example.com"})
    assert caplog.text.count("mail dropped") == 45
    assert "ada@example.com" not in caplog.text
    queue.start()
    await queue.flush()
    assert (len(mailbox.mails), len(mailbox.mails_to("other@example.com"))) == (6, 1)
    queue.send(**MAIL)  # accepted, because the earlier mails to this recipient were sent
    await queue.aclose()
    assert len(mailbox.mails) == 7
    assert not queue._pending_per_recipient


async def test_mail_refused_temporarily_is_sent_again(
    mailbox: Mailbox, waits: list[float], sleep: Callable[[float], Awaitable[None]]
) -> None:
    mailbox.replies = ["451 later", "421 later"]
    queue = queue_for(mailbox.url, sleep=sleep)
    queue.start()
    queue.send(**MAIL)
    await queue.aclose()
    assert (len(mailbox.mails), mailbox.attempts, waits) == (1, 3, [2.0, 20.0])


async def test_mail_refused_permanently_is_not_sent_again(
    mailbox: Mailbox, waits: list[float], sleep: Callable[[float], Awaitable[None]]
) -> None:
    mailbox.replies = ["550 no such mailbox"]
    queue = queue_for(mailbox.url, sleep=sleep)
    queue.start()
    queue.send(**MAIL)
    await queue.flush()
    queue.send(**MAIL)
    await queue.aclose()
    assert (len(mailbox.mails), mailbox.attempts, waits) == (1, 2, [])


async def test_unreachable_smtp_server_is_logged_without_address(
    sleep: Callable[[float], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    queue = queue_for("smtp://user:hidden@127.0.0.1:9", sleep=sleep)
    queue.start()
    queue.send(**MAIL)
    await queue.aclose()
    assert "mail not sent" in caplog.text
    assert "ada@example.com" not in caplog.text
    assert "hidden" not in caplog.text


async def test_sending_to_unresponsive_smtp_server_times_out(
    mailbox: Mailbox, sleep: Callable[[float], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.accepting.clear()
    queue = queue_for(mailbox.url, send_timeout_seconds=0.1, sleep=sleep)
    queue.start()
    queue.send(**MAIL)
    async with asyncio.timeout(5):
        await queue.flush()
    assert "mail not sent" in caplog.text
    await queue.aclose()


async def test_development_without_smtp_prints_link_without_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    queue = queue_for(None)
    queue.start()
    queue.send(**(MAIL | {"text": "http://localhost:4012/verify-email#token=abc"}))
    await queue.aclose()
    printed = capsys.readouterr().out
    assert "http://localhost:4012/verify-email#token=abc" in printed
    assert "ada@example.com" not in printed


async def test_production_without_smtp_logs_no_link(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A reader of the log could otherwise request a link and set a password for any user."""
    queue = queue_for(None, environment="production")
    queue.start()
    queue.send(**(MAIL | {"text": "http://localhost:4012/reset-password#token=abc"}))
    await queue.aclose()
    printed = capsys.readouterr().out + caplog.text
    assert "SMTP_URL is not set" in printed
    assert "abc" not in printed
    assert "ada@example.com" not in printed


async def test_every_lost_mail_is_reported_with_its_reason(
    mailbox: Mailbox, sleep: Callable[[float], Awaitable[None]]
) -> None:
    lost: list[tuple[str, int]] = []

    def queue(url: str | None, **options: Any) -> MailQueue:
        return queue_for(url, on_lost=lambda *facts: lost.append(facts), sleep=sleep, **options)

    async def reasons(queue: MailQueue, mails: int) -> list[tuple[str, int]]:
        lost.clear()
        for _ in range(mails):
            queue.send(**MAIL)
        queue.start()
        await queue.aclose()
        return list(lost)

    assert await reasons(queue(mailbox.url), 2) == []
    assert await reasons(queue(mailbox.url), 7) == [("recipient_limit", 1)] * 2
    assert await reasons(queue(mailbox.url, max_pending=3), 4) == [("queue_full", 1)]
    assert await reasons(queue("smtp://127.0.0.1:9"), 1) == [("not_sent", 1)]
    assert await reasons(queue(None, environment="production"), 1) == [("no_smtp", 1)]
    mailbox.accepting.clear()
    # Mails that are being sent are lost too.
    assert await reasons(queue(mailbox.url, flush_timeout_seconds=0.2), 4) == [("shutdown", 4)]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", ("mail.example", 587, None, None, False, None)),
        ("smtp://mail.example:25", ("mail.example", 25, None, None, False, None)),
        ("smtp://u%40x:p%3Aw@mail.example", ("mail.example", 587, "u@x", "p:w", False, True)),
        ("smtp://u:p@localhost:1025", ("localhost", 1025, "u", "p", False, None)),
        ("smtps://u:p@mail.example", ("mail.example", 465, "u", "p", True, False)),
    ],
)
def test_smtp_url_gives_server_port_login_and_tls(url: str, expected: tuple[Any, ...]) -> None:
    server = SmtpServer.of(url)
    assert (
        server.hostname,
        server.port,
        server.username,
        server.password,
        server.use_tls,
        server.start_tls,
    ) == expected
    assert "p%3Aw" not in repr(server)
    assert "p:w" not in repr(server)


@pytest.mark.parametrize(
    ("url", "start_tls"),
    [("smtp://mail.example:25", True), ("smtp://127.0.0.1:25", None), ("smtps://mail.example", False)],
)
def test_production_requires_smtp_tls_except_on_loopback(url: str, start_tls: bool | None) -> None:
    server = queue_for(url, environment="production")._server
    assert server is not None
    assert (server.start_tls, server.use_tls) == (start_tls, url.startswith("smtps"))


@pytest.mark.parametrize(
    "url",
    ["mail.example:25", "http://mail.example", "smtp://", "smtp://u:hid/den@mail.example", "smtp://[hidden"],
)
def test_invalid_smtp_url_is_rejected_without_its_text(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL") as refused:
        SmtpServer.of(url)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert "hid" not in str(refused.value)


def test_mail_address_with_line_break_is_rejected() -> None:
    mail = Mail(to="ada@example.com\r\nBcc: all@example.com", subject="x", text="x", html="x")
    with pytest.raises(ValueError):
        build_message(mail, "no-reply@portal.example")
    assert "ada" not in repr(mail)
