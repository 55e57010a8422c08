# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a resource refers to today, read from Neutron's own tables.

A workflow's keys must cover what its apply reads. Column names are those of Neutron 29; a
functional test compares them with its models.
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
class _Source:
    """Where one resource type is stored."""

    table: str
    columns: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    children: tuple[_Child, ...] = ()


#: Ports whose traffic enters through another chassis than theirs: OVN schedules a network's group
#: of those. ``neutron.common.ovn.constants.EXTERNAL_PORT_TYPES``.
EXTERNAL_VNIC_TYPES = ("direct", "direct-physical", "macvtap", "baremetal")

_RULE_COLUMNS = {
    "remote_group_id": "security_group",
    "remote_address_group_id": "address_group",
}

_SOURCES: dict[str, _Source] = {
    "network": _Source(table="networks"),
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
            _Child(
                table="qos_port_policy_bindings",
                owner="port_id",
                columns={"policy_id": "qos_policy"},
            ),
        ),
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


def _ids() -> sa.BindParameter[typing.Any]:
    return sa.bindparam("ids", expanding=True)


def _own(resource_type: str, source: _Source) -> sa.Select[typing.Any]:
    names = ["id", "standard_attr_id", "project_id", *source.columns]
    if resource_type == "security_group_rule":
        names += _ACL_COLUMNS
    table = sa.table(source.table, *(sa.column(name) for name in names))
    return sa.select(table).where(table.c.id.in_(_ids()))


@functools.cache
def _children(resource_type: str) -> sa.CompoundSelect[typing.Any] | None:
    """Return the one statement for what the resource's children name; None: it has none."""
    selects = [
        _named_by(child, column, named)
        for child in _SOURCES[resource_type].children
        for column, named in child.columns.items()
    ]
    if resource_type == "port":
        selects.append(_EXTERNAL)
    return sa.union_all(*selects) if selects else None


def _named_by(child: _Child, column: str, resource_type: str) -> sa.Select[typing.Any]:
    table = sa.table(child.table, sa.column(child.owner), sa.column(column))
    owner, named = table.c[child.owner], table.c[column]
    return _found(owner, resource_type, named).where(owner.in_(_ids()), named.is_not(None))


def _found(
    owner: sa.ColumnElement[typing.Any], resource_type: str, named: sa.ColumnElement[typing.Any]
) -> sa.Select[typing.Any]:
    kind: sa.ColumnClause[str] = sa.literal_column(f"'{resource_type}'")
    return sa.select(owner.label("owner"), kind.label("kind"), named.label("named"))


_PORTS = sa.table("ports", sa.column("id"), sa.column("network_id"))
_BINDINGS = sa.table("ml2_port_bindings", sa.column("port_id"), sa.column("vnic_type"))
_EXTERNAL = (
    _found(_BINDINGS.c.port_id, "hcg", _PORTS.c.network_id)
    .select_from(_BINDINGS.join(_PORTS, _PORTS.c.id == _BINDINGS.c.port_id))
    .where(_BINDINGS.c.port_id.in_(_ids()), _BINDINGS.c.vnic_type.in_(EXTERNAL_VNIC_TYPES))
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
