# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``resource_sync``: whether the backends hold what the database says.

Both who waits for a resource (HELD) and who brings it write its row: that is what closes the race
between them.
"""

import collections.abc
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, tables
from networking_workflow.model import failures, workflows
from networking_workflow.model.states import SyncState

_S = tables.resource_sync.c

_RESOURCE = sa.and_(
    _S.lane == sa.bindparam("sync_lane"),
    _S.resource_type == sa.bindparam("sync_type"),
    _S.resource_id == sa.bindparam("sync_id"),
)

_W = tables.workflows.c

#: Joins each workflow to the row of its resource.
OF_WORKFLOW = sa.and_(
    _S.lane == _W.lane,
    _S.resource_type == _W.resource_type,
    _S.resource_id == _W.resource_id,
)

#: A workflow that carries an older gen than the row changes nothing: a newer change is PENDING.
_SETTLE = (
    sa.update(tables.resource_sync)
    .where(_RESOURCE, _S.gen <= sa.bindparam("own_gen"))
    .values(
        sync_state=sa.bindparam("new_state"),
        sync_error=sa.bindparam("new_error"),
        updated_at=clock.now(),
    )
)

_ANEW = (
    sa.update(tables.resource_sync)
    .where(_RESOURCE)
    .values(
        sync_state=SyncState.PENDING,
        sync_error=None,
        gen=sa.bindparam("own_gen"),
        workflow_id=sa.bindparam("own_workflow"),
        updated_at=clock.now(),
    )
)

_HELD_BY = sa.select(_S.held).where(_RESOURCE)

#: Whoever refers to such a resource need not wait for it: the backend has it, or no driver has
#: anything to do for it.
_THERE = (SyncState.SYNCED, SyncState.UNMANAGED)

_NOBODY_HELD = (
    sa.update(tables.resource_sync)
    .where(_RESOURCE, _S.sync_state.in_(_THERE), _S.held == sa.bindparam("seen_held"))
    .values(held=0)
)

#: Served by the index on (sync_state, held).
_COME = (
    sa.select(_S.lane, _S.resource_type, _S.resource_id)
    .where(_S.sync_state.in_(_THERE), _S.held > 0)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


class Resource(typing.NamedTuple):
    """What a row of ``resource_sync`` is about."""

    lane: str
    resource_type: str
    resource_id: str

    @property
    def waits_for(self) -> str:
        """Return how a HELD workflow names it."""
        return f"{self.resource_type}/{self.resource_id}"

    @property
    def parameters(self) -> dict[str, typing.Any]:
        """Return what the statements here are filled with."""
        return {
            "sync_lane": self.lane,
            "sync_type": self.resource_type,
            "sync_id": self.resource_id,
        }


def hold_statement() -> sa.Update:
    """Write the row of a missing resource; no row changes if it is there by now."""
    return (
        sa.update(tables.resource_sync)
        .where(_RESOURCE, _S.sync_state.not_in(_THERE))
        .values(held=_S.held + 1)
    )


_HOLD = hold_statement()


def of(claim: workflows.Claim) -> Resource:
    """Return the claim's own resource."""
    return Resource(claim.lane, claim.resource_type, claim.resource_id)


def settle(
    connection: sa.Connection,
    resource: Resource,
    gen: int,
    state: SyncState,
    error: failures.FailureCode | None = None,
) -> bool:
    """Write what the resource shows; False: a newer change than ``gen`` is pending."""
    parameters = {**resource.parameters, "own_gen": gen, "new_state": state, "new_error": error}
    return bool(connection.execute(_SETTLE, parameters).rowcount)


def anew(connection: sa.Connection, resource: Resource, gen: int, workflow_id: str) -> None:
    """Mark the resource PENDING again at the gen of keys taken anew."""
    parameters = {**resource.parameters, "own_gen": gen, "own_workflow": workflow_id}
    connection.execute(_ANEW, parameters)


def hold_for(connection: sa.Connection, missing: Resource) -> bool:
    """Say that somebody is HELD for ``missing``; False: it has just come."""
    return bool(connection.execute(_HOLD, missing.parameters).rowcount)


def held_by(connection: sa.Connection, resource: Resource) -> int:
    """Return how many may be HELD for the resource (0: nobody)."""
    return connection.execute(_HELD_BY, resource.parameters).scalar() or 0


def nobody_held(connection: sa.Connection, resource: Resource, seen: int) -> None:
    """Say that all who were HELD for a resource that is there have been told."""
    connection.execute(_NOBODY_HELD, {**resource.parameters, "seen_held": seen})


def come(connection: sa.Connection, limit: int) -> collections.abc.Sequence[Resource]:
    """Return resources that are there and that somebody may still be HELD for."""
    return [Resource(*row) for row in connection.execute(_COME, {"limit": limit})]
