# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Drivers of the mode ``shadow``: who can look does, nobody writes, and what differs is told."""

import collections.abc
import types
import typing

import pytest
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg

from networking_workflow.drivers import binding, ml2, protocol, registry, shadow
from networking_workflow.model import errors, failures, states
from networking_workflow.model.modes import Mode

CREATE, UPDATE, DELETE = states.Operation.CREATE, states.Operation.UPDATE, states.Operation.DELETE

NETWORK: dict[str, typing.Any] = {"id": "n", "name": "blue", "project_id": "p"}


@pytest.fixture(autouse=True)
def configured() -> collections.abc.Iterator[None]:
    """An admin context asks the policy for the role that services have."""
    cfg.CONF([], default_config_files=[], default_config_dirs=[])
    yield
    cfg.CONF.reset()


class Blind(api.MechanismDriver):
    """Cannot say what its backend holds."""

    def initialize(self) -> None:
        """Nothing to set up."""

    def delete_network_postcommit(self, context: object) -> None:
        raise AssertionError("the backend was called")

    def create_network_postcommit(self, context: object) -> None:
        raise AssertionError("the backend was called")


class Seeing(Blind):
    """Says it, and holds whatever a test puts there."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, typing.Any]] = {}
        self.probes = 0

    def observe(self, _resource_type: str, resource_id: str) -> dict[str, typing.Any] | None:
        return self.held.get(resource_id)

    def desired(self, _resource_type: str, context: typing.Any) -> dict[str, typing.Any]:
        return {"name": context.current["name"]}

    def probe(self) -> None:
        self.probes += 1


class Plugin:
    """The part of ML2 that contexts of networks are made from."""

    def __init__(self, *drivers: tuple[str, api.MechanismDriver]) -> None:
        self.mechanism_manager = types.SimpleNamespace(
            ordered_mech_drivers=[types.SimpleNamespace(name=n, obj=one) for n, one in drivers]
        )


def built(*drivers: tuple[str, api.MechanismDriver]) -> list[protocol.Driver]:
    return registry.build(Plugin(*drivers), registry.DriverSettings(mode=Mode.SHADOW))


def deleted() -> protocol.Target:
    snapshot = {"deleted": NETWORK, "edge": {"segments": []}}
    return protocol.Target(
        resource_type="network", resource_id="n", operation=DELETE, snapshot=snapshot
    )


def test_only_who_can_look_has_tasks() -> None:
    (driver,) = built(("blind", Blind()), ("seeing", Seeing()))
    assert (driver.name, type(driver)) == ("seeing", shadow.ShadowDriver)
    assert driver.handles("network", CREATE)
    assert not driver.handles("port", CREATE)
    assert not hasattr(driver._comparing._reads._driver, "create_network_postcommit")


def test_in_the_other_mode_every_driver_is_called() -> None:
    plugin = Plugin(("blind", Blind()), ("seeing", Seeing()))
    kinds = [type(one) for one in registry.build(plugin, registry.DriverSettings())]
    assert kinds == [*[binding.BindingDriver] * 2, *[ml2.Ml2Driver] * 2]


def test_what_is_gone_after_a_delete_is_well() -> None:
    (driver,) = built(("seeing", Seeing()))
    driver.delete(deleted())


def test_what_is_still_there_after_a_delete_has_drifted() -> None:
    mech_driver = Seeing()
    mech_driver.held["n"] = {"name": "blue"}
    (driver,) = built(("seeing", mech_driver))
    with pytest.raises(errors.BackendDrifted) as drifted:
        driver.delete(deleted())
    assert "still there after its delete" in drifted.value.detail
    assert drifted.value.failure == failures.Failure(
        code=failures.FailureCode.BACKEND_DIFFERS,
        detail=drifted.value.detail,
        shows=states.SyncState.DRIFTED,
    )


def test_its_probe_is_the_drivers_own() -> None:
    mech_driver = Seeing()
    (driver,) = built(("seeing", mech_driver))
    driver.probe()
    assert mech_driver.probes == 1


class Many:
    """Finds as many differences as it is told to."""

    name = "many"

    def __init__(self, count: int) -> None:
        self._count = count

    def handles(self, _resource_type: str, _operation: states.Operation) -> bool:
        return True

    def differences(self, _target: protocol.Target) -> list[str]:
        return [f"difference {number}" for number in range(self._count)]

    def probe(self) -> None:
        """It is there."""


def test_of_many_differences_some_are_named_and_the_others_counted() -> None:
    shadow.ShadowDriver(Many(0)).apply(deleted())
    with pytest.raises(errors.BackendDrifted) as few:
        shadow.ShadowDriver(Many(2)).apply(deleted())
    assert few.value.detail == "difference 0; difference 1"
    with pytest.raises(errors.BackendDrifted) as many:
        shadow.ShadowDriver(Many(1000)).apply(deleted())
    assert many.value.detail.endswith("difference 19; and 980 more")
