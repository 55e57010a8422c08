# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Routers and their interfaces: the driver agrees with stock, and heals whatever is damaged."""

import collections.abc
import typing

import pytest
from oslo_config import cfg

from lab import ovn as lab_ovn
from lab.databases import pool
from networking_workflow.model import errors
from tests.functional.ovn import cloud, routed

Damage = typing.Callable[[routed.World], None]


@pytest.fixture(scope="module")
def world(
    database_pool: pool.Pool, ovn: lab_ovn.OvnCentral
) -> collections.abc.Iterator[routed.World]:
    with cloud.driven(routed.Neutron, cloud.Conductor, database_pool, ovn) as (running, conductor):
        made = routed.World(running, conductor)
        route = {"destination": "192.0.2.0/24", "nexthop": "10.1.0.9"}
        running.update("router", made.router, routes=[route])
        yield made


@pytest.fixture(scope="module")
def interface(world: routed.World) -> str:
    """Return the port of the interface."""
    owner = {"device_id": world.router, "device_owner": "network:router_interface"}
    (port,) = world.neutron.plugin.get_ports(
        world.neutron.context(), filters={key: [value] for key, value in owner.items()}
    )
    return str(port["id"])


@pytest.fixture(scope="module")
def gateway(world: routed.World) -> str:
    """Return the port of the gateway."""
    owner = {"device_id": [world.router], "device_owner": ["network:router_gateway"]}
    (port,) = world.neutron.plugin.get_ports(world.neutron.context(), filters=owner)
    return str(port["id"])


#: All that OVN has of routers, without uuids of rows that may be made again.
TABLES = {
    "Logical_Router": "name,enabled,options,external_ids",
    "Logical_Router_Port": "name,mac,networks,options,external_ids,ipv6_ra_configs",
    "Logical_Switch_Port": "name,type,addresses,options",
    "NAT": "type,logical_ip,external_ip",
    "Logical_Router_Static_Route": "ip_prefix,nexthop,external_ids",
}


def rows(world: routed.World) -> list[str]:
    """Return what OVN has of :data:`TABLES`, sorted."""
    found: list[str] = []
    for table, columns in TABLES.items():
        text = world.neutron.ovn.nbctl(f"--columns={columns}", "list", table)
        found += sorted(f"{table}\n{row.strip()}" for row in text.split("\n\n"))
    return found


def test_nothing_is_written_where_stock_has_made_a_router(
    world: routed.World, interface: str
) -> None:
    healthy = rows(world)
    assert world.apply("router", world.router) == []
    assert world.apply("router_interface", interface) == []
    assert rows(world) == healthy


def _set(table: str, column: str) -> typing.Callable[[str], list[str]]:
    return lambda record: ["set", table, record, column]


_ROUTER = {
    "enabled": "enabled=false",
    "options:always_learn_from_arp_request": "options:always_learn_from_arp_request=true",
    "options:dynamic_neigh_routers": "options:dynamic_neigh_routers=false",
    "options:mac_binding_age_threshold": "options:mac_binding_age_threshold=77",
    "external_ids:neutron:router_name": "external_ids:neutron\\:router_name=damaged",
    "external_ids:neutron:revision_number": "external_ids:neutron\\:revision_number=99",
    "external_ids:neutron:availability_zone_hints": (
        "external_ids:neutron\\:availability_zone_hints=nowhere"
    ),
}


@pytest.mark.parametrize("column", _ROUTER)
def test_a_damaged_column_of_the_router_is_noticed_and_healed(
    world: routed.World, column: str
) -> None:
    healthy = rows(world)
    world.neutron.ovn.nbctl("set", "Logical_Router", f"neutron-{world.router}", _ROUTER[column])
    assert f"Logical_Router {column}" in world.apply("router", world.router)
    assert rows(world) == healthy


_PORT = {
    "mac": 'mac="0a:00:00:00:00:01"',
    "networks": "networks=10.9.9.9/24",
    "external_ids:neutron:revision_number": "external_ids:neutron\\:revision_number=0",
    "external_ids:neutron:subnet_ids": "external_ids:neutron\\:subnet_ids=damaged",
    "external_ids:neutron:network_name": "external_ids:neutron\\:network_name=damaged",
    "external_ids:neutron:router_name": "external_ids:neutron\\:router_name=damaged",
    "ipv6_ra_configs:mtu": "ipv6_ra_configs:mtu=77",
}


@pytest.mark.parametrize("column", [*_PORT, "options:gateway_mtu", "options:redirect-type"])
@pytest.mark.parametrize("which", ["gateway", "interface"])
def test_a_damaged_column_of_a_router_port_is_noticed_and_healed(
    world: routed.World, gateway: str, interface: str, which: str, column: str
) -> None:
    healthy = rows(world)
    port = gateway if which == "gateway" else interface
    damage = _PORT.get(column, f"{column}=77")
    world.neutron.ovn.nbctl("set", "Logical_Router_Port", f"lrp-{port}", damage)
    kind, target = ("router", world.router) if which == "gateway" else ("router_interface", port)
    assert f"Logical_Router_Port {column}" in world.apply(kind, target)
    assert rows(world) == healthy


@pytest.mark.parametrize("which", ["gateway", "interface"])
@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("type", "type=localport"),
        ("addresses", "addresses=unknown"),
        ("options:router-port", "options:router-port=elsewhere"),
    ],
)
def test_a_damaged_column_of_a_router_ports_peer_is_noticed_and_healed(
    world: routed.World, gateway: str, interface: str, which: str, column: str, damage: str
) -> None:
    healthy = rows(world)
    port = gateway if which == "gateway" else interface
    world.neutron.ovn.nbctl("set", "Logical_Switch_Port", port, damage)
    kind, target = ("router", world.router) if which == "gateway" else ("router_interface", port)
    assert f"Logical_Switch_Port {column}" in world.apply(kind, target)
    assert rows(world) == healthy


def _gateway_is_lost(world: routed.World) -> None:
    for port in world.neutron.ovn.nbctl("lrp-list", f"neutron-{world.router}").split():
        name = port.strip("()")
        if name.startswith("lrp-"):
            world.neutron.ovn.nbctl("lrp-del", name)


def _gateway_is_no_gateway(world: routed.World) -> None:
    port = world.find("Logical_Router_Port", "external_ids:neutron\\:is_ext_gw=True")
    is_gateway = "external_ids:neutron\\:is_ext_gw=False"
    world.neutron.ovn.nbctl("set", "Logical_Router_Port", port, is_gateway)


def _strange_gateway(world: routed.World) -> None:
    ovn, router = world.neutron.ovn, f"neutron-{world.router}"
    ovn.nbctl("lrp-add", router, "lrp-old", "0a:00:00:00:00:02", "203.0.113.99/24")
    ovn.nbctl("set", "Logical_Router_Port", "lrp-old", "external_ids:neutron\\:is_ext_gw=True")


def _all(table: str) -> Damage:
    column = {"Logical_Router_Static_Route": "static_routes", "NAT": "nat"}[table]
    return lambda world: world.neutron.ovn.nbctl(
        "clear", "Logical_Router", f"neutron-{world.router}", column
    )


def _extra_route(world: routed.World) -> None:
    ovn, router = world.neutron.ovn, f"neutron-{world.router}"
    ovn.nbctl("lr-route-add", router, "198.51.100.0/24", "10.1.0.7")
    route = world.find("Logical_Router_Static_Route", 'ip_prefix="198.51.100.0/24"')
    mine = "external_ids:neutron\\:is_static_route=true"
    ovn.nbctl("set", "Logical_Router_Static_Route", route, mine)


def _extra_snat(world: routed.World) -> None:
    router = f"neutron-{world.router}"
    world.neutron.ovn.nbctl("lr-nat-add", router, "snat", "203.0.113.200", "10.77.0.0/24")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "all ports lost": (_gateway_is_lost, "gateway ports"),
    "gateway not marked": (_gateway_is_no_gateway, "gateway ports"),
    "gateway of long ago": (_strange_gateway, "gateway ports"),
    "routes lost": (_all("Logical_Router_Static_Route"), "routes"),
    "default routes lost": (_all("Logical_Router_Static_Route"), "default routes"),
    "extra route": (_extra_route, "routes"),
    "source NAT lost": (_all("NAT"), "snat"),
    "extra source NAT": (_extra_snat, "snat"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_whatever_else_is_damaged_is_noticed_and_healed(
    world: routed.World, interface: str, name: str
) -> None:
    healthy, (damage, column) = rows(world), DAMAGES[name]
    damage(world)
    noticed = world.apply("router", world.router)
    world.conductor.apply("router_interface", interface)
    assert f"Logical_Router {column}" in noticed
    assert rows(world) == healthy


def test_the_router_is_made_again_where_it_is_lost(world: routed.World, interface: str) -> None:
    healthy = rows(world)
    world.neutron.ovn.nbctl("lr-del", f"neutron-{world.router}")
    with pytest.raises(errors.MissingReference):
        world.conductor.apply("router_interface", interface)
    world.conductor.apply("router", world.router)
    world.conductor.apply("router_interface", interface)
    assert rows(world) == healthy


def test_a_router_that_is_gone_from_the_database_is_deleted_twice(world: routed.World) -> None:
    made = world.neutron.create("router", name="second")
    healthy = rows(world)
    world.conductor.apply("router", made["id"])
    assert rows(world) == healthy
    world.delete("router", made["id"])
    world.delete("router", made["id"])
    assert f"neutron-{made['id']}" not in world.neutron.ovn.nbctl("lr-list")


def test_the_limit_of_a_gateway_is_noticed_and_healed_and_follows_its_policy(
    world: routed.World,
) -> None:
    neutron, ovn = world.neutron, world.neutron.ovn
    policy = neutron.policy(bandwidth_limit={"max_kbps": 5000, "direction": "egress"})
    gateway = {"network_id": world.external, "qos_policy_id": policy}
    neutron.update("router", world.router, external_gateway_info=gateway)
    columns = "--columns=direction,match,priority,bandwidth"
    as_stock_made_it = ovn.nbctl(columns, "list", "QoS")
    assert "rate=5000" in as_stock_made_it
    assert world.apply("router", world.router) == []
    for damage in ("bandwidth:rate=1", "priority=7"):
        row = world.find("QoS", f"external_ids:neutron\\:router_id={world.router}")
        ovn.nbctl("set", "QoS", row, damage)
        noticed = world.apply(
            "qos_policy" if "rate" in damage else "router",
            policy if "rate" in damage else world.router,
        )
        assert any(one.startswith("QoS") for one in noticed)
        assert ovn.nbctl(columns, "list", "QoS") == as_stock_made_it
    neutron.update("router", world.router, external_gateway_info={**gateway, "qos_policy_id": None})
    ovn.nbctl(
        "qos-add", f"neutron-{world.external}", "from-lport", "2002", 'inport == "x"', "rate=9"
    )
    row = world.find("QoS", 'match="inport == \\"x\\""')
    mine = f"external_ids:neutron\\:router_id={world.router}"
    ovn.nbctl("set", "QoS", row, mine)
    world.apply("router", world.router)
    assert ovn.nbctl(columns, "list", "QoS") == ""


@pytest.fixture
def watched(world: routed.World) -> collections.abc.Iterator[str]:
    """A router, made by stock, whose default route BFD watches."""
    gateway = {"network_id": world.external}
    made = world.neutron.create(
        "router", name="watched", external_gateway_info=gateway, enable_default_route_bfd=True
    )["id"]
    yield made
    world.neutron.call("DELETE", f"routers/{made}")


def sessions(world: routed.World) -> list[str]:
    """Return what each BFD row watches, and over which port, and whether a route says so."""
    found = world.neutron.ovn.nbctl("--bare", "--columns=logical_port,dst_ip,_uuid", "list", "BFD")
    routes = world.neutron.ovn.nbctl(
        "--bare", "--columns=bfd,output_port", "list", "Logical_Router_Static_Route"
    )
    rows = [row.split() for row in found.split("\n\n") if row]
    return sorted(f"{port} {dst} {uuid in routes} {port in routes}" for port, dst, uuid in rows)


_SESSION = {
    "gone": (("destroy", "BFD"), ["default routes", "bfd sessions"]),
    "another gateway": (("set", "BFD", "dst_ip=192.0.2.9"), ["default routes", "bfd sessions"]),
    "of no route": (("clear", "Logical_Router_Static_Route", "bfd"), ["default routes"]),
    "over no port": (("clear", "Logical_Router_Static_Route", "output_port"), ["default routes"]),
}


@pytest.mark.parametrize("name", _SESSION)
def test_damaged_watch_over_a_default_route_is_noticed_and_healed(
    world: routed.World, watched: str, name: str
) -> None:
    healthy = sessions(world)
    assert world.apply("router", watched) == []
    assert [row.split()[1:] for row in healthy] == [["203.0.113.1", "True", "True"]]
    (verb, table, *rest), columns = _SESSION[name]
    condition = "dst_ip=203.0.113.1" if table == "BFD" else "bfd!=[]"
    world.neutron.ovn.nbctl(verb, table, world.find(table, condition), *rest)
    assert sessions(world) != healthy, "the damage did nothing"

    assert world.apply("router", watched) == [f"Logical_Router {column}" for column in columns]

    assert sessions(world) == healthy


def test_watch_goes_with_what_it_is_for(world: routed.World, watched: str) -> None:
    healthy = sessions(world)
    stray = ("create", "BFD", f"logical_port={healthy[0].split()[0]}", "dst_ip=192.0.2.9")
    world.neutron.ovn.nbctl(*stray)
    world.apply("router", watched)
    assert sessions(world) == healthy
    world.neutron.update("router", watched, enable_default_route_bfd=False)
    assert sessions(world) == []
    # Back to what it was before it was switched off.
    port, dst, *_ = healthy[0].split()
    row = world.neutron.ovn.nbctl("create", "BFD", f"logical_port={port}", f"dst_ip={dst}").strip()
    route = world.neutron.ovn.nbctl(
        *("--bare", "--columns=static_routes", "list", "Logical_Router", f"neutron-{watched}")
    ).strip()
    table = "Logical_Router_Static_Route"
    world.neutron.ovn.nbctl("set", table, route, f"bfd={row}", f'output_port="{port}"')
    assert sessions(world) == healthy
    world.apply("router", watched)
    assert sessions(world) == []


def test_an_interface_that_is_gone_takes_its_source_nat_along(world: routed.World) -> None:
    neutron, ovn = world.neutron, world.neutron.ovn
    network = neutron.create("network", name="passing")["id"]
    subnet = neutron.create("subnet", network_id=network, ip_version=4, cidr="10.3.0.0/24")["id"]
    path, body = f"routers/{world.router}", {"subnet_id": subnet}
    port = neutron.call("PUT", f"{path}/add_router_interface", body)["port_id"]
    # An interface raises its router's revision, which stock does not tell OVN of.
    raised = ["Logical_Router external_ids:neutron:revision_number"]
    assert world.apply("router_interface", port) == raised
    as_it_was = ovn.nbctl("get", "Logical_Router_Port", f"lrp-{port}", "mac").strip()
    neutron.call("PUT", f"{path}/remove_router_interface", body)
    # Back to what it was before the interface was removed.
    router = f"neutron-{world.router}"
    ovn.nbctl("lrp-add", router, f"lrp-{port}", as_it_was.strip('"'), "10.3.0.1/24")
    ovn.nbctl("lr-nat-add", router, "snat", "203.0.113.201", "10.3.0.0/24")
    deleted = {"router_id": world.router, "port_id": port}
    world.delete("router_interface", port, **deleted)
    neutron.call("DELETE", f"networks/{network}")
    left = "\n".join(rows(world))
    assert f"lrp-{port}" not in left
    assert "10.3.0.0/24" not in left
    assert "0.0.0.0/0" in left  # what all others leave by


def test_each_inner_network_has_its_own_source_nat_where_that_is_configured(
    world: routed.World, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: world.apply("router", world.router))
    request.addfinalizer(lambda: cfg.CONF.clear_override("ovn_router_indirect_snat", "ovn"))
    cfg.CONF.set_override("ovn_router_indirect_snat", True, "ovn")  # of 28 it is not the default
    world.apply("router", world.router)
    healthy = rows(world)
    cfg.CONF.set_override("ovn_router_indirect_snat", False, "ovn")
    assert world.apply("router", world.router) == ["Logical_Router snat"]
    (nat,) = [row for row in rows(world) if row.startswith("NAT")]
    assert "10.1.0.0/24" in nat
    cfg.CONF.set_override("ovn_router_indirect_snat", True, "ovn")
    world.apply("router", world.router)
    assert rows(world) == healthy
