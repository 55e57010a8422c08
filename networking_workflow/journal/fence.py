# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fence: a write that changes no row once another conductor owns the workflow.

It must be a write. A read, FOR SHARE included, proves nothing on another Galera node or on an old
snapshot.
"""

import typing

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.model import errors, states, workflows

_W = tables.workflows.c

#: The row of a claim while its lease stands. Served by the primary key.
OWN_ROW = sa.and_(
    _W.id == sa.bindparam("own_id"),
    _W.owner == sa.bindparam("own_owner"),
    _W.fence == sa.bindparam("own_fence"),
    _W.state.in_(sorted(states.OWNED)),
)

_CHECK = sa.update(tables.workflows).where(OWN_ROW).values(fence_checks=_W.fence_checks + 1)


def parameters(claim: workflows.Claim) -> dict[str, typing.Any]:
    """Return what :data:`OWN_ROW` is filled with."""
    return {"own_id": claim.id, "own_owner": claim.owner, "own_fence": claim.fence}


def check_fence(connection: sa.Connection, claim: workflows.Claim) -> None:
    """Write the claim's row: in ``before_commit`` of what a task writes to Neutron's tables.

    :raises LeaseLost: if the lease is another's by now; the transaction must be rolled back.
    """
    execute(connection, _CHECK, claim)


def execute(
    connection: sa.Connection,
    statement: sa.Update,
    claim: workflows.Claim,
    values: dict[str, typing.Any] | None = None,
) -> None:
    """Run ``statement``, an update of :data:`OWN_ROW`.

    :raises LeaseLost: if it changed no row.
    """
    if connection.execute(statement, {**parameters(claim), **(values or {})}).rowcount != 1:
        raise errors.LeaseLost(claim.id)
