# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One run of one claimed workflow: prepare, call the drivers, settle.

Everything is fenced by the claim. A write that finds the fence gone raises LeaseLost, and the run
ends there: the new owner does the work.
"""

import dataclasses
import functools
import logging
import threading
import typing

import sqlalchemy as sa
from taskflow import engines
from taskflow.persistence import models

from networking_workflow.conductor import breaker, calls, fanout, guard, lease, outcomes, settings
from networking_workflow.drivers import protocol
from networking_workflow.engine import null
from networking_workflow.journal import failpoints, references
from networking_workflow.journal import journal as journals
from networking_workflow.model import errors, keys, retry, running, states, tasks, workflows
from networking_workflow.model import graph as graphs
from networking_workflow.plan import flows

LOG = logging.getLogger(__name__)

T = typing.TypeVar("T")

#: Seconds between two tries to write while the database is away.
_DATABASE_RETRY_S = 1.0

_NOTHING_KEPT = null.NullBackend()


class Interrupted(errors.WorkflowError):
    """The run ended between two driver calls: an operator cancelled it, or the process stops."""

    def __init__(self, *, cancelled: bool) -> None:
        self.cancelled = cancelled
        super().__init__("cancelled" if cancelled else "the conductor stops")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What all runs of one conductor share."""

    journal: journals.Journal
    reads: sa.Engine  #: for Neutron's rows
    drivers: typing.Sequence[protocol.Driver]
    graph: graphs.DriverGraph
    breakers: breaker.Breakers
    calls: typing.Mapping[str, calls.DriverCalls]  #: by driver; those of one backend share theirs
    replace_worker: typing.Callable[[], None]  #: the calling one's thread is not to be relied on
    settings: settings.ConductorSettings
    key_function: fanout.KeyFunction
    hint: typing.Callable[[typing.Sequence[str]], None]  #: these workflows may be claimed
    handing_back: threading.Event  #: set: call no further driver, hand back what is unfinished


def covers(held: typing.Mapping[str, keys.Mode], wanted: typing.Mapping[str, keys.Mode]) -> bool:
    """Return whether every wanted key is held, in the wanted mode or a stronger one."""
    return all(
        held.get(key) is mode or held.get(key) is keys.Mode.EXCLUSIVE
        for key, mode in wanted.items()
    )


class Run:
    """One claimed workflow in the hands of one worker thread."""

    def __init__(self, claim: workflows.Claim, held: lease.Lease, tools: Tools) -> None:
        self.claim, self._lease, self._tools = claim, held, tools
        self._journal = tools.journal
        self._running: tasks.StartedTask | None = None
        self._called = False
        self._followed: str | None = None  #: the task that all others of the workflow come after
        self._children: list[str] = []
        self.in_call: str | None = None  #: the driver that is being called now
        self.replaced = False  #: another worker has taken the place of the one that has this run

    @property
    def more(self) -> bool:
        """Return whether other workflows were READY when this one was claimed."""
        return self.claim.more

    def conduct(self) -> None:
        """Do all of it.

        :raises LeaseLost: if another conductor owns the workflow by now.
        """
        if self.claim.cancel_requested:
            self._write(lambda: self._journal.cancelled(self.claim))
        elif not self._drivers():
            self._write(lambda: self._journal.succeed_unmanaged(self.claim))
        elif self._prepare():
            self._call_drivers()

    def broke(self, error: errors.DriverError) -> None:
        """Settle a run that ended by a mistake outside any driver: tried again like a failure."""
        driver = self._running.driver if self._running else None
        left = self._left(driver)
        verdict = outcomes.verdict_on(error, left=left)
        results = []
        if self._running is not None:
            state = outcomes.state_after(error, left=left)
            results = [tasks.TaskResult(id=self._running.id, state=state, failure=error.failure)]
        decision = outcomes.Decision(verdict=verdict, error=error, driver=driver)
        self._end(decision, error, results)

    # -- prepare ---------------------------------------------------------------------------------

    def _prepare(self) -> bool:
        """Compare with today's rows; False if that settled the workflow or queued it anew."""
        claim = self.claim
        if claim.operation is states.Operation.DELETE:
            return True
        failpoints.failpoint("conductor.prepare")
        refers = self._write(self._read_references)
        if refers is None:
            if self._write(lambda: self._journal.supersede_by_delete(claim)):
                return False
            # Its own delete has been done already.
            self.claim = dataclasses.replace(claim, operation=states.Operation.DELETE)
            return True
        wanted = self._tools.key_function(
            claim.lane, claim.resource_type, claim.resource_id, refers
        )
        if covers(claim.keys, wanted):
            return True
        # A later change brought a reference: an apply would read what it has no key for.
        both = keys.strongest([*claim.keys.items(), *wanted.items()])
        self._write(lambda: self._journal.take_anew(claim, both))
        return False

    def _read_references(self) -> tuple[references.Reference, ...] | None:
        """Return what the resource refers to today; None: its row is gone."""
        with self._tools.reads.connect() as connection:
            return references.today(connection, self.claim.resource_type, self.claim.resource_id)

    def _drivers(self) -> list[protocol.Driver]:
        """Return who is called; the operation may have become a delete since the claim.

        :raises TransientFailure: if the workflow's lane is not one of this conductor's.
        """
        claim = self.claim
        mine = flows.drivers_in(claim.lane, self._tools.graph, self._tools.drivers)
        return flows.drivers_for(mine, claim.resource_type, claim.operation, claim.snapshot)

    # -- call ------------------------------------------------------------------------------------

    def _call_drivers(self) -> None:
        claim = self.claim
        planned = flows.planned(self._drivers())
        if not planned:  # a create that has become a delete, which no driver has a hook for
            self._write(lambda: self._journal.succeed_unmanaged(claim))
            return
        started = self._write(lambda: self._journal.start_tasks(claim, planned))
        todo = [one for one in started if one.state is not states.TaskState.SUCCESS]
        if not todo:
            self._write(lambda: self._journal.succeed(claim))
            return
        self._running = todo[0]
        self._followed = todo[0].id if len(todo) == len(started) else None
        log = flows.StepLog(self._record_step, claim, todo[0])
        flow = flows.build(claim, todo, log, self, self._tools.graph.after)
        book = models.LogBook(claim.id)
        try:
            engines.load(flow, engine="serial", backend=_NOTHING_KEPT, book=book).run()
        except Interrupted as interruption:
            self._interrupted(log, cancelled=interruption.cancelled)
        else:
            self._settle(log)
        if self._children:
            self._tools.hint(self._children)

    def check(self) -> None:
        """Return if a driver may be called now (``plan.flows.Caller``).

        :raises LeaseLost: if the lease has ended by this process's own clock.
        :raises Interrupted: if the workflow was cancelled, or this process stops.
        """
        self._lease.require(self.claim.id)
        if self._tools.handing_back.is_set():
            raise Interrupted(cancelled=False)
        if self._called and self._cancel_requested():
            raise Interrupted(cancelled=True)

    def call(self, started: tasks.StartedTask) -> flows.Outcome:
        """Call one driver, unless its backend is known to be unreachable or it has no room.

        :raises LeaseLost: if the lease has ended by this process's own clock.
        """
        self._running, self._called = started, True
        fuse = self._tools.breakers[started.driver]
        applied: typing.Mapping[str, typing.Any] | None = None
        error: errors.DriverError | None = fuse.error
        if error is None:
            applied, error = self._call_if_room(started, fuse)
        state = outcomes.state_after(error, left=self._left(started.driver))
        if state is states.TaskState.FAILED:
            self._give_up(started)
        return flows.Outcome(task=started, state=state, error=error, applied=applied)

    def _call_if_room(
        self, started: tasks.StartedTask, fuse: breaker.Breaker
    ) -> tuple[typing.Mapping[str, typing.Any] | None, errors.DriverError | None]:
        of_driver = self._tools.calls[started.driver]
        call, error = of_driver.begin(
            self._what(started), functools.partial(self._say_late, started)
        )
        if call is None:
            return None, error
        try:
            self._lease.require(self.claim.id)  # the journal may have kept us waiting
            failpoints.failpoint("conductor.before_call")
            applied, error = self._call_driver(started)
            failpoints.failpoint("conductor.after_call")
        finally:
            of_driver.end(call)
            self._tools.breakers.call_ended(started.driver)
        if call.is_late:
            self._write(lambda: self._journal.remark(self.claim, started.id, None))
        if isinstance(error, errors.BackendUnreachable):
            if fuse.is_outage(self.claim.id):
                fuse.open(error)
            else:
                error = errors.TransientFailure(error.detail)
        elif error is None:
            fuse.worked(self.claim.id)
        return applied, self._doubted(error)

    def _say_late(self, started: tasks.StartedTask) -> None:
        """Let the journal say that a call is late, and others work instead of this thread.

        :raises LeaseLost: if another conductor owns the workflow by now.
        """
        if not self.replaced:
            self.replaced = True
            self._tools.replace_worker()
        timeout_s = self._tools.calls[started.driver].timeout_s
        said = errors.BackendUnreachable(
            f"Driver {started.driver} has not returned within its time-out of {timeout_s:g} s. Its "
            "call goes on, the workflow keeps its keys, and how the call ends counts."
        )
        self._journal.remark(self.claim, started.id, said.failure)

    def _what(self, started: tasks.StartedTask) -> str:
        claim = self.claim
        return (
            f"Driver {started.driver}, {claim.operation} {claim.resource_type} {claim.resource_id}"
        )

    def _doubted(self, error: errors.DriverError | None) -> errors.DriverError | None:
        """Let a difference that a late call may have made be looked at once more.

        What was claimed before may have had a call that its conductor never saw the end of: killed,
        paused, timed out. It was seen to land after the next owner's write.
        """
        claimed_before = self.claim.fence > 1
        if isinstance(error, errors.BackendDiffers) and claimed_before and not self.claim.attempts:
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
        claim = self.claim
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
            fan_out=self._fan_out,
        )

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
        claim = self.claim
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
            self._lease.require(self.claim.id)
            self._children += self._write(functools.partial(self._open, batch))
            failpoints.failpoint("conductor.fanned_out")

    def _open(self, batch: typing.Sequence[references.Reference]) -> list[str]:
        tools = self._tools
        with tools.reads.connect() as connection:
            new = fanout.updates(connection, self.claim, batch, tools.key_function)
        if new:
            self._journal.open_children(self.claim, new)
        return [one.id for one in new]

    # -- settle ----------------------------------------------------------------------------------

    def _settle(self, log: flows.StepLog) -> None:
        decision = outcomes.decide(
            log.outcomes, spent=self.claim.attempts + 1, policy_of=self._policy
        )
        last = log.unwritten
        if decision.error is None:
            results = [last.result] if last else []
            bodies = last.bodies if last else {}
            self._write(lambda: self._journal.succeed(self.claim, results, bodies))
            return
        if last is not None and last.bodies:
            log.flush()  # of the settling writes only success takes what a driver applied
        if self._cancel_requested():
            self._interrupted(log, cancelled=True)
            return
        self._end(decision, decision.error, [log.unwritten.result] if log.unwritten else [])

    def _interrupted(self, log: flows.StepLog, *, cancelled: bool) -> None:
        log.flush()
        end = self._journal.cancelled if cancelled else self._journal.hand_back
        self._write(lambda: end(self.claim))

    def _end(
        self,
        decision: outcomes.Decision,
        error: errors.DriverError,
        results: list[tasks.TaskResult],
    ) -> None:
        """Write an end that is no success."""
        verdict = decision.verdict
        if verdict is outcomes.Verdict.WAIT_FOR_DRIVER and decision.driver is not None:
            self._wait_for_driver(decision.driver, error, results)
        elif verdict is outcomes.Verdict.HOLD and isinstance(error, errors.MissingReference):
            self._hold(error, results)
        elif verdict is outcomes.Verdict.FAIL:
            self._fail(error, results)
        else:
            self._retry(decision.driver, error, results)

    def _policy(self, driver: str | None) -> retry.RetryPolicy:
        """Return how often and when a driver is tried again; None: what is no driver's."""
        config = self._tools.settings
        return config.retry if driver is None else config.limits_of(driver).retry

    def _left(self, driver: str | None) -> int:
        """Return the attempts that remain after this one."""
        return self._policy(driver).attempts - (self.claim.attempts + 1)

    def _wait_for_driver(
        self, driver: str, error: errors.DriverError, results: list[tasks.TaskResult]
    ) -> None:
        self._write(
            lambda: self._journal.retry_later(
                self.claim,
                error.failure,
                delay_s=self._policy(driver).max_delay_s,  # in case nobody wakes it
                spend_attempt=False,
                waits_for=breaker.waits_for(driver),
                results=results,
            )
        )
        self._tools.breakers[driver].settled()

    def _hold(self, error: errors.MissingReference, results: list[tasks.TaskResult]) -> None:
        LOG.info("Workflow %s is held: %s", self.claim.id, error.detail)
        self._write(
            lambda: self._journal.hold(
                self.claim,
                error.failure,
                resource_type=error.resource_type,
                resource_id=error.resource_id,
                results=results,
            )
        )

    def _retry(
        self, driver: str | None, error: errors.DriverError, results: list[tasks.TaskResult]
    ) -> None:
        spent = self.claim.attempts + 1
        delay_s = self._policy(driver).delay_s(spent)
        LOG.warning(
            "Workflow %s: attempt %d failed, the next is in %.1f s: %s",
            self.claim.id,
            spent,
            delay_s,
            error.detail,
        )
        self._write(
            lambda: self._journal.retry_later(
                self.claim, error.failure, delay_s=delay_s, spend_attempt=True, results=results
            )
        )

    def _fail(self, error: errors.DriverError, results: list[tasks.TaskResult]) -> None:
        claim = self.claim
        LOG.error(
            "Workflow %s (%s %s %s) FAILED at attempt %d, %s: %s",
            claim.id,
            claim.operation,
            claim.resource_type,
            claim.resource_id,
            claim.attempts + 1,
            error.code,
            error.detail,
        )
        self._write(lambda: self._journal.fail(claim, error.failure, results))

    # -- the journal -----------------------------------------------------------------------------

    def _cancel_requested(self) -> bool:
        return self._write(lambda: self._journal.cancel_requested(self.claim))

    def _record_step(
        self,
        claim: workflows.Claim,
        finished: tasks.TaskResult | None,
        *,
        next_task_id: str | None,
        applied: typing.Mapping[str, typing.Any] | None = None,
    ) -> None:
        self._write(
            lambda: self._journal.step(claim, finished, next_task_id=next_task_id, applied=applied)
        )

    def _write(self, write: typing.Callable[[], T]) -> T:
        """Return ``write()``; while the database is away, try again until it is back.

        Repeating is safe: a write whose first try did commit finds its fence gone.

        :raises LeaseLost: if another conductor owns the workflow by now.
        :raises sqlalchemy.exc.SQLAlchemyError: if it is away while this process stops.
        """
        while True:
            try:
                return write()
            except guard.DATABASE_AWAY as error:
                LOG.warning("Workflow %s: the database is away: %s", self.claim.id, error)
                if self._tools.handing_back.wait(_DATABASE_RETRY_S):
                    raise
