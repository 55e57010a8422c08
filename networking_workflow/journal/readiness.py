# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the database says of a cloud that goes over to workflows, or back: reads only.

One statement each, of no API call and no conductor: some read a whole table.
"""

import collections.abc
import dataclasses
import datetime

import sqlalchemy as sa

from networking_workflow.journal import clock, sources, tables
from networking_workflow.model.states import TERMINAL, ConductorState, SyncState, WorkflowState

_C = tables.conductors.c
_S = tables.resource_sync.c
_W = tables.workflows.c

#: Neutron's row of each resource: its type is the name of the resource's table.
_STANDARD = sa.table(
    "standardattributes",
    sa.column("id", sa.BigInteger),
    sa.column("resource_type", sa.String),
    sa.column("created_at", sa.DateTime),
)

#: Whose every row has a state of its own; a rule that was made with its group has not.
_TABLES = {
    kind: source.table
    for kind, source in sources.SOURCES.items()
    if source.standard and kind != "security_group_rule"
}


def _numbers(table: str) -> sa.ColumnElement[int]:
    return sa.table(table, sa.column("standard_attr_id", sa.BigInteger)).c.standard_attr_id


def _has_row(
    number: sa.ColumnElement[int],
    named: sa.ColumnElement[str],
    tables_of: collections.abc.Mapping[str, str],
) -> sa.ColumnElement[bool]:
    """Return whether a resource has a standard attribute's number: ``named`` says in which table.

    The attribute alone says nothing: neutron-lib of Neutron 28 leaves some behind, whose resource
    was deleted while somebody else raised their revision (``confirm_deleted_rows`` of
    ``neutron_lib/db/standard_attr.py``). One look a row, into an index that is unique.
    """
    return sa.or_(
        *(
            sa.and_(
                named == name,
                sa.exists().where(_numbers(table) == number),
            )
            for name, table in sorted(tables_of.items())
        )
    )


_BACKLOG = (
    sa.select(_W.state, sa.func.count())
    .where(_W.state.not_in(sorted(TERMINAL - {WorkflowState.FAILED})))
    .group_by(_W.state)
)

_ALIVE = (
    sa.select(_C.host, sa.func.count(), sa.func.min(_C.started_at))
    .where(_C.state == ConductorState.ALIVE, _C.expires_at > clock.now())
    .group_by(_C.host)
)

#: Those whose workflow has FAILED are counted by that.
_APART = sa.select(sa.func.count()).select_from(
    sa.select(_S.resource_type, _S.resource_id)
    .distinct()
    .where(
        _S.sync_state.in_((SyncState.ERROR, SyncState.DRIFTED)),
        ~sa.exists().where(_W.id == _S.workflow_id, _W.state == WorkflowState.FAILED),
    )
    .subquery()
)

_MADE = (
    sa.select(
        _STANDARD.c.resource_type, sa.func.count(), sa.func.max(_STANDARD.c.created_at).label("at")
    )
    .where(
        _has_row(
            _STANDARD.c.id,
            _STANDARD.c.resource_type,
            {table: table for table in _TABLES.values()},
        ),
        _STANDARD.c.created_at >= sa.bindparam("since", type_=sa.DateTime),
        ~sa.exists().where(_S.standard_attr_id == _STANDARD.c.id),
    )
    .group_by(_STANDARD.c.resource_type)
)

#: The workflow of a delete takes the number out of the row.
_DELETED = (
    sa.select(sa.func.count())
    .select_from(tables.resource_sync)
    .where(
        _S.standard_attr_id.is_not(None),
        _S.resource_type != "security_group_rule",
        ~_has_row(_S.standard_attr_id, _S.resource_type, _TABLES),
    )
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Conductors:
    """Those that hold a lease now."""

    by_host: dict[str, int]
    since: datetime.datetime | None  #: when the first of them was started, UTC; None: none is alive


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Unrecorded:
    """What was done to resources without a workflow, since workflows are run."""

    made: dict[str, int]  #: Neutron's table → how many
    last: datetime.datetime | None  #: when the last one was made, by the clock of its API host
    deleted: int  #: at any time


def backlog(connection: sa.Connection) -> dict[WorkflowState, int]:
    """Return how many workflows are in each state that is not their end; FAILED is among them."""
    return {WorkflowState(state): number for state, number in connection.execute(_BACKLOG)}


def conductors(connection: sa.Connection) -> Conductors:
    """Return how many conductors are alive on each host."""
    rows = connection.execute(_ALIVE).all()
    return Conductors(
        by_host={host: number for host, number, _ in sorted(rows)},
        since=min((started for _, _, started in rows), default=None),
    )


def apart(connection: sa.Connection) -> int:
    """Return of how many resources the backend is known not to hold what the database says.

    Without those whose workflow is there and FAILED: an operator has ended theirs, or it is
    forgotten.
    """
    return connection.execute(_APART).scalar_one()


def unrecorded(connection: sa.Connection, since: datetime.datetime) -> Unrecorded:
    """Return what somebody who records no workflows did: creates after ``since``, and deletes."""
    rows = connection.execute(_MADE, {"since": since}).all()
    return Unrecorded(
        made={table: number for table, number, _ in sorted(rows)},
        last=max((at for _, _, at in rows), default=None),
        deleted=connection.execute(_DELETED).scalar_one(),
    )


def time(connection: sa.Connection) -> datetime.datetime:
    """Return the time at the database server, UTC."""
    now: datetime.datetime = connection.execute(sa.select(clock.now())).scalar_one()
    return now
