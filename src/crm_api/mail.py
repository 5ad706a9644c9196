"""Sends mail by SMTP, off the request: a failing server neither fails nor slows what the mail is about."""

import asyncio
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from crm_api.settings import Settings

logger = logging.getLogger(__name__)

MAXIMUM_WAITING = 1000
SENDERS = 2
SEND_TIMEOUT_SECONDS = 15.0
FLUSH_TIMEOUT_SECONDS = 10.0
# A server that asks for patience (4xx) or is away is tried again; what it refuses for good (5xx) is not.
RETRY_AFTER_SECONDS = (2.0, 20.0)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, as text and as HTML; its repr shows nobody's address and no link."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in."""

    host: str
    port: int
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    use_tls: bool
    """TLS from the first byte (`smtps://`)."""
    start_tls: bool | None
    """Whether STARTTLS is demanded; None takes it where the server offers it."""

    @classmethod
    def of(cls, url: str) -> "SmtpServer":
        """The server that `smtp://` or `smtps://` names; a password is never sent unencrypted over a network."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # its message may hold a piece of the password
            raise _malformed() from None
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise _malformed()
        secure = parts.scheme == "smtps"
        demanded = bool(parts.username) and parts.hostname not in _LOOPBACK
        return cls(
            host=parts.hostname,
            port=port or (465 if secure else 587),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=secure,
            start_tls=False if secure else (True if demanded else None),
        )


def _malformed() -> ValueError:
    return ValueError(
        "SMTP_URL: write smtp://user:password@host:587 or smtps://..., with special characters as %40 and the like"
    )


class MailQueue:
    """Takes mails at once and sends them in the background; bounded, flushed by `aclose`."""

    def __init__(
        self,
        settings: Settings,
        *,
        maximum_waiting: int = MAXIMUM_WAITING,
        send_timeout_seconds: float = SEND_TIMEOUT_SECONDS,
        flush_timeout_seconds: float = FLUSH_TIMEOUT_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
        self._server = SmtpServer.of(url) if url else None
        self._mail_from = settings.mail_from
        self._prints = settings.environment == "development"
        self._waiting: asyncio.Queue[Mail] = asyncio.Queue(maximum_waiting)
        self._send_timeout_seconds = send_timeout_seconds
        self._flush_timeout_seconds = flush_timeout_seconds
        self._sleep = sleep
        self._senders: list[asyncio.Task[None]] = []
        self._tls = ssl.create_default_context() if url else None

    def start(self) -> None:
        """Begin to send."""
        self._senders = [asyncio.create_task(self._send_all()) for _ in range(SENDERS)]

    def send(self, *, to: str, subject: str, text: str, html: str) -> None:
        """Take a mail and return at once; when too many wait, it is dropped and logged."""
        try:
            self._waiting.put_nowait(Mail(to=to, subject=subject, text=text, html=html))
        except asyncio.QueueFull:
            logger.error("a mail is dropped: %s are waiting already", self._waiting.qsize())

    async def flush(self) -> None:
        """Wait until every mail taken so far was sent or given up."""
        await self._waiting.join()

    async def aclose(self) -> None:
        """Send what waits, for some seconds, and stop."""
        try:
            async with asyncio.timeout(self._flush_timeout_seconds):
                await self.flush()
        except TimeoutError:
            logger.error("mails are lost: %s were waiting at the end", self._waiting.qsize())
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            mail = await self._waiting.get()
            try:
                await self._send(mail)
            except Exception as error:  # noqa: BLE001 - one mail must not end the sending of all others
                logger.error("a mail is given up: %s", type(error).__name__)
            finally:
                self._waiting.task_done()

    async def _send(self, mail: Mail) -> None:
        if self._server is None and not self._prints:
            # A link in a log would be a key for everybody who reads logs.
            logger.error("a mail is dropped: SMTP_URL is not set")
            return
        if self._server is None:
            # Development: the link is wanted on the terminal, whatever the log level; the address is not.
            sys.stdout.write(f"\n--- mail (no SMTP_URL is set): {mail.subject}\n{mail.text}\n---\n")
            sys.stdout.flush()
            return
        for attempt, wait_seconds in enumerate((*RETRY_AFTER_SECONDS, None), start=1):
            try:
                async with asyncio.timeout(self._send_timeout_seconds):
                    await self._hand_in(mail, self._server)
                return
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                # Neither the error's text nor the mail is logged: both hold the address.
                code = getattr(error, "code", None)
                logger.warning("smtp: %s code=%s attempt=%s", type(error).__name__, code, attempt)
                if wait_seconds is None or _is_final(error):
                    raise
            await self._sleep(wait_seconds)

    async def _hand_in(self, mail: Mail, server: SmtpServer) -> None:
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            tls_context=self._tls,
            timeout=self._send_timeout_seconds,
        )
        # Not as a context manager: that says QUIT to a server that hangs, and waits for it. Once a mail is taken, the
        # server answers for it, QUIT or not (RFC 5321, section 4.1.1.4).
        try:
            await client.connect()
            await client.send_message(build_message(mail, self._mail_from))
        finally:
            client.close()


def build_message(mail: Mail, mail_from: str) -> EmailMessage:
    """The mail as it is handed in: plain text, with HTML beside it."""
    name, address = parseaddr(mail_from)
    message = EmailMessage()
    message["From"] = Address(display_name=name, addr_spec=address)
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2] or None)
    message["Date"] = localtime()
    # RFC 3834: so that nobody's absence note answers.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _is_final(error: BaseException) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= 500 for refused in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 500
