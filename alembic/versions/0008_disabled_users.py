"""Allow users that the operator has disabled."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_users_status"), type_="check")
        batch_op.create_check_constraint(
            batch_op.f("ck_users_status"), "status IN ('registering', 'pending', 'active', 'disabled')"
        )


def downgrade() -> None:
    # Earlier versions refuse every request of a pending user, as this version does for a disabled one.
    op.execute(sa.text("UPDATE users SET status = 'pending' WHERE status = 'disabled'"))
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_users_status"), type_="check")
        batch_op.create_check_constraint(
            batch_op.f("ck_users_status"), "status IN ('registering', 'pending', 'active')"
        )
