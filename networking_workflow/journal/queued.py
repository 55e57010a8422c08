# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is on its way for one resource."""

import dataclasses

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.model import states, workflows

_W = tables.workflows.c

_UNFINISHED = sorted(frozenset(states.WorkflowState) - states.TERMINAL)

#: Served by the index on (resource_id, state).
_OF_RESOURCE = (
    sa.select(_W.lane, _W.state, _W.snapshot)
    .where(
        _W.resource_id == sa.bindparam("resource_id"),
        _W.state.in_(_UNFINISHED),
        _W.resource_type == sa.bindparam("resource_type"),
    )
    .order_by(_W.gen)
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """One workflow that is not over."""

    lane: str
    snapshot: workflows.Snapshot | None
    is_claimed: bool  #: what it was to read of the database it may have read already


def of(connection: sa.Connection, resource_type: str, resource_id: str) -> list[Queued]:
    """Return a resource's workflows that are not over, those of one lane in their order."""
    named = {"resource_type": resource_type, "resource_id": resource_id}
    return [
        Queued(lane=lane, snapshot=snapshot, is_claimed=state in states.OWNED)
        for lane, state, snapshot in connection.execute(_OF_RESOURCE, named)
    ]
