# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The contract lets a good driver pass, and each of its tests sees a driver that breaks it."""

import inspect
import subprocess
import sys
import typing

import pytest

from networking_workflow.model import errors
from networking_workflow.testing import contract
from tests.contract.drivers import shelf


class TestShelf(contract.DriverContract):
    KINDS = shelf.KINDS

    @pytest.fixture
    def backend(self) -> shelf.Shelf:
        return shelf.Shelf()

    @pytest.fixture
    def rows(self) -> shelf.Rows:
        return shelf.Rows()

    @pytest.fixture
    def driver(self, backend: shelf.Shelf, rows: shelf.Rows) -> shelf.Driver:
        return shelf.Driver(backend, rows)


#: Faulty driver -> what of the contract it breaks, and nothing else of it.
BROKEN: dict[type[shelf.Driver], set[str]] = {
    shelf.Unhandled: {"handles_what_it_covers"},
    shelf.HandlesAll: {"does_not_handle_what_nobody_knows"},
    shelf.Lies: {
        "apply_makes_it",
        "change_is_applied_with_what_was_applied_before",
        "change_heals_a_create_that_never_came",
        "change_ends_at_todays_rows_whatever_it_is_told_was_applied_before",
        "what_comes_back_after_its_delete_is_made_again",
        "observation_tells_what_is_there_and_what_is_not",
        "damage_shows_in_the_observation",
        "damage_is_healed_by_the_next_apply",
        "lost_answer_is_made_good_by_the_next_attempt",
        "unreachable_backend_is_an_error_and_the_next_attempt_makes_it_good",
    },
    shelf.Counts: {
        "apply_twice_is_apply_once",
        "change_twice_is_change_once",
        "change_ends_at_todays_rows_whatever_it_is_told_was_applied_before",
        "damage_is_healed_by_the_next_apply",
    },
    shelf.AddsToChanges: {
        "change_twice_is_change_once",
        "change_ends_at_todays_rows_whatever_it_is_told_was_applied_before",
        "damage_is_healed_by_the_next_apply",
    },
    shelf.Tuples: {"what_apply_returns_survives_json"},
    shelf.OnlyCreates: {
        "change_is_applied_with_what_was_applied_before",
        "change_ends_at_todays_rows_whatever_it_is_told_was_applied_before",
        "what_comes_back_after_its_delete_is_made_again",
        "observation_tells_what_is_there_and_what_is_not",
        "damage_is_healed_by_the_next_apply",
    },
    shelf.OnlyUpdates: {"change_heals_a_create_that_never_came"},
    shelf.RefusesToRepeat: {
        "apply_twice_is_apply_once",
        "change_ends_at_todays_rows_whatever_it_is_told_was_applied_before",
        "lost_answer_is_made_good_by_the_next_attempt",
    },
    shelf.Sweeps: {"one_resource_leaves_the_others_alone"},
    shelf.TrustsTheOriginal: {
        "change_ends_at_todays_rows_whatever_it_is_told_was_applied_before",
    },
    shelf.RemembersDeletes: {"what_comes_back_after_its_delete_is_made_again"},
    shelf.Keeps: {
        "delete_removes_it",
        "delete_removes_what_an_attempt_left_that_nobody_heard_of",
        "delete_removes_more_than_was_known_to_be_applied",
        "observation_tells_what_is_there_and_what_is_not",
        "lost_answer_is_made_good_by_the_next_attempt",
        "unreachable_backend_is_an_error_and_the_next_attempt_makes_it_good",
    },
    shelf.MissesTheAbsent: {
        "delete_of_what_the_backend_never_had_is_a_success",
        "delete_twice_is_a_success",
        "lost_answer_is_made_good_by_the_next_attempt",
    },
    shelf.DeletesTheApplied: {
        "delete_removes_what_an_attempt_left_that_nobody_heard_of",
        "lost_answer_is_made_good_by_the_next_attempt",
        "unreachable_backend_is_an_error_and_the_next_attempt_makes_it_good",
    },
    shelf.DeletesTheUnchanged: {"delete_removes_more_than_was_known_to_be_applied"},
    shelf.SeesNothing: {
        "observation_tells_what_is_there_and_what_is_not",
        "damage_shows_in_the_observation",
    },
    shelf.ObservesItsMemory: {"damage_shows_in_the_observation"},
    shelf.SkipsTheKnown: {"damage_is_healed_by_the_next_apply"},
    shelf.GivesUpAfterALostAnswer: {"lost_answer_is_made_good_by_the_next_attempt"},
    shelf.SwallowsOutages: {
        "unreachable_backend_is_an_error_and_the_next_attempt_makes_it_good",
        "unreachable_backend_is_told_apart_from_a_failure",
    },
    shelf.TakesOutagesForFailures: {"unreachable_backend_is_told_apart_from_a_failure"},
    shelf.SaysItIsThere: {"unreachable_backend_is_told_apart_from_a_failure"},
}

TESTS = {
    name.removeprefix("test_"): test
    for name, test in vars(contract.DriverContract).items()
    if name.startswith("test_")
}


def ran(
    name: str,
    make: type[shelf.Driver],
    suite: type[contract.DriverContract] = contract.DriverContract,
) -> str:
    """Return how a test of the contract ends: passed or failed."""
    backend, rows = shelf.Shelf(), shelf.Rows()
    offered = {
        "self": suite(),
        "driver": make(backend, rows),
        "rows": rows,
        "backend": backend,
        "kind": "port",
    }
    asked = {one: offered[one] for one in inspect.signature(TESTS[name]).parameters}
    try:
        TESTS[name](**asked)
    except (pytest.fail.Exception, AssertionError, errors.DriverError):
        return "failed"
    return "passed"


@pytest.mark.parametrize("make", BROKEN, ids=lambda make: make.__name__)
def test_broken_driver_fails_where_it_breaks_the_contract_and_nowhere_else(
    make: type[shelf.Driver],
) -> None:
    assert {name for name in TESTS if ran(name, make) == "failed"} == BROKEN[make]


def test_every_test_of_the_contract_has_been_seen_to_fail() -> None:
    assert set().union(*BROKEN.values(), {WITHOUT}) == TESTS.keys()


#: The one test that is about what a suite says of the driver.
WITHOUT = "has_nothing_of_what_it_is_said_to_be_without"

#: What a driver that cannot read back does not promise.
READING = {
    "observation_tells_what_is_there_and_what_is_not",
    "damage_shows_in_the_observation",
    "damage_is_healed_by_the_next_apply",
}


class Unread(contract.DriverContract):
    WITHOUT = ("observe",)


def test_what_a_driver_does_not_offer_fails_unless_it_is_left_out_by_name() -> None:
    assert {name for name in TESTS if ran(name, shelf.NoReader) == "failed"} == READING
    run = {name for name in TESTS if getattr(Unread, f"test_{name}") is not None}
    assert run == TESTS.keys() - READING
    assert {name for name in run if ran(name, shelf.NoReader, Unread) == "failed"} == set()


def test_what_a_driver_offers_cannot_be_left_out() -> None:
    assert ran(WITHOUT, shelf.Driver, Unread) == "failed"


def test_package_needs_no_pytest_outside_of_testing() -> None:
    """The contract is the only part that imports it."""
    program = (
        "import pkgutil, sys, importlib, networking_workflow as package\n"
        "for name in ('drivers.ml2', 'drivers.protocol', 'conductor.loop', 'testing'):\n"
        "    importlib.import_module(f'networking_workflow.{name}')\n"
        "assert 'pytest' not in sys.modules\n"
    )
    ended: typing.Any = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
