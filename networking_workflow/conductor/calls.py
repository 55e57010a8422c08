# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Calls of drivers that have not returned: how many there may be, and which of them are late.

A call runs in a thread and cannot be broken off. One that is late goes on, keeps what its workflow
holds, and is said to be late; when it returns, its outcome counts.
"""

import heapq
import itertools
import logging
import threading
import time
import typing

from networking_workflow.conductor import guard, settings
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

#: Seconds between two tries to say in the journal that a call is late.
_AGAIN_S = 1.0


class Call:
    """One call, from its beginning until it returns.

    :param late: called once the call is late, and again while the database does not do its part.
    """

    def __init__(self, what: str, due_at: float | None, late: typing.Callable[[], None]) -> None:
        self.what, self.due_at, self._late = what, due_at, late
        self.began_at = time.monotonic()
        self.is_late = False
        self._lock = threading.Lock()
        self._returned = False

    def returned(self) -> None:
        """Note that it is over: from now on nobody says that it is late."""
        with self._lock:
            self._returned = True

    def say_late(self) -> bool:
        """Say that it is late, unless it is over; return whether to try that again."""
        with self._lock:
            if self._returned:
                return False
            try:
                _, error = guard.guarded(self._late, f"{self.what}: saying that it is late")
            except errors.LeaseLost:
                return False  # its new owner calls the driver, too
            return isinstance(error, errors.TransientFailure)


class Clock(threading.Thread):
    """Notices when calls become late; one per conductor."""

    def __init__(self) -> None:
        super().__init__(name="workflow-clock", daemon=True)
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, typing.Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopping = False

    def at(self, moment: float, do: typing.Callable[[], None]) -> None:
        """Have something done at a time of ``time.monotonic``, soon after it at the latest."""
        with self._changed:
            heapq.heappush(self._due, (moment, next(self._numbers), do))
            if self._due[0][0] == moment:
                self._changed.notify()

    def run(self) -> None:
        """Do what is due until :meth:`stop`."""
        while (do := self._next()) is not None:
            do()

    def stop(self) -> None:
        """End; what is not done yet stays undone."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _next(self) -> typing.Callable[[], None] | None:
        with self._changed:
            while not self._stopping:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_s)
        return None


class DriverCalls:
    """Those of one driver in one conductor; a task that prepares for the driver calls it, too.

    :param most_beside_late: calls at a time once one is late, that one included: a late call keeps
        a thread, and another one works in its place.
    """

    def __init__(
        self, driver: str, limits: settings.DriverLimits, clock: Clock, *, most_beside_late: int
    ) -> None:
        self._driver, self._limits, self._clock = driver, limits, clock
        self._most_beside_late = most_beside_late
        self._lock = threading.Lock()
        self._running: set[Call] = set()

    @property
    def timeout_s(self) -> float | None:
        """Return the seconds after which one is late; None: it never is."""
        return self._limits.timeout_s

    def room(self) -> int | None:
        """Return how many more may be made now; None: as many as come."""
        with self._lock:
            return self._room()

    def begin(
        self, what: str, late: typing.Callable[[], None]
    ) -> tuple[Call | None, errors.DriverError | None]:
        """Return a call that may be made now, or why none may.

        :param what: names it, for the log.
        :param late: as for :class:`Call`; called in another thread.
        """
        timeout_s = self._limits.timeout_s
        due_at = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            if self._room() == 0:
                return None, self._why_not()
            call = Call(what, due_at, late)
            self._running.add(call)
        if due_at is not None:
            self._clock.at(due_at, lambda: self._is_late(call))
        return call, None

    def end(self, call: Call) -> None:
        """Note that a call has returned."""
        with self._lock:
            self._running.discard(call)
        call.returned()
        if call.is_late:
            LOG.warning("%s returned after %.0f s", call.what, time.monotonic() - call.began_at)

    def _is_late(self, call: Call) -> None:
        with self._lock:
            if call not in self._running:
                return
            first, call.is_late = not call.is_late, True
        if first:
            LOG.warning(
                "%s has not returned for %g s, [workflow_driver:%s] timeout_s: its workflow keeps "
                "its keys until it does",
                call.what,
                self._limits.timeout_s,
                self._driver,
            )
        if call.say_late():
            self._clock.at(time.monotonic() + _AGAIN_S, lambda: self._is_late(call))

    def _room(self) -> int | None:
        most = [self._limits.concurrency] if self._limits.concurrency else []
        if self._late():
            most.append(self._most_beside_late)
        return max(0, min(most) - len(self._running)) if most else None

    def _late(self) -> int:
        return sum(call.is_late for call in self._running)

    def _why_not(self) -> errors.DriverError:
        late, running = self._late(), len(self._running)
        if late == running or running != self._limits.concurrency:
            return errors.BackendUnreachable(
                f"{late} of {running} calls of driver {self._driver} have not returned within "
                f"their time-out of {self._limits.timeout_s:g} s; it is called again when one has."
            )
        return errors.DriverOccupied(
            f"{running} calls of driver {self._driver} run, as many as [workflow_driver:"
            f"{self._driver}] concurrency lets run at a time."
        )
