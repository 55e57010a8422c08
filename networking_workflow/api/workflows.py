# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``/v2.0/workflows``: what the API changed, and how far the backends have followed."""

import collections.abc
import typing

import sqlalchemy as sa
from neutron_lib import exceptions as n_exc
from neutron_lib.db import api as db_api
from neutron_lib.db import utils as db_utils

from networking_workflow.api import fields, lists, models
from networking_workflow.capture import session
from networking_workflow.journal import tables
from networking_workflow.model import failures, states

COLLECTION = "workflows"
MEMBER = "workflow"

ATTRIBUTES: dict[str, fields.Attribute] = {
    "id": fields.named(primary_key=True),
    "project_id": fields.named(required_by_policy=True),
    "operation_id": fields.named(),
    "request_id": fields.named(),
    "initiator": fields.filtered(convert_to=fields.one_of(states.Initiator)),
    "resource_type": fields.named(),
    "resource_id": fields.named(),
    "operation": fields.filtered(convert_to=fields.one_of(states.Operation)),
    "lane": fields.named(),
    "workflow_state": fields.filtered(convert_to=fields.one_of(states.WorkflowState)),
    "blocked_by": fields.shown(),
    "waits_for": fields.shown(),
    "waiting_for": fields.shown(),
    "superseded_by": fields.shown(),
    "attempts": fields.shown(),
    "tasks": fields.shown(),
    "drivers": fields.shown(),
    "next_attempt_at": fields.shown(),
    "created_at": fields.shown(is_sort_key=True),
    "started_at": fields.shown(is_sort_key=True),
    "finished_at": fields.shown(is_sort_key=True),
    "updated_at": fields.shown(is_sort_key=True),
    "failure": fields.shown(),
    "failure_detail": fields.shown(),
    "driver": fields.filter_only(convert_to=fields.plain),
    "task_state": fields.filter_only(convert_to=fields.one_of(states.TaskState)),
    "changed_since": fields.filter_only(convert_to=lists.moment),
}

#: What is said of a blocker, or a resource, that belongs to another project.
ANOTHER = "waits for another resource"


class WorkflowNotFound(n_exc.NotFound):
    """404: there is none, or it is another project's."""

    message = "Workflow %(workflow_id)s could not be found."


class WorkflowsApi:
    """The plugin methods that Neutron's controller calls for workflows."""

    def get_workflow(
        self, context: typing.Any, id: str, fields: list[str] | None = None
    ) -> dict[str, typing.Any]:
        """Return one workflow.

        :raises WorkflowNotFound: if there is none, or it is another project's.
        """
        with db_api.CONTEXT_READER.using(context):
            return shown(context, [self._get_workflow(context, id)], fields)[0]

    def get_workflows(
        self,
        context: typing.Any,
        filters: lists.Filters | None = None,
        fields: list[str] | None = None,
        sorts: lists.Sorts | None = None,
        limit: int | None = None,
        marker: str | None = None,
        page_reverse: bool = False,
    ) -> list[dict[str, typing.Any]]:
        """Return a page of the workflows that the request may see."""
        page = lists.Page(filters=filters, sorts=sorts, limit=limit, page_reverse=page_reverse)
        with db_api.CONTEXT_READER.using(context):
            after = db_utils.get_marker_obj(self, context, MEMBER, limit, marker)
            rows = lists.rows(context, models.Workflow, page, after)
            return shown(context, rows, fields)

    def _get_workflow(self, context: typing.Any, workflow_id: str) -> typing.Any:
        row = lists.row(context, models.Workflow, workflow_id)
        if row is None:
            raise WorkflowNotFound(workflow_id=workflow_id)
        return row


def shown(
    context: typing.Any, rows: collections.abc.Sequence[typing.Any], names: list[str] | None
) -> list[dict[str, typing.Any]]:
    """Return what an answer says of rows, in the reader transaction that is open."""
    return _Viewer(context, rows, names).dicts()


class _Viewer:
    """Who reads these rows: names of other projects' workflows and resources are left out."""

    def __init__(
        self,
        context: typing.Any,
        rows: collections.abc.Sequence[typing.Any],
        names: list[str] | None,
    ) -> None:
        self._rows, self._names = rows, names
        ids = [row.id for row in rows]
        asked = rows and (not names or "tasks" in names)
        self._tasks = _tasks_by_state(context, ids) if asked else {}
        asked = rows and (not names or "drivers" in names)
        self._drivers = _drivers(context, ids) if asked else {}
        self._all = lists.sees_all(context, models.Workflow)
        self._project = context.project_id
        self._own = set() if self._all else self._own_resources(context)

    def dicts(self) -> list[dict[str, typing.Any]]:
        """Return what the answer says of each row."""
        return [db_utils.resource_fields(self._dict(row), self._names) for row in self._rows]

    def _dict(self, row: typing.Any) -> dict[str, typing.Any]:
        blocked_by, waits_for, waiting_for = self._waiting(row)
        retrying = row.state == states.WorkflowState.RETRYING
        return {
            "id": row.id,
            "project_id": row.project_id,
            "operation_id": row.operation_id,
            "request_id": row.request_id,
            "initiator": row.initiator,
            "resource_type": row.resource_type,
            "resource_id": row.resource_id,
            "operation": row.operation,
            "lane": row.lane,
            "workflow_state": row.state,
            "blocked_by": blocked_by,
            "waits_for": waits_for,
            "waiting_for": waiting_for,
            "superseded_by": row.superseded_by if self._sees(row.successor) else None,
            "attempts": row.attempts,
            "tasks": self._tasks.get(row.id, {}),
            "drivers": self._drivers.get(row.id) or _expected(row),
            "next_attempt_at": fields.time(row.not_before) if retrying else None,
            "created_at": fields.time(row.created_at),
            "started_at": fields.time(row.started_at),
            "finished_at": fields.time(row.finished_at),
            "updated_at": fields.time(row.updated_at),
            "failure": fields.failure(row.failure_code),
            "failure_detail": row.failure_detail,
        }

    def _waiting(self, row: typing.Any) -> tuple[str | None, str | None, str | None]:
        """Return blocker, resource or driver waited for, and the same in words."""
        if row.state == states.WorkflowState.WAITING and row.blocked_by:
            if not self._sees(row.blocker):
                return None, None, ANOTHER
            about = f"{row.blocker.resource_type} {row.blocker.resource_id}"
            return row.blocked_by, None, f"waits for workflow {row.blocked_by} of {about}"
        if row.state == states.WorkflowState.RETRYING and row.waits_for:
            about = row.waits_for.replace(":", " ", 1)
            if row.failure_code == failures.FailureCode.BACKEND_BUSY:
                return None, row.waits_for, f"waits for its turn at {about}"
            return None, row.waits_for, f"waits until the backend of {about} can be reached"
        if row.state == states.WorkflowState.HELD and row.waits_for:
            if not (self._all or row.waits_for in self._own):
                return None, None, ANOTHER
            about = row.waits_for.replace("/", " ", 1)
            return None, row.waits_for, f"waits until the backend has settled {about}"
        return None, None, None

    def _sees(self, other: typing.Any) -> bool:
        return other is not None and (self._all or other.project_id == self._project)

    def _own_resources(self, context: typing.Any) -> set[str]:
        """Return which of the resources that the rows are held for are the reader's own.

        One statement, and only where something is held; served by the primary key.
        """
        pairs = {
            (row.lane, *row.waits_for.split("/", 1))
            for row in self._rows
            if row.state == states.WorkflowState.HELD and "/" in (row.waits_for or "")
        }
        if not pairs:
            return set()
        sync = tables.resource_sync.c
        query = sa.select(sync.resource_type, sync.resource_id).where(
            sa.tuple_(sync.lane, sync.resource_type, sync.resource_id).in_(sorted(pairs)),
            sync.project_id == self._project,
        )
        return {"/".join(pair) for pair in context.session.execute(query)}


def _tasks_by_state(context: typing.Any, ids: list[str]) -> dict[str, dict[str, int]]:
    """Return how many tasks of each workflow are in which state: one statement for the page."""
    table = tables.tasks.c
    query = (
        sa.select(table.workflow_id, table.task_state, sa.func.count())
        .where(table.workflow_id.in_(ids))
        .group_by(table.workflow_id, table.task_state)
    )
    counted: dict[str, dict[str, int]] = {}
    for workflow_id, state, number in context.session.execute(query):
        counted.setdefault(workflow_id, {})[state] = number
    return counted


def _drivers(context: typing.Any, ids: list[str]) -> dict[str, list[dict[str, typing.Any]]]:
    """Return whether each driver of each workflow has done its part: one statement for the page."""
    table = tables.tasks.c
    query = (
        sa.select(table.workflow_id, table.driver, table.task_state, table.failure_code)
        .where(table.workflow_id.in_(ids))
        .order_by(table.workflow_id, table.position)
    )
    found: dict[str, list[dict[str, typing.Any]]] = {}
    for workflow_id, driver, task_state, failure_code in context.session.execute(query):
        found.setdefault(workflow_id, []).append(
            {
                "driver": driver,
                "sync_state": _SYNC_OF_TASK.get(task_state, states.SyncState.PENDING).value,
                "sync_error": fields.message(failure_code),
            }
        )
    return found


def _expected(row: typing.Any) -> list[dict[str, typing.Any]]:
    """Return the drivers of a workflow that nobody has run yet."""
    if row.state in states.TERMINAL:
        return []
    pending = {"sync_state": states.SyncState.PENDING.value, "sync_error": None}
    return [
        {"driver": driver, **pending} for driver in session.drivers_for(row.lane, row.resource_type)
    ]


#: Of what has not ended the driver's part is PENDING.
_SYNC_OF_TASK = {
    states.TaskState.SUCCESS: states.SyncState.SYNCED,
    states.TaskState.FAILED: states.SyncState.ERROR,
    states.TaskState.SKIPPED: states.SyncState.UNMANAGED,
}
