# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The journal as conductors and operators use it.

Every method is one short transaction of its own, tried again on a deadlock, a serialization
failure or a refused certification; what may be large follows it in batches. Methods that take a
claim raise ``LeaseLost`` if another conductor owns the workflow by now, and then have changed
nothing.
"""

import collections.abc
import functools
import typing

import sqlalchemy as sa

from networking_workflow.journal import (
    candidates,
    children,
    chores,
    claims,
    conductors,
    idempotency,
    operators,
    outcomes,
    prune,
    remarks,
    retries,
    settle,
    steps,
    sync,
    tables,
    wakes,
)
from networking_workflow.journal import (
    engine as journal_engine,
)
from networking_workflow.model import failures, tasks, workflows
from networking_workflow.model import keys as model_keys
from networking_workflow.model.states import SyncState, WorkflowState

Results = collections.abc.Sequence[tasks.TaskResult]
_T = typing.TypeVar("_T")

Bodies = collections.abc.Mapping[str, typing.Any]  #: what drivers returned, by driver name


class Journal:
    """All that is done to the journal outside of the transactions that it records."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._polling = journal_engine.polling(engine)

    def close(self) -> None:
        """Close the connections that nobody uses right now."""
        self._polling.dispose()
        self.engine.dispose()

    # Conductors

    def register(self, conductor_id: str, *, host: str, pid: int, lease_s: float) -> None:
        """Make a conductor ALIVE for ``lease_s`` seconds."""
        retries.run(self.engine, lambda c: conductors.register(c, conductor_id, host, pid, lease_s))

    def renew(self, conductor_id: str, lease_s: float) -> bool:
        """Extend the lease; False: taken over, everything that the conductor had is another's."""
        return retries.run(self.engine, lambda c: conductors.renew(c, conductor_id, lease_s))

    def sign_off(self, conductor_id: str) -> None:
        """Hand back all that the conductor owns; it is STOPPED."""
        retries.run(self.engine, lambda c: conductors.sign_off(c, conductor_id))

    def take_over_lost(self, *, by: str) -> int:
        """Make READY what conductors other than ``by`` with no valid lease own; return how many."""
        taken = 0
        for lost, generation in self._look(conductors.expired):
            if lost != by:
                take_over = functools.partial(
                    conductors.take_over, conductor_id=lost, generation=generation
                )
                taken += retries.run(self.engine, take_over)
        for owner in self._look(conductors.ownerless):
            hand_back = functools.partial(conductors.hand_back_ownerless, conductor_id=owner)
            taken += retries.run(self.engine, hand_back)
        return taken

    def hand_back_unknown(
        self, owner: str, known: collections.abc.Collection[str], *, older_than_s: float = 0.0
    ) -> int:
        """Make READY what ``owner`` owns but does not know of: claims whose commit it missed.

        A claim that is just being made may be among them; its run then learns that it lost the
        lease. ``older_than_s`` leaves out what was written in the last so many seconds.
        """
        return retries.run(
            self.engine, lambda c: conductors.hand_back_unknown(c, owner, known, older_than_s)
        )

    # Claims

    def has_work(self) -> bool:
        """Return whether anything is READY, or RETRYING and due: one cheap statement."""
        with self._polling.connect() as connection:
            return candidates.has_work(connection)

    def claim(
        self,
        owner: str,
        *,
        after_project: str = "",
        plan: claims.Plan | None = None,
        busy: bool = False,
    ) -> workflows.Claim | workflows.Parked | None:
        """Claim one workflow of the next project after ``after_project`` that has any READY.

        A workflow's first claim starts the tasks that ``plan`` returns; see ``Claim.started``.
        ``Parked`` is a normal outcome: look again. ``None``: nothing is READY. ``busy`` says that
        several are expected to be READY, as ``more`` of the claim before does; it saves time only.
        """
        return claims.claim(self.engine, owner, after_project, plan, busy=busy)

    # Running

    def start_tasks(
        self, claim: workflows.Claim, planned: collections.abc.Sequence[tasks.PlannedTask]
    ) -> list[tasks.StartedTask]:
        """Insert the tasks that are missing; the first that has not succeeded is RUNNING."""
        return retries.run(self.engine, lambda c: steps.start(c, claim, planned))

    def step(
        self,
        claim: workflows.Claim,
        finished: tasks.TaskResult | None,
        *,
        next_task_id: str | None,
        applied: Bodies | None = None,
    ) -> None:
        """Write how one task ended, what its driver returned (by driver), and which runs next."""
        retries.run(self.engine, lambda c: steps.step(c, claim, finished, next_task_id, applied))

    def applied_of(
        self, driver: str, resource_type: str, resource_ids: collections.abc.Iterable[str]
    ) -> dict[str, typing.Any]:
        """Return what a driver's last successful task of each resource returned, by id."""
        return retries.run(
            self.engine, lambda c: steps.applied_of(c, driver, resource_type, resource_ids)
        )

    def shown(self, claim: workflows.Claim) -> failures.Shown:
        """Return what workflow and resource say is wrong; no fence, a plain read."""
        return self._look(lambda c: remarks.shown(c, claim))

    def remark(self, claim: workflows.Claim, task_id: str, failure: failures.Failure) -> None:
        """Say what is wrong while a task's driver is being called; :meth:`step` takes it back."""
        retries.run(self.engine, lambda c: remarks.remark(c, claim, task_id, failure))

    def cancel_requested(self, claim: workflows.Claim) -> bool:
        """Return whether an operator asked to cancel since; no fence, a plain read."""
        requested = sa.select(tables.workflows.c.cancel_requested).where(
            tables.workflows.c.id == claim.id
        )
        with self._polling.connect() as connection:
            return bool(connection.execute(requested).scalar())

    def open_children(
        self, claim: workflows.Claim, new: collections.abc.Sequence[workflows.NewWorkflow]
    ) -> None:
        """Record workflows that the claimed one leads to."""
        retries.run(self.engine, lambda c: children.open_some(c, claim, new))

    # Settling

    def succeed(
        self,
        claim: workflows.Claim,
        results: Results = (),
        applied: Bodies | None = None,
    ) -> None:
        """SUCCESS: SYNCED unless a newer change is pending; heals what FAILED or was HELD."""
        bodies = applied or {}
        self._end(claim, lambda c: settle.succeed(c, claim, results, bodies, SyncState.SYNCED))

    def succeed_unmanaged(self, claim: workflows.Claim) -> None:
        """SUCCESS with nothing done: no driver programs such a resource, which is UNMANAGED."""
        self._end(claim, lambda c: settle.succeed_unmanaged(c, claim))

    def fail(
        self, claim: workflows.Claim, failure: failures.Failure, results: Results = ()
    ) -> None:
        """FAILED: holds nothing, blocks nobody; the resource shows what the failure means."""
        self._end(claim, lambda c: settle.fail(c, claim, failure, results))

    def retry_later(
        self,
        claim: workflows.Claim,
        failure: failures.Failure,
        *,
        delay_s: float,
        spend_attempt: bool,
        waits_for: str | None = None,
        results: Results = (),
    ) -> None:
        """RETRYING for ``delay_s`` seconds, keys kept; ``waits_for`` e.g. ``driver:ovn``."""
        retries.run(
            self.engine,
            lambda c: settle.retry_later(
                c,
                claim,
                failure,
                delay_s=delay_s,
                spend_attempt=spend_attempt,
                waits_for=waits_for,
                results=results,
            ),
        )

    def hold(
        self,
        claim: workflows.Claim,
        failure: failures.Failure,
        *,
        resource_type: str,
        resource_id: str,
        results: Results = (),
    ) -> None:
        """HELD for a resource of the lane; READY at once, an attempt spent, if it is there."""
        missing = sync.Resource(claim.lane, resource_type, resource_id)
        self._end(claim, lambda c: settle.hold(c, claim, failure, missing, results))

    def take_anew(
        self,
        claim: workflows.Claim,
        keys: collections.abc.Mapping[str, model_keys.Mode],
    ) -> None:
        """Give all keys back and take ``keys`` at today's place in the order; READY."""
        retries.run(self.engine, lambda c: settle.take_anew(c, claim, keys))

    def hand_back(self, claim: workflows.Claim) -> None:
        """READY, keys kept: another conductor may go on."""
        retries.run(self.engine, lambda c: settle.hand_back(c, claim))

    def supersede_by_delete(self, claim: workflows.Claim) -> bool:
        """SUPERSEDED by the queued delete of the same resource; False if there is none."""
        ended = retries.run(self.engine, lambda c: settle.supersede_by_delete(c, claim))
        if ended is not None:
            settle.follow(self.engine, claim, ended)
        return ended is not None

    def cancelled(self, claim: workflows.Claim) -> None:
        """CANCELLED: an operator asked for it and the call has returned."""
        self._end(claim, lambda c: settle.cancelled(c, claim))

    def _end(
        self,
        claim: workflows.Claim,
        work: collections.abc.Callable[[sa.Connection], settle.Ended],
    ) -> None:
        settle.follow(self.engine, claim, retries.run(self.engine, work))

    # Chores

    def requeue_due(self, limit: int = 100) -> int:
        """RETRYING to READY where the delay is over."""
        return retries.run(self.engine, lambda c: chores.requeue_due(c, limit))

    def wake_drivers(self, drivers: collections.abc.Sequence[str], limit: int = 500) -> int:
        """RETRYING to READY where the workflow waits for one of these drivers; how many it found.

        Those that another conductor was faster with are among them. Fewer than ``limit``: all.
        """
        return retries.run(self.engine, lambda c: chores.wake_drivers(c, drivers, limit))

    def drivers_waited_for(self) -> list[str]:
        """Return the drivers that something waits for."""
        with self._polling.connect() as connection:
            return chores.drivers_waited_for(connection)

    def wake_stranded(self, limit: int = 500) -> int:
        """WAITING to READY behind up to ``limit`` workflows that hold nothing any more."""
        blockers = self._look(lambda c: wakes.stranded(c, limit))
        return wakes.wake_many(self.engine, blockers)

    def release_held(self, limit: int = 100) -> int:
        """HELD to READY, keys taken anew, where the missing resource is there."""
        come = self._look(lambda c: sync.come(c, limit))
        return chores.release_held(self.engine, come, limit)

    def fail_mutual_holds(self, limit: int = 1000) -> int:
        """HELD to FAILED where resources wait for each other."""
        if not self._look(lambda c: chores.mutual_holds(c, limit)):
            return 0
        return retries.run(self.engine, lambda c: chores.fail_mutual_holds(c, limit))

    def prune(self, *, keep_finished_s: float, keep_failed_s: float, limit: int) -> int:
        """Forget up to ``limit`` workflows that ended longer ago; return how many."""
        age = prune.Age(finished_s=keep_finished_s, failed_s=keep_failed_s)
        if not self._look(lambda c: prune.old(c, age, limit=1)):
            return 0
        return retries.run(self.engine, lambda c: prune.prune(c, age, limit))

    def forget_keys(self, limit: int) -> int:
        """Forget up to ``limit`` idempotency keys that are over; return how many."""
        if not self._look(lambda c: idempotency.over(c, limit=1)):
            return 0
        return retries.run(self.engine, lambda c: idempotency.forget(c, limit))

    def _look(self, read: collections.abc.Callable[[sa.Connection], _T]) -> _T:
        """Return what ``read`` finds, in one round trip: most chores find nothing to do."""
        with self._polling.connect() as connection:
            return read(connection)

    # Who waits

    def outcomes(self, workflow_ids: collections.abc.Iterable[str]) -> list[outcomes.Outcome]:
        """Return how workflows stand; a SUPERSEDED one as its successor. Keeps no connection."""
        return self._look(lambda c: outcomes.outcomes(c, workflow_ids))

    # Who repeats a call

    def made_under(self, key: idempotency.Key) -> idempotency.Entry | None:
        """Return what the first call under an idempotency key has made; None: there was none."""
        return self._look(lambda c: idempotency.find(c, key))

    # Operators

    def retry(self, workflow_id: str) -> None:
        """FAILED to READY with keys taken anew.

        :raises IllegalMove: from any other state; so do the other two.
        :raises WorkflowNotFound: if there is none; so do the other two.
        """
        retries.run(self.engine, lambda c: operators.retry(c, workflow_id))

    def skip(self, workflow_id: str) -> None:
        """SKIPPED: the backend need not follow."""
        self._end_by_operator(workflow_id, WorkflowState.SKIPPED, "be skipped")

    def cancel(self, workflow_id: str) -> None:
        """CANCELLED; a RUNNING one is asked to, and is when its call has returned."""
        self._end_by_operator(workflow_id, WorkflowState.CANCELLED, "be cancelled")

    def _end_by_operator(self, workflow_id: str, state: WorkflowState, action: str) -> None:
        woken = retries.run(self.engine, lambda c: operators.end(c, workflow_id, state, action))
        if not woken:
            wakes.wake_many(self.engine, [workflow_id])
