# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Keys under which projects have made resources, so that a repeated call makes no others

Revision ID: d41c6e9a0b72
Revises: b7f3c2d91e58
Create Date: 2026-11-27 06:00:00
"""

import typing

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "d41c6e9a0b72"
down_revision = "b7f3c2d91e58"

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
        "workflow_idempotency_keys",
        sa.Column("project_id", text(255), primary_key=True),
        sa.Column("idempotency_key", text(255), primary_key=True),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column(
            "resource_ids",
            sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "resource_ids <> '[]'", name="ck_workflow_idempotency_keys_resource_ids"
        ),
        sa.Index("ix_workflow_idempotency_keys_created_at", "created_at"),
        **OPTIONS,
    )
