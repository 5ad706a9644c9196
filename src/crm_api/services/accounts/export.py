"""Export of everything that the service stores about a user."""

from sqlalchemy import select

from crm_api.errors import ApiError
from crm_api.models import AuditEntry, Session
from crm_api.schemas.export import AuditRecord, PersonalExport, SessionRecord
from crm_api.schemas.tickets import Ticket
from crm_api.services import audit
from crm_api.services.accounts.profile import profile_of
from crm_api.services.properties.mapping import from_record
from crm_api.services.records.associations import deal_ids_of, ticket_ids_of
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_contact, read_records
from crm_api.services.records.nesting import with_deals_and_tickets


async def export_user(context: RecordContext) -> PersonalExport:
    """Return the caller's profile, sessions, audit entries, and their contact with its deals and tickets.

    Hashes of passwords and tokens are not included. Staff get only their own contact. Raises 503 if the contact has
    been missing for a short time only.
    """
    user = context.user
    try:
        record = await own_contact(context, associations=("deals", "tickets"))
    except ApiError:
        if not context.links.is_long_lost(user):
            raise
        record = None
    contact, tickets = None, []
    if record is not None:
        [contact] = await with_deals_and_tickets(context, [record])
        ticket_ids = await ticket_ids_of(context, record, await deal_ids_of(context, record))
        ticket_records = await read_records(context, "tickets", ticket_ids)
        tickets = [from_record(Ticket, ticket, context.fields) for ticket in ticket_records]
    async with context.session_factory.begin() as database:
        audit.record(database, "exported", user.id, origin=context.origin)
        await database.flush()
        sessions = select(Session).where(Session.user_id == user.id).order_by(Session.created_at)
        entries = select(AuditEntry).where(AuditEntry.user_id == user.id).order_by(AuditEntry.at)
        return PersonalExport(
            profile=profile_of(user),
            registered_at=user.created_at,
            sessions=[
                SessionRecord.model_validate(session, from_attributes=True)
                for session in (await database.execute(sessions)).scalars()
            ],
            audit=[
                AuditRecord.model_validate(entry, from_attributes=True)
                for entry in (await database.execute(entries)).scalars()
            ],
            contact=contact,
            tickets=tickets,
        )
