# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Calls of drivers that have not returned: how many there may be, and which of them are late.

A call runs in a thread and cannot be broken off. One that is late goes on, keeps what its workflow
holds, and is said to be late; when it returns, its outcome counts.
"""

import itertools
import logging
import threading
import time
import typing

from networking_workflow.conductor import guard, settings
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

#: Seconds between two tries to say in the journal that a call is late, or to have another worker.
_AGAIN_S = 1.0

#: Seconds for which a turn is kept for a workflow that was woken. It is claimed within milliseconds
#: where a worker is idle; it may as well be another conductor that claims it.
_KEPT_S = 1.0


class Call:
    """One call, from its beginning until it returns.

    :param late: called once the call is late, and again while the database does not do its part.
    """

    def __init__(self, what: str, due_at: float | None, late: typing.Callable[[], None]) -> None:
        self.what, self.due_at, self._late = what, due_at, late
        self.began_at = time.monotonic()
        self.is_late = False
        self.ticket: int | None = None  #: at the clock; None: it is never late
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
    """Does things when their time has come, one after the other."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._changed = threading.Condition()
        #: ticket -> when, and what: as many as calls run, so the first is found by looking at all
        self._due: dict[int, tuple[float, typing.Callable[[], None]]] = {}
        self._numbers = itertools.count()
        self._sleeps_until: float | None = None  #: None: until something is to be done
        self._stopping = False

    def at(self, moment: float, do: typing.Callable[[], None]) -> int:
        """Have something done at a time of ``time.monotonic``, or soon after; return a ticket."""
        with self._changed:
            ticket = next(self._numbers)
            self._due[ticket] = (moment, do)
            if self._sleeps_until is None or moment < self._sleeps_until:
                self._changed.notify()
            return ticket

    def forget(self, ticket: int) -> None:
        """Do not do it, unless it is being done already."""
        with self._changed:
            self._due.pop(ticket, None)

    def run(self) -> None:
        """Do what is due until :meth:`stop`."""
        while (do := self._next()) is not None:
            guard.guarded(do, self.name)
            del do  # it knows a whole run

    def stop(self) -> None:
        """End; what is not done yet stays undone."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _next(self) -> typing.Callable[[], None] | None:
        with self._changed:
            while not self._stopping:
                first = min(self._due, key=lambda ticket: self._due[ticket][0], default=None)
                if first is None:
                    self._sleep(None)
                elif (wait_s := self._due[first][0] - time.monotonic()) <= 0:
                    return self._due.pop(first)[1]
                else:
                    self._sleep(wait_s)
        return None

    def _sleep(self, wait_s: float | None) -> None:
        self._sleeps_until = None if wait_s is None else time.monotonic() + wait_s
        self._changed.wait(wait_s)


class Clocks(typing.NamedTuple):
    """Two, since whoever writes may have to wait: other calls become late meanwhile."""

    notices: Clock
    says: Clock  #: in the journal

    @classmethod
    def make(cls) -> "Clocks":
        """Return both, not started yet."""
        return cls(Clock("workflow-clock"), Clock("workflow-remarks"))


class DriverCalls:
    """Those of one driver in one conductor; a task that prepares for the driver calls it, too.

    :param most_beside_late: calls at a time once one is late, that one included: a late call keeps
        a thread, and another one works in its place.
    :param replace: called once one is late: its thread works no more.
    """

    def __init__(
        self,
        driver: str,
        limits: settings.DriverLimits,
        clocks: Clocks,
        *,
        most_beside_late: int,
        replace: typing.Callable[[], None],
    ) -> None:
        self._driver, self._limits, self._clocks = driver, limits, clocks
        self._most_beside_late, self._replace = most_beside_late, replace
        self._lock = threading.Lock()
        self._running: set[Call] = set()
        self._kept_until: list[float] = []  #: a turn each, for workflows that were woken

    @property
    def timeout_s(self) -> float | None:
        """Return the seconds after which one is late; None: it never is."""
        return self._limits.timeout_s

    @property
    def is_limited(self) -> bool:
        """Return whether there may ever be no room."""
        return self._limits.concurrency is not None or self.timeout_s is not None

    @property
    def late(self) -> int:
        """Return how many are late now."""
        with self._lock:
            return self._late()

    def room(self) -> int | None:
        """Return how many more may be made now; None: as many as come."""
        with self._lock:
            return self._room()

    def reserve(self, most: int) -> int:
        """Keep turns for up to ``most`` workflows that are about to be woken; return how many.

        So no two threads wake workflows for the same turn. Whoever comes first takes it.
        """
        with self._lock:
            room = self._room()
            if room is None:
                return most
            now = time.monotonic()
            self._kept_until = [until for until in self._kept_until if until > now]
            count = min(most, max(0, room - len(self._kept_until)))
            self._kept_until += [now + _KEPT_S] * count
            return count

    def give_back(self, count: int) -> None:
        """Keep so many of them no more: there was nobody to be woken."""
        with self._lock:
            del self._kept_until[:count]

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
            del self._kept_until[:1]
        if due_at is not None:
            call.ticket = self._clocks.notices.at(due_at, lambda: self._is_late(call))
        return call, None

    def end(self, call: Call) -> None:
        """Note that a call has returned."""
        if call.ticket is not None:
            self._clocks.notices.forget(call.ticket)
        with self._lock:
            self._running.discard(call)
        call.returned()
        if call.is_late:
            LOG.warning("%s returned after %.0f s", call.what, time.monotonic() - call.began_at)

    def _is_late(self, call: Call) -> None:
        with self._lock:
            if call not in self._running:
                return
            call.is_late = True
        LOG.warning(
            "%s has not returned for %g s, [workflow_driver:%s] timeout_s: its workflow keeps "
            "its keys until it does",
            call.what,
            self._limits.timeout_s,
            self._driver,
        )
        self._clocks.says.at(time.monotonic(), lambda: self._say_late(call))
        self._replace_worker(call)

    def _say_late(self, call: Call) -> None:
        if call.say_late():
            self._clocks.says.at(time.monotonic() + _AGAIN_S, lambda: self._say_late(call))

    def _replace_worker(self, call: Call) -> None:
        with self._lock:
            if call not in self._running:
                return
        _, error = guard.guarded(self._replace, f"{call.what}: another worker in its place")
        if error is not None:  # the process may have no more threads for now
            again_at = time.monotonic() + _AGAIN_S
            self._clocks.notices.at(again_at, lambda: self._replace_worker(call))

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
