# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How many calls of a driver there may be, and which of them are late."""

import logging
import threading

import pytest
import sqlalchemy as sa

from networking_workflow.conductor import calls, settings
from networking_workflow.model import errors
from tests.waiting import wait_until

LONG_S, SHORT_S = 3600.0, 0.02


@pytest.fixture
def clock():
    clock = calls.Clock()
    clock.start()
    yield clock
    clock.stop()
    clock.join(5)
    assert not clock.is_alive()


@pytest.fixture
def of_driver(clock):
    """Return a function that makes the calls of a driver with limits."""

    def make(*, most_beside_late=4, **limits):
        limits = settings.DriverLimits(**limits)
        return calls.DriverCalls("switch", limits, clock, most_beside_late=most_beside_late)

    return make


def begin(of_driver, late=lambda: None):
    """Begin a call; return it, or the error."""
    call, error = of_driver.begin("Driver switch, create port p", late)
    return call or error


def test_without_limits_as_many_run_as_come(of_driver):
    unlimited = of_driver()
    running = [begin(unlimited) for _ in range(50)]
    assert all(isinstance(one, calls.Call) for one in running)
    assert unlimited.room() is None


def test_no_more_run_at_a_time_than_may_and_each_that_ends_makes_room(of_driver):
    two = of_driver(concurrency=2)
    first, second, third = (begin(two) for _ in range(3))
    assert (two.room(), type(third)) == (0, errors.DriverOccupied)
    assert "[workflow_driver:switch] concurrency" in third.detail
    two.end(first)
    assert two.room() == 1
    assert isinstance(begin(two), calls.Call)
    assert two.room() == 0
    two.end(second)
    assert two.room() == 1


def test_a_call_that_outlasts_its_time_is_late_and_says_so_once(of_driver, caplog):
    said = []
    driver = of_driver(timeout_s=SHORT_S)
    call = begin(driver, lambda: said.append(threading.current_thread().name))
    wait_until(lambda: said, 5, "the call to be late")
    assert (call.is_late, said) == (True, ["workflow-clock"])
    driver.end(call)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == (
        "Driver switch, create port p has not returned for 0.02 s, [workflow_driver:switch] "
        "timeout_s: its workflow keeps its keys until it does"
    )
    assert messages[1].startswith("Driver switch, create port p returned after")
    assert len(messages) == 2


def test_a_call_that_ends_in_time_is_never_late(of_driver, clock):
    said, passed = [], threading.Event()
    driver = of_driver(timeout_s=SHORT_S)
    call = begin(driver, lambda: said.append(call))
    driver.end(call)
    clock.at(call.due_at + SHORT_S, passed.set)
    assert passed.wait(5)
    assert (call.is_late, said) == (False, [])


def test_the_shortest_time_is_up_first_whichever_call_began_first(of_driver, clock):
    first = of_driver(timeout_s=LONG_S)
    second = of_driver(timeout_s=SHORT_S)
    patient, hasty = begin(first), begin(second)
    wait_until(lambda: hasty.is_late, 5, "the second call to be late")
    assert not patient.is_late


def test_what_cannot_be_said_while_the_database_is_away_is_said_again(
    of_driver, monkeypatch, caplog
):
    monkeypatch.setattr(calls, "_AGAIN_S", SHORT_S)
    tries = []

    def say():
        tries.append(1)
        if len(tries) < 3:
            raise sa.exc.OperationalError("UPDATE", {}, OSError("gone"))

    call = begin(of_driver(timeout_s=SHORT_S), say)
    wait_until(lambda: len(tries) == 3, 5, "it to be said")
    late = [one for one in caplog.records if "has not returned" in one.getMessage()]
    assert (call.is_late, len(late)) == (True, 1)


@pytest.mark.parametrize("error", [errors.LeaseLost("w"), KeyError("a mistake")])
def test_whatever_keeps_it_from_being_said_the_clock_goes_on(of_driver, clock, error, caplog):
    caplog.set_level(logging.CRITICAL)

    def say():
        raise error

    begin(of_driver(timeout_s=SHORT_S), say)
    other = begin(of_driver(timeout_s=2 * SHORT_S))
    wait_until(lambda: other.is_late, 5, "another call to be late")


def test_nothing_is_said_of_a_call_once_it_has_returned(of_driver):
    inside, go, said = threading.Event(), threading.Event(), []

    def say():
        inside.set()
        assert go.wait(5)
        said.append("late")

    driver = of_driver(timeout_s=SHORT_S)
    call = begin(driver, say)
    assert inside.wait(5)
    ending = threading.Thread(target=lambda: (driver.end(call), said.append("returned")))
    ending.start()
    wait_until(lambda: driver.room() is None, 5, "the call to be ending")
    go.set()
    ending.join(5)
    assert said == ["late", "returned"]
    assert call.say_late() is False
    assert said == ["late", "returned"]


def test_once_one_is_late_there_are_no_more_calls_than_may_be_beside_it(of_driver):
    driver = of_driver(timeout_s=SHORT_S, most_beside_late=2)
    late = begin(driver)
    wait_until(lambda: late.is_late, 5, "it to be late")
    assert driver.room() == 1
    other = begin(driver)
    error = begin(driver)
    assert (driver.room(), type(error)) == (0, errors.BackendUnreachable)
    assert "calls of driver switch have not returned" in error.detail
    driver.end(late)
    driver.end(other)
    assert driver.room() is None


def test_late_calls_count_among_those_that_may_run_at_a_time(of_driver):
    driver = of_driver(timeout_s=SHORT_S, concurrency=2)
    first = begin(driver)
    wait_until(lambda: first.is_late, 5, "it to be late")
    assert driver.room() == 1
    second = begin(driver)
    assert driver.room() == 0
    wait_until(lambda: second.is_late, 5, "the other to be late")
    assert isinstance(begin(driver), errors.BackendUnreachable)
