# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which keys the workflow of each change holds."""

import pytest

from networking_workflow.model import profiles
from tests.functional.capture import inprocess
from tests.functional.capture.world import NAME, key, made_with_external_port, only


def test_port_create_takes_its_network_subnet_and_groups(world):
    assert world.subnet and world.group
    with world.neutron.capturing() as found:
        port = world.neutron.create(
            "port", network_id=world.network["id"], security_groups=[world.group["id"]]
        )
    workflow = only(found, "port", "create")
    assert workflow.keys == {
        key("port", port): "X",
        key("network", world.network): "S",
        key("subnet", world.subnet): "S",
        key("security_group", world.group): "S",
    }
    assert workflow.row.snapshot is None
    assert workflow.row.project_id == inprocess.PROJECT


def test_port_update_takes_what_it_left_and_what_it_came_to(world):
    new, _ = world.add_subnet(), (world.port, world.other)
    with world.neutron.capturing() as found:
        world.put(
            "port",
            fixed_ips=[{"subnet_id": new["id"]}],
            security_groups=[world.other["id"]],
        )
    assert only(found, "port").keys == {
        key("port", world.port): "X",
        key("network", world.network): "S",
        key("subnet", world.subnet): "S",
        key("subnet", new): "S",
        key("security_group", world.group): "S",
        key("security_group", world.other): "S",
    }


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x"},
        {"description": "only that"},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.50"}]},
    ],
    ids=lambda values: next(iter(values)),
)
def test_port_update_takes_what_it_still_refers_to(world, values):
    assert world.port
    with world.neutron.capturing() as found:
        world.put("port", **values)
    assert only(found, "port", "update").keys == {
        key("port", world.port): "X",
        key("network", world.network): "S",
        key("subnet", world.subnet): "S",
        key("security_group", world.group): "S",
    }


def test_external_port_writes_its_networks_chassis_group(world):
    with world.neutron.capturing() as found:
        made_with_external_port(world)
    workflow = only(found, "port", "create")
    assert workflow.keys[NAME.format("hcg", world.network["id"])] == "X"


def test_ports_at_one_port_of_a_switch_conflict_across_networks(world):
    link = {"switch_info": "leaf", "port_id": "eth1"}
    at = {"binding:vnic_type": "baremetal", "binding:profile": {"local_link_information": [link]}}
    (digest,) = profiles.links(at["binding:profile"])
    networks = [world.neutron.create("network", name=f"plugged-{n}") for n in (1, 2)]
    with world.neutron.capturing() as found:
        for network in networks:
            port = world.neutron.create("port", network_id=network["id"], **at)
            world.neutron.update("port", port["id"], name="renamed")
            world.neutron.delete("port", port["id"])
        port = world.neutron.create("port", network_id=network["id"], **at)
        world.neutron.update("port", port["id"], **{"binding:profile": {}})
        world.neutron.delete("port", port["id"])
    ports = [one for one in found if one.row.resource_type == "port"]
    plugged = [one for one in ports if one.keys.get(NAME.format("link", digest)) == "X"]
    done = ["create", "update", "delete"]
    assert sorted(one.operation for one in ports) == sorted(done * 3)
    assert sorted(one.operation for one in plugged) == sorted([*done * 2, "create", "update"])


def test_subnet_takes_its_network_and_the_metadata_port(world):
    subnet = world.add_subnet()
    with world.neutron.capturing() as found:
        world.add_subnet(cidr="10.11.0.0/24")
        world.neutron.update("subnet", subnet["id"], name="x")
        world.neutron.update("subnet", subnet["id"], description="x")
        world.neutron.delete("subnet", subnet["id"])
    assert sorted(one.operation for one in found) == ["create", "delete", "update", "update"]
    for workflow in found:
        assert workflow.keys == {
            NAME.format("subnet", workflow.resource_id): "X",
            key("network", world.network): "S",
            NAME.format("metadata", world.network["id"]): "X",
        }


def test_port_delete_holds_what_the_port_referred_to(world):
    assert world.port
    with world.neutron.capturing() as found:
        world.neutron.delete("port", world.port["id"])
    assert only(found, "port", "delete").keys == {
        key("port", world.port): "X",
        key("network", world.network): "S",
        key("subnet", world.subnet): "S",
        key("security_group", world.group): "S",
    }


def test_rule_and_its_twin_conflict_by_their_acl(world):
    assert world.rule
    with world.neutron.capturing() as found:
        world.neutron.delete("security_group_rule", world.rule["id"])
        world.add_rule(
            protocol="tcp",
            port_range_min=22,
            port_range_max=22,
            remote_ip_prefix="10.3.0.0/16",
        )
    first, second = found
    shared = set(first.keys) & set(second.keys)
    assert {name for name in shared if first.keys[name] == "X"} == {
        name for name in shared if ":acl/" in name
    }
    assert any(":acl/" in name for name in shared)


def test_group_delete_takes_the_other_groups_rule_along_first(world):
    rule = world.add_rule(remote_group_id=world.other["id"])
    with world.neutron.capturing() as found:
        world.neutron.delete("security_group", world.other["id"])
    deleted_rule = only(found, "security_group_rule", "delete")
    deleted_group = only(found, "security_group", "delete")
    assert deleted_rule.resource_id == rule["id"]
    assert deleted_rule.keys[key("security_group", world.other)] == "S"
    assert deleted_rule.keys[key("security_group", world.group)] == "S"
    assert deleted_group.keys == {key("security_group", world.other): "X"}
    snapshot = deleted_rule.row.snapshot["deleted"]
    assert snapshot["security_group_id"] == world.group["id"]
    assert snapshot["remote_group_id"] == world.other["id"]


def test_default_group_of_a_new_project_is_a_workflow_of_its_own(world):
    project = inprocess.unique("project")
    with world.neutron.capturing() as found:
        world.neutron.call(
            "POST",
            "networks",
            {"network": {"name": "n"}},
            project=project,
            roles="member,reader",
        )
    assert sorted(one.what for one in found) == [
        ("create", "network"),
        ("create", "security_group"),
    ]
    assert {one.row.project_id for one in found} == {project}
    assert len({one.row.operation_id for one in found}) == 1
    assert only(found, "security_group").row.operation_id.startswith("req-")
