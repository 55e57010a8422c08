# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow list`` and ``show``."""

import argparse
import collections.abc
import typing

from osc_lib.command import command

from networking_workflow.cli import errors, fields, lists, models
from networking_workflow.model import states

FILTERS = (
    lists.Filter(option="--id", field="id", help="With this ID"),
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
    lists.Filter(
        option="--operation-id",
        metavar="<id>",
        field="operation_id",
        help="Of the API call with this ID: the X-OpenStack-Request-Id of its answer",
    ),
    lists.Filter(
        option="--request-id",
        metavar="<id>",
        field="request_id",
        help="Of the API request with this ID; agents' and drivers' requests have their own",
    ),
    lists.Filter(
        option="--initiator", field="initiator", help="Who started it", states=states.Initiator
    ),
    lists.Filter(option="--driver", field="driver", help="With a task of this driver: ovn"),
    lists.Filter(
        option="--task-state",
        field="task_state",
        help="With a task in this state",
        states=states.TaskState,
    ),
)

_COLUMNS = {
    "ID": "id",
    "Resource Type": "resource_type",
    "Resource ID": "resource_id",
    "Operation": "operation",
    "State": "workflow_state",
    "Waiting For": "waiting_for",
    "Failure": "failure",
    "Created At": "created_at",
}
_LONG = {
    "Tasks": "tasks",
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
}

#: In the order in which ``show`` has them.
ALL = tuple(sorted((*_COLUMNS.values(), *_LONG.values())))


class ListWorkflows(errors.Networked, command.Lister):
    """List workflows: what API calls changed, and how far the backends have followed."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        lists.add_filters(parser, FILTERS)
        lists.add_paging(parser, models.WORKFLOW_SORT_KEYS)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], collections.abc.Iterable[tuple[typing.Any, ...]]]:
        """Return headers and rows."""
        columns = _COLUMNS | _LONG if parsed_args.long else _COLUMNS
        wanted = lists.query(self, parsed_args, FILTERS) | {"fields": list(columns.values())}
        found = lists.page(self, models.Workflow, parsed_args, wanted)
        return tuple(columns), [fields.row(columns.values(), one) for one in found]


class ShowWorkflow(errors.Networked, command.ShowOne):
    """Show one workflow: where it stands, what it waits for, why it failed."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("workflow", metavar="<workflow>", help="Its ID")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[typing.Any, ...]]:
        """Return names and values."""
        found = models.Workflow.new(id=parsed_args.workflow).fetch(self.network)
        return ALL, fields.row(ALL, found)
