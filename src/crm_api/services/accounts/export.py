"""Everything that is held about a user, for the user."""

from sqlalchemy import select

from crm_api.models import AuditEntry, Session
from crm_api.schemas.export import AuditRecord, PersonalExport, SessionRecord
from crm_api.services import audit
from crm_api.services.accounts.profile import profile
from crm_api.services.audit import Origin
from crm_api.services.properties.mapping import ticket_from_record
from crm_api.services.records.associations import deal_ids_of, ticket_ids_of
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_contact, read_records
from crm_api.services.records.nesting import with_deals_and_tickets


async def export(context: RecordContext, *, origin: Origin) -> PersonalExport:
    """The profile, sessions and audit entries, and the contact with its deals and tickets, as far as they are readable.

    Of staff it holds their own contact alone. Secrets (hashes of passwords and tokens) are not in it.
    """
    user = context.user
    record = await own_contact(context, associations=("deals", "tickets"))
    contact, tickets = None, []
    if record is not None:
        [contact] = await with_deals_and_tickets(context, [record])
        ticket_ids = await ticket_ids_of(context, record, await deal_ids_of(context, record))
        found = await read_records(context, "tickets", ticket_ids)
        tickets = [ticket_from_record(ticket, context.fields) for ticket in found]
    async with context.session_factory.begin() as database:
        audit.record(database, "exported", user.id, origin=origin)
        await database.flush()
        sessions = select(Session).where(Session.user_id == user.id).order_by(Session.created_at)
        entries = select(AuditEntry).where(AuditEntry.user_id == user.id).order_by(AuditEntry.at)
        return PersonalExport(
            profile=profile(user),
            registered_at=user.created_at,
            sessions=[
                SessionRecord(
                    created_at=each.created_at, expires_at=each.expires_at, revoked_at=each.revoked_at
                )
                for each in (await database.execute(sessions)).scalars()
            ],
            audit=[
                AuditRecord(
                    at=each.at,
                    event=each.event,
                    actor=each.actor,
                    address=each.address,
                    request_id=each.request_id,
                    detail=each.detail,
                )
                for each in (await database.execute(entries)).scalars()
            ],
            contact=contact,
            tickets=tickets,
        )
