# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A lease is renewed, lost in the open, and replaced under another id."""

import threading

import pytest
import sqlalchemy as sa

from networking_workflow.conductor import lease, settings
from networking_workflow.model import errors
from tests.waiting import wait_until

AWAY = sa.exc.OperationalError("UPDATE", {}, OSError("gone"))


class Registry:
    """Conductors in memory; ``away`` makes every call fail as a stopped database does."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.registered: list[str] = []
        self.renewals = 0
        self.away = False
        self.mistakes = 0  #: calls that fail as a wrong statement does
        self.gate = threading.Event()
        self.gate.set()

    def register(self, conductor_id: str, *, host: str, pid: int, lease_s: float) -> None:
        """Add one."""
        self._answer()
        self.registered.append(conductor_id)
        self.alive.add(conductor_id)

    def renew(self, conductor_id: str, lease_s: float) -> bool:
        """Say whether it is still there."""
        self._answer()
        self.renewals += 1
        return conductor_id in self.alive

    def _answer(self) -> None:
        self.gate.wait()
        if self.away:
            raise AWAY
        if self.mistakes:
            self.mistakes -= 1
            raise sa.exc.ProgrammingError("UPDATE", {}, OSError("no such column"))


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def keeper(registry):
    config = settings.ConductorSettings(lease_s=0.3)
    keeper = lease.LeaseKeeper(registry, config, pid=1)
    keeper.start()
    yield keeper
    registry.gate.set()
    keeper.stop(5)


def test_renewed_for_as_long_as_the_process_lives(keeper, registry):
    first = keeper.current()
    wait_until(lambda: registry.renewals >= 6, 5, "six renewals")
    assert keeper.current() is first
    assert first.held


def test_a_taken_over_conductor_registers_under_another_id(keeper, registry):
    first = keeper.current()
    registry.alive.clear()
    wait_until(lambda: not first.held, 5, "the loss")
    second = keeper.current()
    assert second.owner != first.owner
    with pytest.raises(errors.LeaseLost):
        first.require("w")
    second.require("w")


def test_renewals_that_hang_end_the_lease_by_our_own_clock(keeper, registry):
    first = keeper.current()
    registry.gate.clear()
    wait_until(lambda: not first.held, 5, "the lease to end")
    with pytest.raises(errors.LeaseLost):
        first.require("w")


def test_a_database_that_comes_back_in_time_costs_nothing(registry):
    config = settings.ConductorSettings(lease_s=5)
    keeper = lease.LeaseKeeper(registry, config, pid=1)
    registry.away = True
    keeper.start()
    registry.away = False
    assert keeper.current().held
    keeper.stop(5)


def test_an_unexpected_error_does_not_end_the_renewals(keeper, registry):
    keeper.current()
    registry.mistakes = 1
    wait_until(lambda: not registry.mistakes, 5, "the mistake")
    seen = registry.renewals
    wait_until(lambda: registry.renewals > seen, 5, "a renewal after it")
    assert keeper.current().held


def test_nobody_waits_for_a_lease_of_a_stopped_keeper(registry):
    registry.away = True
    keeper = lease.LeaseKeeper(registry, settings.ConductorSettings(), pid=1)
    keeper.start()
    keeper.stop(5)
    assert keeper.current() is None


def test_a_closed_keeper_lets_those_go_who_wait_and_renews_what_is_held(registry):
    registry.gate.clear()
    keeper = lease.LeaseKeeper(registry, settings.ConductorSettings(lease_s=0.3), pid=1)
    keeper.start()
    found = []
    waiting = threading.Thread(target=lambda: found.append(keeper.current()))
    waiting.start()
    keeper.close()
    waiting.join(5)
    assert found == [None]
    registry.gate.set()
    wait_until(lambda: registry.renewals >= 3, 5, "renewals after it was closed")
    keeper.stop(5)
