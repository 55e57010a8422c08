# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What every driver must keep, written once: ``class TestMine(suite.DriverContract)``.

A subclass provides two fixtures, ``driver`` and ``world``, and may narrow ``KINDS``.
"""

import contextlib
import json
import typing

import pytest

from networking_workflow.drivers import protocol
from networking_workflow.model import errors, states

Applied = typing.Mapping[str, typing.Any] | None


class World(typing.Protocol):
    """The rows and the backend around the driver under test."""

    def make(self, kind: str) -> protocol.Target:
        """Commit a new resource; what it refers to is in the backend already, itself is not."""

    def change(self, target: protocol.Target, applied: Applied) -> protocol.Target:
        """Commit a change of it that shows in the backend; return the update's target."""

    def remove(self, target: protocol.Target, applied: Applied) -> protocol.Target:
        """Delete its row; return the delete's target."""

    def observe(self, target: protocol.Target) -> typing.Any:
        """Return what the backend holds of it, asked not through the driver; None: nothing."""

    def unreachable(self) -> contextlib.AbstractContextManager[None]:
        """Nothing reaches the backend within the block."""

    def lost_answer(self) -> contextlib.AbstractContextManager[None]:
        """The backend does the next thing it is asked, and the answer is lost."""


class DriverContract:
    """Each test is one promise of ``drivers.protocol.Driver``.

    A class for one driver has two fixtures: ``driver``, and ``world``, what is around it.
    """

    KINDS: typing.ClassVar[tuple[str, ...]] = ("network", "subnet", "port")

    @pytest.fixture
    def kind(self, request: pytest.FixtureRequest) -> str:
        """Each covered resource type."""
        return typing.cast(str, request.param)

    def test_handles_what_it_covers(self, driver: protocol.Driver, kind: str) -> None:
        for operation in states.Operation:
            assert driver.handles(kind, operation)

    def test_does_not_handle_what_nobody_knows(self, driver: protocol.Driver) -> None:
        for operation in states.Operation:
            assert not driver.handles("teapot", operation)

    def test_apply_makes_it(self, driver: protocol.Driver, world: World, kind: str) -> None:
        target = world.make(kind)
        assert world.observe(target) is None
        driver.apply(target)
        assert world.observe(target) is not None

    def test_apply_twice_is_apply_once(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        target = world.make(kind)
        driver.apply(target)
        once = world.observe(target)
        driver.apply(target)
        assert world.observe(target) == once

    def test_what_apply_returns_survives_json(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        applied = driver.apply(world.make(kind))
        assert json.loads(json.dumps(applied)) == applied

    def test_change_is_applied_with_what_was_applied_before(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        target = world.make(kind)
        applied = driver.apply(target)
        before = world.observe(target)
        driver.apply(world.change(target, applied))
        assert world.observe(target) not in (None, before)

    def test_change_heals_a_create_that_never_came(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        changed = world.change(world.make(kind), None)
        driver.apply(changed)
        assert world.observe(changed) is not None

    def test_delete_removes_it(self, driver: protocol.Driver, world: World, kind: str) -> None:
        target = world.make(kind)
        gone = world.remove(target, driver.apply(target))
        driver.delete(gone)
        assert world.observe(gone) is None

    def test_delete_of_what_the_backend_never_had_is_a_success(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        driver.delete(world.remove(world.make(kind), None))

    def test_delete_twice_is_a_success(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        target = world.make(kind)
        gone = world.remove(target, driver.apply(target))
        driver.delete(gone)
        driver.delete(gone)

    def test_lost_answer_is_made_good_by_the_next_attempt(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        target = world.make(kind)
        with world.lost_answer(), pytest.raises(errors.DriverError):
            driver.apply(target)
        driver.apply(target)
        gone = world.remove(target, None)
        with world.lost_answer(), pytest.raises(errors.DriverError):
            driver.delete(gone)
        driver.delete(gone)
        assert world.observe(gone) is None

    def test_unreachable_backend_is_told_apart_from_a_failure(
        self, driver: protocol.Driver, world: World, kind: str
    ) -> None:
        target = world.make(kind)
        with world.unreachable():
            with pytest.raises(errors.BackendUnreachable):
                driver.probe()
            with pytest.raises(errors.BackendUnreachable):
                driver.apply(target)
        driver.probe()
        driver.apply(target)
        gone = world.remove(target, None)
        with world.unreachable(), pytest.raises(errors.BackendUnreachable):
            driver.delete(gone)
        driver.delete(gone)


def pytest_generate_kinds(metafunc: pytest.Metafunc) -> None:
    """Run tests that ask for ``kind`` once for each of their class's KINDS; for a conftest."""
    if "kind" in metafunc.fixturenames and metafunc.cls is not None:
        metafunc.parametrize("kind", metafunc.cls.KINDS, indirect=True)
