# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Where Neutron's tables say what a resource refers to: one table, a row a resource type.

Column names are those of Neutron 29; a test compares them with its models.
"""

import collections.abc
import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A table whose rows belong to a resource and name others."""

    table: str
    owner: str  #: column with the resource's id
    columns: collections.abc.Mapping[str, str]  #: column → type of what it names


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Through:
    """A column that leads to another resource's row, for what that one names."""

    table: str
    owner: str  #: column with the resource's id
    column: str  #: column of ``table`` that leads on
    other: str  #: the table where it leads
    key: str = "id"  #: column of ``other`` that is found there
    columns: collections.abc.Mapping[str, str]  #: column of ``other`` → type of what it names


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where one resource type is stored."""

    table: str
    id: str = "id"  #: column with the resource's id
    standard: bool = True  #: whether it has a standard attribute
    project: bool = True  #: whether it has a project
    columns: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    children: tuple[Child, ...] = ()
    through: tuple[Through, ...] = ()


#: Ports whose traffic enters through another chassis than theirs: OVN schedules a network's group
#: of those. ``neutron.common.ovn.constants.EXTERNAL_PORT_TYPES``.
EXTERNAL_VNIC_TYPES = ("direct", "direct-physical", "macvtap", "baremetal")

_RULE_COLUMNS = {
    "remote_group_id": "security_group",
    "remote_address_group_id": "address_group",
}


def _policy(table: str, owner: str) -> Child:
    return Child(table=table, owner=owner, columns={"policy_id": "qos_policy"})


def _of_port(table: str, owner: str, column: str, *kinds: str) -> tuple[Through, ...]:
    """Return what is relied on because a column names a port: its network, subnets or group."""
    network = [
        Through(table=table, owner=owner, column=column, other="ports", columns={"network_id": k})
        for k in kinds
        if k != "subnet"
    ]
    if "subnet" not in kinds:
        return tuple(network)
    subnets = Through(
        table=table,
        owner=owner,
        column=column,
        other="ipallocations",
        key="port_id",
        columns={"subnet_id": "subnet"},
    )
    return (*network, subnets)


def _of_network(table: str, column: str) -> Through:
    """Return what is relied on where there is no policy of its own: that of the network."""
    return Through(
        table=table,
        owner="id",
        column=column,
        other="qos_network_policy_bindings",
        key="network_id",
        columns={"policy_id": "qos_policy"},
    )


SOURCES: dict[str, Source] = {
    "network": Source(
        table="networks",
        children=(_policy("qos_network_policy_bindings", "network_id"),),
    ),
    "subnet": Source(table="subnets", columns={"network_id": "network"}),
    "port": Source(
        table="ports",
        columns={"network_id": "network"},
        children=(
            Child(table="ipallocations", owner="port_id", columns={"subnet_id": "subnet"}),
            Child(
                table="securitygroupportbindings",
                owner="port_id",
                columns={"security_group_id": "security_group"},
            ),
            _policy("qos_port_policy_bindings", "port_id"),
        ),
        through=(_of_network("ports", "network_id"),),
    ),
    "security_group": Source(
        table="securitygroups",
        children=(
            Child(table="securitygrouprules", owner="security_group_id", columns=_RULE_COLUMNS),
        ),
    ),
    "security_group_rule": Source(
        table="securitygrouprules",
        columns={"security_group_id": "security_group", **_RULE_COLUMNS},
    ),
    "address_group": Source(table="address_groups"),
    "qos_policy": Source(table="qos_policies"),
    "log": Source(table="logs", columns={"resource_id": "security_group", "target_id": "port"}),
    "router": Source(
        table="routers",
        columns={"gw_port_id": "port"},
        children=(_policy("qos_router_gw_policy_bindings", "router_id"),),
        through=(
            *_of_port("routers", "id", "gw_port_id", "network", "subnet"),
            *_of_port("routerports", "router_id", "port_id", "hcg"),
        ),
    ),
    "router_interface": Source(
        table="routerports",
        id="port_id",
        standard=False,
        project=False,
        columns={"router_id": "router"},
        children=(Child(table="routerports", owner="port_id", columns={"port_id": "port"}),),
        through=_of_port("routerports", "port_id", "port_id", "network", "subnet", "hcg"),
    ),
    "floatingip": Source(
        table="floatingips",
        columns={
            "floating_network_id": "network",
            "floating_port_id": "port",
            "fixed_port_id": "port",
            "router_id": "router",
        },
        children=(
            Child(table="floatingips", owner="id", columns={"fixed_port_id": "port-fip"}),
            _policy("qos_fip_policy_bindings", "fip_id"),
        ),
        through=(
            *_of_port("floatingips", "id", "fixed_port_id", "network"),
            _of_network("floatingips", "floating_network_id"),
        ),
    ),
    "port_forwarding": Source(
        table="portforwardings",
        project=False,
        columns={"floatingip_id": "floatingip", "internal_neutron_port_id": "port"},
        children=(
            Child(
                table="portforwardings",
                owner="id",
                columns={"internal_neutron_port_id": "port-fip"},
            ),
        ),
        through=(
            *_of_port("portforwardings", "id", "internal_neutron_port_id", "network"),
            Through(
                table="portforwardings",
                owner="id",
                column="floatingip_id",
                other="floatingips",
                columns={"router_id": "router", "floating_network_id": "network"},
            ),
        ),
    ),
    "trunk": Source(
        table="trunks",
        columns={"port_id": "port"},
        children=(Child(table="subports", owner="trunk_id", columns={"port_id": "port"}),),
    ),
    "subport": Source(
        table="subports",
        id="port_id",
        standard=False,
        project=False,
        columns={"trunk_id": "trunk"},
        children=(Child(table="subports", owner="port_id", columns={"port_id": "port"}),),
    ),
}
