# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How workflows stand that somebody waits for: each, or the one that does its work now."""

import collections.abc
import dataclasses
import typing

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.model.failures import FailureCode
from networking_workflow.model.states import WorkflowState

_W = tables.workflows.c

_READ = sa.select(
    *(_W.id, _W.state, _W.resource_type, _W.resource_id, _W.superseded_by, _W.failure_code)
).where(_W.id.in_(sa.bindparam("ids", expanding=True)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a workflow stands."""

    asked_id: str  #: of the workflow that was asked about; of several folded into one, any
    workflow_id: str  #: its own id, or that of its successor, which may be another project's
    resource_type: str
    resource_id: str
    state: WorkflowState
    failure: FailureCode | None


def outcomes(connection: sa.Connection, ids: collections.abc.Iterable[str]) -> list[Outcome]:
    """Return how the workflows stand, each once; those that were pruned are left out.

    A SUPERSEDED one stands as the workflow that took its work over: a statement a step.
    """
    found: list[Outcome] = []
    wanted = {each: each for each in ids}  # id -> the one asked about that led there
    seen: set[str] = set()
    while wanted:
        seen |= wanted.keys()
        following = {}
        for row in connection.execute(_READ, {"ids": sorted(wanted)}):
            if row.state == WorkflowState.SUPERSEDED and row.superseded_by:
                following[row.superseded_by] = wanted[row.id]
            else:
                found.append(_outcome(row, wanted[row.id]))
        wanted = {each: asked for each, asked in following.items() if each not in seen}
    return found


def _outcome(row: typing.Any, asked_id: str) -> Outcome:
    return Outcome(
        asked_id=asked_id,
        workflow_id=row.id,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        state=WorkflowState(row.state),
        failure=FailureCode(row.failure_code) if row.failure_code else None,
    )
