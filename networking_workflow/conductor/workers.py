# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The threads that claim workflows and run them, one workflow at a time each."""

import functools
import logging
import threading
import time
import typing

from networking_workflow.conductor import guard, lease, planning, runs, shared, work
from networking_workflow.model import errors, frames, workflows
from networking_workflow.plan import flows

LOG = logging.getLogger(__name__)

#: Seconds after a write without an answer for which chores look for rows that nobody here knows, at
#: least: until a look that long after it has found the database.
_DOUBT_S = 120.0


class Desk:
    """What the workers of one conductor share: whose turn it is, and who runs what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, runs.Run] = {}
        #: Project of the last claim: the next one goes to the project after it.
        self.last_project = ""
        #: Others were READY beside what was claimed last.
        self.busy = False
        self._doubted_at: float | None = None

    def add(self, run: runs.Run) -> None:
        """Note that a worker has it."""
        with self._lock:
            self._runs[run.claim.id] = run

    def remove(self, run: runs.Run) -> None:
        """Note that no worker has it any more."""
        with self._lock:
            self._runs.pop(run.claim.id, None)

    def doubt(self) -> None:
        """Note that a row may be ours that no worker knows.

        A write ended without an answer; or a run ended because the lease did, by this process's own
        clock, and the lease may be renewed before anybody takes the row over.
        """
        with self._lock:
            self._doubted_at = time.monotonic()

    @property
    def unsure(self) -> bool:
        """Return whether to look for such rows."""
        return self._doubted_at is not None

    def looked(self, began_at: float) -> None:
        """Note that a look for such rows, begun at ``began_at``, went through."""
        with self._lock:
            if self._doubted_at is not None and began_at >= self._doubted_at + _DOUBT_S:
                self._doubted_at = None

    @property
    def workflow_ids(self) -> list[str]:
        """Return the workflows that workers have."""
        with self._lock:
            return list(self._runs)

    @property
    def calls(self) -> dict[str, str]:
        """Return workflow id -> driver for those in the middle of a driver call."""
        with self._lock:
            return {key: run.in_call for key, run in self._runs.items() if run.in_call}


class Worker(threading.Thread):
    """Claims while there is work, then waits for a permit to look again.

    :param dismissed: asked after each workflow; True: there are workers enough, and this one ends.
    """

    def __init__(
        self,
        number: int,
        *,
        keeper: lease.LeaseKeeper,
        signal: work.WorkSignal,
        desk: Desk,
        tools: shared.Tools,
        dismissed: typing.Callable[["Worker"], bool],
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=f"workflow-worker-{number}", daemon=True)
        self._keeper, self._signal, self._desk = keeper, signal, desk
        self._tools, self._dismissed, self._stopping = tools, dismissed, stopping
        self._engines = runs.Engines(flows.build)

    def run(self) -> None:
        """Work until the conductor stops."""
        frames.with_room(self._work)

    def _work(self) -> None:
        passes_on = self._signal.wait()
        while not self._stopping.is_set():
            found, error = guard.guarded(self._claim, "Claiming a workflow")
            if error is not None:
                # The claim may have been committed all the same; the chores look after it.
                self._desk.doubt()
            if found is None:
                passes_on = self._signal.wait()
                continue
            if passes_on and found.more:
                self._signal.took_one()
            passes_on = True
            if isinstance(found, runs.Run):
                self._conduct(found)
                if self._dismissed(self):
                    self._signal.offer_some()  # it would have looked again itself
                    return

    def _claim(self) -> runs.Run | workflows.Parked | None:
        """Return a run; or the workflow that had to be parked instead; None: nothing to do."""
        held = self._keeper.current()
        if held is None:
            return None
        found = self._tools.journal.claim(
            held.owner,
            after_project=self._desk.last_project,
            plan=functools.partial(planning.at_claim, self._tools),
            busy=self._desk.busy,
        )
        self._desk.busy = found is not None and found.more
        if found is None:
            return None
        self._desk.last_project = found.project_id
        if isinstance(found, workflows.Parked):
            return found
        run = runs.Run(found, held, self._tools, self._engines)
        self._desk.add(run)
        return run

    def _conduct(self, run: runs.Run) -> None:
        try:
            _, error = guard.guarded(run.conduct, f"Workflow {run.claim.id}")
            if error is not None:
                self._conduct_broken(run, error)
        except errors.LeaseLost as lost:
            LOG.warning("%s", lost)
            self._desk.doubt()
        finally:
            self._desk.remove(run)

    def _conduct_broken(self, run: runs.Run, why: errors.DriverError) -> None:
        _, error = guard.guarded(lambda: run.broke(why), f"Workflow {run.claim.id}")
        if error is not None:
            LOG.error("Workflow %s could not be settled: %s", run.claim.id, error.detail)
            self._desk.doubt()


class Crew:
    """The workers of one conductor: as many as are to work, beside those whose call is late.

    How many that are is looked at anew each time: a worker that is back from a late call works, and
    the first that ends a workflow then leaves.

    :param most: threads at a time, however many calls are late.
    :param late: returns how many are late now.
    """

    def __init__(
        self,
        count: int,
        make: typing.Callable[[int], Worker],
        *,
        most: int,
        late: typing.Callable[[], int],
    ) -> None:
        self._count, self._make, self._most, self._late = count, make, most, late
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._made = 0
        self._closed = False

    def fill(self) -> None:
        """Start as many as are missing; none once the conductor stops.

        :raises RuntimeError: if the process can start no more threads.
        """
        with self._lock:
            self._workers = [one for one in self._workers if one.is_alive()]
            while not self._closed and len(self._workers) < self._wanted():
                worker = self._make(self._made)
                self._made += 1
                worker.start()
                self._workers.append(worker)

    def dismiss(self, worker: Worker) -> bool:
        """Return whether a worker that has nothing in hand is one too many, and has to end."""
        with self._lock:
            if len(self._workers) <= self._wanted():
                return False
            self._workers.remove(worker)
            return True

    def close(self) -> list[Worker]:
        """Start no more; return all that may still be at work."""
        with self._lock:
            self._closed = True
            return list(self._workers)

    def _wanted(self) -> int:
        return min(self._most, self._count + self._late())
