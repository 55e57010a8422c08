# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a row of a flush means: from an ORM state to notes about resources."""

import functools
import typing

from neutron.common.ovn import constants as ovn_constants
from neutron_lib import constants
from sqlalchemy.orm import base as orm_base

from networking_workflow.capture import changes, classes
from networking_workflow.model import errors, profiles, states
from networking_workflow.plan import keys

#: An external port's mark until its network is known (see ``capture.workflows``): the binding row
#: that says so does not name the network.
EXTERNAL = ("hcg", "")

_NOTHING: frozenset[changes.Reference] = frozenset()
_PASSIVE = orm_base.PassiveFlag.PASSIVE_NO_INITIALIZE


class RowWithoutOwner(errors.WorkflowError):
    """A changed row does not say which resource it belongs to; the change cannot be recorded."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"A changed row of table {table} does not tell its resource, so the change would reach "
            "no backend; the transaction is given up. Please report it with the API call."
        )


@functools.cache
def attributes(mapper: typing.Any) -> dict[str, str]:
    """Return the attribute of each column of the mapper's own table."""
    return {
        prop.columns[0].name: prop.key
        for prop in mapper.column_attrs
        if getattr(prop.columns[0], "table", None) is mapper.local_table
    }


class Row:
    """One state of a flush: its columns now and before, without loading what is gone."""

    def __init__(self, state: typing.Any, is_delete: bool) -> None:
        self.state = state
        self.table: str = state.mapper.local_table.name
        self.attributes = attributes(state.mapper)
        if is_delete:
            self.operation = states.Operation.DELETE
        elif state.key is None:
            self.operation = states.Operation.CREATE
        else:
            self.operation = states.Operation.UPDATE

    def changed(self) -> set[str]:
        """Return the columns that an update really changed."""
        return {
            column
            for column, key in self.attributes.items()
            if key in self.state.committed_state
            and self.state.get_history(key, _PASSIVE).has_changes()
        }

    def value(self, column: str) -> typing.Any:
        """Return a column's value now; for a deleted row the last one that was loaded."""
        key = self.attributes.get(column)
        if key is None:
            return None
        if key in self.state.dict:
            return self.state.dict[key]
        if self.state.key is not None:
            names = [part.name for part in self.state.mapper.primary_key]
            if column in names:
                return self.state.key[1][names.index(column)]
        if self.operation is states.Operation.DELETE:
            return None
        return getattr(self.state.obj(), key)

    def values(self, column: str) -> list[typing.Any]:
        """Return the column's value now and, if an update changed it, the one before."""
        found = [self.value(column)]
        key = self.attributes.get(column)
        if key is not None and key in self.state.committed_state:
            found.extend(self.state.get_history(key, _PASSIVE).deleted or ())
        return [value for value in found if value is not None]

    def columns(self) -> dict[str, typing.Any]:
        """Return every column that is known."""
        return {
            column: self.state.dict[key]
            for column, key in self.attributes.items()
            if key in self.state.dict
        }


def notes_of(
    state: typing.Any,
    is_delete: bool,
    deleted: typing.Mapping[changes.Reference, typing.Mapping[str, typing.Any]],
) -> list[changes.Note | changes.Description]:
    """Return what one state of a flush says; nothing for tables and columns that mean nothing.

    ``deleted`` holds the API dicts that ``before_flush`` made, by (type, id).

    :raises RowWithoutOwner: if the row belongs to a covered kind and does not say to which one.
    """
    table = state.mapper.local_table.name
    if table == classes.STANDARD_ATTRIBUTES:
        return _description(Row(state, is_delete))
    itself = classes.ITSELF.get(table)
    child = classes.CHILD.get(table)
    entry = itself or child
    if entry is None or entry.kind not in classes.COVERED:
        return []
    row = Row(state, is_delete)
    if row.operation is states.Operation.UPDATE:
        noise = classes.ALWAYS_NOISE | (itself.noise if itself else frozenset())
        if not row.changed() - noise:
            return []
    if row.table == "routerports" and not _is_interface(row, deleted):
        return [_of_router(row)]
    if itself is not None:
        return [_own(row, itself, deleted)]
    return _part(row, typing.cast("classes.Child", child))


def _description(row: Row) -> list[changes.Note | changes.Description]:
    if row.operation is not states.Operation.UPDATE or "description" not in row.changed():
        return []
    table = str(row.value("resource_type"))
    if table not in classes.OWNERS or classes.OWNERS[table][0] not in classes.COVERED:
        return []
    return [changes.Description(table, int(row.value("id")))]


def _own(
    row: Row,
    entry: classes.Itself,
    deleted: typing.Mapping[changes.Reference, typing.Mapping[str, typing.Any]],
) -> changes.Note:
    resource_id = row.value(entry.id_column)
    if resource_id is None:
        raise RowWithoutOwner(row.table)
    snapshot = None
    if row.operation is states.Operation.DELETE:
        snapshot = deleted.get((entry.kind, resource_id)) or row.columns()
    fold = classes.FOLDS.get(entry.kind)
    return changes.Note(
        resource_type=entry.kind,
        resource_id=resource_id,
        operation=row.operation,
        references=_references(row),
        project_id=row.value("project_id"),
        standard_attr_id=row.value("standard_attr_id"),
        parent=(fold[0], row.value(fold[1])) if fold else None,
        deleted=snapshot,
    )


def _is_interface(
    row: Row, deleted: typing.Mapping[changes.Reference, typing.Mapping[str, typing.Any]]
) -> bool:
    """Return whether a row of ``routerports`` is an interface: gateways have such rows too."""
    snapshot = deleted.get(("router_interface", row.value("port_id")), {})
    port_type = row.value("port_type") or snapshot.get("port_type")
    return port_type in constants.ROUTER_INTERFACE_OWNERS


def _of_router(row: Row) -> changes.Note:
    return changes.Note(
        resource_type="router",
        resource_id=row.value("router_id"),
        operation=states.Operation.UPDATE,
        references=frozenset({("port", row.value("port_id"))}),
    )


def _part(row: Row, entry: classes.Child) -> list[changes.Note | changes.Description]:
    owners = row.values(entry.column)
    if not owners:
        raise RowWithoutOwner(row.table)
    references = _references(row)
    return [
        changes.Note(
            resource_type=entry.kind,
            resource_id=owner,
            operation=states.Operation.UPDATE,
            references=references,
        )
        for owner in owners
    ]


def _references(row: Row) -> frozenset[changes.Reference]:
    columns = classes.REFERENCES.get(row.table)
    if row.table == "ml2_port_bindings":
        return _of_binding(row)
    if columns is None:
        return _NOTHING
    found = {(kind, value) for column, kind in columns for value in row.values(column)}
    if row.table == "securitygrouprules":
        rule = {column: row.value(column) for column in row.attributes}
        found.add(keys.acl_reference(rule))
    return frozenset(found)


def _of_binding(row: Row) -> frozenset[changes.Reference]:
    """Return what a port writes besides its own because of how it is bound."""
    links = {
        ("link", link) for profile in row.values("profile") for link in profiles.links(profile)
    }
    external = set(row.values("vnic_type")) & set(ovn_constants.EXTERNAL_PORT_TYPES)
    return frozenset(links | {EXTERNAL} if external else links)
