# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What each API call records, against a row-by-row comparison of the database."""

import functools
import typing

import pytest

from tests.functional.capture import inprocess, oracle

NAME = "default:{}/{}"


class World:
    """What the calls below work on; each thing is made when it is first asked for."""

    def __init__(self, neutron: inprocess.Neutron) -> None:
        self.neutron = neutron
        self.prepared: typing.Any = None

    @functools.cached_property
    def network(self) -> dict[str, typing.Any]:
        return self.neutron.create("network", name="n")

    @functools.cached_property
    def subnet(self) -> dict[str, typing.Any]:
        return self.add_subnet(cidr="10.0.0.0/24", name="s")

    @functools.cached_property
    def group(self) -> dict[str, typing.Any]:
        return self.neutron.create("security_group", name="g")

    @functools.cached_property
    def other(self) -> dict[str, typing.Any]:
        return self.neutron.create("security_group", name="o")

    @functools.cached_property
    def addresses(self) -> dict[str, typing.Any]:
        return self.neutron.create("address_group", name="a", addresses=["10.1.0.0/16"])

    @functools.cached_property
    def rule(self) -> dict[str, typing.Any]:
        return self.add_rule(
            protocol="tcp", port_range_min=22, port_range_max=22, remote_ip_prefix="10.3.0.9/16"
        )

    @functools.cached_property
    def port(self) -> dict[str, typing.Any]:
        return self.neutron.create(
            "port",
            network_id=self.network["id"],
            fixed_ips=[{"subnet_id": self.subnet["id"]}],
            security_groups=[self.group["id"]],
        )

    def add_subnet(self, **values: typing.Any) -> dict[str, typing.Any]:
        values = {"ip_version": 4, "cidr": "10.9.0.0/24", **values}
        return self.neutron.create("subnet", network_id=self.network["id"], **values)

    def add_rule(self, **values: typing.Any) -> dict[str, typing.Any]:
        values = {"direction": "ingress", "ethertype": "IPv4", **values}
        values.setdefault("security_group_id", self.group["id"])
        return self.neutron.create("security_group_rule", **values)

    def put(self, kind: str, **values: typing.Any) -> dict[str, typing.Any]:
        owner = {"security_group": "group", "address_group": "addresses"}.get(kind, kind)
        return self.neutron.update(kind, getattr(self, owner)["id"], **values)


@pytest.fixture
def world(neutron):
    return World(neutron)


def bulk_ports(world, count):
    bodies = [{"network_id": world.network["id"], "name": f"b{n}"} for n in range(count)]
    return world.neutron.create_bulk("port", bodies)


def port_gone_then_network(world):
    world.neutron.delete("port", world.port["id"])
    world.neutron.delete("network", world.network["id"])


def referred_group(world):
    world.add_rule(remote_group_id=world.other["id"])
    world.neutron.delete("security_group", world.other["id"])


def slaac_subnet(world):
    return world.add_subnet(
        ip_version=6, cidr="fd00::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac"
    )


def host_bound_port(world):
    return world.neutron.create(
        "port",
        network_id=world.network["id"],
        fixed_ips=[{"subnet_id": world.subnet["id"]}],
        **{"binding:host_id": "host-ovs-no_filter"},
    )


def made_with_external_port(world):
    return world.neutron.create(
        "port", network_id=world.network["id"], **{"binding:vnic_type": "direct"}
    )


OPERATIONS: dict[str, typing.Callable[[World], typing.Any]] = {
    "network create": lambda w: w.neutron.create("network", name="x"),
    "network create external": lambda w: w.neutron.create(
        "network",
        **{
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": inprocess.unique("phys"),
        },
    ),
    "network create bulk": lambda w: w.neutron.create_bulk("network", [{"name": "a"}] * 2),
    "network update name": lambda w: w.put("network", name="x"),
    "network update description": lambda w: w.put("network", description="x"),
    "network update mtu": lambda w: w.put("network", mtu=1300),
    "network update external": lambda w: w.put("network", **{"router:external": True}),
    "network update port security": lambda w: w.put("network", port_security_enabled=False),
    "network update nothing": lambda w: w.put("network", name="n"),
    "network delete with subnet": port_gone_then_network,
    "subnet create": lambda w: w.add_subnet(),
    "subnet create IPv6": slaac_subnet,
    "subnet create bulk": lambda w: w.neutron.create_bulk(
        "subnet",
        [
            {"network_id": w.network["id"], "ip_version": 4, "cidr": f"10.{n}.0.0/24"}
            for n in (7, 8)
        ],
    ),
    "subnet update name and description": lambda w: w.put("subnet", name="x", description="y"),
    "subnet update description": lambda w: w.put("subnet", description="y"),
    "subnet update dns": lambda w: w.put("subnet", dns_nameservers=["8.8.8.8"]),
    "subnet update routes": lambda w: w.put(
        "subnet", host_routes=[{"destination": "10.5.0.0/24", "nexthop": "10.0.0.9"}]
    ),
    "subnet update pools": lambda w: w.put(
        "subnet", allocation_pools=[{"start": "10.0.0.2", "end": "10.0.0.99"}]
    ),
    "subnet update gateway": lambda w: w.put("subnet", gateway_ip=None),
    "subnet update dhcp": lambda w: w.put("subnet", enable_dhcp=False),
    "subnet delete": lambda w: w.neutron.delete("subnet", w.add_subnet()["id"]),
    "subnet delete with slaac port": lambda w: w.neutron.delete("subnet", w.prepared["id"]),
    "port create": lambda w: w.neutron.create("port", network_id=w.network["id"]),
    "port create bound": host_bound_port,
    "port create external": made_with_external_port,
    "port create bulk": lambda w: bulk_ports(w, 3),
    "port update name": lambda w: w.put("port", name="x"),
    "port update description": lambda w: w.put("port", description="x"),
    "port update fixed_ips": lambda w: w.put("port", fixed_ips=[{"ip_address": "10.0.0.77"}]),
    "port update allowed_address_pairs": lambda w: w.put(
        "port", allowed_address_pairs=[{"ip_address": "10.0.0.50"}]
    ),
    "port update security_groups": lambda w: w.put("port", security_groups=[w.other["id"]]),
    "port update no security_groups": lambda w: w.put("port", security_groups=[]),
    "port update dhcp options": lambda w: w.put(
        "port", extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400"}]
    ),
    "port update port security": lambda w: w.put(
        "port", security_groups=[], port_security_enabled=False
    ),
    "port update host": lambda w: w.put("port", **{"binding:host_id": "host-ovs-no_filter"}),
    "port update nothing": lambda w: w.put("port", name=""),
    "port delete": lambda w: w.neutron.delete("port", w.port["id"]),
    "group create": lambda w: w.neutron.create("security_group", name="x"),
    "group create bulk": lambda w: w.neutron.create_bulk("security_group", [{"name": "a"}] * 2),
    "group update name": lambda w: w.put("security_group", name="x"),
    "group update description": lambda w: w.put("security_group", description="x"),
    "group delete": lambda w: w.neutron.delete("security_group", w.other["id"]),
    "group delete referred to": referred_group,
    "rule create": lambda w: w.add_rule(),
    "rule create remote group": lambda w: w.add_rule(remote_group_id=w.other["id"]),
    "rule create address group": lambda w: w.add_rule(remote_address_group_id=w.addresses["id"]),
    "rule create bulk": lambda w: w.neutron.create_bulk(
        "security_group_rule",
        [
            {
                "security_group_id": w.group["id"],
                "direction": "ingress",
                "ethertype": "IPv4",
                "protocol": protocol,
            }
            for protocol in ("udp", "icmp")
        ],
    ),
    "rule delete": lambda w: w.neutron.delete("security_group_rule", w.rule["id"]),
    "address group create": lambda w: w.neutron.create("address_group", name="x"),
    "address group create with addresses": lambda w: w.neutron.create(
        "address_group", name="x", addresses=["10.6.0.0/16", "10.7.0.0/16"]
    ),
    "address group update name": lambda w: w.put("address_group", name="x"),
    "address group update description": lambda w: w.put("address_group", description="x"),
    "address group add": lambda w: w.neutron.call(
        "PUT",
        f"address-groups/{w.addresses['id']}/add_addresses",
        {"addresses": ["10.8.0.0/16"]},
    ),
    "address group remove": lambda w: w.neutron.call(
        "PUT",
        f"address-groups/{w.addresses['id']}/remove_addresses",
        {"addresses": ["10.1.0.0/16"]},
    ),
    "address group delete": lambda w: w.neutron.delete("address_group", w.addresses["id"]),
}

#: First word of a call -> what must be there before it.
NEEDS = {
    "network": ("network", "port"),
    "subnet": ("subnet",),
    "port": ("port", "other"),
    "group": ("group", "other"),
    "rule": ("rule", "other", "addresses"),
    "address": ("addresses",),
}

#: What else must be there.
PREPARE = {"subnet delete with slaac port": lambda w: (w.port, slaac_subnet(w))[1]}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_changed_row_has_its_workflow_and_every_workflow_its_row(world, name):
    for thing in NEEDS[name.split()[0]]:
        getattr(world, thing)
    if name in PREPARE:
        world.prepared = PREPARE[name](world)
    before = oracle.read(world.neutron.engine)
    with world.neutron.capturing() as found:
        OPERATIONS[name](world)
    after = oracle.read(world.neutron.engine)
    expected, captured = oracle.compare(before, after), oracle.reduce(found)
    assert captured == expected
    assert bool(found) is not name.endswith("nothing")


def only(found, resource_type, operation=None):
    chosen = [
        one
        for one in found
        if one.resource_type == resource_type and operation in (None, one.operation)
    ]
    assert len(chosen) == 1, found
    return chosen[0]


def key(kind, resource):
    return NAME.format(kind, resource["id"])


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


@pytest.mark.parametrize("status", ["ACTIVE", "DOWN"])
def test_status_alone_records_nothing(world, status):
    assert world.port
    with world.neutron.capturing() as found:
        world.neutron.plugin.update_port_status(world.neutron.context(), world.port["id"], status)
    assert found == []


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
