# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Moves of workflows that an operator asks for: of one, and of all that filters find.

``PUT /v2.0/workflows/{id}/retry``, ``/skip``, ``/cancel``.
One: no body; the answer is the workflow as it is then. Many: ``PUT /v2.0/workflows/retry`` with
``{"filters": {"driver": "ovn"}, "dry_run": true, "limit": 1000}``; the answer says how many match
and which were moved, or would be.
"""

import dataclasses
import logging
import typing

from neutron import policy
from neutron_lib import exceptions as n_exc
from neutron_lib.db import api as db_api

from networking_workflow.api import lists, models, readonly, workflows
from networking_workflow.capture import calls
from networking_workflow.model import errors, states

LOG = logging.getLogger(__name__)

#: Workflows that one request moves at most; each is a transaction of its own.
MOST = 1000


#: What the answer to a request for many says of each.
_SAID = ["id", "project_id", "resource_type", "resource_id", "workflow_state"]


class StateDoesNotAllow(n_exc.Conflict):
    """409: the workflow is in a state from which the action leads nowhere."""

    message = "%(reason)s"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Many:
    """Which workflows are meant, in the words of a request's body."""

    filters: lists.Filters
    dry_run: bool
    limit: int


class WorkflowsController(readonly.ReadOnlyController):
    """Workflows are read by their projects and moved by administrators."""

    def retry(self, request: typing.Any, **named: typing.Any) -> dict[str, typing.Any]:
        """FAILED to READY, all attempts to spend again; takes today's place in the order."""
        return self._act("retry", request, **named)

    def skip(self, request: typing.Any, **named: typing.Any) -> dict[str, typing.Any]:
        """SKIPPED: the backend need not follow."""
        return self._act("skip", request, **named)

    def cancel(self, request: typing.Any, **named: typing.Any) -> dict[str, typing.Any]:
        """CANCELLED; one that runs, when its driver's call has returned."""
        return self._act("cancel", request, **named)

    def _act(
        self,
        action: str,
        request: typing.Any,
        id: str | None = None,
        body: typing.Any = None,
    ) -> dict[str, typing.Any]:
        context = request.context
        if id is None:
            return self._act_on_many(action, context, body)
        if body:
            raise n_exc.InvalidInput(error_message=f"{action} of one workflow takes no body")
        shown = self._plugin.get_workflow(context, id)  # 404 for what the request may not see
        _enforce(context, action, shown)
        try:
            self._move(action, id)
        except errors.WorkflowNotFound as error:
            raise workflows.WorkflowNotFound(workflow_id=id) from error
        except errors.IllegalMove as error:
            raise StateDoesNotAllow(reason=str(error)) from error
        _moved(context, action, [id])
        return {workflows.MEMBER: self._view(context, self._plugin.get_workflow(context, id))}

    def _move(self, action: str, workflow_id: str) -> None:
        """Let the journal do it.

        :raises IllegalMove: from a state that does not allow it.
        :raises WorkflowNotFound: if it has been pruned.
        """
        getattr(self._plugin.journal, action)(workflow_id)

    def _act_on_many(
        self, action: str, context: typing.Any, body: typing.Any
    ) -> dict[str, typing.Any]:
        _enforce(context, action, {})
        asked = _many(body)
        filters = _with_states(asked.filters, states.ASKED_FROM[action])
        page = lists.Page(
            filters=filters, sorts=[("created_at", True), ("id", True)], limit=asked.limit
        )
        with db_api.CONTEXT_READER.using(context):
            matched = lists.count(context, models.Workflow, filters)
            rows = lists.rows(context, models.Workflow, page, None)
            found = workflows.shown(context, rows, _SAID)
        moved: list[dict[str, typing.Any]] = []
        refused: list[dict[str, str]] = []
        for workflow in found:
            try:
                if not asked.dry_run:
                    self._move(action, workflow["id"])
                moved.append(workflow)
            except (errors.IllegalMove, errors.WorkflowNotFound) as error:
                refused.append({"id": workflow["id"], "reason": str(error)})
        if moved and not asked.dry_run:
            _moved(context, action, [workflow["id"] for workflow in moved])
        return {
            "dry_run": asked.dry_run,
            "matched": matched,
            workflows.COLLECTION: moved,
            "refused": refused,
        }


def _enforce(context: typing.Any, action: str, target: dict[str, typing.Any]) -> None:
    """Check the action's policy: Neutron checks none for member actions.

    :raises PolicyNotAuthorized: answered with 403.
    """
    policy.enforce(context, f"{action}_workflow", target, pluralized=workflows.COLLECTION)


def _moved(context: typing.Any, action: str, ids: list[str]) -> None:
    """Tell the conductors, since something may be READY now, and the log."""
    calls.tell(ids)
    LOG.info(
        "Request %s of user %s: %s of %d workflows: %s",
        *(context.request_id, context.user_id, action, len(ids), ", ".join(ids)),
    )


def _many(body: typing.Any) -> _Many:
    """Read the body of a request for many.

    :raises InvalidInput: 400, with what is wrong and what is right.
    """
    names = ("filters", "dry_run", "limit")
    if not isinstance(body, dict) or not set(body) <= set(names):
        raise n_exc.InvalidInput(
            error_message=f"the body must be an object with {', '.join(names)}, and nothing else"
        )
    dry_run, limit = body.get("dry_run", False), body.get("limit", MOST)
    if not isinstance(dry_run, bool):
        raise n_exc.InvalidInput(error_message="dry_run must be true or false")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise n_exc.InvalidInput(error_message=f"limit must be a whole number from 1 to {MOST}")
    return _Many(filters=_filters(body.get("filters")), dry_run=dry_run, limit=limit)


def _filters(given: typing.Any) -> lists.Filters:
    """Return filters as Neutron's queries take them, each checked as that of a list is.

    :raises InvalidInput: also for none at all: it would move every workflow there is.
    """
    if not isinstance(given, dict) or not given:
        raise n_exc.InvalidInput(
            error_message="filters must name at least one attribute of the workflows that are meant"
        )
    filters: lists.Filters = {}
    for name, value in given.items():
        attribute = workflows.ATTRIBUTES.get(name, {})
        if not attribute.get("is_filter"):
            allowed = sorted(n for n, a in workflows.ATTRIBUTES.items() if a.get("is_filter"))
            raise n_exc.InvalidInput(
                error_message=f"{name!r} is no filter; these are: {', '.join(allowed)}"
            )
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(one, str) for one in values):
            raise n_exc.InvalidInput(error_message=f"{name} must be a text or a list of texts")
        convert = attribute.get("convert_to") or str
        filters[name] = [convert(one) for one in values]
    return filters


def _with_states(filters: lists.Filters, allowed: frozenset[states.WorkflowState]) -> lists.Filters:
    """Leave out what could not be moved anyway."""
    named = filters.get("workflow_state", sorted(allowed))
    # No row has the empty state: with no value at all Neutron would not filter.
    return filters | {"workflow_state": [s for s in named if s in allowed] or [""]}
