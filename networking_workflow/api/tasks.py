# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``/v2.0/tasks``: the steps of workflows, one driver each."""

import typing

from neutron_lib import exceptions as n_exc
from neutron_lib.db import api as db_api
from neutron_lib.db import utils as db_utils

from networking_workflow.api import fields, lists, models
from networking_workflow.model import states

COLLECTION = "tasks"
MEMBER = "task"

ATTRIBUTES: dict[str, fields.Attribute] = {
    "id": fields.named(primary_key=True),
    "workflow_id": fields.named(),
    "project_id": fields.named(required_by_policy=True),
    "resource_type": fields.named(),
    "resource_id": fields.named(),
    "name": fields.named(),
    "driver": fields.named(),
    "task_state": fields.filtered(convert_to=fields.one_of(states.TaskState)),
    "attempts": fields.shown(),
    "created_at": fields.shown(is_sort_key=True),
    "started_at": fields.shown(is_sort_key=True),
    "finished_at": fields.shown(is_sort_key=True),
    "updated_at": fields.shown(is_sort_key=True),
    "failure": fields.shown(),
    "failure_detail": fields.shown(),
    "host": fields.shown(),
    "operation_id": fields.filter_only(convert_to=fields.plain),
    "workflow_state": fields.filter_only(convert_to=fields.one_of(states.WorkflowState)),
    "changed_since": fields.filter_only(convert_to=lists.moment),
}


class TaskNotFound(n_exc.NotFound):
    """404: there is none, or it is another project's."""

    message = "Task %(task_id)s could not be found."


class TasksApi:
    """The plugin methods that Neutron's controller calls for tasks."""

    def get_task(
        self, context: typing.Any, id: str, fields: list[str] | None = None
    ) -> dict[str, typing.Any]:
        """Return one task.

        :raises TaskNotFound: if there is none, or it is another project's.
        """
        with db_api.CONTEXT_READER.using(context):
            return _shown(self._get_task(context, id), fields)

    def get_tasks(
        self,
        context: typing.Any,
        filters: lists.Filters | None = None,
        fields: list[str] | None = None,
        sorts: lists.Sorts | None = None,
        limit: int | None = None,
        marker: str | None = None,
        page_reverse: bool = False,
    ) -> list[dict[str, typing.Any]]:
        """Return a page of the tasks that the request may see."""
        page = lists.Page(filters=filters, sorts=sorts, limit=limit, page_reverse=page_reverse)
        with db_api.CONTEXT_READER.using(context):
            after = db_utils.get_marker_obj(self, context, MEMBER, limit, marker)
            rows = lists.rows(context, models.Task, page, after)
            return [_shown(row, fields) for row in rows]

    def _get_task(self, context: typing.Any, task_id: str) -> typing.Any:
        row = lists.row(context, models.Task, task_id)
        if row is None:
            raise TaskNotFound(task_id=task_id)
        return row


def _shown(row: typing.Any, names: list[str] | None) -> dict[str, typing.Any]:
    """Return the fields of a row that were asked for."""
    chosen: dict[str, typing.Any] = db_utils.resource_fields(_dict(row), names)
    return chosen


def _dict(row: typing.Any) -> dict[str, typing.Any]:
    """Return what an answer says of a row, before policies take fields away."""
    return {
        "id": row.id,
        "workflow_id": row.workflow_id,
        "project_id": row.project_id,
        "resource_type": row.resource_type,
        "resource_id": row.resource_id,
        "name": row.name,
        "driver": row.driver,
        "task_state": row.task_state,
        "attempts": row.attempts,
        "created_at": fields.time(row.created_at),
        "started_at": fields.time(row.started_at),
        "finished_at": fields.time(row.finished_at),
        "updated_at": fields.time(row.updated_at),
        "failure": fields.failure(row.failure_code),
        "failure_detail": row.failure_detail,
        "host": row.host,
    }
