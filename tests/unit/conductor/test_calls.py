# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How many calls of a driver there may be, and which of them are late."""

import gc
import logging
import threading
import time
import weakref

import pytest
import sqlalchemy as sa

from networking_workflow.conductor import calls, settings
from networking_workflow.model import errors
from tests.waiting import wait_until

LONG_S, SHORT_S = 3600.0, 0.02


@pytest.fixture
def clocks():
    clocks = calls.Clocks.make()
    for clock in clocks:
        clock.start()
    yield clocks
    for clock in clocks:
        clock.stop()
        clock.join(5)
        assert not clock.is_alive()


@pytest.fixture
def of_driver(clocks):
    """Return a function that makes the calls of a driver with limits."""

    def make(*, most_beside_late=4, replace=lambda: None, **limits):
        return calls.DriverCalls(
            "switch",
            settings.DriverLimits(**limits),
            clocks,
            most_beside_late=most_beside_late,
            replace=replace,
        )

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


def test_no_two_workflows_are_woken_for_the_same_turn(of_driver):
    two = of_driver(concurrency=2)
    assert (two.reserve(5), two.reserve(5)) == (2, 0)
    two.give_back(1)  # only one was asleep
    assert two.reserve(5) == 1
    first, second = begin(two), begin(two)
    two.end(first)
    assert (two.reserve(5), two.room()) == (1, 1)
    two.end(second)
    assert (two.reserve(5), two.room()) == (1, 2)


def test_a_turn_whose_workflow_another_conductor_took_is_not_kept_for_ever(of_driver, monkeypatch):
    monkeypatch.setattr(calls, "_KEPT_S", SHORT_S)
    one = of_driver(concurrency=1)
    assert one.reserve(1) == 1
    wait_until(lambda: one.reserve(1) == 1, 5, "the turn to be free")


def test_whoever_comes_first_takes_a_turn_that_is_kept(of_driver):
    one = of_driver(concurrency=1)
    assert one.reserve(1) == 1
    assert isinstance(begin(one), calls.Call)


def test_without_limits_there_is_a_turn_for_all_who_are_woken(of_driver):
    unlimited = of_driver()
    assert (unlimited.reserve(200), unlimited.reserve(200)) == (200, 200)


def test_a_call_that_outlasts_its_time_is_late_and_says_so_once(of_driver, caplog):
    said = []
    driver = of_driver(timeout_s=SHORT_S)
    call = begin(driver, lambda: said.append(threading.current_thread().name))
    wait_until(lambda: said, 5, "the call to be late")
    assert (call.is_late, said) == (True, ["workflow-remarks"])
    driver.end(call)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == (
        "Driver switch, create port p has not returned for 0.02 s, [workflow_driver:switch] "
        "timeout_s: its workflow keeps its keys until it does"
    )
    assert messages[1].startswith("Driver switch, create port p returned after")
    assert len(messages) == 2


def test_a_call_that_ends_in_time_is_never_late(of_driver, clocks):
    said, passed = [], threading.Event()
    driver = of_driver(timeout_s=0.5)
    call = begin(driver, lambda: said.append(call))
    driver.end(call)
    clocks.notices.at(call.due_at + SHORT_S, passed.set)
    assert passed.wait(5)
    assert (call.is_late, said) == (False, [])


def test_a_call_that_ends_in_time_is_forgotten_long_before_it_would_be_late(of_driver):
    def say():
        raise AssertionError("it is not late")

    driver, seen = of_driver(timeout_s=LONG_S), weakref.ref(say)
    driver.end(begin(driver, say))
    del say
    gc.collect()
    assert seen() is None


def test_the_shortest_time_is_up_first_whichever_call_began_first(of_driver):
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


def test_others_become_late_while_one_is_being_said_to_be(of_driver):
    inside, go, replaced = threading.Event(), threading.Event(), []

    def say():
        inside.set()
        assert go.wait(30)

    driver = of_driver(timeout_s=SHORT_S, replace=lambda: replaced.append(1))
    begin(driver, say)
    assert inside.wait(5)
    try:
        other = begin(driver)
        wait_until(lambda: other.is_late and len(replaced) == 2, 5, "another call to be late")
    finally:
        go.set()


def test_a_worker_that_cannot_be_had_for_a_late_one_is_asked_for_again(
    of_driver, monkeypatch, caplog
):
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(calls, "_AGAIN_S", SHORT_S)
    tries = []

    def replace():
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("can't start new thread")

    driver = of_driver(timeout_s=SHORT_S, replace=replace)
    late = begin(driver)
    wait_until(lambda: len(tries) == 3, 5, "a worker in its place")
    assert (late.is_late, driver.late) == (True, 1)


def test_nobody_is_asked_for_in_place_of_a_worker_that_is_back(
    of_driver, clocks, monkeypatch, caplog
):
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(calls, "_AGAIN_S", SHORT_S)
    begun, tried, passed = threading.Event(), threading.Event(), threading.Event()
    tries = []

    def replace():
        assert begun.wait(5)
        tries.append(1)
        driver.end(late)
        tried.set()
        raise RuntimeError("can't start new thread")

    driver = of_driver(timeout_s=SHORT_S, replace=replace)
    late = begin(driver)
    begun.set()
    assert tried.wait(5)
    clocks.notices.at(time.monotonic() + 3 * SHORT_S, passed.set)
    assert passed.wait(5)
    assert (tries, driver.late) == ([1], 0)


@pytest.mark.parametrize("error", [errors.LeaseLost("w"), KeyError("a mistake")])
def test_whatever_keeps_it_from_being_said_the_clock_goes_on(of_driver, error, caplog):
    caplog.set_level(logging.CRITICAL)

    def say():
        raise error

    said = []
    begin(of_driver(timeout_s=SHORT_S), say)
    begin(of_driver(timeout_s=2 * SHORT_S), lambda: said.append(1))
    wait_until(lambda: said, 5, "another call to be said to be late")


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
