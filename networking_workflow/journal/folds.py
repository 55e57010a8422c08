# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Folding later changes of a resource into the one that is being claimed.

A later one W2 is folded into W1 only if W1 alone stands before it on all its keys: then nothing
that another workflow does comes between the two. W1 inherits W2's holds and settles at its gen, so
whoever stands behind W2 goes on standing behind W1.
"""

import collections.abc
import dataclasses
import functools
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, deletes, order, retries, steps, tables, wakes
from networking_workflow.journal.takes import Hold
from networking_workflow.model import keys as model_keys
from networking_workflow.model import workflows
from networking_workflow.model.states import Operation, WorkflowState

#: Changes that one claim folds at most: keeps its transaction short.
MOST = 32

_W = tables.workflows.c
_H = tables.holds.c
_QUEUED = (WorkflowState.READY, WorkflowState.WAITING)

#: Only what a claim needs: with this table's many columns, describing them would cost as much as
#: the rest of the statement.
_NEEDED = (
    *(_W.id, _W.operation, _W.operation_id, _W.request_id, _W.initiator, _W.snapshot),
    *(_W.held_keys, _W.gen, _W.attempts, _W.cancel_requested),
)


def _same_resource(*columns: sa.ColumnElement[typing.Any], most: int) -> sa.Select[typing.Any]:
    """Served by the index on (resource_id, state)."""
    return (
        sa.select(*columns)
        .where(
            _W.resource_id == sa.bindparam("resource_id"),
            _W.state.in_(_QUEUED),
            _W.resource_type == sa.bindparam("resource_type"),
            _W.lane == sa.bindparam("lane"),
        )
        .order_by(_W.gen)
        .limit(most)
    )


_SAME_RESOURCE = _same_resource(*_NEEDED, most=MOST + 1)


@functools.lru_cache(maxsize=2 * order.MOST_HOLDS)
def _first_two(probes: int, alone: bool) -> sa.Select[typing.Any]:
    return _same_resource(*order.columns(probes, alone), *_NEEDED, most=2)


_SUPERSEDE = (
    sa.update(tables.workflows)
    .where(_W.id.in_(sa.bindparam("ids", expanding=True)), _W.state.in_(_QUEUED))
    .values(
        state=WorkflowState.SUPERSEDED,
        holding=False,
        blocked_by=None,
        parked=0,
        superseded_by=sa.bindparam("survivor"),
        finished_at=clock.now(),
        updated_at=clock.now(),
    )
)

_INHERIT = (
    sa.update(tables.holds)
    .where(_H.workflow_id.in_(sa.bindparam("ids", expanding=True)))
    .values(workflow_id=sa.bindparam("survivor"))
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a claim carries once ``ids`` are folded into it."""

    ids: list[str]
    operation: Operation
    snapshot: workflows.Snapshot | None
    held_keys: dict[str, model_keys.Mode]  #: what a retry takes
    keys: dict[str, model_keys.Mode]  #: what it holds
    gen: int
    twice: list[Hold]  #: holds of folded ones that the survivor has already


def first_two(
    connection: sa.Connection, chosen: sa.Row[typing.Any], look: order.Look
) -> tuple[list[sa.Row[typing.Any]], order.Before | None]:
    """Return the first two of :func:`queued`, and what stands before the chosen one.

    One statement: a driver's call waits for each. Most often there is one, and nothing before it.
    """
    parameters = {**_resource_of(chosen), **look.parameters}
    rows = list(connection.execute(_first_two(*look.shape), parameters))
    return rows, look.found(rows[0]) if rows else None


def queued(connection: sa.Connection, chosen: sa.Row[typing.Any]) -> list[sa.Row[typing.Any]]:
    """Return the queued workflows of the chosen one's resource, the first in order first."""
    return list(connection.execute(_SAME_RESOURCE, _resource_of(chosen)))


def _resource_of(chosen: sa.Row[typing.Any]) -> dict[str, str]:
    return {
        "lane": chosen.lane,
        "resource_type": chosen.resource_type,
        "resource_id": chosen.resource_id,
    }


def plan(
    connection: sa.Connection,
    rows: collections.abc.Sequence[sa.Row[typing.Any]],
    holds: collections.abc.Sequence[Hold],
) -> Plan:
    """Return what becomes of ``rows[0]``, which has ``holds``, with all folded in that may be."""
    own, later = rows[0], rows[1:]
    held = order.holds_of(connection, [row.id for row in later]) if later else {}
    folded: list[sa.Row[typing.Any]] = []
    for row in later:
        apart = [own.id, row.id, *(other.id for other in folded)]
        if order.before(connection, held[row.id], apart) is not None:
            break
        folded.append(row)
    return _merged(own, folded, [*holds, *(hold for row in folded for hold in held[row.id])])


def _merged(
    own: sa.Row[typing.Any],
    folded: collections.abc.Sequence[sa.Row[typing.Any]],
    holds: collections.abc.Sequence[Hold],
) -> Plan:
    operation, snapshot = Operation(own.operation), own.snapshot
    for row in folded:
        operation = workflows.merge_operations(operation, Operation(row.operation))
        snapshot = workflows.merge_snapshots(snapshot, row.snapshot)
    places: set[tuple[str, model_keys.Mode, int]] = set()
    twice = []
    for hold in holds:
        place = (hold.k, hold.mode, hold.gen)
        if place in places:
            twice.append(hold)
        places.add(place)
    return Plan(
        ids=[row.id for row in folded],
        operation=operation,
        snapshot=snapshot,
        held_keys=model_keys.strongest(
            (key, model_keys.Mode(mode))
            for row in (own, *folded)
            for key, mode in row.held_keys.items()
        ),
        keys=model_keys.strongest((hold.k, hold.mode) for hold in holds),
        gen=max(row.gen for row in (own, *folded)),
        twice=twice,
    )


def fold(connection: sa.Connection, survivor: str, plan: Plan) -> list[str]:
    """Write what ``plan`` says of the folded ones; their survivor's row is written already.

    Returns those that too many are parked on: :func:`wakes.wake_many` is to follow the commit.

    :raises LookAgain: if one of them left the queue meanwhile.
    """
    if not plan.ids:
        return []
    superseded = connection.execute(_SUPERSEDE, {"ids": sorted(plan.ids), "survivor": survivor})
    if superseded.rowcount != len(plan.ids):
        raise retries.LookAgain
    inherit(connection, survivor, plan)
    steps.start_over(connection, survivor)
    steps.skip(connection, plan.ids)
    return [folded for folded in plan.ids if not wakes.wake_few(connection, folded)]


def inherit(connection: sa.Connection, survivor: str, plan: Plan) -> None:
    """Make the folded ones' holds the survivor's.

    An update, not a delete and an insert: that would wait for whoever is taking the key.
    """
    twice = [(hold.k, hold.mode, hold.gen, hold.workflow_id) for hold in plan.twice]
    deletes.delete_rows(connection, tables.holds, twice)
    connection.execute(_INHERIT, {"ids": plan.ids, "survivor": survivor})
