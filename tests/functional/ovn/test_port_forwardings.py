# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Port forwardings: the driver agrees with stock, and heals damaged load balancers."""

import dataclasses
import typing

import pytest

from tests.functional.ovn import routed


@dataclasses.dataclass(frozen=True, slots=True)
class Forwarded:
    """A floating IP with port forwardings of each form."""

    floatingip: routed.Made
    tcp: str
    udp: str
    ports: str  #: of several ports

    @property
    def balancer(self) -> str:
        return f"pf-floatingip-{self.floatingip['id']}-tcp"


@pytest.fixture(scope="module")
def forwarded(world: routed.World) -> Forwarded:
    made = world.floatingip()
    udp = {"protocol": "udp", "external_port": 53, "internal_port": 5353}
    return Forwarded(
        made,
        world.forwarding(made["id"], external_port=80, internal_port=8080),
        world.forwarding(made["id"], **udp),
        world.forwarding(
            made["id"], external_port_range="2000:2002", internal_port_range="3000:3002"
        ),
    )


def test_nothing_is_written_where_stock_has_made_port_forwardings(
    world: routed.World, forwarded: Forwarded
) -> None:
    # The status that stock sets last raised the revision; it leaves the one before in OVN.
    assert set(world.apply("port_forwarding", forwarded.tcp)) <= {
        "Load_Balancer external_ids:neutron:revision_number"
    }
    healthy = world.rows()
    for one in (forwarded.tcp, forwarded.udp, forwarded.ports):
        assert world.apply("port_forwarding", one) == []
    assert world.apply("floatingip", forwarded.floatingip["id"]) == []
    assert world.rows() == healthy
    assert healthy.count("pf-floatingip-") >= 5


Command = typing.Callable[[routed.World, str], typing.Sequence[str]]


def _set(column: str) -> Command:
    return lambda _world, balancer: ("set", "Load_Balancer", balancer, column)


DAMAGES: dict[str, Command] = {
    "Load_Balancer protocol": _set("protocol=udp"),
    "Load_Balancer vips:203.0.113.1:99": _set('vips:"203.0.113.1:99"="10.1.0.1:99"'),
    "Load_Balancer external_ids:neutron:fip_id": _set("external_ids:neutron\\:fip_id=damaged"),
    "Load_Balancer external_ids:neutron:device_owner": _set(
        "external_ids:neutron\\:device_owner=damaged"
    ),
    "Load_Balancer external_ids:neutron:router_name": _set(
        "external_ids:neutron\\:router_name=damaged"
    ),
    "Load_Balancer external_ids:neutron:revision_number": _set(
        "external_ids:neutron\\:revision_number=99"
    ),
    "Load_Balancer": lambda _world, balancer: ("lb-del", balancer),
    "Load_Balancer routers": lambda world, balancer: (
        *("lr-lb-del", f"neutron-{world.router}", balancer),
    ),
    "Load_Balancer switches": lambda world, balancer: (
        *("ls-lb-del", f"neutron-{world.network}", balancer),
        *("--", "ls-lb-add", f"neutron-{world.external}", balancer),
    ),
}


@pytest.mark.parametrize("noticed", DAMAGES)
def test_a_damaged_load_balancer_is_noticed_by_name_and_healed(
    world: routed.World, forwarded: Forwarded, noticed: str
) -> None:
    world.apply("port_forwarding", forwarded.tcp)
    healthy = world.balancers()
    world.neutron.ovn.nbctl(*DAMAGES[noticed](world, forwarded.balancer))
    assert world.balancers() != healthy, "the damage did nothing"

    assert noticed in world.apply("port_forwarding", forwarded.tcp)

    assert world.balancers() == healthy


def test_load_balancers_follow_the_routers_interfaces(
    world: routed.World, forwarded: Forwarded
) -> None:
    world.apply("port_forwarding", forwarded.tcp)
    healthy = world.balancers()
    interface = world.neutron.plugin.get_ports(
        world.neutron.context(),
        filters={"device_id": [world.router], "network_id": [world.network]},
    )[0]
    switch, external = f"neutron-{world.network}", f"neutron-{world.external}"
    world.neutron.ovn.nbctl("ls-lb-del", switch, forwarded.balancer)
    world.neutron.ovn.nbctl("ls-lb-add", external, forwarded.balancer)

    assert "Load_Balancer switches" in world.apply("router_interface", interface["id"])

    assert world.balancers() == healthy


def test_a_lost_vip_comes_back(world: routed.World, forwarded: Forwarded) -> None:
    world.apply("port_forwarding", forwarded.tcp)
    healthy = world.balancers()
    world.neutron.ovn.nbctl("clear", "Load_Balancer", forwarded.balancer, "vips")
    vip = f"{forwarded.floatingip['floating_ip_address']}:80"
    assert f"Load_Balancer vips:{vip}" in world.apply("port_forwarding", forwarded.tcp)
    assert world.balancers() == healthy


def test_what_stock_left_of_another_range_goes(world: routed.World, forwarded: Forwarded) -> None:
    world.apply("port_forwarding", forwarded.ports)
    healthy = world.balancers()
    name = f"{forwarded.balancer}-2999"
    world.neutron.ovn.nbctl("lb-add", name, "203.0.113.200:2999", "10.1.0.1:1")
    assert "Load_Balancer" in world.apply("port_forwarding", forwarded.ports)
    assert world.balancers() == healthy


def test_a_deleted_forwarding_leaves_the_others(world: routed.World, forwarded: Forwarded) -> None:
    fip = forwarded.floatingip["id"]
    one = world.forwarding(fip, external_port=81, internal_port=8081)
    world.apply("port_forwarding", one)
    world.neutron.delete_forwarding(fip, one)
    world.apply("port_forwarding", forwarded.tcp)
    healthy = world.balancers()
    vip = f'vips:"{forwarded.floatingip["floating_ip_address"]}:81"="10.1.0.1:8081"'
    world.neutron.ovn.nbctl("set", "Load_Balancer", forwarded.balancer, vip)
    assert world.balancers() != healthy

    world.delete("port_forwarding", one, floatingip_id=fip)
    world.delete("port_forwarding", one, floatingip_id=fip)

    assert world.balancers() == healthy


def test_forwardings_go_with_their_floating_ip(world: routed.World) -> None:
    before = world.balancers()
    made = world.floatingip()
    one = world.forwarding(made["id"], external_port=80, internal_port=9090)
    left = world.find("Load_Balancer", f"name=pf-floatingip-{made['id']}-tcp")
    assert left
    world.neutron.delete_forwarding(made["id"], one)
    world.neutron.delete("floatingip", made["id"])
    name = f"pf-floatingip-{made['id']}-tcp"
    world.neutron.ovn.nbctl("lb-add", name, "203.0.113.201:80", "10.1.0.1:80")
    world.delete("port_forwarding", one, floatingip_id=made["id"])
    assert world.balancers() == before
