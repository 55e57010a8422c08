# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Workflows and tasks as openstacksdk resources, for any session of a network service."""

import typing

from openstack import exceptions, resource

#: Filters of lists, by collection; ``tests/functional/cli`` holds them to the API's.
WORKFLOW_FILTERS = (
    *("id", "project_id", "operation_id", "request_id", "initiator", "resource_type"),
    *("resource_id", "operation", "lane", "workflow_state", "driver", "task_state"),
    "changed_since",
)
TASK_FILTERS = (
    *("id", "workflow_id", "project_id", "resource_type", "resource_id", "name", "driver"),
    *("task_state", "operation_id", "workflow_state", "changed_since"),
)

#: What lists can be sorted by.
WORKFLOW_SORT_KEYS = (
    *("created_at", "started_at", "finished_at", "updated_at", "workflow_state", "operation"),
    "lane",
    *("initiator", "resource_type", "resource_id", "project_id", "operation_id", "request_id"),
    "id",
)
TASK_SORT_KEYS = (
    *("created_at", "started_at", "finished_at", "updated_at", "task_state", "name", "driver"),
    *("resource_type", "resource_id", "project_id", "workflow_id", "id"),
)

_OF_LISTS = ("fields", "sort_key", "sort_dir")


class _Recorded(resource.Resource):
    """What workflows and tasks say alike."""

    allow_fetch = True
    allow_list = True

    project_id = resource.Body("project_id")
    resource_type = resource.Body("resource_type")
    resource_id = resource.Body("resource_id")
    attempts = resource.Body("attempts", type=int)
    created_at = resource.Body("created_at")
    started_at = resource.Body("started_at")
    finished_at = resource.Body("finished_at")
    updated_at = resource.Body("updated_at")
    failure = resource.Body("failure", type=dict)
    failure_detail = resource.Body("failure_detail")  #: administrators only


class Workflow(_Recorded):
    """One resource that one transaction changed, and the run that makes the backends follow."""

    resource_key = "workflow"
    resources_key = "workflows"
    base_path = "/workflows"

    _query_mapping = resource.QueryParameters(*_OF_LISTS, *WORKFLOW_FILTERS)

    operation_id = resource.Body("operation_id")
    request_id = resource.Body("request_id")
    initiator = resource.Body("initiator")
    operation = resource.Body("operation")
    workflow_state = resource.Body("workflow_state")
    blocked_by = resource.Body("blocked_by")
    waits_for = resource.Body("waits_for")
    waiting_for = resource.Body("waiting_for")
    superseded_by = resource.Body("superseded_by")
    lane = resource.Body("lane")
    tasks = resource.Body("tasks", type=dict)
    drivers = resource.Body("drivers", type=list)
    next_attempt_at = resource.Body("next_attempt_at")

    def move(self, session: typing.Any, action: str) -> "Workflow":
        """Retry, skip or cancel it, and become as the API then shows it.

        :raises HttpException: 403, 404, or 409 with the reason.
        """
        response = session.put(f"{self.base_path}/{self.id}/{action}")
        self._translate_response(response)
        return self

    @classmethod
    def move_all(
        cls,
        session: typing.Any,
        action: str,
        filters: dict[str, list[str]],
        *,
        dry_run: bool = False,
    ) -> dict[str, typing.Any]:
        """Retry, skip or cancel what filters find, 1,000 at most; return the API's answer.

        :raises HttpException: if nothing was moved.
        """
        body = {"filters": filters, "dry_run": dry_run}
        response = session.put(f"{cls.base_path}/{action}", json=body)
        exceptions.raise_from_response(response)
        answer: dict[str, typing.Any] = response.json()
        return answer


class Task(_Recorded):
    """One step of a workflow: one driver, doing one thing."""

    resource_key = "task"
    resources_key = "tasks"
    base_path = "/tasks"

    _query_mapping = resource.QueryParameters(*_OF_LISTS, *TASK_FILTERS)

    workflow_id = resource.Body("workflow_id")
    name = resource.Body("name")
    driver = resource.Body("driver")
    task_state = resource.Body("task_state")
    host = resource.Body("host")  #: administrators only
