# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The journal's tables

Revision ID: 9c1f27a4d0b3
Revises: start_networking_workflow
Create Date: 2026-11-24 12:00:00
"""

import typing

import sqlalchemy as sa
from alembic import op
from neutron.db.migration import cli
from sqlalchemy.dialects import mysql, postgresql

revision = "9c1f27a4d0b3"
down_revision = "start_networking_workflow"
branch_labels = (cli.EXPAND_BRANCH,)

OPTIONS: dict[str, typing.Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

FAILURE_CODES = (
    "IN ('BACKEND_UNREACHABLE', 'BACKEND_BUSY', 'BACKEND_REFUSED', 'BACKEND_DIFFERS', "
    "'REFERENCE_MISSING', 'STILL_IN_USE', 'DRIVER_ERROR', 'CANCELLED')"
)
HOLDING = "state IN ('READY', 'WAITING', 'RUNNING', 'RETRYING', 'REVERTING')"
OWNED = "state IN ('RUNNING', 'REVERTING')"


def text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def moment() -> sa.types.TypeEngine[typing.Any]:
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def long_text() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def both_or_neither(left: str, right: str) -> str:
    return f"(({left}) AND ({right})) OR (NOT ({left}) AND NOT ({right}))"


def upgrade() -> None:
    """Make the tables, those that others refer to first."""
    workflows()
    keys()
    tasks()
    resources()
    conductors()


def workflows() -> None:
    op.create_table(
        "workflow_workflows",
        sa.Column("id", text(36), primary_key=True),
        sa.Column("lane", text(32), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("project_id", text(255), nullable=False),
        sa.Column("resource_type", text(64), nullable=False),
        sa.Column("resource_id", text(64), nullable=False),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("initiator", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("snapshot", long_text()),
        sa.Column("held_keys", long_text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("holding", sa.Boolean, nullable=False),
        sa.Column("blocked_by", text(36), sa.ForeignKey("workflow_workflows.id")),
        sa.Column("parked", sa.BigInteger, nullable=False),
        sa.Column("waits_for", text(140)),
        sa.Column("superseded_by", text(36)),
        sa.Column("owner", text(64)),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("fence_checks", sa.BigInteger, nullable=False),
        sa.Column("claim_token", text(36)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", moment()),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("gen", sa.BigInteger, nullable=False),
        sa.Column("failure_code", sa.String(32)),
        sa.Column("failure_detail", long_text()),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("started_at", moment()),
        sa.Column("finished_at", moment()),
        sa.Column("updated_at", moment(), nullable=False),
        sa.CheckConstraint(
            "state IN ('READY', 'WAITING', 'RUNNING', 'RETRYING', 'HELD', 'REVERTING', "
            "'REVERTED', 'SUCCESS', 'FAILED', 'SUPERSEDED', 'CANCELLED', 'SKIPPED')",
            name="ck_workflow_workflows_state",
        ),
        sa.CheckConstraint(
            "operation IN ('create', 'update', 'delete')", name="ck_workflow_workflows_operation"
        ),
        sa.CheckConstraint(
            "initiator IN ('api', 'agent', 'driver', 'verify', 'operator')",
            name="ck_workflow_workflows_initiator",
        ),
        sa.CheckConstraint(
            f"failure_code IS NULL OR failure_code {FAILURE_CODES}",
            name="ck_workflow_workflows_failure_code",
        ),
        sa.CheckConstraint(
            both_or_neither("holding", HOLDING), name="ck_workflow_workflows_holding"
        ),
        sa.CheckConstraint(
            both_or_neither("state = 'WAITING'", "blocked_by IS NOT NULL"),
            name="ck_workflow_workflows_blocked_by",
        ),
        sa.CheckConstraint(
            both_or_neither(OWNED, "owner IS NOT NULL"), name="ck_workflow_workflows_owner"
        ),
        sa.CheckConstraint(
            "state <> 'HELD' OR waits_for IS NOT NULL", name="ck_workflow_workflows_waits_for"
        ),
        **OPTIONS,
    )
    for name, columns in (
        ("ready", ("state", "project_id", "priority", "created_at", "id")),
        ("blocked_by", ("blocked_by",)),
        ("due", ("state", "not_before")),
        ("owner", ("owner",)),
        ("resource", ("resource_id", "state")),
        ("waits_for", ("waits_for",)),
        ("stranded", ("holding", "parked")),
        ("project", ("project_id", "created_at")),
    ):
        op.create_index(f"ix_workflow_workflows_{name}", "workflow_workflows", list(columns))


def keys() -> None:
    op.create_table(
        "workflow_keys",
        sa.Column("k", text(128), primary_key=True),
        sa.Column("gen", sa.BigInteger, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "workflow_holds",
        sa.Column("k", text(128), sa.ForeignKey("workflow_keys.k"), primary_key=True),
        sa.Column("mode", text(1), primary_key=True),
        sa.Column("gen", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "workflow_id", text(36), sa.ForeignKey("workflow_workflows.id"), primary_key=True
        ),
        sa.CheckConstraint("mode IN ('S', 'X')", name="ck_workflow_holds_mode"),
        **OPTIONS,
    )
    op.create_index("ix_workflow_holds_workflow_id", "workflow_holds", ["workflow_id"])
    op.create_table(
        "workflow_gates",
        sa.Column("k", text(128), primary_key=True),
        sa.Column("gen", sa.BigInteger, primary_key=True, autoincrement=False),
        **OPTIONS,
    )
    op.create_table(
        "workflow_touches",
        sa.Column("k", text(128), primary_key=True),
        sa.Column("gen", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("workflow_id", text(36), primary_key=True),
        sa.ForeignKeyConstraint(["k", "gen"], ["workflow_gates.k", "workflow_gates.gen"]),
        **OPTIONS,
    )


def tasks() -> None:
    op.create_table(
        "workflow_tasks",
        sa.Column("id", text(36), primary_key=True),
        sa.Column("workflow_id", text(36), sa.ForeignKey("workflow_workflows.id"), nullable=False),
        sa.Column("project_id", text(255), nullable=False),
        sa.Column("resource_type", text(64), nullable=False),
        sa.Column("resource_id", text(64), nullable=False),
        sa.Column("name", text(64), nullable=False),
        sa.Column("driver", text(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("task_state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("failure_code", sa.String(32)),
        sa.Column("failure_detail", long_text()),
        sa.Column("host", sa.String(255)),
        sa.Column("started_at", moment()),
        sa.Column("finished_at", moment()),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("updated_at", moment(), nullable=False),
        sa.CheckConstraint(
            "task_state IN ('PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'RETRYING', 'REVERTING', "
            "'REVERTED', 'SKIPPED')",
            name="ck_workflow_tasks_task_state",
        ),
        sa.CheckConstraint(
            f"failure_code IS NULL OR failure_code {FAILURE_CODES}",
            name="ck_workflow_tasks_failure_code",
        ),
        sa.UniqueConstraint("workflow_id", "name", name="uq_workflow_tasks_name"),
        **OPTIONS,
    )
    op.create_index("ix_workflow_tasks_resource", "workflow_tasks", ["resource_id", "task_state"])
    op.create_index("ix_workflow_tasks_project", "workflow_tasks", ["project_id", "created_at"])


def resources() -> None:
    op.create_table(
        "workflow_resource_sync",
        sa.Column("lane", text(32), primary_key=True),
        sa.Column("resource_type", text(64), primary_key=True),
        sa.Column("resource_id", text(64), primary_key=True),
        sa.Column("standard_attr_id", sa.BigInteger),
        sa.Column("project_id", text(255), nullable=False),
        sa.Column("sync_state", sa.String(16), nullable=False),
        sa.Column("sync_error", sa.String(32)),
        sa.Column("gen", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("workflow_id", text(36), nullable=False),
        sa.Column("updated_at", moment(), nullable=False),
        sa.CheckConstraint(
            "sync_state IN ('UNMANAGED', 'SYNCED', 'PENDING', 'DRIFTED', 'ERROR')",
            name="ck_workflow_resource_sync_sync_state",
        ),
        sa.CheckConstraint(
            f"sync_error IS NULL OR sync_error {FAILURE_CODES}",
            name="ck_workflow_resource_sync_sync_error",
        ),
        **OPTIONS,
    )
    for name, columns in (
        ("standard_attr_id", ["standard_attr_id"]),
        ("held", ["sync_state", "held"]),
    ):
        op.create_index(f"ix_workflow_resource_sync_{name}", "workflow_resource_sync", columns)
    op.create_table(
        "workflow_applied",
        sa.Column("driver", text(64), primary_key=True),
        sa.Column("resource_type", text(64), primary_key=True),
        sa.Column("resource_id", text(64), primary_key=True),
        sa.Column("body", long_text(), nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_workflow_applied_resource", "workflow_applied", ["resource_id"])


def conductors() -> None:
    op.create_table(
        "workflow_conductors",
        sa.Column("id", text(64), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("expires_at", moment(), nullable=False),
        sa.Column("started_at", moment(), nullable=False),
        sa.Column("updated_at", moment(), nullable=False),
        sa.CheckConstraint(
            "state IN ('ALIVE', 'LOST', 'STOPPED')", name="ck_workflow_conductors_state"
        ),
        **OPTIONS,
    )
    op.create_index("ix_workflow_conductors_lease", "workflow_conductors", ["state", "expires_at"])
