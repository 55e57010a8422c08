# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The yardstick: a row-by-row comparison of every table before and after a call.

Knows nothing of flushes, only what a table means (``capture.classes``).
"""

import typing

import sqlalchemy as sa
from neutron.db.migration.models import head

from networking_workflow.capture import classes
from tests.functional.capture import inprocess

Rows = dict[str, dict[tuple[typing.Any, ...], dict[str, typing.Any]]]
Changes = dict[tuple[str, str], str]

_METADATA = head.get_metadata()


def read(engine: sa.Engine) -> Rows:
    """Return every row of every table of a covered kind, and the descriptions."""
    found: Rows = {}
    with engine.connect() as connection:
        for name, table in _METADATA.tables.items():
            entry = classes.ITSELF.get(name) or classes.CHILD.get(name)
            covered = entry is not None and entry.kind in classes.COVERED
            if covered or name == classes.STANDARD_ATTRIBUTES:
                rows = connection.execute(sa.select(table)).mappings()
                key = [column.name for column in table.primary_key]
                found[name] = {tuple(row[k] for k in key): dict(row) for row in rows}
    return found


def compare(before: Rows, after: Rows) -> Changes:
    """Return what happened to each resource, seen from its rows alone."""
    own: Changes = {}
    touched: set[tuple[str, str]] = set()
    for name, rows in after.items():
        for key in rows.keys() | before[name].keys():
            old, new = before[name].get(key), rows.get(key)
            if old != new:
                _judge(name, old, new, own, touched, after)
    for name in touched:
        own.setdefault(name, "update")
    return _folded(own, before, after)


def _judge(
    name: str,
    old: dict[str, typing.Any] | None,
    new: dict[str, typing.Any] | None,
    own: Changes,
    touched: set[tuple[str, str]],
    after: Rows,
) -> None:
    if name == classes.STANDARD_ATTRIBUTES:
        if old and new and old["description"] != new["description"]:
            touched.update(_owner(new, after))
        return
    if name in classes.CHILD:
        child = classes.CHILD[name]
        touched.update((child.kind, row[child.column]) for row in (old, new) if row)
        return
    if name == "routerports" and not _is_interface(new or old or {}):
        touched.update(("router", row["router_id"]) for row in (old, new) if row)
        return
    entry = classes.ITSELF[name]
    resource = (entry.kind, (new or old or {})[entry.id_column])
    if old and new:
        noise = entry.noise | classes.ALWAYS_NOISE
        if any(old[column] != new[column] for column in old.keys() - noise):
            touched.add(resource)
    else:
        own[resource] = "create" if new else "delete"


def _owner(attribute: dict[str, typing.Any], after: Rows) -> set[tuple[str, str]]:
    """Return what has a description: a resource, or the one that it is a part of."""
    table = attribute["resource_type"]
    entry, child = classes.ITSELF.get(table), classes.CHILD.get(table)
    rows = after.get(table, {}).values()
    found = [row for row in rows if row["standard_attr_id"] == attribute["id"]]
    if child is not None:
        return {(child.kind, row[child.column]) for row in found}
    return {(entry.kind, row["id"]) for row in found} if entry is not None else set()


def _folded(own: Changes, before: Rows, after: Rows) -> Changes:
    """Leave out what came or went together with its parent: rules, subports."""

    def with_parent(kind: str, resource_id: str, operation: str) -> bool:
        if kind not in classes.FOLDS or operation == "update":
            return False
        parent, column = classes.FOLDS[kind]
        table = classes.TABLE_OF[kind]
        row = (before[table] | after[table])[(resource_id,)]
        return own.get((parent, row[column])) == operation

    return {
        (kind, resource_id): operation
        for (kind, resource_id), operation in own.items()
        if not with_parent(kind, resource_id, operation)
    }


def _is_interface(row: dict[str, typing.Any]) -> bool:
    return row["port_type"] == "network:router_interface"


def reduce(captured: list[inprocess.Captured]) -> Changes:
    """Return what the workflows of one call, possibly of several transactions, amount to."""
    result: Changes = {}
    for workflow in captured:
        name = (workflow.resource_type, workflow.resource_id)
        before, now = result.get(name), workflow.operation
        if before == "create" and now == "delete":
            del result[name]
        else:
            result[name] = "create" if before == "create" else now
    return result
