"""Add the contact's other properties to pending registrations."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("pending_registrations") as batch_op:
        batch_op.add_column(sa.Column("properties", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("pending_registrations") as batch_op:
        batch_op.drop_column("properties")
