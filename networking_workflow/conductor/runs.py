# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One run of one claimed workflow: prepare, call the drivers, settle.

Everything is fenced by the claim. A write that finds the fence gone raises LeaseLost, and the run
ends there: the new owner does the work.
"""

import dataclasses
import typing

from networking_workflow.conductor import caller, lease, outcomes, planning, settling, shared
from networking_workflow.engine import kept
from networking_workflow.journal import failpoints
from networking_workflow.model import errors, states, tasks, workflows
from networking_workflow.plan import flows

T = typing.TypeVar("T")

#: The TaskFlow engines of one worker thread.
Engines = kept.KeptEngines[flows.Work]


class Run:
    """One claimed workflow in the hands of one worker thread.

    :param engines: of that thread.
    """

    def __init__(
        self,
        claim: workflows.Claim,
        held: lease.Lease,
        tools: shared.Tools,
        engines: Engines,
    ) -> None:
        self.claim, self._lease, self._tools = claim, held, tools
        self._engines = engines
        self._journal = tools.journal
        self._caller: caller.DriverCaller | None = None  #: once tasks are started

    @property
    def more(self) -> bool:
        """Return whether other workflows were READY when this one was claimed."""
        return self.claim.more

    @property
    def in_call(self) -> str | None:
        """Return the driver that is being called now."""
        return self._caller.in_call if self._caller else None

    def conduct(self) -> None:
        """Do all of it.

        :raises LeaseLost: if another conductor owns the workflow by now.
        """
        if self.claim.cancel_requested:
            self._write(lambda: self._journal.cancelled(self.claim))
        elif self.claim.started:
            self._call_drivers(self.claim.started)
        elif not planning.drivers(self._tools, self.claim):
            self._write(lambda: self._journal.succeed_unmanaged(self.claim))
        elif self._prepare():
            self._start()

    def broke(self, error: errors.DriverError) -> None:
        """Settle a run that ended by a mistake outside any driver: tried again like a failure."""
        settlement = settling.Settlement(self.claim, self._tools)
        task = self._caller.running if self._caller else None
        driver = task.driver if task else None
        left = settlement.left(driver)
        results = []
        if task is not None:
            state = outcomes.state_after(error, left=left)
            results = [tasks.TaskResult(id=task.id, state=state, failure=error.failure)]
        verdict = outcomes.verdict_on(error, left=left)
        decision = outcomes.Decision(verdict=verdict, error=error, driver=driver)
        settlement.end(decision, error, results)

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
        more = planning.missing_keys(self._tools, claim, refers)
        if more is None:
            return True
        # A later change brought a reference: an apply would read what it has no key for.
        self._write(lambda: self._journal.take_anew(claim, more))
        return False

    def _read_references(self) -> planning.Refers:
        with self._tools.reads.connect() as connection:
            return planning.refers(connection, self.claim)

    # -- call ------------------------------------------------------------------------------------

    def _start(self) -> None:
        claim = self.claim  # its operation may have become a delete since the claim
        planned = flows.planned(planning.drivers(self._tools, claim))
        if not planned:  # which no driver has a hook for
            self._write(lambda: self._journal.succeed_unmanaged(claim))
            return
        self._call_drivers(self._write(lambda: self._journal.start_tasks(claim, planned)))

    def _call_drivers(self, started: typing.Sequence[tasks.StartedTask]) -> None:
        claim = self.claim
        todo = [one for one in started if one.state is not states.TaskState.SUCCESS]
        if not todo:
            self._write(lambda: self._journal.succeed(claim))
            return
        settlement = settling.Settlement(claim, self._tools)
        self._caller = caller.DriverCaller(
            claim,
            self._lease,
            self._tools,
            settlement,
            first=todo[0],
            followed=todo[0].id if len(todo) == len(started) else None,
        )
        log = flows.StepLog(self._record_step, claim, todo[0])
        work = flows.work(claim, todo, log, self._caller, self._tools.graph.after)
        try:
            self._engines.run(work.started, work)
        except caller.Interrupted as interruption:
            settlement.interrupted(log, cancelled=interruption.cancelled)
        else:
            settlement.settle(log)
        finally:
            self._caller.wake()
        if self._caller.children:
            self._tools.hint(self._caller.children)

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
        return self._tools.write(self.claim, write)
