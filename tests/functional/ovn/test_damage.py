# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whatever is damaged in the Northbound database is noticed by name, and healed by an apply.

Who only compares (``[workflow] mode = shadow``) notices the same, but for revision numbers.
"""

import collections.abc
import contextlib

import pytest
from neutron.db import segments_db
from neutron_lib import context as neutron_context

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import compare, comparing
from networking_workflow.model import states
from tests.functional.ovn import cloud, corrupt, northbound, noticing, script


class Watched:
    """The small cloud that is damaged, and what the driver notices."""

    def __init__(
        self,
        conductor: cloud.Conductor,
        calls: script.Script,
        looking: comparing.OvnComparing,
    ) -> None:
        self.conductor, self.made, self.looking = conductor, calls.made, looking
        context = neutron_context.get_admin_context()
        segment = segments_db.get_network_segments(context, self.made["net"]["id"])[0]["id"]
        self.place = corrupt.Place(conductor.neutron.ovn, self.made, segment)
        self.found: list[compare.Difference] = []

    def rows(self) -> list[str]:
        return northbound.normalised(self.conductor.neutron.ovn, {})

    def apply(self, kind: str, which: str) -> None:
        self.conductor.apply(kind, self.made[which]["id"])

    def look(self, kind: str, which: str) -> list[str]:
        """Return what is found to differ, in words."""
        resource_id = self.made[which]["id"]
        update = states.Operation.UPDATE
        target = protocol.Target(resource_type=kind, resource_id=resource_id, operation=update)
        return self.looking.differences(target)


@pytest.fixture(scope="module")
def looking(neutron: cloud.Neutron) -> collections.abc.Iterator[comparing.OvnComparing]:
    made = comparing.OvnComparing(
        neutron.mech_driver, plugin=neutron.plugin, timeout_s=cloud.TIMEOUT_S
    )
    with contextlib.closing(made):
        yield made


@pytest.fixture(scope="module")
def watched(conductor: cloud.Conductor, looking: comparing.OvnComparing) -> Watched:
    calls = script.Script(conductor.neutron, after=conductor.drain)
    physical = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    net = calls.create("network", "net", **physical, **{"provider:segmentation_id": 120})
    calls.create("network", "other-net")
    pools = [{"start": "10.1.0.2", "end": "10.1.0.199"}]
    four = {"ip_version": 4, "cidr": "10.1.0.0/24", "allocation_pools": pools}
    calls.create("subnet", "sub4", network_id=net, **four)
    mode = {"ipv6_address_mode": "dhcpv6-stateless", "ipv6_ra_mode": "dhcpv6-stateless"}
    calls.create("subnet", "sub6", network_id=net, ip_version=6, cidr="2001:db8::/64", **mode)
    off = {"enable_dhcp": False, "cidr": "10.2.0.0/24"}
    calls.create("subnet", "no-dhcp", network_id=net, ip_version=4, **off)
    calls.create("address_group", "hosts", addresses=["192.0.2.0/28", "2001:db8::/48"])
    web = calls.create("security_group", "web")
    calls.create("security_group", "other")
    tcp = {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}
    calls.create("security_group_rule", "rule", security_group_id=web, direction="ingress", **tcp)
    subnet = {"subnet_id": calls.made["sub4"]["id"]}
    port = {"network_id": net, "fixed_ips": [subnet]}
    calls.create("port", "vm", **port, security_groups=[web], **{"binding:host_id": "cmp1"})
    calls.create("port", "special", **port, extra_dhcp_opts=script.DHCP_OPTIONS)
    six = [{"subnet_id": calls.made["sub6"]["id"]}]
    calls.create("port", "vm6", network_id=net, fixed_ips=six)
    calls.create("port", "vip", network_id=net, fixed_ips=[{**subnet, "ip_address": "10.1.0.200"}])
    calls.create("port", "parent", **port, allowed_address_pairs=[{"ip_address": "10.1.0.200"}])
    result = Watched(conductor, calls, looking)
    for which, kind in (("net", "network"), ("other-net", "network"), ("sub4", "subnet")):
        # Neutron raised their revisions when what is on them was made.
        result.apply(kind, which)
    return result


@pytest.fixture(autouse=True)
def found(watched: Watched) -> collections.abc.Iterator[None]:
    """Note what is found to differ, and let the driver go on."""
    with noticing.noticed() as watched.found:
        yield


@pytest.mark.parametrize("damage", corrupt.ALL, ids=str)
def test_damage_is_noticed_by_name_and_healed(watched: Watched, damage: corrupt.Damage) -> None:
    healthy = watched.rows()
    watched.conductor.neutron.ovn.nbctl(*damage.command(watched.place))
    assert watched.rows() != healthy, "the damage did nothing"
    assert _names(watched.look(damage.kind, damage.which), damage) or "revision" in damage.noticed

    watched.apply(damage.kind, damage.which)

    assert damage.noticed in noticing.names(watched.found)
    _heal_what_went_along(watched, damage)
    assert watched.rows() == healthy


def _names(said: list[str], damage: corrupt.Damage) -> bool:
    """Return whether one of the texts names the damaged column, or the row."""
    table, _, column = damage.noticed.partition(" ")
    starts = f"{table} "
    return any(one.startswith(starts) and (f": {column} is " in one or not column) for one in said)


def _heal_what_went_along(watched: Watched, damage: corrupt.Damage) -> None:
    """Rows that were deleted with the damaged one are other resources'."""
    if damage.which == "parent":
        # A parent sees to itself among the parents, the virtual port to all of them.
        watched.apply("port", "vip")
    whole = {"Logical_Switch": "network", "Port_Group": "security_group"}
    drop_group = damage.detail == "no drop"
    if not drop_group and whole.get(damage.noticed) != damage.kind:
        return
    for which, kind in _everything(watched):
        watched.apply(kind, which)


def _everything(watched: Watched) -> collections.abc.Iterator[tuple[str, str]]:
    ports = watched.conductor.neutron.call("GET", "ports")["ports"]
    for port in ports:
        watched.made.setdefault(port["id"], port)
        yield port["id"], "port"


def test_nothing_is_written_if_all_is_well(watched: Watched) -> None:
    healthy = watched.rows()
    for kind, which in (
        ("network", "net"),
        ("subnet", "sub4"),
        ("subnet", "sub6"),
        ("subnet", "no-dhcp"),
        ("address_group", "hosts"),
        ("security_group", "web"),
        ("security_group_rule", "rule"),
        ("port", "vm"),
        ("port", "special"),
        ("port", "vip"),
        ("port", "parent"),
    ):
        assert not watched.look(kind, which), which
        watched.apply(kind, which)
        assert not watched.found, which
    assert watched.rows() == healthy
