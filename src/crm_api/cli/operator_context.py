"""Contexts in which commands run the services of accounts and records on behalf of the operator."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial

import click

from crm_api.bootstrap import (
    account_rules,
    delete_shared_reads,
    open_database,
    open_hubspot,
    record_fields,
)
from crm_api.database import SessionFactory
from crm_api.hubspot import HubSpotClient, call_context
from crm_api.hubspot.errors import HubSpotScopeError
from crm_api.mail import MailQueue, SmtpServer
from crm_api.models import User
from crm_api.security.passwords import Passwords
from crm_api.services.accounts.context import AccountContext
from crm_api.services.accounts.emails import Messages, SendMail
from crm_api.services.audit import OPERATOR
from crm_api.services.hubspot_account.binding import AccountBinding
from crm_api.services.idempotency import LEASE_MARGIN_SECONDS
from crm_api.services.link_resolver import ContactLinkResolver
from crm_api.services.properties.pipelines import CustomerStages
from crm_api.services.properties.time_slices import TimeSlices
from crm_api.services.record_versions import RecordVersions
from crm_api.services.records.context import RecordContext
from crm_api.services.records.cursors import Cursors
from crm_api.settings import Settings

DEADLINE_SECONDS = 30.0


@asynccontextmanager
async def open_bound_hubspot(
    settings: Settings, session_factory: SessionFactory
) -> AsyncGenerator[HubSpotClient, None]:
    """Provide a HubSpot client and a deadline. Raises `ClickException` for the wrong HubSpot account."""
    async with open_hubspot(settings) as hubspot:
        with call_context(DEADLINE_SECONDS):
            binding = AccountBinding(session_factory, hubspot)
            with suppress(HubSpotScopeError):  # these credentials may not read the HubSpot account's ID
                await binding.bind()
            if binding.mismatch:
                raise click.ClickException(binding.mismatch)
            yield hubspot


def require_mail(settings: Settings) -> None:
    """Raise `ClickException` if no mail can be sent with these settings."""
    if settings.smtp_url is None:
        if settings.environment == "production":
            raise click.ClickException("SMTP_URL is not set, so no mail can be sent")
        return
    try:
        SmtpServer.of(settings.smtp_url.get_secret_value())
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@asynccontextmanager
async def open_mail(settings: Settings) -> AsyncGenerator[SendMail, None]:
    """Provide a function that queues mails, and send them at the end. Raises `ClickException` for a lost mail."""
    require_mail(settings)
    lost: list[str] = []
    queue = MailQueue(
        settings, flush_timeout_seconds=120.0, on_lost=lambda reason, count: lost.extend([reason] * count)
    )
    queue.start()
    try:
        yield queue.send
    finally:
        await queue.aclose()
    if lost:
        raise click.ClickException(
            "the mail was not sent; correct SMTP_URL or the address and run crm-api users resend"
        )


def account_context(
    settings: Settings, session_factory: SessionFactory, send: SendMail | None = None
) -> AccountContext:
    """Return the account context of a command; without `send`, it drops mails."""
    return AccountContext(
        session_factory=session_factory,
        passwords=Passwords(rounds=settings.bcrypt_rounds, workers=1),
        rules=account_rules(settings),
        messages=Messages(settings.app_public_url, send or (lambda **_mail: None)),
        links=ContactLinkResolver(session_factory),
        fields=record_fields(settings),
        versions=_versions(settings, session_factory),
        delete_cached_reads=partial(delete_shared_reads, settings),
        origin=OPERATOR,
    )


def _versions(settings: Settings, session_factory: SessionFactory) -> RecordVersions:
    return RecordVersions(session_factory.begin, is_enabled=settings.read_cache_seconds > 0)


@asynccontextmanager
async def open_records(settings: Settings, user: User) -> AsyncGenerator[RecordContext, None]:
    """Provide a record context with which the operator reads the records of a user."""
    async with (
        open_database(settings) as session_factory,
        open_bound_hubspot(settings, session_factory) as hubspot,
    ):
        yield RecordContext(
            user=user,
            hubspot=hubspot,
            session_factory=session_factory,
            fields=record_fields(settings),
            links=ContactLinkResolver(session_factory),
            cursors=Cursors(settings.secret_keys),
            # The operator sees the records in pipelines that are hidden from customers too.
            customer_stages=CustomerStages({}),
            customer_operations=settings.customer_operations,
            time_slices=TimeSlices(),
            versions=_versions(settings, session_factory),
            lease_seconds=settings.request_deadline_seconds + LEASE_MARGIN_SECONDS,
            origin=OPERATOR,
        )
