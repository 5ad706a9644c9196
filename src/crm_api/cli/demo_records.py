"""Users, contacts, deals and tickets of the demo."""

from uuid import uuid4

from sqlalchemy import delete

from crm_api.bootstrap import account_rules, open_database, open_hubspot, record_fields
from crm_api.cli.demo_company import CUSTOMER_DEALS, DemoDeal, company_records
from crm_api.hubspot import HubSpotClient, NewAssociation
from crm_api.models import User
from crm_api.schemas.registration import Registration
from crm_api.security.passwords import Passwords
from crm_api.services.accounts.context import AccountContext
from crm_api.services.accounts.emails import Messages
from crm_api.services.accounts.profile import set_role
from crm_api.services.accounts.registration import register
from crm_api.services.audit import SYSTEM
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.idempotency import Attempt
from crm_api.services.link_resolver import ContactLinkResolver
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.record_versions import RecordVersions
from crm_api.settings import Settings

STAFF_EMAIL = "staff@example.com"
CUSTOMER_EMAIL = "customer@example.com"
PASSWORD = "demo-lighthouse-42"

_PEOPLE = {
    CUSTOMER_EMAIL: ("Carla", "Jensen", "+45 33 12 40 18"),
    STAFF_EMAIL: ("Sam", "Okafor", "+45 33 12 40 01"),
}


async def seed(settings: Settings) -> None:
    """Create the records in an empty HubSpot account, and one customer and one staff user."""
    async with open_hubspot(settings) as hubspot, open_database(settings) as session_factory:
        await provision(hubspot, TICKET_CATEGORIES)
        async with session_factory.begin() as database:
            # An interrupted earlier start may have created the users; the emulator was reset too.
            await database.execute(delete(User).where(User.email.in_([STAFF_EMAIL, CUSTOMER_EMAIL])))
        open_to_all = {"registration": "open", "registration_email_domains": [], "new_user_role": "customer"}
        context = AccountContext(
            session_factory=session_factory,
            passwords=Passwords(rounds=settings.bcrypt_rounds, workers=1),
            rules=account_rules(settings.model_copy(update=open_to_all)),
            messages=Messages(settings.app_public_url, lambda **_mail: None),
            links=ContactLinkResolver(session_factory),
            fields=record_fields(settings),
            versions=RecordVersions(session_factory.begin, is_enabled=False),
            delete_cached_reads=None,
            origin=SYSTEM,
        )
        for email, (first, last, phone) in _PEOPLE.items():
            registration = Registration(
                email=email, firstname=first, lastname=last, password=PASSWORD, phone=phone
            )
            attempt = Attempt(request_id=uuid4().hex)
            response = await register(context, hubspot, registration, attempt=attempt)
            if email == CUSTOMER_EMAIL and response.data.contact:
                await _create_deals(hubspot, response.data.contact.id, CUSTOMER_DEALS)
        await set_role(session_factory, STAFF_EMAIL, "staff")
        for contact, deals in company_records():
            created = await hubspot.contacts.create(contact)
            await _create_deals(hubspot, created.id, deals)


async def _create_deals(hubspot: HubSpotClient, contact_id: str, deals: list[DemoDeal]) -> None:
    # One after the other, so that the IDs are the same in every demo.
    contact = NewAssociation("contacts", contact_id)
    for properties, tickets in deals:
        deal = await hubspot.deals.create(properties, associations=[contact])
        for ticket in tickets:
            await hubspot.tickets.create(ticket, associations=[NewAssociation("deals", deal.id), contact])
