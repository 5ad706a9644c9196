"""Users, contacts, deals and tickets of the demo."""

import asyncio
import random
from uuid import uuid4

from sqlalchemy import delete

from crm_api.bootstrap import account_rules, open_database, open_hubspot, record_fields
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

_FIRST = ("Ada", "José", "Mary Ann", "Kofi", "Noor", "Zoë", "Liam", "Priya", "Søren", "Mei", "Tomás", "Ines")
_LAST = ("O'Brien", "Lovelace", "García", "Mensah", "Al-Farsi", "Nguyen")
_DEALS = (
    "Fleet renewal", "Website relaunch", "Annual support", "Warehouse scanners", "Training days", "Pilot project"
)  # fmt: skip
_TICKETS = (
    "Delivery is late", "Invoice shows the old address", "Login fails on the tablet", "Please call back",
    "Spare part needed",
)  # fmt: skip
_STAGES = (
    "appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent",
    "closedwon", "closedlost",
)  # fmt: skip
_CATEGORIES = ("GENERAL_INQUIRY", "PRODUCT_ISSUE", "BILLING_ISSUE")


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
            versions=RecordVersions(session_factory, is_enabled=False),
            read_cache=None,
            origin=SYSTEM,
        )
        people = {CUSTOMER_EMAIL: ("Carla", "Customer"), STAFF_EMAIL: ("Sam", "Staff")}
        contact_ids = []
        for email, (first, last) in people.items():
            registration = Registration(
                email=email, firstname=first, lastname=last, password=PASSWORD, phone="+1 555 010 0199"
            )
            attempt = Attempt(request_id=uuid4().hex)
            response = await register(context, hubspot, registration, attempt=attempt)
            if response.data.contact:
                contact_ids.append(response.data.contact.id)
        await set_role(session_factory, STAFF_EMAIL, "staff")
        contact_ids += await _create_contacts(hubspot)
        dice = random.Random(4012)
        for contact_id in contact_ids:
            count = 3 if contact_id == contact_ids[0] else dice.randint(0, 4)
            await _create_deals(hubspot, contact_id, dice, count)


async def _create_contacts(hubspot: HubSpotClient) -> list[str]:
    people = [(first, last) for first in _FIRST for last in _LAST[:3]]
    contacts = [
        {"email": f"person{number:02}@example.com", "phone": f"+1 555 010 {number:04}"}
        | {"firstname": first, "lastname": last}
        for number, (first, last) in enumerate(people, start=1)
    ]
    records = await asyncio.gather(*map(hubspot.contacts.create, contacts))
    return [record.id for record in records]


async def _create_deals(hubspot: HubSpotClient, contact_id: str, dice: random.Random, count: int) -> None:
    for _ in range(count):
        deal = await hubspot.deals.create(
            {
                "dealname": dice.choice(_DEALS),
                "dealstage": dice.choice(_STAGES),
                "pipeline": "default",
                "amount": str(dice.randint(5, 400) * 50),
                "closedate": f"2027-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}T00:00:00.000Z",
            },
            associations=[NewAssociation("contacts", contact_id)],
        )
        for _ in range(dice.randint(0, 3)):
            await hubspot.tickets.create(
                {
                    "subject": dice.choice(_TICKETS),
                    "content": "Created for the demo.",
                    "hs_pipeline": "0",
                    "hs_pipeline_stage": str(dice.randint(1, 4)),
                    "hs_ticket_priority": dice.choice(("LOW", "MEDIUM", "HIGH")),
                    "hs_ticket_category": dice.choice(_CATEGORIES),
                },
                associations=[NewAssociation("deals", deal.id), NewAssociation("contacts", contact_id)],
            )
