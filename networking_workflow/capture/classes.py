# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a changed row of each of Neutron's tables means: every table is in exactly one list.

``ITSELF``: a row is a resource. ``CHILD``: a row is part of a resource; its change is an update of
that one. ``IGNORED``: book-keeping, or nothing that a network backend holds. A test compares the
lists with the metadata of all of Neutron's models, so a table that a new release adds is noticed.

A segment has an API of its own, and is part of its network all the same: a mechanism driver is told
of one by ``update_network_postcommit`` (``_handle_segment_change`` in ML2's ``plugin.py``), OVN's
switch says what kind of network it is by all segments together, and the network's key, exclusive,
puts the change between those of the subnets and ports, which hold it shared. Which hosts a segment
reaches (``segmenthostmappings``) is what chassis and agents say.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Itself:
    """A table whose rows are resources."""

    kind: str  #: resource type
    id_column: str = "id"
    noise: frozenset[str] = frozenset()  #: columns that backends write themselves


@dataclasses.dataclass(frozen=True, slots=True)
class Child:
    """A table whose rows are part of a resource."""

    kind: str
    column: str  #: foreign key to the resource's table


#: Kinds whose changes are workflows, parents first. Rows of other kinds are none: the plugins that
#: own them are refused at start, and so are plugins whose kinds no driver knows yet.
COVERED = (
    "network",
    "subnet",
    "address_group",
    "security_group",
    "security_group_rule",
    "qos_policy",
    "port",
    "router",
    "router_interface",
    "floatingip",
    "port_forwarding",
    "trunk",
    "subport",
    "log",
)

#: Book-keeping columns of every table.
ALWAYS_NOISE = frozenset({"standard_attr_id", "revision_number", "updated_at", "created_at"})

_STATUS = frozenset({"status"})

ITSELF: dict[str, Itself] = {
    "networks": Itself("network", noise=_STATUS),
    "subnets": Itself("subnet"),
    "ports": Itself("port", noise=_STATUS),
    "securitygroups": Itself("security_group"),
    "securitygrouprules": Itself("security_group_rule"),
    "address_groups": Itself("address_group"),
    "routers": Itself("router", noise=_STATUS),
    "routerports": Itself("router_interface", id_column="port_id"),
    "floatingips": Itself("floatingip", noise=_STATUS | {"last_known_router_id"}),
    "portforwardings": Itself("port_forwarding"),
    "qos_policies": Itself("qos_policy"),
    "trunks": Itself("trunk", noise=_STATUS),
    "subports": Itself("subport", id_column="port_id"),
    "logs": Itself("log"),
    "ndp_proxies": Itself("ndp_proxy"),
    "local_ips": Itself("local_ip"),
}

_CHILDREN: dict[tuple[str, str], str] = {
    ("network", "network_id"): """
        externalnetworks networkdhcpagentbindings networkdnsdomains networkpvlan
        networksecuritybindings networksegments qos_network_policy_bindings""",
    ("subnet", "subnet_id"): """
        dnsnameservers ipallocationpools subnet_bgp_leak_routes subnet_dns_publish_fixed_ips
        subnet_service_types subnetroutes""",
    ("port", "port_id"): """
        allowedaddresspairs extradhcpopts ipallocations ml2_distributed_port_bindings
        ml2_port_binding_levels ml2_port_bindings portdataplanestatuses portdeviceprofiles
        portdnses porthardwareoffloadtype porthints portnumaaffinitypolicies portpvlan
        portsecuritybindings porttrusted portuplinkstatuspropagation qos_port_policy_bindings
        securitygroupportbindings""",
    ("address_group", "address_group_id"): "address_associations",
    ("router", "router_id"): """
        conntrack_helpers qos_router_gw_policy_bindings router_extra_attributes
        router_ndp_proxy_state routerl3agentbindings routerroutes""",
    ("floatingip", "floatingip_id"): "floatingipdnses",
    ("floatingip", "fip_id"): "qos_fip_policy_bindings",
    ("local_ip", "local_ip_id"): "local_ip_associations",
    ("qos_policy", "qos_policy_id"): """
        qos_bandwidth_limit_rules qos_dscp_marking_rules qos_minimum_bandwidth_rules
        qos_minimum_packet_rate_rules qos_packet_rate_limit_rules""",
}

CHILD: dict[str, Child] = {
    table: Child(kind, column)
    for (kind, column), tables in _CHILDREN.items()
    for table in tables.split()
}

#: An update of a resource's description changes this table alone: see ``capture.session``.
STANDARD_ATTRIBUTES = "standardattributes"

_IGNORED = {
    "who may see what; no backend holds it": """
        addressgrouprbacs addressscoperbacs networkrbacs qospolicyrbacs securitygrouprbacs
        subnetpoolrbacs""",
    "attributes of attributes": f"{STANDARD_ATTRIBUTES} tags",
    "kinds that no network backend programs": """
        address_scopes auto_allocated_topologies flavors flavorserviceprofilebindings
        meteringlabelrules meteringlabels network_segment_ranges providerresourceassociations
        serviceprofiles subnetpoolprefixes subnetpools""",
    "defaults for rows to come": """
        default_security_group qos_policies_default security_groups_default_statefulness
        securitygroupdefaultrules""",
    "what the backends and agents themselves note": """
        agents dvr_host_macs ha_router_agent_port_bindings ovn_hash_ring ovn_revision_numbers
        provisioningblocks segmenthostmappings""",
    "quota, address and segment book-keeping": """
        ipamallocationpools ipamallocations ipamsubnets ml2_flat_allocations
        ml2_geneve_allocations ml2_gre_allocations ml2_vlan_allocations ml2_vxlan_allocations
        network_subnet_lock quotas quotausages reservations resourcedeltas vlan_allocations
        vni_allocations vni_vlan_mapping""",
    "tunnel end points, which agents report": """
        ml2_geneve_endpoints ml2_gre_endpoints ml2_vxlan_endpoints""",
    "links of resources that have rows of their own": """
        dvr_fip_gateway_port_network evpn_advertised_ports evpn_l3_instances evpn_networks
        ha_router_networks ha_router_vrid_allocations""",
}

IGNORED = frozenset(table for tables in _IGNORED.values() for table in tables.split())

#: Release of Neutron -> tables of these lists that came with it.
_SINCE = {
    29: """
        evpn_advertised_ports evpn_l3_instances evpn_networks networkpvlan portpvlan
        security_groups_default_statefulness subnet_bgp_leak_routes vlan_allocations
        vni_allocations vni_vlan_mapping""",
}

SINCE = {release: frozenset(tables.split()) for release, tables in _SINCE.items()}

#: Stands for what floating IPs and port forwardings of one port write together: see ``plan.keys``.
PORT_FIP = "port-fip"

#: table -> columns that name another resource, with the type of that one.
REFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "subnets": (("network_id", "network"),),
    "ports": (("network_id", "network"),),
    "ipallocations": (("subnet_id", "subnet"),),
    "securitygroupportbindings": (("security_group_id", "security_group"),),
    "qos_network_policy_bindings": (("policy_id", "qos_policy"),),
    "qos_port_policy_bindings": (("policy_id", "qos_policy"),),
    "qos_router_gw_policy_bindings": (("policy_id", "qos_policy"),),
    "qos_fip_policy_bindings": (("policy_id", "qos_policy"),),
    "securitygrouprules": (
        ("security_group_id", "security_group"),
        ("remote_group_id", "security_group"),
        ("remote_address_group_id", "address_group"),
    ),
    "routers": (("gw_port_id", "port"),),
    "routerports": (("router_id", "router"), ("port_id", "port")),
    "floatingips": (
        ("floating_network_id", "network"),
        ("floating_port_id", "port"),
        ("fixed_port_id", "port"),
        ("fixed_port_id", PORT_FIP),
        ("router_id", "router"),
    ),
    "portforwardings": (
        ("floatingip_id", "floatingip"),
        ("internal_neutron_port_id", "port"),
        ("internal_neutron_port_id", PORT_FIP),
    ),
    "trunks": (("port_id", "port"),),
    "subports": (("trunk_id", "trunk"), ("port_id", "port")),
    "logs": (("resource_id", "security_group"), ("target_id", "port")),
}

#: kind -> types of what it names whose own references it relies on too, where its rule of keys
#: has them: the network of a router's gateway port, the router of a port forwarding's address.
THROUGH: dict[str, frozenset[str]] = {
    "router": frozenset({"port"}),
    "router_interface": frozenset({"port"}),
    "floatingip": frozenset({"port"}),
    "port_forwarding": frozenset({"port", "floatingip"}),
}

#: kind -> (parent kind, column): made or deleted together with its parent, it is part of that.
FOLDS: dict[str, tuple[str, str]] = {
    "security_group_rule": ("security_group", "security_group_id"),
    "subport": ("trunk", "trunk_id"),
}

#: Resource kind of each table of ITSELF, and back.
TABLE_OF: dict[str, str] = {entry.kind: table for table, entry in ITSELF.items()}

#: table -> kind that its rows belong to, and the column with that one's id.
OWNERS: dict[str, tuple[str, str]] = {
    **{table: (entry.kind, entry.id_column) for table, entry in ITSELF.items()},
    **{table: (entry.kind, entry.column) for table, entry in CHILD.items()},
}
