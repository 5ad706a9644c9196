"""What the account operations share: who asked from where, the mails, and the operator's rules."""

from typing import Annotated

from fastapi import Depends, Request

from crm_api.dependencies.app_state import SettingsDep
from crm_api.dependencies.idempotency import LEASE_MARGIN_SECONDS
from crm_api.rate_limit import client_address
from crm_api.services.accounts.emails import Messages
from crm_api.services.accounts.registration import RegistrationRules
from crm_api.services.audit import Origin
from crm_api.services.contact_link import ContactLinkResolver


async def get_origin(request: Request) -> Origin:
    """Where the request came from, for the audit log; `user` once it is known who asks."""
    return Origin(
        actor="user" if getattr(request.state, "user_id", None) else "anonymous",
        # An IPv6 address may bear a zone of any length.
        address=client_address(request)[:45],
        request_id=request.state.request_id,
    )


async def get_messages(request: Request, settings: SettingsDep) -> Messages:
    """The mails that accounts need."""
    return Messages(settings.app_public_url, request.app.state.mail.send)


async def get_rules(settings: SettingsDep) -> RegistrationRules:
    """What the operator decides about registrations."""
    return RegistrationRules(
        open=settings.registration == "open",
        email_domains=frozenset(settings.registration_email_domains),
        role=settings.new_user_role,
        lease_seconds=settings.request_deadline_seconds + LEASE_MARGIN_SECONDS,
    )


async def get_contact_link_resolver(request: Request) -> ContactLinkResolver:
    """What re-resolves links that lead nowhere."""
    links: ContactLinkResolver = request.app.state.contact_links
    return links


OriginDep = Annotated[Origin, Depends(get_origin)]
MessagesDep = Annotated[Messages, Depends(get_messages)]
RulesDep = Annotated[RegistrationRules, Depends(get_rules)]
ContactLinkResolverDep = Annotated[ContactLinkResolver, Depends(get_contact_link_resolver)]
