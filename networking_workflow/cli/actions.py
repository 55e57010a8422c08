# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow retry``, ``skip`` and ``cancel``: some by id, or all that match."""

import argparse
import collections.abc
import typing

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions
from osc_lib.command import command

from networking_workflow.cli import errors, lists, models, workflows
from networking_workflow.model import states

#: Workflows of one request. Each is a transaction of its own: a request takes about a second, which
#: no proxy cuts short.
_AT_A_TIME = 200

_HEADERS = ("ID", "Resource Type", "Resource ID", "Result", "Reason")

_Row = tuple[typing.Any, ...]


class _Move(errors.Networked, command.Lister):
    """One of the three; which workflows are meant is read, confirmed and reported the same way."""

    action: typing.ClassVar[str]
    done: typing.ClassVar[str]  #: the action's past tense
    _refused = False

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run it; return 1 if one was refused."""
        return super().run(parsed_args) or int(self._refused)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        allowed = ", ".join(sorted(states.ASKED_FROM[self.action]))
        parser.epilog = (
            f"Only workflows in these states can be {self.done}: {allowed}. Give IDs, or filters: "
            "then all workflows that match and may be moved are meant. Exits 1 if one was refused."
        )
        parser.add_argument("workflow", metavar="<workflow>", nargs="*", help="IDs")
        parser.add_argument(
            "--dry-run", action="store_true", help="Only show which are meant; change nothing"
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help="With filters: do not ask; needed where there is no terminal to ask on",
        )
        lists.add_filters(parser, workflows.FILTERS)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], collections.abc.Iterable[_Row]]:
        """Return headers and rows: what became of each."""
        filters = lists.query(self, parsed_args, workflows.FILTERS)
        ids: list[str] = parsed_args.workflow
        if bool(ids) == bool(filters):
            raise exceptions.CommandError(
                f"Say which workflows are to be {self.done}: IDs, or filters, and not both."
            )
        if ids and not parsed_args.dry_run:
            return _HEADERS, [self._one(workflow_id) for workflow_id in ids]
        return _HEADERS, self._many(filters or {"id": ids}, parsed_args)

    def _one(self, workflow_id: str) -> _Row:
        try:
            moved = models.Workflow.new(id=workflow_id).move(self.network, self.action)
        except (sdk_exceptions.ConflictException, sdk_exceptions.NotFoundException) as error:
            self._refused = True
            return (workflow_id, "", "", "refused", str(self.clear(error)))
        return _row(moved, self._result(moved.workflow_state), "")

    def _result(self, state: str) -> str:
        # One that runs is cancelled when its driver's call has returned.
        running = self.action == "cancel" and state in states.OWNED
        return "will be cancelled" if running else self.done

    def _many(self, filters: lists.Query, parsed: argparse.Namespace) -> list[_Row]:
        # The API says whether this may be done at all, and how many there are.
        answer = models.Workflow.move_all(self.network, self.action, filters, dry_run=True)
        if not answer["matched"]:
            self.say(f"No workflow that can be {self.done} matches.")
            return []
        meant = self._meant(filters)
        if parsed.dry_run:
            self.say(f"{len(meant)} would be {self.done}; nothing was changed.")
            return [_row(one, f"would be {self.done}", "") for one in meant]
        if not parsed.yes:
            self._confirm(len(meant))
        rows: list[_Row] = []
        for start in range(0, len(meant), _AT_A_TIME):
            rows += self._some(meant[start : start + _AT_A_TIME])
            if len(meant) > _AT_A_TIME:  # who loses the connection knows how far it came
                self.say(f"{len(rows)} of {len(meant)}")
        refused = sum(one[3] == "refused" for one in rows)
        self.say(f"{len(rows) - refused} {self.done}, {refused} refused.")
        return rows

    def _meant(self, filters: lists.Query) -> list[models.Workflow]:
        """Return what is moved, the oldest first: each once, whatever becomes of it meanwhile.

        Asking the API again until it finds none would retry for ever what fails again at once.
        """
        allowed = states.ASKED_FROM[self.action]
        named = filters.get("workflow_state", allowed)
        wanted = filters | {
            "workflow_state": sorted(set(named) & allowed),
            "fields": ["id", "resource_type", "resource_id", "workflow_state"],
            **lists.order("created_at,id"),
        }
        return list(lists.every(self.network, models.Workflow, **wanted))

    def _confirm(self, number: int) -> None:
        """Ask whether to go on.

        :raises CommandError: if the answer is not yes, or there is nobody to ask.
        """
        which = f"{number} workflow{'s' if number > 1 else ''}"
        if not self.app.stdin.isatty():
            raise exceptions.CommandError(
                f"{which} would be {self.done}; nothing was changed. Say --yes to do it."
            )
        self.app.stderr.write(f"{self.action.capitalize()} {which}? [y/N] ")
        self.app.stderr.flush()
        if self.app.stdin.readline().strip().lower() not in ("y", "yes"):
            raise exceptions.CommandError("Nothing was changed.")

    def _some(self, some: collections.abc.Sequence[models.Workflow]) -> list[_Row]:
        ids = [one.id for one in some]
        answer = models.Workflow.move_all(self.network, self.action, {"id": ids})
        moved = {one["id"]: one["workflow_state"] for one in answer["workflows"]}
        reasons = {one["id"]: one["reason"] for one in answer["refused"]}
        rows = []
        for one in some:
            if one.id in moved:
                rows.append(_row(one, self._result(moved[one.id]), ""))
            else:
                self._refused = True
                gone = "it has moved on meanwhile"
                rows.append(_row(one, "refused", reasons.get(one.id, gone)))
        return rows


class RetryWorkflows(_Move):
    """Run failed workflows again, with all attempts to spend, at today's place in the order."""

    action, done = "retry", "retried"


class SkipWorkflows(_Move):
    """End workflows for good; the backend need not follow. Their resources show ERROR."""

    action, done = "skip", "skipped"


class CancelWorkflows(_Move):
    """End workflows; one that runs, when its driver's call has returned."""

    action, done = "cancel", "cancelled"


def _row(workflow: models.Workflow, result: str, reason: str) -> _Row:
    return (workflow.id, workflow.resource_type, workflow.resource_id, result, reason)
