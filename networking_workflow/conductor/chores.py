# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What somebody must do now and then, whoever it is: each chore is bounded and safe to repeat."""

import logging
import threading
import time
import typing

from networking_workflow.conductor import breaker, guard, lease, settings, workers
from networking_workflow.journal import journal as journals

LOG = logging.getLogger(__name__)

#: Seconds after which a worker knows of what it claimed.
_SURELY_KNOWN_S = 10.0

#: Batches that one round forgets at most, of ended workflows and of idempotency keys; rows of one.
_BATCHES, _BATCH = 10, 500


class Chores(threading.Thread):
    """One round at the start, then one every ``chores_s``; any number of conductors may do them."""

    def __init__(
        self,
        journal: journals.Journal,
        *,
        keeper: lease.LeaseKeeper,
        breakers: breaker.Breakers,
        desk: workers.Desk,
        config: settings.ConductorSettings,
        work_seen: typing.Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        super().__init__(name="workflow-chores", daemon=True)
        self._journal, self._keeper, self._breakers = journal, keeper, breakers
        self._desk, self._config = desk, config
        self._work_seen, self._stopping = work_seen, stopping
        self.looked = threading.Event()  #: the first round is over

    def run(self) -> None:
        """Do a round after another until the conductor stops."""
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            guard.guarded(self.round, "A round of chores")
            self.looked.set()
            wait_s = settings.jittered_s(self._config.chores_s)

    def round(self) -> int:
        """Do every chore once; return how many rows they changed."""
        changed = 0
        try:
            for chore in self._chores():
                count, _ = guard.guarded(chore, f"Chore {chore.__name__}")
                changed += count or 0
            self._breakers.look(self._journal.drivers_waited_for())
        except guard.DATABASE_AWAY as error:
            LOG.warning("Chores have to wait, the database is away: %s", error)
        if changed:
            self._work_seen()
        return changed

    def _chores(self) -> list[typing.Callable[[], int]]:
        return [
            self._take_over,
            self._hand_back_unknown,
            self._journal.wake_stranded,
            self._journal.release_held,
            self._journal.fail_mutual_holds,
            self._prune,
            self._forget_keys,
        ]

    def _take_over(self) -> int:
        held = self._keeper.current()
        if held is None:
            return 0
        count = self._journal.take_over_lost(by=held.owner)
        if count:
            LOG.warning("Took over %d workflows of conductors that show no sign of life", count)
        return count

    def _hand_back_unknown(self) -> int:
        """Give up rows that a claim or a settling write left to us without telling us."""
        owner = self._keeper.owner
        if owner is None or not self._desk.unsure:
            return 0
        began_at = time.monotonic()
        count = self._journal.hand_back_unknown(
            owner, self._desk.workflow_ids, older_than_s=_SURELY_KNOWN_S
        )
        self._desk.looked(began_at)
        return count

    def _prune(self) -> int:
        """Forget what ended long ago. Nothing becomes READY by it: no row counts as changed."""
        return self._in_batches(
            lambda: self._journal.prune(
                keep_finished_s=self._config.keep_finished_s,
                keep_failed_s=self._config.keep_failed_s,
                limit=_BATCH,
            )
        )

    def _forget_keys(self) -> int:
        """Forget the idempotency keys that are over."""
        return self._in_batches(lambda: self._journal.forget_keys(limit=_BATCH))

    def _in_batches(self, forget: typing.Callable[[], int]) -> int:
        for _ in range(_BATCHES):
            if forget() < _BATCH or self._stopping.is_set():
                break
        return 0
