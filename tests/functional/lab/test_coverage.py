# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""docs/coverage.md, and what a running plugin has loaded."""

import dataclasses
import json
import subprocess
import sys
import typing

import pytest
from neutron_lib.callbacks import events, manager, resources
from neutron_lib.plugins.ml2 import api as ml2_api

from lab.coverage import accounts, loaded, proofs
from networking_workflow.capture import classes
from networking_workflow.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What a run of ``lab.coverage`` said."""

    page: str
    found: loaded.Loaded


@pytest.fixture(scope="module")
def said() -> Said:
    """A plugin in a process of its own: what others have subscribed here is not in it."""
    done = subprocess.run(
        [sys.executable, "-m", "lab.coverage", "--json"],
        cwd=proofs.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    body = json.loads(done.stdout)
    found = loaded.Loaded(
        tuple(loaded.Subscription(**one) for one in body["subscriptions"]),
        tuple(loaded.Call(**one) for one in body["calls"]),
    )
    return Said(body["page"], found)


def test_the_page_is_what_the_running_plugin_gives(said: Said) -> None:
    path = proofs.REPOSITORY / "docs" / "coverage.md"
    assert path.read_text() == said.page, "docs/coverage.md is out of date: run `make coverage`"


def test_everything_that_is_loaded_is_covered_or_listed(said: Said) -> None:
    assert accounts.unaccounted(said.found) == []


def test_nothing_has_two_accounts() -> None:
    assert list(accounts.twice()) == []


def test_work_is_that_of_covered_kinds_and_each_operation_has_its_calls() -> None:
    assert {kind for kind, _ in accounts.COVERED.values()} == set(classes.COVERED)
    every = {(kind, str(operation)) for kind in classes.COVERED for operation in states.Operation}
    # A changed subnet is what the interfaces there follow.
    assert every - set(proofs.calls_of()) == proofs.NO_SUCH_CALL


def test_tests_that_the_page_names_exist() -> None:
    assert proofs.missing() == []


class _Driver(ml2_api.MechanismDriver):  # type: ignore[misc]  # Neutron has no types
    """A driver with a hook after the commit and a subscription of its own."""

    def initialize(self) -> None: ...

    def create_port_postcommit(self, context: typing.Any) -> None: ...

    def hear(self, *_: object) -> None: ...


def test_a_subscription_that_is_new_is_named(said: Said) -> None:
    callbacks = manager.CallbacksManager()
    seen: set[loaded.Subscription] = set()
    with loaded.noting(seen):
        callbacks.subscribe(_Driver().hear, resources.PORT, events.AFTER_CREATE)
    new = loaded.subscriptions(seen, loaded.called(callbacks))
    more = dataclasses.replace(said.found, subscriptions=said.found.subscriptions + new)
    name = f"{__name__}:_Driver.hear on port.after_create"
    assert accounts.unaccounted(more) == [f"{name} is neither covered nor listed"]


def test_a_hook_after_the_commit_that_is_new_is_named(said: Said) -> None:
    new = tuple(loaded.Call(*one) for one in loaded.implemented(_Driver(), ml2_api.MechanismDriver))
    more = dataclasses.replace(said.found, calls=said.found.calls + new)
    assert accounts.unaccounted(more) == [
        "_Driver.create_port_postcommit is neither covered nor listed",
        "_Driver.initialize is neither covered nor listed",
    ]


def test_a_subscription_that_is_not_taken_back_is_named(said: Said) -> None:
    lifted = next(one for one in said.found.subscriptions if one.lifted)
    others = tuple(one for one in said.found.subscriptions if one is not lifted)
    called = dataclasses.replace(lifted, lifted=False)
    found = dataclasses.replace(said.found, subscriptions=(*others, called))
    assert accounts.unaccounted(found) == [f"{called} is still called"]


def test_what_is_taken_back_without_a_workflow_is_named(said: Said) -> None:
    left = next(one for one in said.found.subscriptions if not one.lifted)
    others = tuple(one for one in said.found.subscriptions if one is not left)
    lifted = dataclasses.replace(left, lifted=True)
    found = dataclasses.replace(said.found, subscriptions=(*others, lifted))
    assert accounts.unaccounted(found) == [f"{lifted} is not called"]


def test_what_is_loaded_no_more_is_named(said: Said) -> None:
    gone = said.found.calls[0]
    found = dataclasses.replace(said.found, calls=said.found.calls[1:])
    assert accounts.unaccounted(found) == [f"{' '.join(gone.what)} is listed, but not loaded"]
