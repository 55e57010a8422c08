# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network task list`` and ``show``."""

import argparse
import collections.abc
import typing

from osc_lib.command import command

from networking_workflow.cli import errors, fields, lists, models
from networking_workflow.model import states

FILTERS = (
    lists.Filter(option="--id", field="id", help="With this ID"),
    lists.Filter(
        option="--workflow",
        metavar="<id>",
        field="workflow_id",
        help="Of the workflow with this ID",
    ),
    lists.Filter(
        option="--resource",
        metavar="<id>",
        field="resource_id",
        help="Of the resource with this ID; works after it was deleted, too",
    ),
    lists.Filter(
        option="--type", field="resource_type", help="Of resources of this type: port, network"
    ),
    lists.Filter(
        option="--state", field="task_state", help="In this state", states=states.TaskState
    ),
    lists.Filter(option="--name", field="name", help="With this name"),
    lists.Filter(option="--driver", field="driver", help="Of this driver: ovn"),
    lists.Filter(
        option="--operation-id",
        metavar="<id>",
        field="operation_id",
        help="Of the API call with this ID: the X-OpenStack-Request-Id of its answer",
    ),
    lists.Filter(
        option="--workflow-state",
        field="workflow_state",
        help="Of workflows in this state",
        states=states.WorkflowState,
    ),
)

_COLUMNS = {
    "ID": "id",
    "Resource Type": "resource_type",
    "Resource ID": "resource_id",
    "Name": "name",
    "Driver": "driver",
    "State": "task_state",
    "Attempts": "attempts",
    "Failure": "failure",
}
_LONG = {
    "Workflow": "workflow_id",
    "Project": "project_id",
    "Host": "host",
    "Created At": "created_at",
    "Started At": "started_at",
    "Finished At": "finished_at",
    "Updated At": "updated_at",
    "Failure Detail": "failure_detail",
}

#: In the order in which ``show`` has them.
ALL = tuple(sorted((*_COLUMNS.values(), *_LONG.values())))


class ListTasks(errors.Networked, command.Lister):
    """List tasks: the steps of workflows, one driver each, and why they failed."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        lists.add_filters(parser, FILTERS)
        lists.add_paging(parser, models.TASK_SORT_KEYS)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], collections.abc.Iterable[tuple[typing.Any, ...]]]:
        """Return headers and rows."""
        columns = _COLUMNS | _LONG if parsed_args.long else _COLUMNS
        wanted = lists.query(self, parsed_args, FILTERS) | {"fields": list(columns.values())}
        found = lists.page(self, models.Task, parsed_args, wanted)
        return tuple(columns), [fields.row(columns.values(), one) for one in found]


class ShowTask(errors.Networked, command.ShowOne):
    """Show one task: its state, its attempts, why it failed."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("task", metavar="<task>", help="Its ID")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[typing.Any, ...]]:
        """Return names and values."""
        found = models.Task.new(id=parsed_args.task).fetch(self.network)
        return ALL, fields.row(ALL, found)
