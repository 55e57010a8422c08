# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a network's or a subnet's change reaches in OVN beside their own rows (``Target.fan_out``).

QoS has its own: ``apply.qos``. The ACLs of a group that becomes stateful or stateless are not
among these: they are rows of the group itself, and change in one transaction with it.
"""

import collections.abc

from neutron.common.ovn import constants as ovn_const
from neutron_lib import constants
from neutron_lib.api.definitions import external_net

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import facts, observe, observe_l3
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import networks as expect_networks
from networking_workflow.drivers.ovn.expect import routers as expect_routers

_GATEWAY = constants.DEVICE_OWNER_ROUTER_GW
_MTU = ovn_const.OVN_NETWORK_MTU_EXT_ID_KEY


def by_mtu(
    work: apply_work.Work, network: facts.Dict
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield routers and interfaces on a network, and ports that OVN tells its MTU for.

    A gateway's MTU is the smallest of all networks of its router.
    """
    yield from by_type(work, network)
    switch = observe.row(work.nb, "Logical_Switch", expect_networks.switch_name(network["id"]))
    for port in switch.ports if switch is not None else ():
        if port.external_ids.get(_MTU, "") not in ("", str(network["mtu"])):
            yield "port", str(port.name)


def by_type(
    work: apply_work.Work, network: facts.Dict
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield routers and interfaces on a network: where they are routed depends on its type."""
    routed = [_GATEWAY, *sorted(constants.ROUTER_INTERFACE_OWNERS)]
    filters = {"network_id": [network["id"]], "device_owner": routed}
    fields = ["id", "device_id", "device_owner"]
    for port in work.plugin.get_ports(work.context, filters=filters, fields=fields):
        if port["device_owner"] == _GATEWAY:
            yield "router", port["device_id"]
        else:
            yield "router_interface", port["id"]


def by_gateway(
    work: apply_work.Work, known: facts.Subnet
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield the routers whose default route is not over the external subnet's gateway."""
    subnet = known.subnet
    if not known.network.get(external_net.EXTERNAL):
        return
    wanted = {subnet["gateway_ip"]} - {None}
    filters = {
        "network_id": [subnet["network_id"]],
        "device_owner": [_GATEWAY],
        "fixed_ips": {"subnet_id": [subnet["id"]]},
    }
    for port in work.plugin.get_ports(work.context, filters=filters, fields=["device_id"]):
        name = expect_routers.router_name(port["device_id"])
        router = observe.row(work.nb, expect_routers.ROUTER, name)
        if router is None:
            continue
        routes = map(observe_l3.route, observe_l3.default_routes(router))
        if {one.nexthop for one in routes if one.subnet_id == subnet["id"]} != wanted:
            yield "router", port["device_id"]
