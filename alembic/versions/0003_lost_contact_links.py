"""Add lost contact links, and the generation of a session's access tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(sa.Column("contact_linked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("lost_contact_id", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("contact_lost_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("contact_lookup_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(batch_op.f("ix_users_lost_contact_id"), ["lost_contact_id"], unique=False)
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.add_column(sa.Column("generation", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("kept_token_id", sa.String(length=32), nullable=True))
    _restore_lost_ids()


def _restore_lost_ids() -> None:
    """Read the contacts of links that were lost before this migration from the audit log."""
    database = op.get_bind()
    users = sa.table("users", sa.column("id"), sa.column("contact_id"), sa.column("lost_contact_id"))
    entries = sa.table(
        "audit_entries", sa.column("at"), sa.column("event"), sa.column("user_id"), sa.column("detail")
    )
    lost = sa.select(entries.c.user_id, entries.c.detail).where(entries.c.event == "contact_link_lost")
    for user_id, detail in database.execute(lost.order_by(entries.c.at)).all():
        contact_id = (detail or "").removeprefix("was ").partition(",")[0]
        if contact_id.isdigit():
            restored = users.update().values(lost_contact_id=contact_id)
            database.execute(restored.where(users.c.id == user_id, users.c.contact_id.is_(None)))


def downgrade() -> None:
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.drop_column("kept_token_id")
        batch_op.drop_column("generation")
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_index(batch_op.f("ix_users_lost_contact_id"))
        batch_op.drop_column("contact_lookup_at")
        batch_op.drop_column("contact_lost_at")
        batch_op.drop_column("lost_contact_id")
        batch_op.drop_column("contact_linked_at")
