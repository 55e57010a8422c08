# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A backend that cannot be reached is a state of its driver, not of ten thousand workflows.

The first call that finds it unreachable opens the driver's breaker. While it is open the driver is
not called: its workflows are set RETRYING with that reason, spend no attempt, and wait for the
driver. One thread probes; when the backend answers, it wakes them. Those for which there is no room
beside the calls that are being made (``conductor.calls``) wait likewise: each call that ends wakes
as many as there is room for, and so does a conductor with room and an idle worker, at each poll.
"""

import logging
import threading
import typing

from networking_workflow.conductor import guard, settings
from networking_workflow.drivers import protocol
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

#: Workflows woken in one transaction when a backend is back.
_BATCH = 200

#: How often a workflow may find the backend unreachable while others get through in between.
_FALSE_ALARMS = 3

#: Workflows that are remembered for it; far more than can be at it at a time.
_MOST_REMEMBERED = 1000

_PREFIX = "driver:"


def waits_for(driver: str) -> str:
    """Return what ``waits_for`` of a workflow says while ``driver`` is unreachable."""
    return f"{_PREFIX}{driver}"


class Room(typing.Protocol):
    """How many more calls of a driver there may be; ``calls.DriverCalls`` knows."""

    def room(self) -> int | None:
        """Return how many more may be made now; None: as many as come."""

    def reserve(self, most: int) -> int:
        """Keep turns for up to ``most`` workflows that are about to be woken; return how many."""

    def give_back(self, count: int) -> None:
        """Keep so many of them no more."""


class _NoLimit:
    """Room for as many as come."""

    def room(self) -> int | None:
        return None

    def reserve(self, most: int) -> int:
        return most

    def give_back(self, count: int) -> None:
        pass


_NO_LIMIT = _NoLimit()


class Waiting(typing.Protocol):
    """The part of the journal that knows who waits for a driver."""

    def wake_drivers(self, drivers: typing.Sequence[str], limit: int = 500) -> int:
        """Make a batch of those that wait for one of ``drivers`` READY; return how many it found.

        Those among them that another conductor was faster with are READY, too. Fewer than ``limit``
        means that these were all.
        """

    def drivers_waited_for(self) -> list[str]:
        """Return the drivers that something waits for; a cheap look-up for each."""


class Breaker:
    """Of one driver in one conductor.

    :param woken: called after each batch of workflows that became READY.
    :param room: for calls of the driver.
    """

    def __init__(
        self,
        driver: protocol.Driver,
        journal: Waiting,
        config: settings.ConductorSettings,
        woken: typing.Callable[[], None],
        room: Room = _NO_LIMIT,
    ) -> None:
        self._driver, self._journal, self._config, self._woken = driver, journal, config, woken
        self._room = room
        self._asleep = 0  #: counts what makes it likely that workflows wait for the driver
        self._served = 0  #: what it was when last all of them had been woken
        self._lock = threading.Lock()
        self._error: errors.BackendUnreachable | None = None
        self._prober: threading.Thread | None = None
        self._stopping = threading.Event()
        self._false_alarms = 0  #: probes in a row after which no call went through
        self._worked = 0  #: calls that went through
        #: workflow -> calls that had gone through when it last found the backend unreachable, and
        #: how often some had since the time before
        self._alarms: dict[str, tuple[int, int]] = {}

    @property
    def error(self) -> errors.BackendUnreachable | None:
        """Return why the driver must not be called now, if so."""
        return self._error

    @property
    def has_turns(self) -> bool:
        """Return whether the driver may be called now: reached, and with room for a call."""
        return self._error is None and self._room.room() != 0

    def open(self, error: errors.BackendUnreachable) -> None:
        """Stop calling the driver, and probe until it answers."""
        with self._lock:
            if self._error is None:
                LOG.warning(
                    "Driver %s cannot reach its backend; its workflows wait without spending "
                    "attempts: %s",
                    self._driver.name,
                    error.detail,
                )
            self._error = error
            self._probe_in_background(first_s=self._pause_s())

    def worked(self, workflow_id: str) -> None:
        """Note that a call of the driver went through."""
        with self._lock:
            self._false_alarms = 0
            self._worked += 1
            self._alarms.pop(workflow_id, None)

    def is_outage(self, workflow_id: str) -> bool:
        """Note that a workflow finds the backend unreachable; return whether to believe it.

        Not if the backend answered others between its calls time and again: what is wrong is the
        call. It would never spend its attempts, and keep everybody from the driver each time.
        """
        with self._lock:
            if len(self._alarms) > _MOST_REMEMBERED:
                self._alarms.clear()
            worked, alarms = self._alarms.get(workflow_id, (self._worked, 0))
            alarms += self._worked > worked
            self._alarms[workflow_id] = self._worked, alarms
            return alarms <= _FALSE_ALARMS

    def _pause_s(self) -> float:
        """Return the seconds until the next probe; more where probes say yes and calls say no.

        A mechanism driver without a probe of its own always says yes.
        """
        longest_s = max(self._config.probe_s, self._config.retry.max_delay_s)
        pause_s = self._config.probe_s * 2.0 ** min(self._false_alarms, 16)
        return settings.jittered_s(min(longest_s, pause_s))

    def look(self) -> None:
        """Probe now, and wake those that wait for the driver if it answers.

        Finds what a conductor left behind that died during an outage.
        """
        with self._lock:
            self._asleep += 1
            self._probe_in_background(first_s=0.0)

    def settled(self) -> None:
        """Note that a workflow was just set to wait for the driver.

        If the breaker closed between the decision and the commit, or the call ended for which there
        was no room, nobody else would wake it.
        """
        with self._lock:
            self._asleep += 1
        if self._error is None:
            self._wake([self])

    def call_ended(self, sharing: typing.Iterable["Breaker"] = ()) -> None:
        """Wake as many as there is room for now, if any wait for the driver.

        :param sharing: other drivers' that share the room: the oldest has it, whichever it is for.
        """
        waited_for = [one for one in (self, *sharing) if one.somebody_may_wait]
        if waited_for:
            self._wake(waited_for)

    @property
    def somebody_may_wait(self) -> bool:
        """Return whether there may be anybody to wake for whom this conductor found no room."""
        return self._error is None and self._asleep > self._served

    def take_turns(self, most: int, sharing: typing.Iterable["Breaker"] = ()) -> None:
        """Wake up to ``most`` that wait, as far as there is room: others may have none for them."""
        waited_for = [self, *sharing]
        for one in waited_for:
            with one._lock:
                one._asleep += 1  # so that each call that ends goes on with it
        self._wake(waited_for, most=min(most, _BATCH - 1))

    def stop(self) -> None:
        """Probe no more."""
        self._stopping.set()

    def _probe_in_background(self, *, first_s: float) -> None:
        if self._prober is None and not self._stopping.is_set():
            self._prober = threading.Thread(
                target=self._probe,
                args=(first_s,),
                name=f"workflow-probe-{self._driver.name}",
                daemon=True,
            )
            self._prober.start()

    def _probe(self, wait_s: float) -> None:
        while not self._stopping.wait(wait_s):
            _, error = guard.guarded(self._driver.probe, f"Probe of driver {self._driver.name}")
            with self._lock:
                if error is None:
                    was_open, self._error, self._prober = self._error is not None, None, None
                    self._false_alarms += was_open
                    break
                self._error = errors.BackendUnreachable(error.detail)
            wait_s = self._pause_s()
        else:
            return
        if was_open:
            LOG.info("Driver %s reaches its backend again", self._driver.name)
        self._wake([self])

    def _wake(self, waited_for: typing.Sequence["Breaker"], most: int = _BATCH) -> None:
        """Wake all in batches; a breaker that opens again keeps the rest asleep.

        Where there is room for a few only, wake those; each call that ends wakes the next.

        :param waited_for: those whose workflows are woken; they share this one's room.
        :param most: workflows to wake at most; a whole batch: as many as wait.
        """
        try:
            while all(one.error is None for one in waited_for) and not self._stopping.is_set():
                asleep = {one: one._asleep for one in waited_for}
                limit = self._room.reserve(most)
                if limit == 0:
                    return
                names = [one._driver.name for one in waited_for]
                found = self._journal.wake_drivers(names, limit=limit)
                if found:
                    self._woken()
                if found < limit:
                    self._room.give_back(limit - found)
                    for one, seen in asleep.items():
                        one._served = max(one._served, seen)
                    # Who fell asleep since found no room, if that was what was given back.
                    if all(one._asleep == seen for one, seen in asleep.items()):
                        return
                elif limit < _BATCH:
                    return
        except guard.DATABASE_AWAY as error:
            LOG.warning(
                "Cannot wake what waits for driver %s; the next chores will: %s",
                self._driver.name,
                error,
            )


class Breakers:
    """One breaker for each driver of a conductor.

    :param rooms: of drivers that have a limit; those that share it have the same one.
    """

    def __init__(
        self,
        drivers: typing.Iterable[protocol.Driver],
        journal: Waiting,
        config: settings.ConductorSettings,
        woken: typing.Callable[[], None],
        rooms: typing.Mapping[str, Room] | None = None,
    ) -> None:
        self._journal, self._rooms = journal, rooms or {}
        self._breakers = {
            one.name: Breaker(one, journal, config, woken, self._rooms.get(one.name, _NO_LIMIT))
            for one in drivers
        }

    def __getitem__(self, driver: str) -> Breaker:
        return self._breakers[driver]

    def call_ended(self, driver: str) -> None:
        """Wake as many as there is room for now: of this driver, and of those it shares it with."""
        room = self._rooms.get(driver)
        sharing = [name for name, other in self._rooms.items() if other is room and name != driver]
        self._breakers[driver].call_ended([self._breakers[name] for name in sharing])

    def take_turns(self, idle: int) -> None:
        """Wake what another conductor has no room for and ``idle`` workers of this one have.

        One cheap statement, and none where no driver has a limit, or where all are busy here.

        :raises sqlalchemy.exc.SQLAlchemyError: if the database is away.
        """
        may = {name for name in self._rooms if self._breakers[name].has_turns}
        if idle and may:
            waited_for = sorted(may.intersection(self._journal.drivers_waited_for()))
            for room in {self._rooms[name] for name in waited_for}:
                first, *others = (
                    self._breakers[name] for name in waited_for if self._rooms[name] is room
                )
                first.take_turns(idle, others)

    def look(self, waited_for: typing.Iterable[str]) -> None:
        """Probe those drivers of ours that workflows wait for."""
        for name in waited_for:
            if name in self._breakers:
                self._breakers[name].look()

    def stop(self) -> None:
        """Probe no more."""
        for breaker in self._breakers.values():
            breaker.stop()
