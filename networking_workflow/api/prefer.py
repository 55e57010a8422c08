# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``Prefer`` (RFC 7240): a caller who waits for the backends, or who takes the work as accepted."""

import collections.abc
import contextlib
import dataclasses
import json
import logging
import re
import threading
import time
import typing

import webob

from networking_workflow.api import fields
from networking_workflow.capture import restore
from networking_workflow.conductor import guard
from networking_workflow.journal import outcomes
from networking_workflow.model.states import TERMINAL, WorkflowState

LOG = logging.getLogger(__name__)

#: Says how a wait ended: one of the words below.
WAIT = "OpenStack-Workflow-Wait"
DONE, TIMED_OUT, TOO_MANY, FAILED = "done", "timed-out", "too-many-waiters", "failed"

#: Seconds between two looks at what is waited for: from the first to the longest.
_FIRST_LOOK_S, _LONGEST_LOOK_S, _GROWTH = 0.002, 0.02, 1.5

#: Seconds after which a client that took the work as accepted may ask how it stands.
RETRY_AFTER_S = 1

#: A preference's name and value; parameters after a semicolon mean nothing to us.
_PREFERENCE = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*\"?([^\",;\s]*)\"?)?\s*(?:;.*)?$"
)

Look = collections.abc.Callable[[collections.abc.Iterable[str]], list[outcomes.Outcome]]
Undo = collections.abc.Callable[[], restore.Restored]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """What a caller prefers, of what we know."""

    wait_s: float | None = None
    respond_async: bool = False

    def __bool__(self) -> bool:
        return self.wait_s is not None or self.respond_async


def parse(header: str) -> Preferences:
    """Read the header; what is unknown or malformed is ignored, as RFC 7240 has it.

    The first ``wait`` counts (RFC 7240, section 2).
    """
    named: dict[str, str] = {}
    for part in header.split(","):
        match = _PREFERENCE.match(part)
        if match is not None:
            named.setdefault(match[1].lower(), match[2] or "")
    wait = named.get("wait", "")
    return Preferences(
        wait_s=float(wait) if re.fullmatch(r"[0-9]{1,9}", wait) else None,
        respond_async="respond-async" in named,
    )


class Waiting:
    """Who waits in this process, and for how long one may.

    :param look: returns how workflows stand, with no database connection kept afterwards.
    :param most: waiters at a time.
    """

    def __init__(self, look: Look, *, max_wait_s: float, most: int) -> None:
        self._look, self._max_wait_s = look, max_wait_s
        self._free, self._lock = most, threading.Lock()

    def answer(
        self,
        response: webob.Response,
        ids: list[str],
        wanted: Preferences,
        place: str,
        undo: Undo,
    ) -> webob.Response:
        """Return the answer that the caller prefers to ``response``, which the call itself gave.

        Blocks for as long as the caller wants to wait. If a workflow has failed by then, what the
        call changed is undone; what an operator ended is not, nor is anything when time is over.

        :param ids: the workflows that the call opened.
        :param place: the path under which they are found.
        :param undo: makes the database as it was before the call, if it still may.
        """
        if wanted.wait_s is None:
            return _accepted(response, place)
        wait_s = min(wanted.wait_s, self._max_wait_s)
        with self._place() as free:
            if not free:
                response.headers[WAIT] = TOO_MANY
                return _accepted(response, place) if wanted.respond_async else response
            found = self._wait(ids, wait_s)
        response.headers["Preference-Applied"] = f"wait={wait_s:g}"
        failed = _failed(found or [])
        if failed:
            return _bad_gateway(response, failed[0], _undone(failed, undo))
        ended = found is not None and _ended(found)
        response.headers[WAIT] = DONE if ended else TIMED_OUT
        return _accepted(response, place) if wanted.respond_async and not ended else response

    @contextlib.contextmanager
    def _place(self) -> typing.Iterator[bool]:
        with self._lock:
            free = self._free > 0
            self._free -= free
        try:
            yield free
        finally:
            with self._lock:
                self._free += free

    def _wait(self, ids: list[str], wait_s: float) -> list[outcomes.Outcome] | None:
        """Return how they stand when all have ended, one has failed, or the time is over.

        None: the time is over, and the database cannot be asked. The call itself is committed.
        """
        deadline, pause, away = time.monotonic() + wait_s, _FIRST_LOOK_S, False
        while True:
            found = None
            try:
                found = self._look(ids)
            except guard.DATABASE_AWAY as error:
                if not away:
                    LOG.warning("A caller waits, and the database is away: %s", error)
                away = True
            left = deadline - time.monotonic()
            if left <= 0 or (found is not None and (_ended(found) or _failed(found))):
                return found
            time.sleep(min(pause, left))  # rows are asked: conductors elsewhere give no signal
            pause = min(pause * _GROWTH, _LONGEST_LOOK_S)


#: Ends that are not what the caller asked for.
_FAILED = frozenset(
    {
        WorkflowState.FAILED,
        WorkflowState.REVERTED,
        WorkflowState.CANCELLED,
        WorkflowState.SKIPPED,
    }
)


def _ended(found: list[outcomes.Outcome]) -> bool:
    return all(one.state in TERMINAL for one in found)


def _failed(found: list[outcomes.Outcome]) -> list[outcomes.Outcome]:
    return [one for one in found if one.state in _FAILED]


def _undone(failed: list[outcomes.Outcome], undo: Undo) -> restore.Restored:
    if all(one.state is not WorkflowState.FAILED for one in failed):
        return restore.Restored(done=False, why_not="An operator ended it; the change stays.")
    return undo()


def _accepted(response: webob.Response, place: str) -> webob.Response:
    """Make it 202: the resource as it was accepted, and where to ask how far the work is."""
    response.status = 202
    response.headers["Location"] = place
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    applied = response.headers.get("Preference-Applied")
    response.headers["Preference-Applied"] = ", ".join(filter(None, [applied, "respond-async"]))
    return response


def _bad_gateway(
    response: webob.Response, failed: outcomes.Outcome, restored: restore.Restored
) -> webob.Response:
    """Say which workflow failed and why, and what has become of the change, for tenants to read."""
    code = failed.failure.value if failed.failure else None
    said = fields.failure(code)
    why = said["message"] if said else "The change was ended without the backend having followed."
    body = {
        "NeutronError": {
            "type": "WorkflowFailed",
            "message": f"{failed.resource_type} {failed.resource_id}: {why}",
            "detail": "",
        },
        "workflow": {
            "id": failed.asked_id,
            "resource_type": failed.resource_type,
            "resource_id": failed.resource_id,
            "workflow_state": failed.state.value,
            "failure": said,
        },
        "restored": restored.done,
        "not_restored_because": restored.why_not or None,
        "restored_by": list(restored.workflow_ids),
    }
    response.status = 502
    response.headers[WAIT] = FAILED
    response.content_type = "application/json"
    response.body = json.dumps(body).encode()
    return response
