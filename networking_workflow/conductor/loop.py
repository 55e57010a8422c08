# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A conductor: workers, lease, poll, chores and breakers, started and stopped together.

It is given everything by value and runs in any process: its own, or as threads of an API process.
"""

import logging
import os
import threading
import time
import typing

from networking_workflow.conductor import (
    breaker,
    calls,
    chores,
    fanout,
    guard,
    lease,
    poll,
    settings,
    shared,
    wakeup,
    work,
    workers,
)
from networking_workflow.drivers import protocol
from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import failpoints
from networking_workflow.journal import journal as journals
from networking_workflow.model import graph as graphs
from networking_workflow.plan import flows

LOG = logging.getLogger(__name__)

#: Seconds that threads which call no driver get to end.
_END_S = 5.0


class Conductor:
    """Claims workflows and runs them, several at a time.

    :param journal: on an engine of the conductor's own; Neutron's rows are in the same database.
    :param graph: of the drivers; None: one lane, in the order given.
    """

    def __init__(
        self,
        journal: journals.Journal,
        drivers: typing.Sequence[protocol.Driver],
        config: settings.ConductorSettings,
        key_function: fanout.KeyFunction,
        graph: graphs.DriverGraph | None = None,
    ) -> None:
        self._journal, self._settings = journal, config
        self._stopping, handing_back = threading.Event(), threading.Event()
        self._handing_back = handing_back
        self._signal = work.WorkSignal(config.workers)
        self._keeper = lease.LeaseKeeper(journal, config, os.getpid())
        self._desk = workers.Desk()
        backends = {driver.name: flows.stands_for(driver) for driver in drivers}
        self._clocks = calls.Clocks.make()
        of_backends = {name: self._calls_of(name) for name in backends.values()}
        of_drivers = {name: of_backends[backend] for name, backend in backends.items()}
        self._may_be_late = [one for one in of_backends.values() if one.timeout_s is not None]
        rooms = {name: one for name, one in of_drivers.items() if one.is_limited}
        self._breakers = breaker.Breakers(drivers, journal, config, self._signal.offer_some, rooms)
        self._crew = workers.Crew(
            config.workers,
            self._worker,
            most=config.workers * (1 + len(self._may_be_late)),
            late=lambda: sum(one.late for one in self._may_be_late),
        )
        self._tools = shared.Tools(
            journal=journal,
            reads=journal_engine.polling(journal.engine),
            drivers=tuple(drivers),
            graph=graph or graphs.single(driver.name for driver in drivers),
            breakers=self._breakers,
            calls=of_drivers,
            settings=config,
            key_function=key_function,
            hint=self.hint,
            handing_back=handing_back,
        )
        self._threads: list[poll.Poller | chores.Chores] = []
        self._listener: wakeup.Listener | None = None
        self._sender: wakeup.Sender | None = None

    @property
    def owner(self) -> str | None:
        """Return the id under which it is registered now; another one after a lost lease."""
        return self._keeper.owner

    @property
    def lease(self) -> lease.Lease | None:
        """Return the present lease, held or not."""
        return self._keeper.lease

    @property
    def running(self) -> list[str]:
        """Return the workflows that its workers have."""
        return self._desk.workflow_ids

    @property
    def idle(self) -> int:
        """Return how many workers wait for work."""
        return self._signal.idle

    @property
    def looked(self) -> bool:
        """Return whether the first looks for work and for chores after the start are over."""
        return all(thread.looked.is_set() for thread in self._threads)

    @property
    def stopping(self) -> bool:
        """Return whether it has been told to stop."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start every thread; the first one registers.

        While the database is away it goes on trying to register.

        :raises OSError: if ``wakeup_dir`` cannot be written to.
        """
        config = self._settings
        self._listener = wakeup.Listener(config.wakeup_dir)
        if config.wakeup_dir is not None:
            self._sender = wakeup.Sender(config.wakeup_dir, skip=self._listener.path)
        self._keeper.start()
        self._threads = [
            poll.Poller(
                self._journal,
                self._listener,
                poll_s=config.poll_s,
                work_seen=self._signal.offer_some,
                take_turns=lambda: self._breakers.take_turns(self._signal.idle),
                stopping=self._stopping,
            ),
            chores.Chores(
                self._journal,
                keeper=self._keeper,
                breakers=self._breakers,
                desk=self._desk,
                config=config,
                work_seen=self._signal.offer_some,
                stopping=self._stopping,
            ),
        ]
        self._crew.fill()
        if self._may_be_late:
            for clock in self._clocks:
                clock.start()
        for thread in self._threads:
            thread.start()

    def hint(self, workflow_ids: typing.Sequence[str]) -> None:
        """Say that these workflows have just been committed in this process; returns at once.

        Wakes as many workers as there is work; what is too much for the idle ones here is
        announced to the other conductors of this host.
        """
        if self._signal.offer(len(workflow_ids)) and self._sender is not None:
            self._sender.send()

    def stop(self) -> bool:
        """Stop claiming, let what runs finish for ``drain_s``, hand the rest back, sign off.

        A driver call that has not returned by then keeps its workflow and its keys: nobody else may
        touch the same things before it has returned or this process is gone. Its lease ends by
        itself. Returns False in that case. A second call does nothing more.
        """
        self._stopping.set()
        self._signal.close()
        self._keeper.close()
        if self._listener is not None:
            self._listener.nudge()
        at_work = self._crew.close()
        drained = self._join(at_work, self._settings.drain_s)
        self._handing_back.set()
        failpoints.failpoint("conductor.handing_back")
        drained = drained or self._join(at_work, self._settings.hand_back_s)
        for clock in self._clocks:
            clock.stop()
        self._breakers.stop()
        self._keeper.stop(_END_S)
        self._join(self._threads, _END_S)
        if self._listener is not None:
            self._listener.close()
        if drained:
            self._sign_off()
        else:
            LOG.warning("Stopped in the middle of driver calls: %s", self._desk.calls)
        return drained

    def _sign_off(self) -> None:
        owner = self._keeper.owner
        if owner is None:
            return
        try:
            self._journal.sign_off(owner)
        except guard.DATABASE_AWAY as error:
            LOG.warning(
                "Conductor %s could not sign off, its lease ends by itself: %s", owner, error
            )

    def _calls_of(self, driver: str) -> calls.DriverCalls:
        """Return the calls of a driver, of which late ones may not take more threads than all."""
        config = self._settings
        return calls.DriverCalls(
            driver,
            config.limits_of(driver),
            self._clocks,
            most_beside_late=config.workers,
            replace=lambda: self._crew.fill(),
        )

    def _worker(self, number: int) -> workers.Worker:
        return workers.Worker(
            number,
            keeper=self._keeper,
            signal=self._signal,
            desk=self._desk,
            tools=self._tools,
            dismissed=self._crew.dismiss,
            stopping=self._stopping,
        )

    @staticmethod
    def _join(threads: typing.Iterable[threading.Thread], within_s: float) -> bool:
        """Wait for the threads to end; return whether all did."""
        deadline = time.monotonic() + within_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
