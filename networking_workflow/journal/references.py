# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a resource refers to today, read from Neutron's own tables.

A workflow's keys must cover what its apply reads.
"""

import collections
import collections.abc
import dataclasses
import functools
import typing

import sqlalchemy as sa

from networking_workflow.journal import sources
from networking_workflow.model import keys as model_keys
from networking_workflow.model import profiles

#: ``(resource type, resource id)``
Reference = tuple[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One resource's row, or that there is none."""

    exists: bool
    standard_attr_id: int | None = None
    project_id: str = ""
    references: tuple[Reference, ...] = ()  #: sorted, each once


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
    source = sources.SOURCES[resource_type]
    found: dict[str, set[Reference]] = collections.defaultdict(set)
    own = {row.id: row for row in connection.execute(_own(resource_type, source), {"ids": ids})}
    for resource_id, row in own.items():
        found[resource_id].update(_named(row, source.columns))
        if resource_type == "security_group_rule":
            found[resource_id].add(_acl(row))
    children = _children(resource_type)
    if own and children is not None:
        for row in connection.execute(children, {"ids": list(own)}):
            found[row.owner].update(_references(row.kind, row.named))
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
    found = {reference for row in rows for reference in _references(row.kind, row.named)}
    if (_ITSELF, resource_id) not in found:
        return None
    return tuple(sorted(found - {(_ITSELF, resource_id)}))


#: Stands for the kind of a resource's own row in :func:`_all`.
_ITSELF = ""


@functools.cache
def _all(resource_type: str) -> sa.CompoundSelect[typing.Any]:
    """Return the statement for a resource's own row, what it names and what its children name."""
    source = sources.SOURCES[resource_type]
    own = sources.Child(
        table=source.table, owner=source.id, columns={source.id: _ITSELF, **source.columns}
    )
    return sa.union_all(
        *(_named_by(own, column, named) for column, named in own.columns.items()),
        *_by_children(resource_type),
    )


def _ids() -> sa.BindParameter[typing.Any]:
    return sa.bindparam("ids", expanding=True)


def _own(resource_type: str, source: sources.Source) -> sa.Select[typing.Any]:
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
        for child in sources.SOURCES[resource_type].children
        for column, named in child.columns.items()
    ]
    selects += [
        _named_through(through, column, named)
        for through in sources.SOURCES[resource_type].through
        for column, named in through.columns.items()
    ]
    if resource_type == "port":
        selects += [_EXTERNAL, _LINKS]
    if resource_type == "router":
        selects.append(_GATEWAYS_POLICY)
    return selects


def _named_by(child: sources.Child, column: str, resource_type: str) -> sa.Select[typing.Any]:
    table = sa.table(child.table, *(sa.column(name) for name in {child.owner, column}))
    owner, named = table.c[child.owner], table.c[column]
    return _found(owner, resource_type, named).where(owner.in_(_ids()), named.is_not(None))


def _named_through(
    through: sources.Through, column: str, resource_type: str
) -> sa.Select[typing.Any]:
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
_BINDINGS = sa.table("ml2_port_bindings", *map(sa.column, ("port_id", "vnic_type", "profile")))
#: The whole profile: no database takes it apart, see :func:`_references`.
_LINKS = _found(_BINDINGS.c.port_id, "link", _BINDINGS.c.profile).where(
    _BINDINGS.c.port_id.in_(_ids()), _BINDINGS.c.profile.contains(profiles.LINKS)
)
_EXTERNAL = (
    _found(_BINDINGS.c.port_id, "hcg", _PORTS.c.network_id)
    .select_from(_BINDINGS.join(_PORTS, _PORTS.c.id == _BINDINGS.c.port_id))
    .where(_BINDINGS.c.port_id.in_(_ids()), _BINDINGS.c.vnic_type.in_(sources.EXTERNAL_VNIC_TYPES))
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


def _references(kind: str, named: str) -> collections.abc.Iterator[Reference]:
    """Return what one row of a statement says."""
    if kind == "link":
        yield from (("link", link) for link in profiles.links(named))
    else:
        yield kind, named


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
