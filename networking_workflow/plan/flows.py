# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""From a workflow to a TaskFlow flow: one task per driver, one after the other.

The tasks write the journal's rows themselves. TaskFlow swallows what its listeners raise, and its
storage keeps nothing here (``engine.null``), so nothing durable may hang on either.
"""

import dataclasses
import typing

from taskflow import task
from taskflow.patterns import linear_flow

from networking_workflow.drivers import protocol
from networking_workflow.model import errors, failures, keys, states, tasks, workflows
from networking_workflow.model import graph as graphs


def drivers_for(
    drivers: typing.Sequence[protocol.Driver],
    resource_type: str,
    operation: states.Operation,
    snapshot: workflows.Snapshot | None = None,
) -> list[protocol.Driver]:
    """Return who is called, in order: as configured, and for port deletes the other way round.

    ML2 calls its mechanism drivers in the same two orders.
    """
    called = [
        driver
        for driver in drivers
        if driver.handles(resource_type, operation)
        and (not isinstance(driver, protocol.Preparing) or driver.wants(snapshot))
    ]
    if _is_backwards(resource_type, operation):
        called.reverse()
    return called


def _is_backwards(resource_type: str, operation: states.Operation) -> bool:
    return resource_type == "port" and operation is states.Operation.DELETE


def drivers_in(
    lane: str, graph: graphs.DriverGraph, drivers: typing.Iterable[protocol.Driver]
) -> list[protocol.Driver]:
    """Return the drivers of a lane, in its order.

    One that prepares for another is in its lane, before all others.

    :raises TransientFailure: if the graph has no such lane: the workflow was recorded by a process
        that is configured otherwise.
    """
    try:
        order = graph.drivers_in(lane)
    except KeyError as error:
        raise errors.TransientFailure(
            f"The conductor's [workflow] driver_graph has no lane {lane}. Give every process of "
            "the cloud the same one."
        ) from error
    placed = graph.placed
    places = {name: place for place, name in enumerate(order)}
    mine = [one for one in drivers if placed.get(stands_for(one), keys.DEFAULT_LANE) == lane]
    return sorted(mine, key=lambda one: places.get(one.name, -1))


def stands_for(driver: protocol.Driver) -> str:
    """Return the mechanism driver in whose lane it is, and whose backend it calls."""
    return driver.prepares_for if isinstance(driver, protocol.Preparing) else driver.name


def planned(drivers: typing.Iterable[protocol.Driver]) -> list[tasks.PlannedTask]:
    """Return one task per driver, in the order in which they are called."""
    return [
        tasks.PlannedTask(name=driver.name, driver=driver.name, position=position)
        for position, driver in enumerate(drivers)
    ]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one call of a driver ended."""

    task: tasks.StartedTask
    state: states.TaskState
    error: errors.DriverError | None = None  #: None: the task is SUCCESS
    applied: typing.Mapping[str, typing.Any] | None = None  #: what ``Driver.apply`` returned
    called: bool = True  #: as for :class:`tasks.TaskResult`
    before_late: failures.Shown | None = None  #: as for :class:`tasks.TaskResult`

    @property
    def result(self) -> tasks.TaskResult:
        """Return what the journal records."""
        return tasks.TaskResult(
            id=self.task.id,
            state=self.state,
            failure=self.error.failure if self.error else None,
            called=self.called,
            before_late=self.before_late,
        )

    @property
    def bodies(self) -> dict[str, typing.Mapping[str, typing.Any]]:
        """Return what is kept as ``Target.applied``, by driver; empty: nothing."""
        return {} if self.applied is None else {self.task.driver: self.applied}


class RecordStep(typing.Protocol):
    """``Journal.step``: one task's end and the next one's start, in one transaction."""

    def __call__(
        self,
        claim: workflows.Claim,
        finished: tasks.TaskResult | None,
        *,
        next_task_id: str | None,
        applied: typing.Mapping[str, typing.Any] | None = None,
    ) -> None:
        """Write it, fenced by the claim."""


class StepLog:
    """The durable side of one run: a transaction between two tasks carries both their changes.

    The first task was set RUNNING when the tasks were started. The last outcome is left for the
    transaction that settles the workflow; see :attr:`unwritten`.
    """

    def __init__(
        self, record: RecordStep, claim: workflows.Claim, running: tasks.StartedTask
    ) -> None:
        self._record, self._claim = record, claim
        self.running_id = running.id  #: the task that the journal says is RUNNING
        self.outcomes: list[Outcome] = []
        self._left_out: set[str] = set()
        self.unwritten: Outcome | None = None  #: the one that the journal has not been told of

    def enter(self, started: tasks.StartedTask) -> None:
        """Make it durable that ``started`` runs, before its driver is called.

        :raises LeaseLost: if the workflow has another owner by now.
        """
        if started.id == self.running_id:
            return
        self._write(next_task_id=started.id)
        self.running_id = started.id

    def leave(self, outcome: Outcome) -> None:
        """Keep how the running task ended; written with whatever is written next."""
        self.outcomes.append(outcome)
        self.unwritten = outcome

    def leave_out(self, started: tasks.StartedTask) -> None:
        """Note that a task is not to be called in this run."""
        self._left_out.add(started.driver)

    def succeeded(self, drivers: frozenset[str]) -> bool:
        """Return whether none of these has been called in this run in vain, or left out of it."""
        failed = {
            one.task.driver for one in self.outcomes if one.state is not states.TaskState.SUCCESS
        }
        return not drivers & (failed | self._left_out)

    def flush(self) -> None:
        """Write the last outcome by itself.

        :raises LeaseLost: if the workflow has another owner by now.
        """
        if self.unwritten is not None:
            self._write(next_task_id=None)

    def _write(self, *, next_task_id: str | None) -> None:
        last = self.unwritten
        self._record(
            self._claim,
            last.result if last else None,
            next_task_id=next_task_id,
            applied=last.bodies if last else None,
        )
        self.unwritten = None


class Caller(typing.Protocol):
    """What stands between a task and its driver."""

    def check(self) -> None:
        """Return if another driver may be called; raise what ends the run otherwise."""

    def call(self, started: tasks.StartedTask) -> Outcome:
        """Call the driver; whatever it does becomes the outcome."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What the tasks of one run work on."""

    started: typing.Mapping[str, tasks.StartedTask]  #: by name, in order
    log: StepLog
    caller: Caller
    after: typing.Mapping[str, frozenset[str]]  #: driver -> without whose success it is not called


def work(
    claim: workflows.Claim,
    started: typing.Iterable[tasks.StartedTask],
    log: StepLog,
    caller: Caller,
    after: typing.Mapping[str, frozenset[str]] | None = None,
) -> Work:
    """Return the work of one run of one workflow.

    :param after: of the driver graph; turned round where the drivers are called backwards.
    """
    edges = after or {}
    if _is_backwards(claim.resource_type, claim.operation):
        edges = graphs.turned(edges)
    by_name = {one.name: one for one in started}
    return Work(started=by_name, log=log, caller=caller, after=edges)


class DriverTask(task.Task):
    """One driver's step. It never fails in TaskFlow's sense: its outcome is its result.

    So one driver's failure neither hides another's nor makes TaskFlow undo it.
    """

    def __init__(self, name: str, present: typing.Callable[[], Work]) -> None:
        super().__init__(name=name)
        self._present = present

    def execute(self) -> str:
        """Journal, call, keep the outcome; return the task's state."""
        present = self._present()
        started, log = present.started[self.name], present.log
        if not log.succeeded(present.after.get(started.driver, _NONE)):
            log.leave_out(started)
            return str(states.TaskState.PENDING)
        present.caller.check()
        log.enter(started)
        outcome = present.caller.call(started)
        log.leave(outcome)
        return str(outcome.state)


def build(names: tuple[str, ...], present: typing.Callable[[], Work]) -> linear_flow.Flow:
    """Return the flow of workflows with tasks of these names; it is for the calling thread alone.

    :param present: returns what is worked on in this run.
    """
    flow = linear_flow.Flow(" ".join(names))
    flow.add(*(DriverTask(name, present) for name in names))
    return flow


_NONE: frozenset[str] = frozenset()
