# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network task list`` and ``show``."""

from networking_workflow.cli import lists, models
from networking_workflow.model import states

FILTERS = (
    lists.BY_ID,
    lists.Filter(
        option="--workflow",
        metavar="<id>",
        field="workflow_id",
        help="Of the workflow with this ID",
    ),
    lists.BY_RESOURCE,
    lists.BY_TYPE,
    lists.Filter(
        option="--state", field="task_state", help="In this state", states=states.TaskState
    ),
    lists.Filter(option="--name", field="name", help="With this name"),
    lists.Filter(option="--driver", field="driver", help="Of this driver: ovn"),
    lists.BY_OPERATION_ID,
    lists.Filter(
        option="--workflow-state",
        field="workflow_state",
        help="Of workflows in this state",
        states=states.WorkflowState,
    ),
)

SHOWN = lists.Shown(
    model=models.Task,
    filters=FILTERS,
    sort_keys=models.TASK_SORT_KEYS,
    columns={
        "ID": "id",
        "Resource Type": "resource_type",
        "Resource ID": "resource_id",
        "Name": "name",
        "Driver": "driver",
        "State": "task_state",
        "Attempts": "attempts",
        "Failure": "failure",
    },
    long_columns={
        "Workflow": "workflow_id",
        "Project": "project_id",
        "Host": "host",
        "Created At": "created_at",
        "Started At": "started_at",
        "Finished At": "finished_at",
        "Updated At": "updated_at",
        "Failure Detail": "failure_detail",
    },
)


class ListTasks(lists.ListCommand):
    """List tasks: the steps of workflows, one driver each, and why they failed."""

    shown = SHOWN


class ShowTask(lists.ShowCommand):
    """Show one task: its state, its attempts, why it failed."""

    shown = SHOWN
