# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow list`` and ``show``."""

from networking_workflow.cli import lists, models
from networking_workflow.model import states

FILTERS = (
    lists.BY_ID,
    lists.BY_RESOURCE,
    lists.BY_TYPE,
    lists.Filter(
        option="--state",
        field="workflow_state",
        help="In this state",
        states=states.WorkflowState,
    ),
    lists.Filter(
        option="--operation",
        field="operation",
        help="What was done to the resource",
        states=states.Operation,
    ),
    lists.BY_OPERATION_ID,
    lists.Filter(
        option="--request-id",
        metavar="<id>",
        field="request_id",
        help="Of the API request with this ID; agents' and drivers' requests have their own",
    ),
    lists.Filter(
        option="--initiator", field="initiator", help="Who started it", states=states.Initiator
    ),
    lists.Filter(
        option="--lane",
        metavar="<lane>",
        field="lane",
        help="For the drivers of this lane: default, or an independent driver's name",
    ),
    lists.Filter(option="--driver", field="driver", help="With a task of this driver: ovn"),
    lists.Filter(
        option="--task-state",
        field="task_state",
        help="With a task in this state",
        states=states.TaskState,
    ),
)

SHOWN = lists.Shown(
    model=models.Workflow,
    filters=FILTERS,
    sort_keys=models.WORKFLOW_SORT_KEYS,
    columns={
        "ID": "id",
        "Resource Type": "resource_type",
        "Resource ID": "resource_id",
        "Operation": "operation",
        "State": "workflow_state",
        "Waiting For": "waiting_for",
        "Failure": "failure",
        "Created At": "created_at",
    },
    long_columns={
        "Lane": "lane",
        "Tasks": "tasks",
        "Drivers": "drivers",
        "Attempts": "attempts",
        "Project": "project_id",
        "Initiator": "initiator",
        "Operation ID": "operation_id",
        "Request ID": "request_id",
        "Blocked By": "blocked_by",
        "Waits For": "waits_for",
        "Superseded By": "superseded_by",
        "Next Attempt At": "next_attempt_at",
        "Started At": "started_at",
        "Finished At": "finished_at",
        "Updated At": "updated_at",
        "Failure Detail": "failure_detail",
    },
)


class ListWorkflows(lists.ListCommand):
    """List workflows: what API calls changed, and how far the backends have followed."""

    shown = SHOWN


class ShowWorkflow(lists.ShowCommand):
    """Show one workflow: where it stands, what it waits for, why it failed."""

    shown = SHOWN
