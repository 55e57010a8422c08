# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Undoing what an operation changed: whether it still may be, and that it was."""

import collections.abc
import dataclasses

import sqlalchemy as sa

from networking_workflow.journal import clock, tables
from networking_workflow.model import keys as model_keys
from networking_workflow.model.states import WorkflowState

_K, _W = tables.keys.c, tables.workflows.c

_LOCK = sa.select(_K.k).where(_K.k == sa.bindparam("own_k")).with_for_update()

_LATER = (
    sa.select(_W.id, _W.project_id)
    .where(
        _W.lane == sa.bindparam("lane"),
        _W.resource_type == sa.bindparam("resource_type"),
        _W.resource_id == sa.bindparam("resource_id"),
        _W.gen > sa.bindparam("own_gen"),
        _W.operation_id != sa.bindparam("operation"),
    )
    .order_by(_W.gen)
)

_REVERTED = (
    sa.update(tables.workflows)
    .where(
        _W.id.in_(sa.bindparam("ids", expanding=True)),
        _W.state == WorkflowState.FAILED,
    )
    .values(state=WorkflowState.REVERTED, updated_at=clock.now())
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """A workflow that changes what another operation has changed before."""

    workflow_id: str
    project_id: str


def later_change(
    connection: sa.Connection,
    gens: collections.abc.Mapping[str, int],
    operation_id: str,
    workflow_ids: collections.abc.Container[str],
) -> Later | None:
    """Return the workflow of another operation that changes one of the same resources later.

    Locks the keys until COMMIT: no such change can come meanwhile. All of them before the first is
    looked at, which must be the transaction's first plain read: who waits for a key is to see what
    was committed meanwhile. On Galera a change at another node can come, and then the commit fails,
    since both write the key.

    :param gens: own key of each workflow of the operation -> its generation when it was recorded.
    :param workflow_ids: those of the operation; some may have been recorded under another id of it.
    """
    keys = model_keys.strongest((key, model_keys.Mode.EXCLUSIVE) for key in gens)
    for text in keys:
        connection.execute(_LOCK, {"own_k": text})
    for text in keys:
        values = {
            **model_keys.Key.parse(text)._asdict(),
            "own_gen": gens[text],
            "operation": operation_id,
        }
        for row in connection.execute(_LATER, values):
            if row.id not in workflow_ids:
                return Later(workflow_id=row.id, project_id=row.project_id)
    return None


def reverted(connection: sa.Connection, workflow_ids: collections.abc.Iterable[str]) -> None:
    """FAILED to REVERTED: what they were to bring to the backend is undone in the database."""
    connection.execute(_REVERTED, {"ids": sorted(workflow_ids)})
