# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What Neutron's rows say about floating IPs, their port forwardings, and QoS policies.

API dicts, each read once for one apply. Three facts about a floating IP are OVN's own, because
northd or another resource's workflow decides them: whether the port is up, whether the router's
gateway is on a chassis, and whether the port is a member of a load balancer.
"""

import dataclasses
import typing

from neutron.common.ovn import utils as ovn_utils
from neutron_lib import constants
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory

from networking_workflow.drivers.ovn import facts, facts_l3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FloatingIp:
    """A floating IP and all that its rows are made from."""

    floatingip: facts.Dict
    router: facts.Dict | None = None  #: None: not associated, or not a router of OVN's
    mac: str = ""  #: of the floating IP's own port
    policy: facts.Dict | None = None  #: the QoS policy that holds for it, with its ``rules``
    forwardings: tuple[facts.Dict, ...] = ()
    inner_networks: frozenset[str] = frozenset()  #: ids; of the router's interfaces
    addresses: typing.Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """Port id to the floating addresses that it has: of each port that has or had this one."""
    port_up: bool = False
    gateway_scheduled: bool = False
    balanced: bool = False  #: a member of a load balancer of OVN's


def forwarding_plugin() -> typing.Any:
    """Return the port forwarding plugin; None if there is none."""
    return directory.get_plugin(plugin_constants.PORTFORWARDING)


def read_floatingip(
    plugin: typing.Any,
    context: typing.Any,
    floatingip_id: str,
    *,
    named_by: typing.Callable[[str], typing.Iterable[str]],
) -> FloatingIp:
    """Return the floating IP's facts but OVN's own.

    :param named_by: returns the ports which OVN says have a floating address.

    :raises FloatingIPNotFound: if its row is gone.
    """
    l3 = facts_l3.l3_plugin()
    floatingip = l3.get_floatingip(context, floatingip_id)
    router = None
    if floatingip["router_id"]:
        router = l3.get_router(context, floatingip["router_id"])
        if not ovn_utils.is_ovn_provider_router(router):
            router = None
    ports = {*named_by(floatingip["floating_ip_address"]), floatingip["port_id"]} - {None}
    return FloatingIp(
        floatingip=floatingip,
        router=router,
        mac=_mac(plugin, context, floatingip_id),
        policy=facts.qos_policy(context, floatingip) if router else None,
        forwardings=read_forwardings(context, floatingip_id) if router else (),
        inner_networks=_inner_networks(plugin, context, router) if router else frozenset(),
        addresses=addresses_of(l3, context, ports),
    )


def read_forwardings(context: typing.Any, floatingip_id: str) -> tuple[facts.Dict, ...]:
    """Return the floating IP's port forwardings; none without that plugin."""
    forwarding = forwarding_plugin()
    if forwarding is None:
        return ()
    return tuple(forwarding.get_floatingip_port_forwardings(context, floatingip_id))


def _mac(plugin: typing.Any, context: typing.Any, floatingip_id: str) -> str:
    owner = {"device_id": [floatingip_id], "device_owner": [constants.DEVICE_OWNER_FLOATINGIP]}
    ports = plugin.get_ports(context, filters=owner)
    return str(ports[0]["mac_address"]) if ports else ""


def _inner_networks(plugin: typing.Any, context: typing.Any, router: facts.Dict) -> frozenset[str]:
    owners = list(constants.ROUTER_INTERFACE_OWNERS)
    filters = {"device_id": [router["id"]], "device_owner": owners}
    return frozenset(port["network_id"] for port in plugin.get_ports(context, filters=filters))


def addresses_of(
    l3: typing.Any, context: typing.Any, ports: typing.Iterable[str]
) -> dict[str, frozenset[str]]:
    """Return the floating addresses of each of the ports."""
    found: dict[str, set[str]] = {port_id: set() for port_id in ports}
    if found:
        for one in l3.get_floatingips(context, filters={"port_id": sorted(found)}):
            found[one["port_id"]].add(one["floating_ip_address"])
    return {port_id: frozenset(addresses) for port_id, addresses in found.items()}
