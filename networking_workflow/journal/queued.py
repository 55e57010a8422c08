# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is on its way for one resource."""

import typing

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.model import states, workflows

_W = tables.workflows.c

_UNFINISHED = sorted(frozenset(states.WorkflowState) - states.TERMINAL)

#: Served by the index on (resource_id, state).
_SNAPSHOTS = sa.select(_W.snapshot).where(
    _W.resource_id == sa.bindparam("resource_id"),
    _W.state.in_(_UNFINISHED),
    _W.resource_type == sa.bindparam("resource_type"),
)


def snapshots(
    connection: sa.Connection, resource_type: str, resource_id: str
) -> list[workflows.Snapshot | None]:
    """Return the snapshots of a resource's workflows that are not over."""
    named: dict[str, typing.Any] = {"resource_type": resource_type, "resource_id": resource_id}
    return list(connection.scalars(_SNAPSHOTS, named))
