# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which of the idle workers go and look for work: as many as there is work, no more."""

import threading


class WorkSignal:
    """Permits to look for work.

    A hint that says how many workflows committed gives that many permits. What a poll, another
    process or a settled workflow announces is of unknown size: it gives one *open* permit, and each
    success passes another one on. So n idle workers wake up for n pieces of work, and the last look
    in vain is one, not n.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._condition = threading.Condition()
        self._counted = 0
        self._open = False
        self._idle = 0
        self._closed = False

    def offer(self, count: int) -> int:
        """Announce ``count`` pieces of work; return how many found no idle worker."""
        with self._condition:
            free = max(0, self._idle - self._counted - int(self._open))
            self._counted = min(self._workers, self._counted + count)
            self._condition.notify(count)
            return max(0, count - free)

    def offer_some(self) -> None:
        """Announce work of unknown size; one idle worker looks."""
        with self._condition:
            self._open = True
            self._condition.notify()

    def took_one(self) -> None:
        """Note that a worker found work that no permit sent it to: perhaps there is more."""
        with self._condition:
            if self._counted > 0:
                self._counted -= 1
            elif self._idle:
                self._open = True
                self._condition.notify()

    def wait(self) -> bool:
        """Wait for a permit; True for an open one: whoever then finds work passes it on."""
        with self._condition:
            self._idle += 1
            try:
                while not (self._counted or self._open or self._closed):
                    self._condition.wait()
            finally:
                self._idle -= 1
            if self._counted:
                self._counted -= 1
                return False
            self._open = False
            return True

    @property
    def idle(self) -> int:
        """Return how many workers wait for a permit."""
        with self._condition:
            return self._idle

    def close(self) -> None:
        """Let every worker go; none waits any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
