# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The lane of each driver, so that none changes it with work queued

Revision ID: e83b5d60f2a9
Revises: d4a90e7c15b6
Create Date: 2026-11-27 12:00:00
"""

import typing

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "e83b5d60f2a9"
down_revision = "d4a90e7c15b6"

OPTIONS: dict[str, typing.Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "workflow_lanes",
        sa.Column("driver", text(64), primary_key=True),
        sa.Column("lane", text(32), nullable=False),
        **OPTIONS,
    )
