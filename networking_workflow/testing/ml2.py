# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The contract for ML2 mechanism drivers, on a real Neutron with capture, in a process of its own.

Rows are changed through the core plugin, targets are what capture recorded of that, and the driver
is called through the adapter that a conductor calls it through. Only the conductor is left out.
"""

import collections.abc
import dataclasses
import itertools
import typing

import pytest

from networking_workflow.conductor import guard
from networking_workflow.drivers import foreign, ml2, protocol
from networking_workflow.model import states
from networking_workflow.testing import contract, neutron, resources, surroundings

Json = dict[str, typing.Any]

#: Kind -> what a resource of that kind refers to and needs first.
_BELOW = {"network": (), "subnet": ("network",), "port": ("network",)}


class Ml2Contract(contract.DriverContract):
    """A subclass names the driver's ``ALIAS`` and has one fixture, ``backend``.

    ``backend`` is best of scope ``class``: Neutron is started once a class. The fixture
    ``configuration``, more of neutron.conf with its sections, may be given as well.
    """

    ALIAS: typing.ClassVar[str]

    def attributes(self, kind: str, number: int) -> Json:
        """Return what a resource is made with, besides what it needs; ``number`` is its own."""
        return {"name": f"{kind}-{number}"}

    def changes(self, kind: str, number: int) -> Json:
        """Return an update that shows in the backend; ``number`` is new each time."""
        match kind:
            case "subnet":
                return {"dns_nameservers": [f"192.0.2.{number % 250 + 1}"]}
            case _:
                return {"name": f"changed-{number}"}

    @pytest.fixture(scope="class")
    def configuration(self) -> str:
        """Nothing more."""
        return ""

    @pytest.fixture(scope="class")
    def neutron_process(
        self, tmp_path_factory: pytest.TempPathFactory, configuration: str
    ) -> collections.abc.Iterator[neutron.Neutron]:
        """Neutron with the driver."""
        folder = tmp_path_factory.mktemp(self.ALIAS)
        with neutron.running(
            folder, mechanism_drivers=self.ALIAS, configuration=configuration
        ) as process:
            yield process

    @pytest.fixture
    def driver(self, neutron_process: neutron.Neutron) -> "Ml2Driver":
        """The mechanism driver behind the adapter."""
        return Ml2Driver(self.ALIAS, neutron_process)

    @pytest.fixture
    def rows(self, neutron_process: neutron.Neutron, driver: "Ml2Driver") -> "Ml2Rows":
        """Neutron's rows."""
        return Ml2Rows(neutron_process, driver, self.attributes, self.changes)


class Ml2Driver:
    """The adapter in Neutron's process, called from here."""

    def __init__(self, alias: str, process: neutron.Neutron) -> None:
        self.name, self._process = alias, process

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Ask the adapter."""
        return bool(self._call("handles", resource_type, operation))

    def apply(self, target: protocol.Target) -> surroundings.Applied:
        """Let the adapter apply."""
        return typing.cast(surroundings.Applied, self._call("apply", target))

    def delete(self, target: protocol.Target) -> None:
        """Let the adapter delete."""
        self._call("delete", target)

    def probe(self) -> None:
        """Let the adapter probe."""
        self._call("probe")

    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        """Ask the mechanism driver itself; only if it is :attr:`observing`."""
        return self._process.call(_observe, self.name, resource_type, resource_id)

    @property
    def observing(self) -> bool:
        """Return whether the mechanism driver keeps ``drivers.protocol.Observing``."""
        return bool(self._process.call(_offers, self.name, protocol.Observing))

    @property
    def probing(self) -> bool:
        """Return whether the mechanism driver keeps ``drivers.protocol.Probing``."""
        return bool(self._process.call(_offers, self.name, protocol.Probing))

    def _call(self, method: str, *arguments: typing.Any) -> typing.Any:
        return self._process.call(_on_adapter, self.name, method, *arguments)


class Ml2Rows:
    """Neutron's rows, in its process."""

    def __init__(
        self,
        process: neutron.Neutron,
        driver: Ml2Driver,
        attributes: typing.Callable[[str, int], Json],
        changes: typing.Callable[[str, int], Json],
    ) -> None:
        self._process, self._driver = process, driver
        self._attributes, self._changes = attributes, changes
        self._numbers = itertools.count(1)
        self._made: dict[str, Json] = {}  #: attributes by the id of what was made with them

    def make(self, kind: str) -> protocol.Target:
        """Make a resource, and apply what it refers to."""
        needed = {f"{below}_id": self._applied(below) for below in _BELOW[kind]}
        return self._create(kind, {**self._attributes(kind, next(self._numbers)), **needed})

    def change(self, target: protocol.Target, applied: surroundings.Applied) -> protocol.Target:
        """Update it."""
        kind, resource_id = target.resource_type, target.resource_id
        changes = self._changes(kind, next(self._numbers))
        self._process.call(resources.update, kind, resource_id, changes)
        return self._target(kind, resource_id, applied)

    def remove(self, target: protocol.Target, applied: surroundings.Applied) -> protocol.Target:
        """Delete it."""
        kind, resource_id = target.resource_type, target.resource_id
        self._process.call(resources.delete, kind, resource_id)
        return self._target(kind, resource_id, applied)

    def restore(self, target: protocol.Target) -> protocol.Target:
        """Make it again as it was made first."""
        attributes = self._made[target.resource_id] | {"id": target.resource_id}
        return self._create(target.resource_type, attributes)

    def _applied(self, kind: str) -> str:
        target = self._create(kind, self._attributes(kind, next(self._numbers)))
        if self._driver.handles(kind, states.Operation.CREATE):
            self._driver.apply(target)
        return target.resource_id

    def _create(self, kind: str, attributes: Json) -> protocol.Target:
        made = self._process.call(resources.create, kind, attributes)
        self._made[made["id"]] = attributes
        return self._target(kind, made["id"], None)

    def _target(
        self, kind: str, resource_id: str, applied: surroundings.Applied
    ) -> protocol.Target:
        target: protocol.Target = self._process.call(resources.target_of, kind, resource_id)
        return dataclasses.replace(target, applied=applied)


# -- in Neutron's process ------------------------------------------------------------------------


def _mech_driver(plugin: typing.Any, alias: str) -> typing.Any:
    return plugin.mechanism_manager.mech_drivers[alias].obj


def _offers(plugin: typing.Any, alias: str, extra: type) -> bool:
    return isinstance(_mech_driver(plugin, alias), extra)


def _observe(plugin: typing.Any, alias: str, resource_type: str, resource_id: str) -> typing.Any:
    with foreign.translated(f"{alias}.observe"):
        return _mech_driver(plugin, alias).observe(resource_type, resource_id)


def _on_adapter(plugin: typing.Any, alias: str, method: str, *arguments: typing.Any) -> typing.Any:
    """Call the adapter as a conductor does, to which whatever a driver raises is a DriverError."""
    adapter = ml2.Ml2Driver(alias, _mech_driver(plugin, alias), plugin)
    value, error = guard.guarded(lambda: getattr(adapter, method)(*arguments), f"{alias}.{method}")
    if error is not None:
        raise error
    return value
