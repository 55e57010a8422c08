# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a resource refers to today, read from Neutron's own tables.

A workflow's keys must cover what its apply reads. Column names are those of Neutron 29; a test
compares them with its models.
"""

import collections
import collections.abc
import dataclasses
import functools
import typing

import sqlalchemy as sa

from networking_workflow.model import keys as model_keys

#: ``(resource type, resource id)``
Reference = tuple[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One resource's row, or that there is none."""

    exists: bool
    standard_attr_id: int | None = None
    project_id: str = ""
    references: tuple[Reference, ...] = ()  #: sorted, each once


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Child:
    """A table whose rows belong to a resource and name others."""

    table: str
    owner: str  #: column with the resource's id
    columns: collections.abc.Mapping[str, str]  #: column → type of what it names


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Through:
    """A column that leads to another resource's row, for what that one names."""

    table: str
    owner: str  #: column with the resource's id
    column: str  #: column of ``table`` that leads on
    other: str  #: the table where it leads
    key: str = "id"  #: column of ``other`` that is found there
    columns: collections.abc.Mapping[str, str]  #: column of ``other`` → type of what it names


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where one resource type is stored."""

    table: str
    id: str = "id"  #: column with the resource's id
    standard: bool = True  #: whether it has a standard attribute
    project: bool = True  #: whether it has a project
    columns: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    children: tuple[_Child, ...] = ()
    through: tuple[_Through, ...] = ()


#: Ports whose traffic enters through another chassis than theirs: OVN schedules a network's group
#: of those. ``neutron.common.ovn.constants.EXTERNAL_PORT_TYPES``.
EXTERNAL_VNIC_TYPES = ("direct", "direct-physical", "macvtap", "baremetal")

_RULE_COLUMNS = {
    "remote_group_id": "security_group",
    "remote_address_group_id": "address_group",
}


def _policy(table: str, owner: str) -> _Child:
    return _Child(table=table, owner=owner, columns={"policy_id": "qos_policy"})


def _of_port(table: str, owner: str, column: str, *kinds: str) -> tuple[_Through, ...]:
    """Return what is relied on because a column names a port: its network, subnets or group."""
    network = [
        _Through(table=table, owner=owner, column=column, other="ports", columns={"network_id": k})
        for k in kinds
        if k != "subnet"
    ]
    if "subnet" not in kinds:
        return tuple(network)
    subnets = _Through(
        table=table,
        owner=owner,
        column=column,
        other="ipallocations",
        key="port_id",
        columns={"subnet_id": "subnet"},
    )
    return (*network, subnets)


def _of_network(table: str, column: str) -> _Through:
    """Return what is relied on where there is no policy of its own: that of the network."""
    return _Through(
        table=table,
        owner="id",
        column=column,
        other="qos_network_policy_bindings",
        key="network_id",
        columns={"policy_id": "qos_policy"},
    )


_SOURCES: dict[str, _Source] = {
    "network": _Source(
        table="networks",
        children=(_policy("qos_network_policy_bindings", "network_id"),),
    ),
    "subnet": _Source(table="subnets", columns={"network_id": "network"}),
    "port": _Source(
        table="ports",
        columns={"network_id": "network"},
        children=(
            _Child(table="ipallocations", owner="port_id", columns={"subnet_id": "subnet"}),
            _Child(
                table="securitygroupportbindings",
                owner="port_id",
                columns={"security_group_id": "security_group"},
            ),
            _policy("qos_port_policy_bindings", "port_id"),
        ),
        through=(_of_network("ports", "network_id"),),
    ),
    "security_group": _Source(
        table="securitygroups",
        children=(
            _Child(table="securitygrouprules", owner="security_group_id", columns=_RULE_COLUMNS),
        ),
    ),
    "security_group_rule": _Source(
        table="securitygrouprules",
        columns={"security_group_id": "security_group", **_RULE_COLUMNS},
    ),
    "address_group": _Source(table="address_groups"),
    "qos_policy": _Source(table="qos_policies"),
    "log": _Source(table="logs", columns={"resource_id": "security_group", "target_id": "port"}),
    "router": _Source(
        table="routers",
        columns={"gw_port_id": "port"},
        children=(_policy("qos_router_gw_policy_bindings", "router_id"),),
        through=(
            *_of_port("routers", "id", "gw_port_id", "network", "subnet"),
            *_of_port("routerports", "router_id", "port_id", "hcg"),
        ),
    ),
    "router_interface": _Source(
        table="routerports",
        id="port_id",
        standard=False,
        project=False,
        columns={"router_id": "router"},
        children=(_Child(table="routerports", owner="port_id", columns={"port_id": "port"}),),
        through=_of_port("routerports", "port_id", "port_id", "network", "subnet", "hcg"),
    ),
    "floatingip": _Source(
        table="floatingips",
        columns={
            "floating_network_id": "network",
            "floating_port_id": "port",
            "fixed_port_id": "port",
            "router_id": "router",
        },
        children=(
            _Child(table="floatingips", owner="id", columns={"fixed_port_id": "port-fip"}),
            _policy("qos_fip_policy_bindings", "fip_id"),
        ),
        through=(
            *_of_port("floatingips", "id", "fixed_port_id", "network"),
            _of_network("floatingips", "floating_network_id"),
        ),
    ),
    "port_forwarding": _Source(
        table="portforwardings",
        project=False,
        columns={"floatingip_id": "floatingip", "internal_neutron_port_id": "port"},
        children=(
            _Child(
                table="portforwardings",
                owner="id",
                columns={"internal_neutron_port_id": "port-fip"},
            ),
        ),
        through=(
            *_of_port("portforwardings", "id", "internal_neutron_port_id", "network"),
            _Through(
                table="portforwardings",
                owner="id",
                column="floatingip_id",
                other="floatingips",
                columns={"router_id": "router", "floating_network_id": "network"},
            ),
        ),
    ),
    "trunk": _Source(
        table="trunks",
        columns={"port_id": "port"},
        children=(_Child(table="subports", owner="trunk_id", columns={"port_id": "port"}),),
    ),
    "subport": _Source(
        table="subports",
        id="port_id",
        standard=False,
        project=False,
        columns={"trunk_id": "trunk"},
        children=(_Child(table="subports", owner="port_id", columns={"port_id": "port"}),),
    ),
}

#: What decides which ACL a rule asks for (see ``model.keys.acl_key``).
_ACL_COLUMNS = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
)


def read(
    connection: sa.Connection, resource_type: str, ids: collections.abc.Sequence[str]
) -> dict[str, Row]:
    """Return a row for each of ``ids``, with at most two statements.

    :raises KeyError: for a resource type that has no workflows.
    """
    source = _SOURCES[resource_type]
    found: dict[str, set[Reference]] = collections.defaultdict(set)
    own = {row.id: row for row in connection.execute(_own(resource_type, source), {"ids": ids})}
    for resource_id, row in own.items():
        found[resource_id].update(_named(row, source.columns))
        if resource_type == "security_group_rule":
            found[resource_id].add(_acl(row))
    children = _children(resource_type)
    if own and children is not None:
        for row in connection.execute(children, {"ids": list(own)}):
            found[row.owner].add((row.kind, row.named))
    return {
        resource_id: Row(
            exists=True,
            standard_attr_id=own[resource_id].standard_attr_id,
            project_id=own[resource_id].project_id or "",
            references=tuple(sorted(found[resource_id])),
        )
        if resource_id in own
        else Row(exists=False)
        for resource_id in ids
    }


def today(
    connection: sa.Connection, resource_type: str, resource_id: str
) -> tuple[Reference, ...] | None:
    """Return what one resource refers to, sorted, each once; None: its row is gone.

    One statement, since a driver's call waits for it; two for a security group rule.

    :raises KeyError: for a resource type that has no workflows.
    """
    if resource_type == "security_group_rule":
        row = read(connection, resource_type, [resource_id])[resource_id]
        return row.references if row.exists else None
    rows = connection.execute(_all(resource_type), {"ids": [resource_id]})
    found = {(row.kind, row.named) for row in rows}
    if (_ITSELF, resource_id) not in found:
        return None
    return tuple(sorted(found - {(_ITSELF, resource_id)}))


#: Stands for the kind of a resource's own row in :func:`_all`.
_ITSELF = ""


@functools.cache
def _all(resource_type: str) -> sa.CompoundSelect[typing.Any]:
    """Return the statement for a resource's own row, what it names and what its children name."""
    source = _SOURCES[resource_type]
    own = _Child(
        table=source.table, owner=source.id, columns={source.id: _ITSELF, **source.columns}
    )
    return sa.union_all(
        *(_named_by(own, column, named) for column, named in own.columns.items()),
        *_by_children(resource_type),
    )


def _ids() -> sa.BindParameter[typing.Any]:
    return sa.bindparam("ids", expanding=True)


def _own(resource_type: str, source: _Source) -> sa.Select[typing.Any]:
    names = list(source.columns)
    if resource_type == "security_group_rule":
        names += _ACL_COLUMNS
    own: sa.ColumnClause[str] = sa.column(source.id)
    standard = sa.column("standard_attr_id") if source.standard else sa.null()
    project = sa.column("project_id") if source.project else sa.null()
    columns: list[sa.ColumnElement[typing.Any]] = [
        own.label("id"),
        standard.label("standard_attr_id"),
        project.label("project_id"),
        *(sa.column(name) for name in names),
    ]
    return sa.select(*columns).select_from(sa.table(source.table)).where(own.in_(_ids()))


@functools.cache
def _children(resource_type: str) -> sa.CompoundSelect[typing.Any] | None:
    """Return the one statement for what the resource's children name; None: it has none."""
    selects = _by_children(resource_type)
    return sa.union_all(*selects) if selects else None


def _by_children(resource_type: str) -> list[sa.Select[typing.Any]]:
    selects = [
        _named_by(child, column, named)
        for child in _SOURCES[resource_type].children
        for column, named in child.columns.items()
    ]
    selects += [
        _named_through(through, column, named)
        for through in _SOURCES[resource_type].through
        for column, named in through.columns.items()
    ]
    if resource_type == "port":
        selects.append(_EXTERNAL)
    if resource_type == "router":
        selects.append(_GATEWAYS_POLICY)
    return selects


def _named_by(child: _Child, column: str, resource_type: str) -> sa.Select[typing.Any]:
    table = sa.table(child.table, *(sa.column(name) for name in {child.owner, column}))
    owner, named = table.c[child.owner], table.c[column]
    return _found(owner, resource_type, named).where(owner.in_(_ids()), named.is_not(None))


def _named_through(through: _Through, column: str, resource_type: str) -> sa.Select[typing.Any]:
    first = sa.table(through.table, *(sa.column(c) for c in {through.owner, through.column}))
    other = sa.table(through.other, *(sa.column(c) for c in {through.key, column}))
    owner, named = first.c[through.owner], other.c[column]
    return (
        _found(owner, resource_type, named)
        .select_from(first.join(other, other.c[through.key] == first.c[through.column]))
        .where(owner.in_(_ids()), named.is_not(None))
    )


def of_ports(
    connection: sa.Connection, ids: collections.abc.Iterable[str]
) -> dict[str, set[Reference]]:
    """Return what each of these ports stands on: network, subnets, and the network's group.

    One statement; a port whose row is gone has no entry.
    """
    found: dict[str, set[Reference]] = collections.defaultdict(set)
    for row in connection.execute(_OF_PORTS, {"ids": list(ids)}):
        found[row.owner].add((row.kind, row.named))
    return dict(found)


def _found(
    owner: sa.ColumnElement[typing.Any], resource_type: str, named: sa.ColumnElement[typing.Any]
) -> sa.Select[typing.Any]:
    kind: sa.ColumnClause[str] = sa.literal_column(f"'{resource_type}'")
    return sa.select(owner.label("owner"), kind.label("kind"), named.label("named"))


_PORTS = sa.table("ports", sa.column("id"), sa.column("network_id"))
_ADDRESSES = sa.table("ipallocations", sa.column("port_id"), sa.column("subnet_id"))
_OF_PORTS = sa.union_all(
    _found(_PORTS.c.id, "network", _PORTS.c.network_id).where(_PORTS.c.id.in_(_ids())),
    _found(_PORTS.c.id, "hcg", _PORTS.c.network_id).where(_PORTS.c.id.in_(_ids())),
    _found(_ADDRESSES.c.port_id, "subnet", _ADDRESSES.c.subnet_id).where(
        _ADDRESSES.c.port_id.in_(_ids())
    ),
)
_BINDINGS = sa.table("ml2_port_bindings", sa.column("port_id"), sa.column("vnic_type"))
_EXTERNAL = (
    _found(_BINDINGS.c.port_id, "hcg", _PORTS.c.network_id)
    .select_from(_BINDINGS.join(_PORTS, _PORTS.c.id == _BINDINGS.c.port_id))
    .where(_BINDINGS.c.port_id.in_(_ids()), _BINDINGS.c.vnic_type.in_(EXTERNAL_VNIC_TYPES))
)
_ROUTERS = sa.table("routers", sa.column("id"), sa.column("gw_port_id"))
_OF_NETWORKS = sa.table(
    "qos_network_policy_bindings", sa.column("network_id"), sa.column("policy_id")
)
_GATEWAYS_POLICY = (
    _found(_ROUTERS.c.id, "qos_policy", _OF_NETWORKS.c.policy_id)
    .select_from(
        _ROUTERS.join(_PORTS, _PORTS.c.id == _ROUTERS.c.gw_port_id).join(
            _OF_NETWORKS, _OF_NETWORKS.c.network_id == _PORTS.c.network_id
        )
    )
    .where(_ROUTERS.c.id.in_(_ids()))
)


def _named(
    row: sa.Row[typing.Any], columns: collections.abc.Mapping[str, str]
) -> collections.abc.Iterator[Reference]:
    for column, resource_type in columns.items():
        value = getattr(row, column)
        if value is not None:
            yield resource_type, value


def _acl(row: sa.Row[typing.Any]) -> Reference:
    text = model_keys.acl_key(model_keys.DEFAULT_LANE, row._asdict())
    return "acl", text.partition("/")[2]
