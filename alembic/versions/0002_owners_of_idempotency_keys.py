"""Add the owner of idempotency keys, so that they can be deleted with the user."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The owner of existing rows is unknown; they are valid for one day at most.
    op.execute("DELETE FROM idempotency_keys")
    with op.batch_alter_table("idempotency_keys") as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(length=64), nullable=False))
        batch_op.create_index(batch_op.f("ix_idempotency_keys_owner"), ["owner"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("idempotency_keys") as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_owner"))
        batch_op.drop_column("owner")
