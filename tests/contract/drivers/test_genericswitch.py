# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""networking-generic-switch, unmodified, keeps the contract for ports of bare-metal nodes.

Each port has a network of its own here, and so a VLAN: the switch knows ports of its own only.
"""

import typing

import pytest
import sqlalchemy as sa
from neutron_lib import exceptions

from networking_workflow.journal import tables
from networking_workflow.testing import ml2, neutron, resources
from tests.functional.mechanisms import test_genericswitch as genericswitch

Json = dict[str, typing.Any]


class Leaf:
    """The switch; it fails instead of being stopped, which its driver does not tell apart."""

    def __init__(self, process: neutron.Neutron) -> None:
        self._process = process

    def observe(self, resource_type: str, resource_id: str) -> list[str] | None:
        vlan = self._process.call(vlan_of, resource_id)
        _, ports, _ = self._process.call(genericswitch.held)
        return sorted(name for name, held in ports.items() if held == vlan) or None

    def stop(self) -> None:
        self._process.call(genericswitch.set_failing, 1.0)

    def start(self) -> None:
        self._process.call(genericswitch.set_failing, 0.0)


def vlan_of(plugin: typing.Any, port_id: str) -> int:
    """Return the VLAN of a port's network, also of a port that has been deleted."""
    try:
        network_id = resources.get(plugin, "port", port_id)["network_id"]
    except exceptions.PortNotFound:
        found = sa.select(tables.workflows.c.snapshot).where(
            tables.workflows.c.resource_id == port_id, tables.workflows.c.operation == "delete"
        )
        with plugin.journal.engine.connect() as connection:
            network_id = connection.scalars(found).first()["deleted"]["network_id"]
    return int(resources.get(plugin, "network", network_id)["provider:segmentation_id"])


class TestGenericSwitch(ml2.Ml2Contract):
    ALIAS = "genericswitch"
    KINDS = ("port",)
    WITHOUT = ("observe", "probe", "damage", "lose_answer")

    @pytest.fixture(scope="class")
    def configuration(self) -> str:
        return genericswitch.CONFIGURATION

    @pytest.fixture(scope="class")
    def backend(self, neutron_process: neutron.Neutron) -> Leaf:
        neutron_process.call(genericswitch.watch)
        return Leaf(neutron_process)

    def attributes(self, kind: str, number: int) -> Json:
        plugged = genericswitch.plugged_at(f"eth{number}") if kind == "port" else {}
        return super().attributes(kind, number) | plugged

    def changes(self, kind: str, number: int) -> Json:
        return {"binding:profile": genericswitch.plugged_at(f"eth{number}")["binding:profile"]}
