# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Tasks of the mode ``shadow`` look, also at Neutron's own tables: no statement of theirs writes.

What runs in such a task is a mechanism driver's ``observe`` and ``desired``, and Neutron's own code
that reads. Of a write nothing would be seen but another workflow, whose task may write again.
"""

import typing

import sqlalchemy as sa
from sqlalchemy import event

from networking_workflow.capture import schema
from networking_workflow.model import errors, failures


class Written(errors.PermanentFailure):
    """A task that may only look was about to write one of Neutron's tables."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"With [workflow] mode = shadow a driver only looks, and this one writes table {table} "
            "of Neutron's database. Nothing was written. Let its observe and desired only read.",
            failures.FailureCode.DRIVER_ERROR,
        )


def refuse_writes(connection: sa.Connection) -> None:
    """Let a task's transaction on this connection change no row of Neutron's tables.

    Statements are seen on their way, those of the unit of work and bulk ones alike; text is not.
    """

    def see(_connection: sa.Connection, statement: typing.Any, *_: typing.Any) -> None:
        if isinstance(statement, (sa.Insert, sa.Update, sa.Delete)):
            table = getattr(statement.table, "name", "")
            if table in schema.tables():
                raise Written(table)

    event.listen(connection, "before_execute", see)
