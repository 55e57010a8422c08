# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How one run calls its drivers, one after the other."""

import functools
import typing

from networking_workflow.conductor import (
    breaker,
    calls,
    fanout,
    guard,
    lease,
    outcomes,
    settling,
    shared,
)
from networking_workflow.drivers import protocol
from networking_workflow.journal import failpoints, references
from networking_workflow.model import errors, failures, running, states, tasks, workflows
from networking_workflow.plan import flows

T = typing.TypeVar("T")


class Interrupted(errors.WorkflowError):
    """The run ended between two driver calls: an operator cancelled it, or the process stops."""

    def __init__(self, *, cancelled: bool) -> None:
        self.cancelled = cancelled
        super().__init__("cancelled" if cancelled else "the conductor stops")


class DriverCaller:
    """Keeps ``plan.flows.Caller`` for one run, on its worker's thread.

    :param first: the task that the journal says is RUNNING.
    :param followed: the task that all others of the workflow come after, if there is one.
    """

    def __init__(
        self,
        claim: workflows.Claim,
        held: lease.Lease,
        tools: shared.Tools,
        settlement: settling.Settlement,
        *,
        first: tasks.StartedTask,
        followed: str | None,
    ) -> None:
        self._claim, self._lease, self._tools = claim, held, tools
        self._settlement, self._followed = settlement, followed
        self._called = False
        self._ended: list[str] = []  #: drivers whose calls are over; who waits for them sleeps yet
        self._before_late: failures.Shown | None = None  #: once this call is said to be late
        self.running = first
        self.children: list[str] = []  #: workflows that were opened for what the change reaches
        self.in_call: str | None = None  #: the driver that is being called now

    def check(self) -> None:
        """Return if a driver may be called now (``plan.flows.Caller``).

        :raises LeaseLost: if the lease has ended by this process's own clock.
        :raises Interrupted: if the workflow was cancelled, or this process stops.
        """
        self._lease.require(self._claim.id)
        if self._tools.handing_back.is_set():
            raise Interrupted(cancelled=False)
        if self._called and self._settlement.cancel_requested():
            raise Interrupted(cancelled=True)

    def call(self, started: tasks.StartedTask) -> flows.Outcome:
        """Call one driver, unless its backend is known to be unreachable or it has no room.

        :raises LeaseLost: if the lease has ended by this process's own clock.
        """
        self.wake()  # what came of the call before this one is written by now
        self.running, self._called, self._before_late = started, True, None
        fuse = self._tools.breakers[started.driver]
        call: calls.Call | None = None
        applied: typing.Mapping[str, typing.Any] | None = None
        error: errors.DriverError | None = fuse.error
        if error is None:
            late = functools.partial(self._say_late, started)
            call, error = self._tools.calls[started.driver].begin(self._what(started), late)
        if call is not None:
            applied, error = self._make(call, started, fuse)
        state = outcomes.state_after(error, left=self._settlement.left(started.driver))
        if state is states.TaskState.FAILED:
            self._give_up(started)
        return flows.Outcome(
            task=started,
            state=state,
            error=error,
            applied=applied,
            called=call is not None,
            before_late=self._before_late,
        )

    def wake(self) -> None:
        """Let those go on who wait for calls of this run to end.

        Not before it is written how they ended: a driver's outcome waits for nobody else's.
        """
        while self._ended:
            self._tools.breakers.call_ended(self._ended.pop())

    def _make(
        self, call: calls.Call, started: tasks.StartedTask, fuse: breaker.Breaker
    ) -> tuple[typing.Mapping[str, typing.Any] | None, errors.DriverError | None]:
        try:
            self._lease.require(self._claim.id)  # the journal may have kept us waiting
            failpoints.failpoint("conductor.before_call")
            applied, error = self._call_driver(started)
            failpoints.failpoint("conductor.after_call")
        finally:
            self._tools.calls[started.driver].end(call)
            self._ended.append(started.driver)
        if isinstance(error, errors.BackendUnreachable):
            if fuse.is_outage(self._claim.id):
                fuse.open(error)
            else:
                error = errors.TransientFailure(error.detail)
        elif error is None:
            fuse.worked(self._claim.id)
        return applied, self._doubted(started, error)

    def _say_late(self, started: tasks.StartedTask) -> None:
        """Let the journal say that a call is late, in the thread that says so of all.

        :raises LeaseLost: if another conductor owns the workflow by now.
        """
        if self._before_late is None:
            self._before_late = self._tools.journal.shown(self._claim)
        timeout_s = self._tools.calls[started.driver].timeout_s
        said = errors.BackendUnreachable(
            f"Driver {started.driver} has not returned within its time-out of {timeout_s:g} s. Its "
            "call goes on, the workflow keeps its keys, and how the call ends counts."
        )
        self._tools.journal.remark(self._claim, started.id, said.failure)

    def _what(self, started: tasks.StartedTask) -> str:
        claim = self._claim
        return (
            f"Driver {started.driver}, {claim.operation} {claim.resource_type} {claim.resource_id}"
        )

    def _doubted(
        self, started: tasks.StartedTask, error: errors.DriverError | None
    ) -> errors.DriverError | None:
        """Let a difference that an earlier call may have made be looked at once more.

        A call of an earlier run may be one that its conductor never saw the end of: killed, paused,
        timed out. It was seen to land after the next owner's write. Waiting for a turn is no call.
        """
        perhaps_late = started.called_before and not self._claim.attempts
        if isinstance(error, errors.BackendDiffers) and perhaps_late:
            return errors.BackendDisturbed(error.detail)
        return error

    def _give_up(self, started: tasks.StartedTask) -> None:
        """Let a driver that prepares say so in Neutron's database: the others may read it."""
        driver = self._driver(started)
        if isinstance(driver, protocol.Preparing):
            self._in_task(started, lambda: driver.give_up(self._target(started)))

    def _driver(self, started: tasks.StartedTask) -> protocol.Driver:
        (driver,) = (one for one in self._tools.drivers if one.name == started.driver)
        return driver

    def _target(self, started: tasks.StartedTask) -> protocol.Target:
        claim = self._claim
        return protocol.Target(
            resource_type=claim.resource_type,
            resource_id=claim.resource_id,
            operation=claim.operation,
            project_id=claim.project_id,
            workflow_id=claim.id,
            task_id=started.id,
            snapshot=claim.snapshot,
            applied=started.applied,
            has_failed=started.has_failed,
            followed=started.id == self._followed,
            applied_of=functools.partial(self._applied_of, started.driver),
            fan_out=self._fan_out,
        )

    def _applied_of(
        self, driver: str, resource_ids: typing.Iterable[str]
    ) -> typing.Mapping[str, typing.Any]:
        """Return what a driver has applied of resources of this type (``Target.applied_of``)."""
        return self._tools.journal.applied_of(driver, self._claim.resource_type, resource_ids)

    def _call_driver(
        self, started: tasks.StartedTask
    ) -> tuple[typing.Mapping[str, typing.Any] | None, errors.DriverError | None]:
        driver, target = self._driver(started), self._target(started)
        if target.operation is states.Operation.DELETE:
            return self._in_task(started, lambda: driver.delete(target))
        return self._in_task(started, lambda: driver.apply(target))

    def _in_task(
        self, started: tasks.StartedTask, call: typing.Callable[[], T]
    ) -> tuple[T | None, errors.DriverError | None]:
        claim = self._claim
        token = running.RUNNING.set(
            running.RunningTask(
                claim=claim,
                task_id=started.id,
                task_name=started.name,
                require=lambda: self._lease.require(claim.id),
            )
        )
        self.in_call = started.driver
        try:
            return guard.guarded(call, self._what(started))
        finally:
            self.in_call = None
            running.RUNNING.reset(token)

    def _fan_out(self, reached: typing.Iterable[references.Reference]) -> None:
        """Open a workflow for each of these (``Target.fan_out``).

        :raises LeaseLost: if another conductor owns this one by now.
        """
        for batch in fanout.batches(reached):
            self._lease.require(self._claim.id)
            self.children += self._write(functools.partial(self._open, batch))
            failpoints.failpoint("conductor.fanned_out")

    def _open(self, batch: typing.Sequence[references.Reference]) -> list[str]:
        tools = self._tools
        with tools.reads.connect() as connection:
            new = fanout.updates(connection, self._claim, batch, tools.key_function)
        if new:
            self._tools.journal.open_children(self._claim, new)
        return [one.id for one in new]

    def _write(self, write: typing.Callable[[], T]) -> T:
        return self._tools.write(self._claim, write)
