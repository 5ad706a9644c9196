"""Mail by SMTP, sent in the background: a slow or failing server does not affect requests."""

import asyncio
import logging
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid, parseaddr
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

import aiosmtplib

from crm_api.settings import Settings

logger = logging.getLogger(__name__)

MailLoss = Literal["not_sent", "queue_full", "recipient_limit", "no_smtp", "shutdown"]
MAX_PENDING = 1000
MAX_PENDING_PER_RECIPIENT = 5
SENDERS = 2
SEND_TIMEOUT_SECONDS = 15.0
FLUSH_TIMEOUT_SECONDS = 10.0
# Temporary refusals (4xx) and an unreachable server are retried after these waits; permanent refusals (5xx) are not.
RETRY_WAIT_SECONDS = (2.0, 20.0)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, as text and as HTML. Its repr contains no address and no link."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The SMTP server that mail is sent to; the fields are parameters of `aiosmtplib.SMTP`."""

    hostname: str
    port: int
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    use_tls: bool
    """TLS from the first byte (`smtps://`)."""
    start_tls: bool | None
    """Whether STARTTLS is required; None uses it if the server offers it."""

    @classmethod
    def of(cls, url: str, *, require_tls: bool = False) -> "SmtpServer":
        """Return the server of an `smtp://` or `smtps://` URL.

        TLS is required with a password and with `require_tls`, except on loopback.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except Exception:  # noqa: BLE001 - of any kind, and its message may contain a part of the password
            raise _malformed() from None
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise _malformed()
        secure = parts.scheme == "smtps"
        needs_tls = (require_tls or bool(parts.username)) and parts.hostname not in _LOOPBACK
        return cls(
            hostname=parts.hostname,
            port=port or (465 if secure else 587),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=secure,
            start_tls=False if secure else needs_tls or None,
        )


def _malformed() -> ValueError:
    return ValueError(
        "SMTP_URL: write smtp://user:password@host:587 or smtps://..., with special characters percent-encoded"
    )


class MailQueue:
    """Bounded queue of mails that background tasks send; `aclose` flushes it."""

    def __init__(
        self,
        settings: Settings,
        *,
        max_pending: int = MAX_PENDING,
        send_timeout_seconds: float = SEND_TIMEOUT_SECONDS,
        flush_timeout_seconds: float = FLUSH_TIMEOUT_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_lost: Callable[[MailLoss, int], None] = lambda _reason, _count: None,
    ) -> None:
        url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
        is_production = settings.environment == "production"
        self._server = SmtpServer.of(url, require_tls=is_production) if url else None
        self._mail_from = settings.mail_from
        self._prints_mail = not is_production
        self._pending: asyncio.Queue[Mail] = asyncio.Queue(max_pending)
        self._pending_per_recipient: Counter[str] = Counter()
        self._send_timeout_seconds = send_timeout_seconds
        self._flush_timeout_seconds = flush_timeout_seconds
        self._sleep = sleep
        self._on_lost = on_lost
        # Prometheus sees an increase only if the counter existed before it.
        for reason in get_args(MailLoss):
            on_lost(reason, 0)
        self._senders: list[asyncio.Task[None]] = []
        self._tls = ssl.create_default_context() if url else None

    def start(self) -> None:
        """Start the background tasks."""
        self._senders = [asyncio.create_task(self._send_all()) for _ in range(SENDERS)]

    def send(self, *, to: str, subject: str, text: str, html: str) -> None:
        """Queue a mail. If the queue or the recipient's share of it is full, log an error and drop the mail."""
        if self._pending_per_recipient[to] >= MAX_PENDING_PER_RECIPIENT:
            logger.error("mail dropped, its recipient has %s pending mails", MAX_PENDING_PER_RECIPIENT)
            self._on_lost("recipient_limit", 1)
            return
        try:
            self._pending.put_nowait(Mail(to=to, subject=subject, text=text, html=html))
            self._pending_per_recipient[to] += 1
        except asyncio.QueueFull:
            logger.error("mail dropped, queue is full: pending=%s", self._pending.qsize())
            self._on_lost("queue_full", 1)

    async def flush(self) -> None:
        """Wait until every queued mail is sent or has failed."""
        await self._pending.join()

    async def aclose(self) -> None:
        """Send the pending mails until the flush timeout, then stop."""
        try:
            async with asyncio.timeout(self._flush_timeout_seconds):
                await self.flush()
        except TimeoutError:
            unsent = sum(self._pending_per_recipient.values())
            logger.error("mails lost at shutdown: pending=%s", unsent)
            self._on_lost("shutdown", unsent)
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            mail = await self._pending.get()
            try:
                await self._send(mail)
            except Exception as error:  # noqa: BLE001 - an error with one mail must not stop the others
                logger.error("mail not sent: %s", type(error).__name__)
                self._on_lost("not_sent", 1)
            finally:
                self._pending_per_recipient[mail.to] -= 1
                if not self._pending_per_recipient[mail.to]:
                    del self._pending_per_recipient[mail.to]
                self._pending.task_done()

    async def _send(self, mail: Mail) -> None:
        if self._server is None and not self._prints_mail:
            # The mail is not logged: its link would give readers of the log access to the account.
            logger.error("mail dropped, SMTP_URL is not set")
            self._on_lost("no_smtp", 1)
            return
        if self._server is None:
            # In development the terminal shows the link at every log level, but not the address.
            sys.stdout.write(f"\n--- mail (no SMTP_URL is set): {mail.subject}\n{mail.text}\n---\n")
            sys.stdout.flush()
            return
        for attempt, wait_seconds in enumerate((*RETRY_WAIT_SECONDS, None), start=1):
            try:
                async with asyncio.timeout(self._send_timeout_seconds):
                    await self._send_by_smtp(mail, self._server)
                return
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                # The error's text and the mail contain the address, so they are not logged.
                code = getattr(error, "code", None)
                logger.warning("smtp send failed: %s code=%s attempt=%s", type(error).__name__, code, attempt)
                if wait_seconds is None or _is_final(error):
                    raise
            await self._sleep(wait_seconds)

    async def _send_by_smtp(self, mail: Mail, server: SmtpServer) -> None:
        timeout = self._send_timeout_seconds
        client = aiosmtplib.SMTP(**asdict(server), tls_context=self._tls, timeout=timeout)
        # The client's context manager would send QUIT and wait for a server that does not respond. The server is
        # responsible for a mail that it has accepted, even without QUIT (RFC 5321, section 4.1.1.4).
        try:
            await client.connect()
            await client.send_message(build_message(mail, self._mail_from))
        finally:
            client.close()


def build_message(mail: Mail, mail_from: str) -> EmailMessage:
    """Return the message with plain text and HTML as alternatives."""
    name, address = parseaddr(mail_from)
    message = EmailMessage()
    message["From"] = Address(display_name=name, addr_spec=address)
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2] or None)
    message["Date"] = localtime()
    # RFC 3834: automatic replies such as absence notes are not sent to this mail.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _is_final(error: BaseException) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= 500 for refused in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 500
