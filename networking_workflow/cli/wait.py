# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow wait``: until workflows have ended, and how."""

import argparse
import collections
import collections.abc
import dataclasses
import time
import typing

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

from networking_workflow.cli import errors, fields, models
from networking_workflow.model import states

#: What the command exits with.
ENDED_WELL, ONE_FAILED, TIMED_OUT = 0, 1, 2

#: Seconds between two looks: the first, the longest, and by how much each is longer.
_FIRST_LOOK_S, _LONGEST_LOOK_S, _GROWTH = 0.1, 2.0, 1.3

#: What proxies answer while the service behind them restarts; None: nobody answers.
_AWAY = (502, 503, 504, None)

#: Ids in one request's path.
_AT_A_TIME = 50

_UNFINISHED = sorted(set(states.WorkflowState) - states.TERMINAL)
_WELL = (states.WorkflowState.SUCCESS, states.WorkflowState.SUPERSEDED)
_FIELDS = (
    *("id", "resource_type", "resource_id", "operation", "workflow_state", "waiting_for"),
    *("superseded_by", "failure", "failure_detail"),
)

_By = dict[str, models.Workflow]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which workflows are waited for."""

    ids: list[str]
    resources: list[str]
    operations: list[str]


class WaitForWorkflows(errors.Networked):
    """Wait until workflows have ended.

    Exits 0 when all ended well, 1 when one failed or was cancelled or skipped (and says which step
    failed, and why), 2 when the time is over.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "workflow",
            metavar="<workflow>",
            nargs="*",
            help="IDs, as the header OpenStack-Workflow-Id of an answer names them; for one that "
            "was superseded, the one that does its work counts",
        )
        parser.add_argument(
            "--resource",
            metavar="<id>",
            action="append",
            default=[],
            help="All unfinished workflows of the resource with this ID; how its newest ends "
            "counts (may be repeated)",
        )
        parser.add_argument(
            "--operation-id",
            metavar="<id>",
            action="append",
            default=[],
            help="All workflows of the API call with this ID: the X-OpenStack-Request-Id of its "
            "answer (may be repeated)",
        )
        parser.add_argument(
            "--timeout",
            metavar="<seconds>",
            type=float,
            default=300.0,
            help="Wait this many seconds at most; 0: look once (default: %(default)g)",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Wait; return what to exit with."""
        wanted = Wanted(
            ids=[one for word in parsed_args.workflow for one in _words(word)],
            resources=parsed_args.resource,
            operations=parsed_args.operation_id,
        )
        if not any(dataclasses.astuple(wanted)):
            raise exceptions.CommandError(
                "Say what to wait for: workflows' IDs, --resource or --operation-id."
            )
        found = self._wait(wanted, parsed_args.timeout)
        unfinished = [one for one in found if one.workflow_state not in states.TERMINAL]
        if unfinished:
            self._tell_unfinished(found, unfinished, parsed_args.timeout)
            return TIMED_OUT
        return self._tell_ended(found)

    def _wait(self, wanted: Wanted, timeout_s: float) -> list[models.Workflow]:
        """Return the workflows as they were seen last: all ended, or the time is over."""
        started, pause_s = time.monotonic(), _FIRST_LOOK_S
        progress = _Progress(self.app.stderr)
        found, seen = look(self.network, wanted), True
        while any(one.workflow_state not in states.TERMINAL for one in found):
            passed_s = time.monotonic() - started
            if seen:
                progress.show(found, passed_s)
            if passed_s >= timeout_s:
                break
            time.sleep(min(pause_s, timeout_s - passed_s))  # the API tells nobody; it is asked
            pause_s = min(pause_s * _GROWTH, _LONGEST_LOOK_S)
            try:
                found, seen = look(self.network, wanted), True
            except (ksa_exceptions.ConnectionError, sdk_exceptions.HttpException) as error:
                if getattr(error, "status_code", None) not in _AWAY:
                    raise
                progress.note("The network service cannot be reached; trying on.")
                seen = False
        progress.clear()
        return found

    def _tell_unfinished(
        self,
        found: list[models.Workflow],
        unfinished: list[models.Workflow],
        timeout_s: float,
    ) -> None:
        self._out(f"{len(unfinished)} of {len(found)} had not ended after {timeout_s:g} s.")
        for one in unfinished:
            why = one.waiting_for or fields.failure(one.failure)
            self._out(f"{_name(one)}: {one.workflow_state}{f', {why}' if why else ''}")

    def _tell_ended(self, found: list[models.Workflow]) -> int:
        self._out(f"Ended: {_by_state(found)}.")
        bad = [one for one in found if one.workflow_state not in _WELL]
        for one in bad:
            self._out(f"{_name(one)}: {one.workflow_state}")
            for task in self._failed_tasks(one):
                self._out(f"  step {task.name}: {fields.failure(task.failure)}")
                if task.failure_detail:
                    self._out(f"    {task.failure_detail}")
        return ONE_FAILED if bad else ENDED_WELL

    def _failed_tasks(self, workflow: models.Workflow) -> list[models.Task]:
        failed = states.TaskState.FAILED.value
        tasks = models.Task.list(self.network, workflow_id=workflow.id, task_state=failed)
        return list(tasks)

    def _out(self, line: str) -> None:
        self.app.stdout.write(f"{line}\n")


def look(network: typing.Any, wanted: Wanted) -> list[models.Workflow]:
    """Return how the workflows stand; the one that does its work for each superseded one.

    :raises HttpException: if a workflow is not there.
    :raises CommandError: if an API call or a resource has none.
    """
    found = _by_ids(network, wanted.ids)
    for missing in set(wanted.ids) - found.keys():
        models.Workflow.new(id=missing).fetch(network)  # it raises the API's own error
    for operation_id in wanted.operations:
        some = _listed(network, operation_id=operation_id)
        if not some:
            raise exceptions.CommandError(
                f"The API call {operation_id} opened no workflow that you may see."
            )
        found |= some
    for resource_id in wanted.resources:
        some = _newest(network, resource_id)
        if not some:
            raise exceptions.CommandError(
                f"There is no workflow of a resource {resource_id} that you may see."
            )
        found |= some | _listed(network, resource_id=resource_id, workflow_state=_UNFINISHED)
    return list(_followed(network, found).values())


def _followed(network: typing.Any, found: _By) -> _By:
    """Return the successors of superseded workflows in their place, as far as they are seen."""
    known = dict(found)
    while True:
        following = {one.superseded_by for one in known.values() if one.superseded_by}
        fresh = _by_ids(network, sorted(following - known.keys()))
        if not fresh:
            return {one.id: one for one in known.values() if one.superseded_by not in known}
        known |= fresh


def _by_ids(network: typing.Any, ids: list[str]) -> _By:
    found: _By = {}
    for start in range(0, len(ids), _AT_A_TIME):
        found |= _listed(network, id=ids[start : start + _AT_A_TIME])
    return found


def _newest(network: typing.Any, resource_id: str) -> _By:
    newest_first = {"sort_key": ["created_at"], "sort_dir": ["desc"]}
    return _listed(network, paginated=False, resource_id=resource_id, limit=1, **newest_first)


def _listed(network: typing.Any, **asked: typing.Any) -> _By:
    rows = models.Workflow.list(network, fields=list(_FIELDS), **asked)
    return {one.id: one for one in rows}


def _words(text: str) -> list[str]:
    """Return the ids of a header's value."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _name(workflow: models.Workflow) -> str:
    what = f"{workflow.operation} {workflow.resource_type} {workflow.resource_id}"
    return f"Workflow {workflow.id} ({what})"


def _by_state(found: collections.abc.Iterable[models.Workflow]) -> str:
    numbers = collections.Counter(one.workflow_state for one in found)
    return fields.counts(
        {state: numbers[state] for state in states.WorkflowState if numbers[state]}
    )


class _Progress:
    """One line that is rewritten on a terminal; elsewhere a line for each change."""

    def __init__(self, stream: typing.TextIO) -> None:
        self._stream, self._said = stream, ""
        self._rewrites = stream.isatty()

    def show(self, found: list[models.Workflow], passed_s: float) -> None:
        """Show how far it is."""
        text = _by_state(found)
        self._tell(text, f"{text}; {passed_s:.0f} s")

    def note(self, text: str) -> None:
        """Show why there is no progress."""
        self._tell(text, text)

    def _tell(self, text: str, rewritten: str) -> None:
        if self._rewrites:
            self._write(f"\r\x1b[K{rewritten}")
        elif text != self._said:
            self._write(f"{text}\n")
        self._said = text

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        if self._rewrites:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
