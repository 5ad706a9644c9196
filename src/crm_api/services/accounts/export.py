"""Export of everything that the service stores about a user."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from crm_api.errors import ApiError
from crm_api.models import AuditEntry, Session
from crm_api.schemas.export import MAX_ENTRIES, AuditRecord, PersonalExport, SessionRecord
from crm_api.schemas.tickets import Ticket
from crm_api.services import audit
from crm_api.services.accounts.profile import profile_of
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_contact
from crm_api.services.records.nesting import with_own_tickets

Row = TypeVar("Row", AuditEntry, Session)
_ENDPOINT: Final = "export"


async def export_user(context: RecordContext, *, cursor: str | None) -> PersonalExport:
    """Return the caller's profile, sessions, audit entries, and their contact with its deals and tickets.

    Hashes of passwords and tokens are not included. Staff get only their own contact. Pages after the first one
    continue the sessions and audit entries only. Raises 400 `invalid_cursor`, and 503 if the contact has been missing
    for a short time only.
    """
    user = context.user
    position: dict[str, Any] = {}
    tickets: list[Ticket] = []
    record, contact, incomplete = None, None, False
    if cursor is not None:
        position = context.cursors.read(cursor, user.id, _ENDPOINT)
    else:
        try:
            record = await own_contact(context, associations=("deals", "tickets"))
        except ApiError:
            if not context.links.is_long_lost(user):
                raise
    if record is not None:
        contact, tickets, incomplete = await with_own_tickets(context, record)
    async with context.session_factory.begin() as database:
        if cursor is None:
            audit.record(database, "exported", user.id, origin=context.origin)
            await database.flush()
        sessions = await _rows(database, Session, Session.created_at, user.id, position.get("sessions"))
        entries = await _rows(database, AuditEntry, AuditEntry.at, user.id, position.get("audit"))
    next_cursor = None
    if len(sessions) > MAX_ENTRIES or len(entries) > MAX_ENTRIES:
        sessions, entries = sessions[:MAX_ENTRIES], entries[:MAX_ENTRIES]
        if sessions:
            position["sessions"] = [sessions[-1].created_at.isoformat(), str(sessions[-1].id)]
        if entries:
            position["audit"] = [entries[-1].at.isoformat(), str(entries[-1].id)]
        next_cursor = context.cursors.write(position, user.id, _ENDPOINT)
    # A full page takes some 20 ms.
    await context.time_slices.turn()
    return PersonalExport(
        profile=profile_of(user, context.customer_operations),
        registered_at=user.created_at,
        sessions=[SessionRecord.model_validate(session, from_attributes=True) for session in sessions],
        audit=[AuditRecord.model_validate(entry, from_attributes=True) for entry in entries],
        contact=contact,
        tickets=tickets,
        incomplete=incomplete,
        next_cursor=next_cursor,
    )


async def _rows(
    database: AsyncSession,
    table: type[Row],
    at: InstrumentedAttribute[datetime],
    user_id: UUID,
    after: tuple[str, str] | None,
) -> Sequence[Row]:
    """Return the user's rows after this time and ID, one more than fits on a page."""
    query = select(table).where(table.user_id == user_id).order_by(at, table.id).limit(MAX_ENTRIES + 1)
    if after is not None:
        query = query.where(tuple_(at, table.id) > (datetime.fromisoformat(after[0]), UUID(after[1])))
    return (await database.execute(query)).scalars().all()
