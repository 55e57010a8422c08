# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What every driver must keep, written once: ``class TestMine(contract.DriverContract)``.

A subclass has three fixtures: ``driver``, ``rows`` and ``backend`` (``testing.surroundings``), and
may narrow ``KINDS`` and name what it is ``WITHOUT``. Each test is one promise; why it is asked for
is in ``docs/drivers.md``.
"""

import dataclasses
import json
import typing

import pytest

from networking_workflow.drivers import protocol
from networking_workflow.model import errors, states
from networking_workflow.testing import surroundings
from networking_workflow.testing.surroundings import Backend, Rows


class DriverContract:
    """The tests. ``kind`` is each of ``KINDS`` in turn."""

    KINDS: typing.ClassVar[tuple[str, ...]] = ("network", "subnet", "port")

    #: Of ``observe``, ``probe``, ``stop``, ``damage`` and ``lose_answer`` those that the driver, or
    #: its backend, does not have. What needs them is not run.
    WITHOUT: typing.ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **how: typing.Any) -> None:
        super().__init_subclass__(**how)
        for test, extras in _NEEDS.items():
            if extras & set(cls.WITHOUT):
                setattr(cls, test, None)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run tests that ask for ``kind`` once for each."""
        if "kind" in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize("kind", metafunc.cls.KINDS)

    # -- what it is asked for --------------------------------------------------------------------

    def test_handles_what_it_covers(self, driver: protocol.Driver, kind: str) -> None:
        for operation in states.Operation:
            assert driver.handles(kind, operation)

    def test_does_not_handle_what_nobody_knows(self, driver: protocol.Driver) -> None:
        for operation in states.Operation:
            assert not driver.handles("teapot", operation)

    def test_has_nothing_of_what_it_is_said_to_be_without(
        self, driver: protocol.Driver, backend: Backend
    ) -> None:
        for extra in self.WITHOUT:
            assert not offers(driver if extra in _OF_DRIVERS else backend, extra), extra

    # -- apply -----------------------------------------------------------------------------------

    def test_apply_makes_it(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        assert held(backend, target) is None
        driver.apply(target)
        assert held(backend, target) is not None

    def test_apply_twice_is_apply_once(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        driver.apply(target)
        once = held(backend, target)
        driver.apply(target)
        assert held(backend, target) == once

    def test_what_apply_returns_survives_json(
        self, driver: protocol.Driver, rows: Rows, kind: str
    ) -> None:
        applied = driver.apply(rows.make(kind))
        assert json.loads(json.dumps(applied)) == applied

    def test_change_is_applied_with_what_was_applied_before(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        applied = driver.apply(target)
        before = held(backend, target)
        driver.apply(rows.change(target, applied))
        assert held(backend, target) not in (None, before)

    def test_change_twice_is_change_once(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        """The conductor died before it could write down that the first call was done."""
        target = rows.make(kind)
        changed = rows.change(target, driver.apply(target))
        driver.apply(changed)
        once = held(backend, target)
        driver.apply(changed)
        assert held(backend, target) == once

    def test_one_resource_leaves_the_others_alone(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        other, target = rows.make(kind), rows.make(kind)
        driver.apply(other)
        untouched = held(backend, other)
        applied = driver.apply(target)
        changed = rows.change(target, applied)
        driver.delete(rows.remove(target, driver.apply(changed)))
        assert held(backend, other) == untouched

    # -- with an older or a newer state around it ------------------------------------------------

    def test_change_heals_a_create_that_never_came(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        changed = rows.change(rows.make(kind), None)
        driver.apply(changed)
        assert held(backend, changed) is not None

    def test_change_ends_at_todays_rows_whatever_it_is_told_was_applied_before(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        """An older original than the backend had, or none: nothing in between may be left over."""
        target = rows.make(kind)
        oldest = driver.apply(target)
        driver.apply(rows.change(target, oldest))
        between = held(backend, target)
        newest = rows.change(target, oldest)
        driver.apply(newest)
        today = held(backend, target)
        assert today not in (None, between)
        driver.apply(dataclasses.replace(newest, applied=None))
        assert held(backend, target) == today

    def test_what_comes_back_after_its_delete_is_made_again(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        driver.delete(rows.remove(target, driver.apply(target)))
        restored = rows.restore(target)
        applied = driver.apply(restored)
        before = held(backend, target)
        assert before is not None
        driver.apply(rows.change(restored, applied))
        assert held(backend, target) not in (None, before)

    # -- delete ----------------------------------------------------------------------------------

    def test_delete_removes_it(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        driver.delete(rows.remove(target, driver.apply(target)))
        assert held(backend, target) is None

    def test_delete_of_what_the_backend_never_had_is_a_success(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        driver.delete(rows.remove(target, None))
        assert held(backend, target) is None

    def test_delete_twice_is_a_success(
        self, driver: protocol.Driver, rows: Rows, kind: str
    ) -> None:
        target = rows.make(kind)
        gone = rows.remove(target, driver.apply(target))
        driver.delete(gone)
        driver.delete(gone)

    def test_delete_removes_what_an_attempt_left_that_nobody_heard_of(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        driver.apply(target)
        driver.delete(rows.remove(target, None))
        assert held(backend, target) is None

    def test_delete_removes_more_than_was_known_to_be_applied(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        target = rows.make(kind)
        oldest = driver.apply(target)
        driver.apply(rows.change(target, oldest))
        driver.delete(rows.remove(target, oldest))
        assert held(backend, target) is None

    # -- what the backend holds ------------------------------------------------------------------

    def test_observation_tells_what_is_there_and_what_is_not(
        self, driver: protocol.Driver, rows: Rows, kind: str
    ) -> None:
        observer = having(driver, "observe")
        target = rows.make(kind)
        assert observer.observe(kind, target.resource_id) is None
        applied = driver.apply(target)
        before = observer.observe(kind, target.resource_id)
        assert before is not None
        applied = driver.apply(rows.change(target, applied))
        assert observer.observe(kind, target.resource_id) not in (None, before)
        driver.delete(rows.remove(target, applied))
        assert observer.observe(kind, target.resource_id) is None

    def test_damage_shows_in_the_observation(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        observer, damaging = having(driver, "observe"), having(backend, "damage")
        target = rows.make(kind)
        driver.apply(target)
        whole = observer.observe(kind, target.resource_id)
        damaging.damage(kind, target.resource_id)
        assert observer.observe(kind, target.resource_id) != whole

    def test_damage_is_healed_by_the_next_apply(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        having(driver, "observe")  # one that cannot read back does not promise it
        damaging, target = having(backend, "damage"), rows.make(kind)
        applied = driver.apply(target)
        changed = rows.change(target, applied)
        driver.apply(changed)
        whole = held(backend, target)
        damaging.damage(kind, target.resource_id)
        assert held(backend, target) != whole
        driver.apply(changed)
        assert held(backend, target) == whole

    # -- failures --------------------------------------------------------------------------------

    def test_lost_answer_is_made_good_by_the_next_attempt(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        losing = having(backend, "lose_answer")
        target = rows.make(kind)
        losing.lose_answer()
        with pytest.raises(errors.DriverError):
            driver.apply(target)
        driver.apply(target)
        assert held(backend, target) is not None
        gone = rows.remove(target, None)
        losing.lose_answer()
        with pytest.raises(errors.DriverError):
            driver.delete(gone)
        driver.delete(gone)
        assert held(backend, target) is None

    def test_unreachable_backend_is_an_error_and_the_next_attempt_makes_it_good(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        stopping = having(backend, "stop")
        target = rows.make(kind)
        with surroundings.stopped(stopping), pytest.raises(errors.DriverError):
            driver.apply(target)
        driver.apply(target)
        assert held(backend, target) is not None
        gone = rows.remove(target, None)
        with surroundings.stopped(stopping), pytest.raises(errors.DriverError):
            driver.delete(gone)
        driver.delete(gone)
        assert held(backend, target) is None

    def test_unreachable_backend_is_told_apart_from_a_failure(
        self, driver: protocol.Driver, rows: Rows, backend: Backend, kind: str
    ) -> None:
        """So it spends none of the workflow's attempts."""
        stopping = having(backend, "stop")
        having(driver, "probe")
        target = rows.make(kind)
        with surroundings.stopped(stopping):
            with pytest.raises(errors.BackendUnreachable):
                driver.probe()
            with pytest.raises(errors.BackendUnreachable):
                driver.apply(target)
        driver.probe()
        gone = rows.remove(target, None)
        with surroundings.stopped(stopping), pytest.raises(errors.BackendUnreachable):
            driver.delete(gone)


def held(backend: Backend, target: protocol.Target) -> typing.Any:
    """Return what the backend holds of a target's resource."""
    return backend.observe(target.resource_type, target.resource_id)


#: Test -> the extras without which it cannot be run.
_NEEDS: dict[str, frozenset[str]] = {
    "test_observation_tells_what_is_there_and_what_is_not": frozenset({"observe"}),
    "test_damage_shows_in_the_observation": frozenset({"observe", "damage"}),
    "test_damage_is_healed_by_the_next_apply": frozenset({"observe", "damage"}),
    "test_lost_answer_is_made_good_by_the_next_attempt": frozenset({"lose_answer"}),
    "test_unreachable_backend_is_an_error_and_the_next_attempt_makes_it_good": frozenset({"stop"}),
    "test_unreachable_backend_is_told_apart_from_a_failure": frozenset({"stop", "probe"}),
}


class _Extra(typing.NamedTuple):
    """What a driver or its backend may offer besides what every one must."""

    protocol: type
    said_by: str | None = None  #: attribute by which an adapter says that it has none after all


_OF_DRIVERS = {
    "observe": _Extra(surroundings.Observes, "observing"),
    "probe": _Extra(protocol.Probing, "probing"),
}
_OF_BACKENDS = {
    "stop": _Extra(surroundings.Stopping),
    "damage": _Extra(surroundings.Damaging),
    "lose_answer": _Extra(surroundings.LosingAnswers),
}


def offers(one: object, extra: str) -> bool:
    """Return whether a driver or backend has an extra."""
    kind, said_by = {**_OF_DRIVERS, **_OF_BACKENDS}[extra]
    return isinstance(one, kind) and (said_by is None or bool(getattr(one, said_by, True)))


def having(one: typing.Any, extra: str) -> typing.Any:
    """Return the driver or backend; fail the test if it lacks what the test needs."""
    if not offers(one, extra):
        pytest.fail(f"There is no {extra}: add it, or leave it out by name: WITHOUT = ({extra!r},)")
    return one
