# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is kept because the database cannot tell it later."""

import pytest

from tests.functional.capture.world import host_bound_port, only


@pytest.mark.parametrize(
    "kind", ["network", "subnet", "port", "security_group", "security_group_rule", "address_group"]
)
def test_snapshot_of_a_delete_says_what_get_said_before(world, kind):
    attribute = {
        "security_group": "other",
        "security_group_rule": "rule",
        "address_group": "addresses",
    }.get(kind, kind)
    resource_id = getattr(world, attribute)["id"]
    shown = world.neutron.show(kind, resource_id)
    with world.neutron.capturing() as found:
        world.neutron.delete(kind, resource_id)
    workflow = next(one for one in found if one.what == ("delete", kind))
    deleted = workflow.row.snapshot["deleted"]
    changed = {"belongs_to_default_sg", "tenant_id"}
    for rule in [*shown.get("security_group_rules", ()), *deleted.get("security_group_rules", ())]:
        rule.pop("belongs_to_default_sg")
    if kind == "address_group":
        changed |= {"created_at", "updated_at", "revision_number"}
    if kind == "network":
        changed |= {"subnets", "revision_number", "updated_at", "available_ips"}
    assert {name: deleted.get(name) for name in shown if name not in changed} == {
        name: value for name, value in shown.items() if name not in changed
    }
    assert workflow.row.snapshot["version"] == 1


def test_snapshot_of_a_deleted_port_holds_its_binding_and_network(world):
    port = host_bound_port(world)
    with world.neutron.capturing() as found:
        world.neutron.delete("port", port["id"])
    edge = only(found, "port", "delete").row.snapshot["edge"]
    assert edge["network"]["id"] == world.network["id"]
    assert edge["binding"]["host"] == "host-ovs-no_filter"
    assert [level["driver"] for level in edge["binding_levels"]] == ["test"]
    assert [segment["network_type"] for segment in edge["segments"]] == ["geneve"]


def test_snapshot_of_an_update_holds_the_original(world):
    port = host_bound_port(world)
    with world.neutron.capturing() as found:
        world.neutron.update("port", port["id"], **{"binding:host_id": ""})
    snapshot = only(found, "port", "update").row.snapshot
    assert snapshot["original"]["binding:host_id"] == "host-ovs-no_filter"
    assert snapshot["edge"]["original_binding"]["host"] == "host-ovs-no_filter"
    assert snapshot["edge"]["original_vif_type"] == "ovs"
    assert len(snapshot["edge"]["original_binding_levels"]) == 1
    assert snapshot["edge"]["binding"]["vif_type"] == "unbound"


def test_row_that_shows_the_sync_state_is_known(world):
    made = [world.network, world.subnet, world.port, world.group, world.rule, world.other]
    before = world.neutron.sync_rows()
    assert all(before[one["id"]].standard_attr_id for one in made)
    world.put("port", description="x")
    world.neutron.delete("security_group", world.other["id"])
    after = world.neutron.sync_rows()
    port = world.port["id"]
    assert after[port].standard_attr_id == before[port].standard_attr_id
    assert after[world.other["id"]].standard_attr_id is None
