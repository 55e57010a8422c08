# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What Neutron's rows say about a router: its gateway ports and its interfaces, read once."""

import dataclasses
import typing

from neutron.objects import router as router_objects
from neutron_lib import constants
from neutron_lib import exceptions as n_exc
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory

from networking_workflow.drivers.ovn import facts

#: What ``OVNClient._get_router_ports`` takes for an interface.
_INTERFACES = frozenset(
    {
        constants.DEVICE_OWNER_ROUTER_INTF,
        constants.DEVICE_OWNER_DVR_INTERFACE,
        constants.DEVICE_OWNER_HA_REPLICATED_INT,
        constants.DEVICE_OWNER_ROUTER_HA_INTF,
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RouterPort:
    """A port of a router, its network, and its subnets by id."""

    port: facts.Dict
    network: facts.Dict
    subnets: typing.Mapping[str, facts.Dict]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Router:
    """A router and all that its logical router is made from."""

    router: facts.Dict
    gateways: tuple[RouterPort, ...] = ()
    interfaces: tuple[RouterPort, ...] = ()
    shaped: bool = False  #: QoS policies are in use at all
    policy: facts.Dict | None = None  #: the QoS policy of the gateway, with its ``rules``

    @property
    def id(self) -> str:
        """Return the router's id."""
        return str(self.router["id"])


def l3_plugin() -> typing.Any:
    """Return the L3 plugin; None if there is none."""
    return directory.get_plugin(plugin_constants.L3)


def router_of(context: typing.Any, port_id: str) -> str:
    """Return the id of the router that a port is an interface of.

    :raises PortNotFound: if it is of none.
    """
    found = router_objects.RouterPort.get_objects(context, port_id=port_id)
    if not found:
        raise n_exc.PortNotFound(port_id=port_id)
    return str(found[0].router_id)


def read_router(plugin: typing.Any, context: typing.Any, router_id: str) -> Router:
    """Return the router's facts.

    A port is one of its interfaces once both say so; the row that joins them comes after the port.

    :raises RouterNotFound: if its row is gone.
    """
    router = l3_plugin().get_router(context, router_id)
    attached = _attached(context, router_id)
    ports = plugin.get_ports(
        context,
        filters={
            "device_id": [router_id],
            "device_owner": sorted(_INTERFACES | {constants.DEVICE_OWNER_ROUTER_GW}),
        },
    )
    networks = _by_id(plugin.get_networks, context, {port["network_id"] for port in ports})
    addresses = {ip["subnet_id"] for port in ports for ip in port["fixed_ips"]}
    subnets = _by_id(plugin.get_subnets, context, addresses)
    found: dict[bool, list[RouterPort]] = {True: [], False: []}
    for port in sorted(ports, key=lambda port: str(port["id"])):
        is_gateway = port["device_owner"] == constants.DEVICE_OWNER_ROUTER_GW
        if is_gateway or port["id"] in attached:
            own = {ip["subnet_id"]: subnets[ip["subnet_id"]] for ip in port["fixed_ips"]}
            network = networks[port["network_id"]]
            found[is_gateway].append(RouterPort(port=port, network=network, subnets=own))
    return Router(
        router=router,
        gateways=tuple(found[True]),
        interfaces=tuple(found[False]),
        shaped=directory.get_plugin(plugin_constants.QOS) is not None,
        policy=facts.qos_policy(context, router),
    )


def _attached(context: typing.Any, router_id: str) -> frozenset[str]:
    rows = router_objects.RouterPort.get_objects(context, router_id=router_id)
    return frozenset(row.port_id for row in rows if row.port_type in _INTERFACES)


def _by_id(
    read: typing.Callable[..., typing.Any], context: typing.Any, ids: set[str]
) -> dict[str, facts.Dict]:
    if not ids:
        return {}
    return {one["id"]: one for one in read(context, filters={"id": sorted(ids)})}
