# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What each API call records, and what its undoing leaves, row by row in the database."""

import contextlib
import dataclasses
import datetime
import typing

import pytest
import sqlalchemy as sa
from neutron.db.migration.models import head

from networking_workflow.journal import clock, readiness
from tests.functional.capture import inprocess, oracle, undoing
from tests.functional.capture.world import (
    World,
    host_bound_port,
    made_with_external_port,
    slaac_subnet,
)

_TABLES = head.get_metadata().tables


def bulk_ports(world, count):
    bodies = [{"network_id": world.network["id"], "name": f"b{n}"} for n in range(count)]
    return world.neutron.create_bulk("port", bodies)


def port_gone_then_network(world):
    world.neutron.delete("port", world.port["id"])
    world.neutron.delete("network", world.network["id"])


def referred_group(world):
    world.add_rule(remote_group_id=world.other["id"])
    world.neutron.delete("security_group", world.other["id"])


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
    "port update fixed_ips": lambda w: w.put("port", fixed_ips=[{"ip_address": "10.0.0.200"}]),
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

#: What else must be there; such calls have a world of their own.
PREPARE = {"subnet delete with slaac port": lambda w: (w.port, slaac_subnet(w))[1]}


class Shared:
    """The world that each call finds as the one before has left it, which is as it was."""

    def __init__(self, neutron: inprocess.Neutron) -> None:
        self._neutron = neutron
        self._world: World | None = None

    @contextlib.contextmanager
    def lent(self) -> typing.Iterator[World]:
        """Lend it; after a test that fails there is another one."""
        world, self._world = self._world or World(self._neutron), None
        yield world
        self._world = world


@pytest.fixture(scope="module")
def shared(neutron: inprocess.Neutron) -> Shared:
    return Shared(neutron)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_changed_row_has_its_workflow_and_undone_every_row_is_as_before(
    neutron, shared, name
):
    alone = name in PREPARE
    with contextlib.nullcontext(World(neutron)) if alone else shared.lent() as world:
        _record_and_undo(world, name)


def _record_and_undo(world: World, name: str) -> None:
    for thing in NEEDS[name.split()[0]]:
        getattr(world, thing)
    if name in PREPARE:
        world.prepared = PREPARE[name](world)
    before, everything = oracle.read(world.neutron.engine), undoing.rows(world.neutron.engine)
    with world.neutron.capturing() as found:
        call = undoing.Call(world.neutron, lambda: OPERATIONS[name](world))
    after = oracle.read(world.neutron.engine)
    expected, captured = oracle.compare(before, after), oracle.reduce(found)
    assert captured == expected
    assert bool(found) is not name.endswith("nothing")
    undoing.assert_undone(call, everything)


def test_nothing_of_all_that_looks_as_if_stock_had_done_it(neutron):
    yesterday = clock.local() - datetime.timedelta(days=1)
    with neutron.engine.connect() as connection:
        found = readiness.unrecorded(connection, yesterday)
    assert (found.made, found.deleted) == ({}, 0)


def test_a_number_that_no_resource_has_is_a_resource_neither_made_nor_there(world):
    """What Neutron 28 leaves of a resource that was deleted while somebody raised its revision."""
    yesterday = clock.local() - datetime.timedelta(days=1)
    attributes, groups = (_TABLES[name] for name in ("standardattributes", "address_groups"))
    nobodys = {"resource_type": groups.name, "revision_number": 0, "created_at": clock.local()}
    made = world.addresses["id"]
    with world.neutron.engine.connect() as connection:
        before = readiness.unrecorded(connection, yesterday)
        connection.execute(sa.insert(attributes).values(nobodys))
        assert readiness.unrecorded(connection, yesterday) == before
        connection.execute(sa.delete(groups).where(groups.c.id == made))
        found = readiness.unrecorded(connection, yesterday)
        assert found == dataclasses.replace(before, deleted=before.deleted + 1)
        connection.rollback()


@pytest.mark.parametrize("status", ["ACTIVE", "DOWN"])
def test_status_alone_records_nothing(world, status):
    assert world.port
    with world.neutron.capturing() as found:
        world.neutron.plugin.update_port_status(world.neutron.context(), world.port["id"], status)
    assert found == []
