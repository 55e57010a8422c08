# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What makes a cloud ready to go over to workflows, or back: facts in, answers in words out.

An answer that is no success says what it means and what to do.
"""

import collections.abc
import dataclasses
import datetime
import enum

from oslo_upgradecheck import upgradecheck

from networking_workflow.journal import readiness
from networking_workflow.model.modes import Mode
from networking_workflow.model.states import WorkflowState

#: The names that core_plugin may have for the plugin that records workflows, and for stock's.
OURS = frozenset({"ml2_workflow", "networking_workflow.api.plugin.Ml2Plugin"})
STOCK = frozenset({"ml2", "neutron.plugins.ml2.plugin.Ml2Plugin"})

#: Seconds by which this host may be apart from the database server without a word.
CLOCK_S = 2.0

#: States that go on by themselves while a conductor lives.
_MOVING = (WorkflowState.READY, WorkflowState.WAITING, WorkflowState.RUNNING)

_SUCCESS, _WARNING, _FAILURE = upgradecheck.Code


class Direction(enum.StrEnum):
    """Where the cloud goes."""

    OVER = "over"  #: from ml2 to ml2_workflow, or it has gone
    BACK = "back"  #: from ml2_workflow to ml2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one check says."""

    check: str
    code: upgradecheck.Code
    details: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the configuration of this host and the database say."""

    core_plugin: str
    separate: bool  #: conductors are processes of their own
    conductors: readiness.Conductors
    backlog: collections.abc.Mapping[WorkflowState, int]
    apart: int  #: resources that are known not to be in the backend as they should
    unrecorded: readiness.Unrecorded
    since: datetime.datetime  #: changes without a workflow were looked for from here on
    clock_s: float  #: by how much this host is ahead of the database server
    mode: Mode = Mode.DRIVE

    @property
    def unfinished(self) -> dict[WorkflowState, int]:
        """Return how many workflows are in each state that is not over."""
        return {
            state: number
            for state, number in sorted(self.backlog.items())
            if state != WorkflowState.FAILED
        }

    @property
    def failed(self) -> int:
        """Return how many workflows have FAILED and wait for an operator."""
        return self.backlog.get(WorkflowState.FAILED, 0)


def answers(direction: Direction, facts: Facts) -> list[Answer]:
    """Return what each check of the database says."""
    if direction is Direction.BACK and facts.mode is Mode.SHADOW:
        return [_nothing_left_to_do(facts), _seen(facts)]
    if direction is Direction.BACK:
        return [_drained(facts), _failed_before_the_way_back(facts), _apart(facts)]
    checks = (_core_plugin, _conductors, _queue, _recorded, _clocks)
    return [check(facts) for check in checks]


def _core_plugin(facts: Facts) -> Answer:
    name, alive = facts.core_plugin, _named(facts.conductors.by_host)
    if name in OURS and facts.mode is Mode.SHADOW:
        return _answer(
            "Core plugin",
            _SUCCESS,
            f"core_plugin = {name} with [workflow] mode = shadow: stock makes the backends follow, "
            "and workflows compare. It must be so on every host.",
        )
    if name in OURS:
        return _answer("Core plugin", _SUCCESS, f"core_plugin = {name}.")
    if name not in STOCK:
        return _answer(
            "Core plugin",
            _FAILURE,
            f"core_plugin = {name or '(not set)'}: ml2_workflow takes the place of ml2 and of no "
            "other core plugin.",
        )
    if alive:
        return _answer(
            "Core plugin",
            _WARNING,
            f"core_plugin = {name} on this host, while conductors are alive ({alive}): an API "
            "server of this host writes to the backend past the queue. Set core_plugin = "
            "ml2_workflow and restart its processes.",
        )
    return _answer(
        "Core plugin", _SUCCESS, f"core_plugin = {name}, and ml2_workflow may take its place."
    )


def _conductors(facts: Facts) -> Answer:
    if alive := _named(facts.conductors.by_host):
        return _answer("Conductors", _SUCCESS, f"Alive: {alive}.")
    start = (
        "Start neutron-workflow-conductor on at least one host."
        if facts.separate
        else "Start neutron-api with core_plugin = ml2_workflow, or neutron-workflow-conductor."
    )
    if facts.unfinished:
        return _answer(
            "Conductors",
            _FAILURE,
            f"None is alive, and {_counted(facts.unfinished)} wait for one. {start}",
        )
    if facts.separate:
        return _answer(
            "Conductors",
            _WARNING,
            "None is alive: with [workflow] conductor = separate every change would stay PENDING. "
            f"{start}",
        )
    return _answer(
        "Conductors", _SUCCESS, "None is alive; with conductor = embedded they come with the API."
    )


def _queue(facts: Facts) -> Answer:
    stuck = {state: n for state, n in facts.unfinished.items() if state not in _MOVING}
    complaints = []
    if stuck:
        complaints.append(
            f"{_counted(stuck)} wait for a backend or for another resource: "
            "GET /v2.0/workflows?workflow_state=RETRYING (or HELD) says for which."
        )
    if facts.failed and facts.mode is Mode.SHADOW:
        complaints.append(
            f"{_counted({WorkflowState.FAILED: facts.failed})}: stock has left the backend with "
            "something else than the database says. GET /v2.0/tasks?task_state=FAILED says what; "
            "change these resources again, or retry, which compares once more."
        )
    elif facts.failed:
        complaints.append(
            f"{_counted({WorkflowState.FAILED: facts.failed})}: change these resources again, "
            "or retry or skip the workflows."
        )
    if complaints:
        return _answer("Queue", _WARNING, " ".join(complaints))
    moving = f"{_counted(facts.unfinished)} go on." if facts.unfinished else "It is empty."
    return _answer("Queue", _SUCCESS, moving)


def _recorded(facts: Facts) -> Answer:
    """Whether an API server with stock's plugin works beside ours."""
    found, name = facts.unrecorded, "Changes without a workflow"
    if facts.conductors.since is None:
        return _answer(name, _SUCCESS, "Not looked for: no conductor is alive.")
    if found.last is not None:
        made = ", ".join(f"{number} in {table}" for table, number in found.made.items())
        deleted = f"; {found.deleted} were deleted so" if found.deleted else ""
        return _answer(
            name,
            _FAILURE,
            f"Resources were made without a workflow since {_clock(facts.since)} UTC ({made}), the "
            f"last at {_clock(found.last)}{deleted}: an API server with core_plugin = ml2 runs, or "
            "ran until then. What it does has no order with the workflows. Stop it; run this check "
            "on each host to find it.",
        )
    if found.deleted:
        return _answer(
            name,
            _WARNING,
            f"{found.deleted} resources that have had workflows were deleted without one, nobody "
            "knows when: while core_plugin was ml2 for a while, or by an API server that still has "
            "it.",
        )
    return _answer(name, _SUCCESS, f"None was found since {_clock(facts.since)} UTC.")


def _clocks(facts: Facts) -> Answer:
    apart = f"This host's clock is {facts.clock_s:+.1f} s from the database server's."
    if abs(facts.clock_s) <= CLOCK_S:
        return _answer("Clocks", _SUCCESS, apart)
    return _answer(
        "Clocks",
        _WARNING,
        f"{apart} Leases and retries go by the database's clock and are safe; times that are shown "
        "are not. Let both follow the same time servers.",
    )


def _nothing_left_to_do(facts: Facts) -> Answer:
    """In the mode ``shadow`` the queue holds comparisons only, if it was so all the time.

    A workflow does not say in which mode it was recorded. Once it has been compared, that what it
    is about is not in the backend is among what has FAILED.
    """
    done = "[workflow] mode = shadow: stock has made every change itself, as it goes on doing."
    if not facts.unfinished:
        return _answer("Queue", _SUCCESS, done)
    return _answer(
        "Queue",
        _WARNING,
        f"{done} {_counted(facts.unfinished)}: not compared yet. If any of them was recorded while "
        "the mode was drive, nobody has made its change: set mode = drive again and drain the "
        "queue first (check --back says when). Otherwise nothing need be waited for.",
    )


def _seen(facts: Facts) -> Answer:
    """What the comparisons have found stays as it is."""
    return _of_failed(
        facts,
        _WARNING,
        "so much of what stock has left in the backends differs from the database. ml2 shows no "
        "sync_state that says so; change these resources again.",
    )


def _of_failed(facts: Facts, level: upgradecheck.Code, what: str) -> Answer:
    if not facts.failed:
        return _answer("Failed workflows", _SUCCESS, "There are none.")
    counted = _counted({WorkflowState.FAILED: facts.failed})
    return _answer("Failed workflows", level, f"{counted}: {what}")


def _drained(facts: Facts) -> Answer:
    alive = _named(facts.conductors.by_host)
    if not facts.unfinished:
        stop = f" Stop the conductors ({alive}) before ml2 is started." if alive else ""
        return _answer(
            "Queue",
            _SUCCESS,
            f"It is drained. That holds until the next call: API servers must be stopped.{stop}",
        )
    go_on = (
        f"Conductors are alive ({alive}): ask again when they are done."
        if alive
        else "No conductor is alive: start neutron-workflow-conductor, and ask again when it is "
        "done."
    )
    return _answer(
        "Queue",
        _FAILURE,
        f"Not over: {_counted(facts.unfinished)}. The backend lacks their changes, and ml2 would "
        "never make them. Stop every API server, so that no more come, and leave core_plugin as it "
        f"is. {go_on} What waits for a backend goes on when that is back, or an operator skips it.",
    )


def _failed_before_the_way_back(facts: Facts) -> Answer:
    return _of_failed(
        facts,
        _FAILURE,
        "the backend lacks their changes, and ml2 shows no sync_state that says so. Retry them "
        "(PUT /v2.0/workflows/retry), or skip them and change these resources again under ml2.",
    )


def _apart(facts: Facts) -> Answer:
    if not facts.apart:
        return _answer("Resources", _SUCCESS, "None shows ERROR or DRIFTED for another reason.")
    return _answer(
        "Resources",
        _WARNING,
        f"{facts.apart} show ERROR or DRIFTED, and no workflow will mend them: theirs were skipped "
        "or cancelled, or failed long ago. Change them again, now or under ml2; GET "
        "/v2.0/ports?sync_state=ERROR and the like name them only while ml2_workflow runs.",
    )


def _answer(check: str, code: upgradecheck.Code, details: str) -> Answer:
    return Answer(check=check, code=code, details=details)


def _counted(states: collections.abc.Mapping[WorkflowState, int]) -> str:
    number = sum(states.values())
    each = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{number} workflow{'s' if number != 1 else ''} ({each})"


def _named(by_host: collections.abc.Mapping[str, int]) -> str:
    return ", ".join(f"{number} on {host}" for host, number in by_host.items())


def _clock(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")
