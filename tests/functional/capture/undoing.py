# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Calls that are undone, and every table before and after."""

import functools
import typing

import sqlalchemy as sa

from networking_workflow.capture import calls, images, restore, schema
from networking_workflow.journal import tables
from tests.functional.capture import inprocess, oracle

Rows = dict[schema.RowName, schema.Values]


def rows(engine: sa.Engine) -> Rows:
    """Return every row of every table of Neutron that a call's undoing has to do with."""
    found: Rows = {}
    with engine.connect() as connection:
        for name in connection.scalars(_not_empty()):
            table = schema.tables()[name]
            for row in connection.execute(sa.select(table)).mappings():
                values = {c: v for c, v in row.items() if c not in images.GO_ON}
                found[schema.name_of(table, row)] = values
    return found


@functools.cache
def _not_empty() -> sa.Select[typing.Any]:
    """Return what selects the names of tables that have rows: most have none."""
    each = [
        sa.select(sa.literal(name).label("name")).where(sa.exists().select_from(table))
        for name, table in schema.tables().items()
        if name not in restore.LEFT
    ]
    return sa.select(sa.union_all(*each).subquery().c.name)


def differences(before: Rows, after: Rows) -> list[str]:
    return [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted(before.keys() | after.keys(), key=str)
        if before.get(name) != after.get(name)
    ]


class Call:
    """What a call changed, of which the caller may be told that it failed."""

    def __init__(self, neutron: inprocess.Neutron, do: typing.Callable[[], typing.Any]) -> None:
        self.neutron = neutron
        with images.keeping() as self.images, calls.committed_ids() as self.ids:
            self.answer = do()

    def fail(self) -> None:
        """End its workflows as FAILED, as a conductor does."""
        with self.neutron.engine.begin() as connection:
            for workflow in self.ids:
                values = {"state": "FAILED", "holding": False, "failure_code": "BACKEND_REFUSED"}
                changed = tables.workflows.c.id == workflow
                connection.execute(sa.update(tables.workflows).where(changed).values(**values))
                held = tables.holds.c.workflow_id == workflow
                connection.execute(sa.delete(tables.holds).where(held))

    def undo(self) -> restore.Restored:
        context = self.neutron.context()
        with self.neutron.engine.connect() as connection:
            made = tables.workflows.c.id.in_(self.ids)
            query = sa.select(tables.workflows.c.operation_id).where(made)
            context.request_id = connection.execute(query).scalar()
        return restore.restore(context, self.images, self.ids)


def assert_rows(call: Call, before: Rows) -> None:
    """Every row is as before the call, once it is undone, whether capture saw its changes or not.

    Bulk statements, which capture only complains of, are changes that it does not see.
    """
    call.fail()
    restored = call.undo()
    assert restored.done, restored.why_not
    assert differences(before, rows(call.neutron.engine)) == []


def assert_undone(call: Call, before: Rows) -> None:
    """Every row is as before the call, once it is undone; what that changed has its workflows."""
    if not call.ids:
        return
    neutron = call.neutron
    call.fail()
    changed = oracle.read(neutron.engine)
    with neutron.capturing() as found:
        restored = call.undo()
    assert restored.done, restored.why_not
    assert differences(before, rows(neutron.engine)) == []
    assert oracle.reduce(found) == oracle.compare(changed, oracle.read(neutron.engine))
    assert set(restored.workflow_ids) == {workflow.row.id for workflow in found}
