# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The journal's tables. What must hold in every row is a constraint here, not only code.

``journal/migration`` makes the same tables; a contract test compares the two.
"""

import enum
import typing

import sqlalchemy as sa

from networking_workflow.journal import types
from networking_workflow.model import failures, states

metadata = sa.MetaData()

#: For every table; the prefix is the name of the dialect, which depends on the URL's scheme.
OPTIONS: dict[str, typing.Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def one_of(column: str, values: typing.Iterable[enum.StrEnum]) -> str:
    """Return the SQL condition that ``column`` holds one of ``values``."""
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


def _enum_check(
    table: str, column: str, values: typing.Iterable[enum.StrEnum], *, nullable: bool = False
) -> sa.CheckConstraint:
    condition = one_of(column, values)
    if nullable:
        condition = f"{column} IS NULL OR {condition}"
    return sa.CheckConstraint(condition, name=f"ck_{table}_{column}")


def _both_or_neither(left: str, right: str) -> str:
    return f"(({left}) AND ({right})) OR (NOT ({left}) AND NOT ({right}))"


_HOLDING = one_of("state", (s for s in states.WorkflowState if s in states.HOLDING))
_OWNED = one_of("state", (s for s in states.WorkflowState if s in states.OWNED))

workflows = sa.Table(
    "workflow_workflows",
    metadata,
    sa.Column("id", types.identity(), primary_key=True),
    sa.Column("lane", types.ascii_text(32), nullable=False),
    sa.Column("operation_id", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("project_id", types.ascii_text(255), nullable=False),
    sa.Column("resource_type", types.ascii_text(64), nullable=False),
    sa.Column("resource_id", types.ascii_text(64), nullable=False),
    sa.Column("operation", sa.String(16), nullable=False),
    sa.Column("initiator", sa.String(16), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("snapshot", types.Json),
    sa.Column("held_keys", types.Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("holding", sa.Boolean, nullable=False),
    sa.Column("blocked_by", types.identity(), sa.ForeignKey("workflow_workflows.id")),
    sa.Column("parked", sa.BigInteger, nullable=False),
    sa.Column("waits_for", types.ascii_text(140)),
    sa.Column("superseded_by", types.identity()),
    sa.Column("owner", types.ascii_text(64)),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("fence_checks", sa.BigInteger, nullable=False),
    sa.Column("claim_token", types.identity()),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", types.moment()),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("gen", sa.BigInteger, nullable=False),
    sa.Column("failure_code", sa.String(32)),
    sa.Column("failure_detail", types.long_text()),
    sa.Column("created_at", types.moment(), nullable=False),
    sa.Column("started_at", types.moment()),
    sa.Column("finished_at", types.moment()),
    sa.Column("updated_at", types.moment(), nullable=False),
    _enum_check("workflow_workflows", "state", states.WorkflowState),
    _enum_check("workflow_workflows", "operation", states.Operation),
    _enum_check("workflow_workflows", "initiator", states.Initiator),
    _enum_check("workflow_workflows", "failure_code", failures.FailureCode, nullable=True),
    sa.CheckConstraint(_both_or_neither("holding", _HOLDING), name="ck_workflow_workflows_holding"),
    sa.CheckConstraint(
        _both_or_neither("state = 'WAITING'", "blocked_by IS NOT NULL"),
        name="ck_workflow_workflows_blocked_by",
    ),
    sa.CheckConstraint(
        _both_or_neither(_OWNED, "owner IS NOT NULL"), name="ck_workflow_workflows_owner"
    ),
    sa.CheckConstraint(
        "state <> 'HELD' OR waits_for IS NOT NULL", name="ck_workflow_workflows_waits_for"
    ),
    # The claim: next project, then its most urgent, then its oldest.
    sa.Index("ix_workflow_workflows_ready", "state", "project_id", "priority", "created_at", "id"),
    sa.Index("ix_workflow_workflows_blocked_by", "blocked_by"),
    sa.Index("ix_workflow_workflows_due", "state", "not_before"),
    sa.Index("ix_workflow_workflows_owner", "owner"),
    sa.Index("ix_workflow_workflows_resource", "resource_id", "state"),
    sa.Index("ix_workflow_workflows_waits_for", "waits_for"),
    # Wake-ups that a crash interrupted: holds nothing any more, but somebody is parked on it.
    sa.Index("ix_workflow_workflows_stranded", "holding", "parked"),
    sa.Index("ix_workflow_workflows_project", "project_id", "created_at"),
    sa.Index("ix_workflow_workflows_finished", "finished_at"),
    # Lists of administrators: the newest first, and what changed since a time.
    sa.Index("ix_workflow_workflows_created", "created_at", "id"),
    sa.Index("ix_workflow_workflows_updated", "updated_at"),
    **OPTIONS,
)

#: One row per resource ever worked on; ``gen`` counts the exclusive takes.
keys = sa.Table(
    "workflow_keys",
    metadata,
    sa.Column("k", types.key(), primary_key=True),
    sa.Column("gen", sa.BigInteger, nullable=False),
    **OPTIONS,
)

#: One row per key of a workflow that is ``holding``.
holds = sa.Table(
    "workflow_holds",
    metadata,
    sa.Column("k", types.key(), sa.ForeignKey("workflow_keys.k"), primary_key=True),
    sa.Column("mode", types.ascii_text(1), primary_key=True),
    sa.Column("gen", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column(
        "workflow_id",
        types.identity(),
        sa.ForeignKey("workflow_workflows.id"),
        primary_key=True,
    ),
    sa.CheckConstraint("mode IN ('S', 'X')", name="ck_workflow_holds_mode"),
    sa.Index("ix_workflow_holds_workflow_id", "workflow_id"),
    **OPTIONS,
)

#: Galera only: what an exclusive take deletes and inserts, so that certification sees it.
gates = sa.Table(
    "workflow_gates",
    metadata,
    sa.Column("k", types.key(), primary_key=True),
    sa.Column("gen", sa.BigInteger, primary_key=True, autoincrement=False),
    **OPTIONS,
)

#: Galera only: what a shared take inserts and deletes again; empty after every commit.
touches = sa.Table(
    "workflow_touches",
    metadata,
    sa.Column("k", types.key(), primary_key=True),
    sa.Column("gen", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("workflow_id", types.identity(), primary_key=True),
    sa.ForeignKeyConstraint(["k", "gen"], ["workflow_gates.k", "workflow_gates.gen"]),
    **OPTIONS,
)

tasks = sa.Table(
    "workflow_tasks",
    metadata,
    sa.Column("id", types.identity(), primary_key=True),
    sa.Column(
        "workflow_id", types.identity(), sa.ForeignKey("workflow_workflows.id"), nullable=False
    ),
    sa.Column("project_id", types.ascii_text(255), nullable=False),
    sa.Column("resource_type", types.ascii_text(64), nullable=False),
    sa.Column("resource_id", types.ascii_text(64), nullable=False),
    sa.Column("name", types.ascii_text(64), nullable=False),
    sa.Column("driver", types.ascii_text(64), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("task_state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("failure_code", sa.String(32)),
    sa.Column("failure_detail", types.long_text()),
    sa.Column("host", sa.String(255)),
    sa.Column("started_at", types.moment()),
    sa.Column("finished_at", types.moment()),
    sa.Column("created_at", types.moment(), nullable=False),
    sa.Column("updated_at", types.moment(), nullable=False),
    _enum_check("workflow_tasks", "task_state", states.TaskState),
    _enum_check("workflow_tasks", "failure_code", failures.FailureCode, nullable=True),
    sa.UniqueConstraint("workflow_id", "name", name="uq_workflow_tasks_name"),
    sa.Index("ix_workflow_tasks_resource", "resource_id", "task_state"),
    sa.Index("ix_workflow_tasks_project", "project_id", "created_at"),
    # As of workflows.
    sa.Index("ix_workflow_tasks_created", "created_at", "id"),
    sa.Index("ix_workflow_tasks_updated", "updated_at"),
    **OPTIONS,
)

#: Whether the backends hold what the database says, per resource.
resource_sync = sa.Table(
    "workflow_resource_sync",
    metadata,
    sa.Column("lane", types.ascii_text(32), primary_key=True),
    sa.Column("resource_type", types.ascii_text(64), primary_key=True),
    sa.Column("resource_id", types.ascii_text(64), primary_key=True),
    # No foreign key: a delete's workflow goes on when the row is gone.
    sa.Column("standard_attr_id", sa.BigInteger),
    sa.Column("project_id", types.ascii_text(255), nullable=False),
    sa.Column("sync_state", sa.String(16), nullable=False),
    sa.Column("sync_error", sa.String(32)),
    sa.Column("gen", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sa.Column("workflow_id", types.identity(), nullable=False),
    sa.Column("updated_at", types.moment(), nullable=False),
    _enum_check("workflow_resource_sync", "sync_state", states.SyncState),
    _enum_check("workflow_resource_sync", "sync_error", failures.FailureCode, nullable=True),
    sa.Index("ix_workflow_resource_sync_standard_attr_id", "standard_attr_id"),
    # HELD ones whose resource has come while a crash kept them from being told.
    sa.Index("ix_workflow_resource_sync_held", "sync_state", "held"),
    **OPTIONS,
)

#: What a driver's last successful task of a resource returned.
applied = sa.Table(
    "workflow_applied",
    metadata,
    sa.Column("driver", types.ascii_text(64), primary_key=True),
    sa.Column("resource_type", types.ascii_text(64), primary_key=True),
    sa.Column("resource_id", types.ascii_text(64), primary_key=True),
    sa.Column("body", types.Json, nullable=False),
    sa.Index("ix_workflow_applied_resource", "resource_id"),
    **OPTIONS,
)

#: The lane of each driver (``lanes``).
lanes = sa.Table(
    "workflow_lanes",
    metadata,
    sa.Column("driver", types.ascii_text(64), primary_key=True),
    sa.Column("lane", types.ascii_text(32), nullable=False),
    **OPTIONS,
)

conductors = sa.Table(
    "workflow_conductors",
    metadata,
    sa.Column("id", types.ascii_text(64), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("expires_at", types.moment(), nullable=False),
    sa.Column("started_at", types.moment(), nullable=False),
    sa.Column("updated_at", types.moment(), nullable=False),
    _enum_check("workflow_conductors", "state", states.ConductorState),
    sa.Index("ix_workflow_conductors_lease", "state", "expires_at"),
    **OPTIONS,
)

#: Under which key of a project a POST has made which resources: committed with them or not at all.
idempotency_keys = sa.Table(
    "workflow_idempotency_keys",
    metadata,
    sa.Column("project_id", types.ascii_text(255), primary_key=True),
    sa.Column("idempotency_key", types.ascii_text(255), primary_key=True),
    sa.Column("fingerprint", types.ascii_text(64), nullable=False),
    sa.Column("operation_id", sa.String(64), nullable=False),
    sa.Column("resource_ids", types.Json, nullable=False),
    sa.Column("created_at", types.moment(), nullable=False),
    sa.CheckConstraint("resource_ids <> '[]'", name="ck_workflow_idempotency_keys_resource_ids"),
    sa.Index("ix_workflow_idempotency_keys_created_at", "created_at"),
    **OPTIONS,
)
