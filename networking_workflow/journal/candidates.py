# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Candidates of a claim: what is READY, and which of them a conductor looks at."""

import collections.abc
import random
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, order, tables, takes
from networking_workflow.model.states import WorkflowState

#: Conductors choose among so many at random, so that they seldom choose the same one.
_CHOICE = 8

#: What is read, with its holds, to see whether there is one alone.
_ONE_AND_MORE = 2

_W = tables.workflows.c
_H = tables.holds.c


def has_work_statement() -> sa.Select[typing.Any]:
    """Ask whether anything is READY, or RETRYING and due: one round trip, two index look-ups.

    Each is the first row in the order of an index: for a mere EXISTS, PostgreSQL scans the table
    as long as its statistics say that READY ones are many.
    """
    one: sa.ColumnClause[typing.Any] = sa.literal_column("1")
    ready = (
        sa.select(_W.id)
        .where(_W.state == WorkflowState.READY)
        .order_by(_W.project_id, _W.priority, _W.created_at, _W.id)
        .limit(one)
        .scalar_subquery()
    )
    due = (
        sa.select(_W.id)
        .where(_W.state == WorkflowState.RETRYING, _W.not_before <= clock.now())
        .order_by(_W.not_before)
        .limit(one)
        .scalar_subquery()
    )
    return sa.select(sa.func.coalesce(ready, due))


_IN_ORDER = "FORCE INDEX (ix_workflow_workflows_ready)"
_OF_WORKFLOW = "FORCE INDEX (ix_workflow_holds_workflow_id)"


def candidates_statement(most: int = _CHOICE) -> sa.CompoundSelect[typing.Any]:
    """Read the first READY ones of the projects after ``after`` in index order, and of all.

    Two ranges of the index on (state, project_id, priority, created_at, id), never a scan: the
    cost does not grow with what is queued. ``state`` is not in the ORDER BY although it leads the
    index: for a column that is constant MariaDB then reads all of them and sorts.
    """

    def first(part: int, *conditions: sa.ColumnElement[bool]) -> sa.Select[typing.Any]:
        rows = (
            sa.select(
                sa.literal_column(str(part)).label("part"),
                _W.project_id,
                _W.priority,
                _W.created_at,
                _W.id,
                _W.fence,
                _W.lane,
                _W.resource_type,
                _W.resource_id,
            )
            .with_hint(tables.workflows, _IN_ORDER, "mysql")
            .with_hint(tables.workflows, _IN_ORDER, "mariadb")
            .where(_W.state == WorkflowState.READY, *conditions)
            .order_by(_W.project_id, _W.priority, _W.created_at, _W.id)
            .limit(sa.literal_column(str(most)))
        ).subquery()
        return sa.select(rows)

    return sa.union_all(first(0, _W.project_id > sa.bindparam("after")), first(1))


def alone_statement() -> sa.Select[typing.Any]:
    """Read the first READY ones with their holds: a round trip less if there is one alone.

    An outer join, so that MariaDB looks for the holds of what it found and not the other way round;
    by their index, whatever it believes of how many there are.
    """
    first = candidates_statement(_ONE_AND_MORE).subquery()
    found = first.outerjoin(tables.holds, _H.workflow_id == first.c.id)
    statement = sa.select(first, _H.k, _H.mode, _H.gen).select_from(found)
    for dialect in ("mysql", "mariadb"):
        statement = statement.with_hint(tables.holds, _OF_WORKFLOW, dialect)
    return statement


_HAS_WORK = has_work_statement()
_CANDIDATES = candidates_statement()
_ALONE = alone_statement()


def has_work(connection: sa.Connection) -> bool:
    """Return whether a claim or :func:`chores.requeue_due` would find something."""
    return connection.execute(_HAS_WORK).scalar_one() is not None


#: A chosen workflow's row, its holds, and whether others are READY.
Choice = tuple[sa.Row[typing.Any], list[takes.Hold], bool]


def choose(connection: sa.Connection, after_project: str, *, busy: bool) -> Choice | None:
    """Return one of the most urgent of the next project; None: none is READY.

    :param busy: as for :func:`claims.claim`.
    """
    after = {"after": after_project}
    if not busy:
        found = connection.execute(_ALONE, after).all()
        ids = {row.id for row in found}
        if not ids:
            return None
        if len(ids) == 1:
            return found[0], order.holds_in(found), False
    return _one_of_many(connection, after)


def _one_of_many(
    connection: sa.Connection, after: collections.abc.Mapping[str, str]
) -> Choice | None:
    rows = sorted(connection.execute(_CANDIDATES, after), key=_place)
    first = [row for row in rows if _place(row)[:3] == _place(rows[0])[:3]]
    if not first:
        return None
    chosen = random.choice(first)
    holds = order.holds_of(connection, [chosen.id])[chosen.id]
    return chosen, holds, len({row.id for row in rows}) > 1


def _place(row: sa.Row[typing.Any]) -> tuple[typing.Any, ...]:
    return row.part, row.project_id, row.priority, row.created_at, row.id
