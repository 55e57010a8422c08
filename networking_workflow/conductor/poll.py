# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Looks for work: at every hint from another process, and at times without one."""

import logging
import threading
import time
import typing

from networking_workflow.conductor import guard, settings, wakeup

LOG = logging.getLogger(__name__)


class Backlog(typing.Protocol):
    """The part of the journal that says whether there is something to do."""

    def has_work(self) -> bool:
        """Return whether a workflow is READY, or RETRYING and due; one cheap statement."""

    def requeue_due(self, limit: int = 100) -> int:
        """Make a batch of those that are due READY; return how many."""


class Poller(threading.Thread):
    """One per conductor, however many workers: it is what an idle conductor costs.

    :param take_turns: wakes what other conductors have no room for, where there is some here.
    """

    def __init__(
        self,
        backlog: Backlog,
        listener: wakeup.Listener,
        *,
        poll_s: float,
        work_seen: typing.Callable[[], None],
        take_turns: typing.Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        super().__init__(name="workflow-poll", daemon=True)
        self._backlog, self._listener, self._poll_s = backlog, listener, poll_s
        self._work_seen, self._take_turns, self._stopping = work_seen, take_turns, stopping
        self.looked = threading.Event()  #: the first look is over

    def run(self) -> None:
        """Listen and poll until the conductor stops; the first look is made at once."""
        due = time.monotonic()
        while not self._stopping.is_set():
            if self._listener.wait(due - time.monotonic()):
                self._work_seen()
            elif time.monotonic() >= due:
                guard.guarded(self._look, "Looking for work")
                self.looked.set()
                due = time.monotonic() + settings.jittered_s(self._poll_s)

    def _look(self) -> None:
        try:
            if self._backlog.has_work():
                self._backlog.requeue_due()
                self._work_seen()
            self._take_turns()
        except guard.DATABASE_AWAY as error:
            LOG.warning("Cannot look for work, the database is away: %s", error)
