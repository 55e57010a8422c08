# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What Neutron's rows say about one resource: API dicts, each read once for one apply.

Reading is the most of what an apply costs (about 40 ms a port on a small machine), so that both
the expectation and ``OVNClient`` are given these dicts.
"""

import dataclasses
import ipaddress
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron.db import segments_db
from neutron_lib import constants
from neutron_lib import exceptions as n_exc
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory

from networking_workflow.drivers.ovn import facts_logs

Dict = typing.Mapping[str, typing.Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network with its segments; a segment has ``id``, ``physical_network``, …"""

    network: Dict
    segments: tuple[Dict, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Subnet:
    """A subnet, its network, and the address that the network's metadata port has in it."""

    subnet: Dict
    network: Dict
    metadata_ip: str = ""
    special_ports: tuple[Dict, ...] = ()  #: ports in it that have DHCP options of their own


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port and all that its logical switch port is made from."""

    port: Dict
    network: Dict
    subnets: typing.Mapping[str, Dict] = dataclasses.field(default_factory=dict)
    address_scopes: typing.Mapping[int, str] = dataclasses.field(default_factory=dict)
    virtual_ip: str = ""  #: this port is the virtual port of ``virtual_parents``
    virtual_parents: frozenset[str] = frozenset()
    virtual_children: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Virtual ports that this one is a parent of: id to virtual address."""
    metadata_ips: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Subnet id to the metadata port's address; read only for ports with DHCP options."""
    policy: Dict | None = None  #: the QoS policy that holds for it, with its ``rules``
    lost_records: frozenset[str] = frozenset()  #: DNS names that were its, and are not any more


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SecurityGroup:
    """A security group with all of its rules."""

    group: Dict
    logs: facts_logs.Logs | None = None  #: None: ACLs keep what they say of logging


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SecurityGroupRule:
    """A rule and the group that it is in."""

    rule: Dict
    group: Dict
    logs: facts_logs.Logs | None = None  #: as of its group


def read_network(plugin: typing.Any, context: typing.Any, network_id: str) -> Network:
    """Return the network's facts.

    :raises NetworkNotFound: if its row is gone; the other readers raise likewise.
    """
    network = plugin.get_network(context, network_id)
    segments = segments_db.get_network_segments(context, network_id)
    return Network(network=network, segments=tuple(segments))


def read_subnet(
    plugin: typing.Any,
    context: typing.Any,
    subnet_id: str,
    *,
    metadata: bool,
    special_port_ids: typing.Sequence[str] = (),
) -> Subnet:
    """Return the subnet's facts; ``special_port_ids`` are ports with DHCP options of their own."""
    subnet = plugin.get_subnet(context, subnet_id)
    network = plugin.get_network(context, subnet["network_id"])
    addresses = metadata_addresses(plugin, context, network["id"]) if metadata else {}
    ports = []
    if special_port_ids:
        ports = plugin.get_ports(context, filters={"id": list(special_port_ids)})
    return Subnet(
        subnet=subnet,
        network=network,
        metadata_ip=addresses.get(subnet_id, ""),
        special_ports=tuple(ports),
    )


def metadata_port(plugin: typing.Any, context: typing.Any, network_id: str) -> Dict | None:
    """Return the network's metadata port, or None."""
    ports = plugin.get_ports(
        context,
        filters={
            "network_id": [network_id],
            "device_id": [ovn_const.OVN_METADATA_PREFIX + network_id],
            "device_owner": [constants.DEVICE_OWNER_DISTRIBUTED],
        },
        limit=1,
    )
    return ports[0] if ports else None


def metadata_addresses(plugin: typing.Any, context: typing.Any, network_id: str) -> dict[str, str]:
    """Return subnet id to address of the network's metadata port."""
    found = metadata_port(plugin, context, network_id)
    fixed_ips = found["fixed_ips"] if found else []
    # The first one, as stock takes it, if there should be several in one subnet.
    return {ip["subnet_id"]: ip["ip_address"] for ip in reversed(fixed_ips)}


def read_port(plugin: typing.Any, context: typing.Any, port_id: str, *, metadata: bool) -> Port:
    """Return the port's facts."""
    port = plugin.get_port(context, port_id)
    network = plugin.get_network(context, port["network_id"])
    if ovn_utils.is_lsp_ignored(port):
        return Port(port=port, network=network)
    wanted = [ip["subnet_id"] for ip in port["fixed_ips"]]
    subnets = plugin.get_subnets(context, filters={"id": wanted}) if wanted else []
    by_id = {subnet["id"]: subnet for subnet in subnets}
    virtual_ip, parents = virtual_parents(plugin, context, port)
    special = metadata and bool(port.get("extra_dhcp_opts"))
    return Port(
        port=port,
        network=network,
        subnets=by_id,
        address_scopes=_address_scopes(plugin, context, subnets),
        virtual_ip=virtual_ip,
        virtual_parents=parents,
        virtual_children={} if virtual_ip else _virtual_children(plugin, context, port),
        metadata_ips=metadata_addresses(plugin, context, network["id"]) if special else {},
        policy=qos_policy(context, port),
    )


def qos_policy_id(resource: Dict) -> str | None:
    """Return which QoS policy holds for a resource: its own, else its network's."""
    return resource.get("qos_policy_id") or resource.get("qos_network_policy_id")


def qos_policy(context: typing.Any, resource: Dict) -> Dict | None:
    """Return the QoS policy that holds for a resource: its own, else its network's."""
    policy_id = qos_policy_id(resource)
    qos = directory.get_plugin(plugin_constants.QOS)
    if not policy_id or qos is None:
        return None
    policy: Dict = qos.get_policy(context, policy_id)
    return policy


def virtual_parents(
    plugin: typing.Any, context: typing.Any, port: Dict
) -> tuple[str, frozenset[str]]:
    """Return the first address of the port that other ports may use too, and those ports."""
    for ip in port["fixed_ips"]:
        parents = plugin.get_ports(
            context,
            filters={
                "fixed_ips": {"subnet_id": [ip["subnet_id"]]},
                "allowed_address_pairs": {"ip_address": ip["ip_address"]},
            },
        )
        if parents:
            return ip["ip_address"], frozenset(parent["id"] for parent in parents)
    return "", frozenset()


def _virtual_children(plugin: typing.Any, context: typing.Any, port: Dict) -> dict[str, str]:
    children = {}
    for pair in port.get("allowed_address_pairs") or ():
        if ipaddress.ip_network(pair["ip_address"], strict=False).num_addresses > 1:
            continue
        found = plugin.get_ports(
            context,
            filters={
                "binding:vif_type": "unbound",
                "network_id": [port["network_id"]],
                "fixed_ips": {"ip_address": [pair["ip_address"]]},
            },
        )
        children.update({child["id"]: pair["ip_address"] for child in found[:1]})
    children.pop(port["id"], None)
    return children


def _address_scopes(
    plugin: typing.Any, context: typing.Any, subnets: typing.Iterable[Dict]
) -> dict[int, str]:
    scopes = {}
    for pool_id in {subnet["subnetpool_id"] for subnet in subnets} - {None}:
        try:
            pool = plugin.get_subnetpool(context, pool_id)
        except n_exc.SubnetPoolNotFound:
            continue
        if pool["address_scope_id"]:
            scopes[int(pool["ip_version"])] = str(pool["address_scope_id"])
    return scopes


def read_security_group(plugin: typing.Any, context: typing.Any, group_id: str) -> SecurityGroup:
    """Return the group's facts."""
    return SecurityGroup(group=plugin.get_security_group(context, group_id))


def read_security_group_rule(
    plugin: typing.Any, context: typing.Any, rule_id: str
) -> SecurityGroupRule:
    """Return the rule's facts."""
    rule = plugin.get_security_group_rule(context, rule_id)
    group = plugin.get_security_group(context, rule["security_group_id"])
    return SecurityGroupRule(rule=rule, group=group)
