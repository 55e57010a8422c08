# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Trunks and subports: the driver agrees with stock, and heals whatever is damaged."""

import collections.abc
import dataclasses

import pytest
from neutron.objects import trunk as trunk_objects

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow.model import errors
from tests.functional.ovn import cloud, routed


class Neutron(routed.Neutron):
    """Stock with trunks."""

    def profile(self) -> lab_config.Profile:
        return dataclasses.replace(super().profile(), service_plugins=("ovn-router", "trunk"))


class World:
    """A trunk with two subports, one of them removed later, as stock makes it."""

    def __init__(self, neutron: Neutron, conductor: cloud.Conductor) -> None:
        self.neutron, self.conductor = neutron, conductor
        network = neutron.create("network", name="n")["id"]
        self.parent, self.first, self.second, self.free = (
            neutron.create("port", network_id=network)["id"] for _ in range(4)
        )
        subports = [
            {"port_id": port, "segmentation_type": "vlan", "segmentation_id": tag}
            for port, tag in ((self.first, 101), (self.second, 102))
        ]
        self.trunk = neutron.create("trunk", port_id=self.parent, sub_ports=subports)["id"]

    def rows(self) -> list[str]:
        columns = "--columns=name,parent_name,tag_request,external_ids"
        text = self.neutron.ovn.nbctl(columns, "list", "Logical_Switch_Port")
        return sorted(text.split("\n\n"))

    def damage(self, port: str, *words: str) -> None:
        self.neutron.ovn.nbctl("set", "Logical_Switch_Port", port, *words)

    def subports(self) -> list[dict[str, object]]:
        found = trunk_objects.SubPort.get_objects(self.neutron.context(), trunk_id=self.trunk)
        return [{"port_id": one.port_id} for one in found]


@pytest.fixture(scope="module")
def world(database_pool: pool.Pool, ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[World]:
    with cloud.driven(Neutron, cloud.Conductor, database_pool, ovn) as (running, conductor):
        yield World(running, conductor)


def test_nothing_is_written_where_stock_has_made_a_trunk(world: World) -> None:
    healthy = world.rows()
    world.conductor.apply("trunk", world.trunk)
    world.conductor.apply("subport", world.first)
    assert world.rows() == healthy


@pytest.mark.parametrize("kind", ["trunk", "subport"])
@pytest.mark.parametrize(
    "damage",
    ["parent_name=elsewhere", "tag_request=7", "external_ids:neutron\\:device_owner=damaged"],
)
def test_a_damaged_subport_is_healed(world: World, kind: str, damage: str) -> None:
    healthy = world.rows()
    world.damage(world.first, damage)
    world.conductor.apply(kind, world.trunk if kind == "trunk" else world.first)
    assert world.rows() == healthy


def test_the_trunk_waits_for_its_ports(world: World) -> None:
    neutron = world.neutron
    network = neutron.create("network", name="m")["id"]
    parent, child = (neutron.create("port", network_id=network)["id"] for _ in range(2))
    subport = {"port_id": child, "segmentation_type": "vlan", "segmentation_id": 5}
    trunk = neutron.create("trunk", port_id=parent, sub_ports=[subport])["id"]
    for lost in (child, parent):
        neutron.ovn.nbctl("lsp-del", lost)
        with pytest.raises(errors.MissingReference) as missing:
            world.conductor.apply("trunk", trunk)
        assert (missing.value.resource_type, missing.value.resource_id) == ("port", lost)


def test_a_subport_that_was_removed_is_a_port_of_its_own_again(world: World) -> None:
    neutron = world.neutron
    path = f"trunks/{world.trunk}/remove_subports"
    neutron.call("PUT", path, {"sub_ports": [{"port_id": world.second}]})
    as_stock_leaves_it = world.rows()
    world.damage(world.second, f"parent_name={world.parent}", "tag_request=102")
    world.conductor.apply("subport", world.second, "delete")
    assert world.rows() == as_stock_leaves_it
    world.conductor.apply("subport", world.second, "delete")
    assert world.rows() == as_stock_leaves_it


def test_a_deleted_trunk_frees_its_subports(world: World) -> None:
    deleted = {"sub_ports": world.subports()}
    world.neutron.call("DELETE", f"trunks/{world.trunk}")
    as_stock_leaves_it = world.rows()
    world.damage(world.first, f"parent_name={world.parent}", "tag_request=101")
    world.conductor.apply("trunk", world.trunk, "delete", {"deleted": deleted})
    assert world.rows() == as_stock_leaves_it
