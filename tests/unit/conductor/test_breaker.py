# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""An unreachable backend is met once, probed by one thread, and wakes its own."""

import threading

import pytest

from networking_workflow.conductor import breaker, settings
from networking_workflow.model import errors
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until


class Sleepers:
    """Workflows that wait for a driver: a number, of the one that is tested."""

    def __init__(self) -> None:
        self.waiting = 0
        self.of_others: dict[str, int] = {}  #: driver -> how many wait for it
        self.batches: list[int] = []
        self.looks = 0
        self.after_batch = lambda: None

    def wake_drivers(self, drivers, limit: int = 500) -> int:
        """Wake a batch, first of those that wait for other drivers."""
        self.looks += 1
        left = limit
        for driver in drivers:
            taken = min(left, self.of_others.get(driver, 0))
            if taken:
                self.of_others[driver] -= taken
                left -= taken
        taken = min(left, self.waiting) if "memory" in drivers else 0
        self.waiting -= taken
        woken = limit - left + taken
        if woken:
            self.batches.append(woken)
            self.after_batch()
        return woken

    def drivers_waited_for(self) -> list[str]:
        """Return the drivers that any waits for."""
        self.looks += 1
        others = [driver for driver, count in self.of_others.items() if count]
        return sorted([*others, *(["memory"] if self.waiting else [])])


@pytest.fixture
def driver():
    return MemoryDriver()


@pytest.fixture
def sleepers():
    return Sleepers()


@pytest.fixture
def fuse(driver, sleepers):
    config = settings.ConductorSettings(probe_s=0.01)
    fuse = breaker.Breaker(driver, sleepers, config, lambda: None)
    yield fuse
    fuse.stop()


def opened(fuse, driver):
    driver.down = True
    fuse.open(errors.BackendUnreachable("no route"))


def test_open_until_the_probe_succeeds(fuse, driver, sleepers):
    sleepers.waiting = 3
    opened(fuse, driver)
    assert fuse.error is not None
    wait_until(lambda: driver.probes >= 3, 5, "some probes")
    assert fuse.error is not None
    assert sleepers.waiting == 3
    driver.down = False
    wait_until(lambda: sleepers.waiting == 0, 5, "the sleepers to be woken")
    assert fuse.error is None


def test_one_prober_however_many_failures(fuse, driver):
    before = probers()  # of earlier tests, which were told to stop
    opened(fuse, driver)
    for _ in range(50):
        fuse.open(errors.BackendUnreachable("no route"))
    assert len(probers() - before) == 1


def probers():
    return {one for one in threading.enumerate() if one.name == "workflow-probe-memory"}


def test_thousands_are_woken_in_batches(fuse, driver, sleepers):
    sleepers.waiting = 1000
    opened(fuse, driver)
    driver.down = False
    wait_until(lambda: sum(sleepers.batches) == 1000, 5, "the sleepers to be woken")
    assert len(sleepers.batches) == 5


def test_a_breaker_that_opens_again_lets_the_rest_sleep(fuse, driver, sleepers):
    sleepers.waiting = 1000
    first_batch = threading.Event()

    def fail_again():
        opened(fuse, driver)
        first_batch.set()

    sleepers.after_batch = fail_again
    opened(fuse, driver)
    driver.down = False
    assert first_batch.wait(5)
    wait_until(lambda: driver.probes >= 3, 5, "probes after the second failure")
    assert sleepers.batches == [200]


def test_one_that_falls_asleep_after_the_wake_up_is_woken_too(fuse, driver, sleepers):
    opened(fuse, driver)
    driver.down = False
    wait_until(lambda: fuse.error is None, 5, "the breaker to close")
    sleepers.waiting = 1
    fuse.settled()
    assert sleepers.waiting == 0


def test_a_look_wakes_what_a_dead_conductor_left(fuse, sleepers):
    sleepers.waiting = 2
    fuse.look()
    wait_until(lambda: sleepers.waiting == 0, 5, "the sleepers to be woken")


def test_a_look_that_finds_it_unreachable_opens_the_breaker(fuse, driver, sleepers):
    sleepers.waiting = 2
    driver.down = True
    fuse.look()
    wait_until(lambda: fuse.error is not None, 5, "the breaker to open")
    assert sleepers.waiting == 2


def test_a_probe_that_raises_anything_is_a_no(fuse, driver, sleepers, monkeypatch):
    probed = threading.Event()

    def probe():
        probed.set()
        raise KeyError("schema")

    monkeypatch.setattr(driver, "probe", probe)
    opened(fuse, driver)
    assert probed.wait(5)
    assert fuse.error is not None


def test_probes_that_say_yes_while_calls_say_no_become_rare(fuse, driver):
    pauses = []
    for _ in range(6):
        pauses.append(fuse._pause_s())
        fuse.open(errors.BackendUnreachable("no route"))
        wait_until(lambda: fuse.error is None, 5, "a probe that says yes")
    assert pauses[-1] > 4 * pauses[0]
    fuse.worked("w")
    assert fuse._pause_s() <= 0.01


def test_one_that_cries_outage_while_others_get_through_is_not_believed_for_ever(fuse):
    believed = []
    for _ in range(6):
        believed.append(fuse.is_outage("w"))
        fuse.worked("another")
    assert believed == [True] * 4 + [False] * 2
    fuse.worked("w")
    assert fuse.is_outage("w")


def test_an_outage_is_believed_however_long_it_lasts(fuse):
    assert all(fuse.is_outage("w") for _ in range(20))


class Room:
    """How many more calls there may be, as a test says; it keeps no turn."""

    def __init__(self):
        self.left = 0

    def room(self):
        return self.left

    def reserve(self, most):
        return min(most, self.left)

    def give_back(self, count):
        pass


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def narrow(driver, sleepers, room):
    config = settings.ConductorSettings(probe_s=0.01)
    fuse = breaker.Breaker(driver, sleepers, config, lambda: None, room)
    yield fuse
    fuse.stop()


def test_no_more_are_woken_than_there_is_room_for(narrow, driver, sleepers, room):
    sleepers.waiting, room.left = 1000, 2
    opened(narrow, driver)
    driver.down = False
    wait_until(lambda: sleepers.batches, 5, "some to be woken")
    room.left = 0
    narrow.call_ended()
    narrow.settled()
    assert sleepers.batches == [2]
    room.left = 1
    narrow.call_ended()
    assert sleepers.batches == [2, 1]


def test_one_for_whom_there_is_room_by_the_time_it_falls_asleep_is_woken(narrow, sleepers, room):
    room.left, sleepers.waiting = 1, 1
    narrow.settled()
    assert sleepers.waiting == 0


def test_a_call_that_ends_looks_for_nobody_where_nobody_waits(narrow, sleepers, room):
    room.left, sleepers.waiting = 1, 1
    narrow.settled()
    narrow.call_ended()  # finds out that nobody waits any more
    sleepers.looks = 0
    narrow.call_ended()
    assert sleepers.looks == 0


def test_one_that_falls_asleep_while_others_are_being_woken_is_not_forgotten(
    narrow, sleepers, room
):
    def another_falls_asleep():
        sleepers.after_batch = lambda: None
        sleepers.waiting, room.left = 1, 0
        narrow.settled()  # no room for it right now
        room.left = 2

    sleepers.waiting, room.left, sleepers.after_batch = 1, 2, another_falls_asleep
    narrow.settled()
    assert sleepers.waiting == 0


@pytest.fixture
def drivers(driver):
    """Two drivers that share their room, and one that has no limit."""
    return {
        "binding-memory": MemoryDriver("binding-memory"),
        "memory": driver,
        "other": MemoryDriver("other"),
    }


@pytest.fixture
def breakers(drivers, sleepers, room):
    config = settings.ConductorSettings(probe_s=0.01)
    rooms = {"binding-memory": room, "memory": room}
    breakers = breaker.Breakers(list(drivers.values()), sleepers, config, lambda: None, rooms)
    yield breakers
    breakers.stop()


@pytest.mark.parametrize("ended", ["binding-memory", "memory"])
def test_a_call_that_ends_wakes_one_of_all_that_share_its_room(breakers, sleepers, room, ended):
    room.left = 0
    for name in ("binding-memory", "memory"):
        breakers[name].settled()
    sleepers.waiting, sleepers.of_others, room.left = 2, {"binding-memory": 2}, 1
    breakers.call_ended(ended)
    assert sleepers.batches == [1]


def test_who_shares_a_room_but_cannot_be_reached_is_left_asleep(breakers, drivers, sleepers, room):
    room.left = 0
    for name in ("binding-memory", "memory"):
        breakers[name].settled()
    opened(breakers["binding-memory"], drivers["binding-memory"])
    sleepers.waiting, sleepers.of_others, room.left = 1, {"binding-memory": 1}, 5
    breakers.call_ended("binding-memory")
    assert (sleepers.waiting, sleepers.of_others) == (0, {"binding-memory": 1})


def test_idle_workers_take_what_others_have_no_room_for_and_go_on_with_it(breakers, sleepers, room):
    sleepers.waiting, room.left = 10, 3
    breakers.take_turns(2)
    assert sleepers.batches == [2]  # no more than workers are idle
    breakers.take_turns(5)
    assert sleepers.batches == [2, 3]  # nor than there is room for
    room.left = 1
    breakers.call_ended("memory")
    assert sleepers.batches == [2, 3, 1]


def test_those_that_share_a_room_take_no_more_turns_than_it_has(breakers, sleepers, room):
    sleepers.waiting, sleepers.of_others, room.left = 5, {"binding-memory": 5}, 2
    breakers.take_turns(4)
    assert sleepers.batches == [2]


@pytest.mark.parametrize("why", ["no room", "no idle worker", "not reached"])
def test_who_could_take_no_turn_does_not_even_look(breakers, drivers, sleepers, room, why):
    sleepers.waiting, room.left = 1, 0 if why == "no room" else 1
    if why == "not reached":
        for name in ("binding-memory", "memory"):
            opened(breakers[name], drivers[name])
    breakers.take_turns(0 if why == "no idle worker" else 1)
    assert (sleepers.looks, sleepers.waiting) == (0, 1)


def test_what_waits_for_a_driver_without_a_limit_is_left_to_the_chores(breakers, sleepers, room):
    sleepers.of_others, room.left = {"other": 1}, 1
    breakers.take_turns(1)
    assert sleepers.of_others == {"other": 1}
