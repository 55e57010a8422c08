# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The journal's tables as Neutron's query functions want them: read-only, and only what is shown.

Snapshots, held keys and claims are not mapped: what no class has, no answer can carry.
"""

import typing

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext import associationproxy

from networking_workflow.journal import tables

#: The same table once more, for the workflows that another one names.
_OTHERS = tables.workflows.alias("others")


class Base(orm.DeclarativeBase):
    """Classes over the journal's own metadata."""

    metadata = tables.metadata


def _only(table: sa.FromClause, *names: str) -> dict[str, typing.Any]:
    """Return mapper arguments that map these columns of a table and no other."""
    return {"include_properties": [table.c[name] for name in names]}


class OtherWorkflow(Base):
    """A workflow that another one names: enough to tell whose it is and what it is about."""

    __table__ = _OTHERS
    __mapper_args__ = _only(_OTHERS, "id", "project_id", "resource_type", "resource_id")


class Workflow(Base):
    """One workflow; two joins tell whose the workflows are that it names."""

    __table__ = tables.workflows
    __tablename__ = tables.workflows.name  # Neutron's error texts want it
    __mapper_args__ = _only(
        tables.workflows,
        *("id", "lane", "project_id", "operation_id", "request_id", "resource_type"),
        *("resource_id", "operation", "initiator", "state", "blocked_by", "waits_for"),
        *("superseded_by", "attempts", "not_before", "failure_code", "failure_detail"),
        *("created_at", "started_at", "finished_at", "updated_at"),
    )
    workflow_state = orm.synonym("state")

    blocker = orm.relationship(
        OtherWorkflow,
        primaryjoin=orm.foreign(tables.workflows.c.blocked_by) == _OTHERS.c.id,
        viewonly=True,
        lazy="joined",
    )
    successor = orm.relationship(
        OtherWorkflow,
        primaryjoin=orm.foreign(tables.workflows.c.superseded_by) == _OTHERS.c.id,
        viewonly=True,
        lazy="joined",
    )
    tasks = orm.relationship(
        lambda: Task,
        primaryjoin=tables.workflows.c.id == orm.foreign(tables.tasks.c.workflow_id),
        viewonly=True,
        lazy="raise",
        uselist=True,
    )
    driver = associationproxy.association_proxy("tasks", "driver")  # filters: EXISTS
    task_state = associationproxy.association_proxy("tasks", "task_state")


class Task(Base):
    """One step of a workflow."""

    __table__ = tables.tasks
    __tablename__ = tables.tasks.name
    __mapper_args__ = _only(
        tables.tasks,
        *("id", "workflow_id", "project_id", "resource_type", "resource_id", "name", "driver"),
        *("task_state", "attempts", "failure_code", "failure_detail", "host"),
        *("created_at", "started_at", "finished_at", "updated_at"),
    )

    workflow = orm.relationship(
        Workflow,
        primaryjoin=orm.foreign(tables.tasks.c.workflow_id) == tables.workflows.c.id,
        viewonly=True,
        lazy="raise",
    )
    operation_id = associationproxy.association_proxy("workflow", "operation_id")
    workflow_state = associationproxy.association_proxy("workflow", "state")
