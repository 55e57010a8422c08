# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's tables as its models say them: what refers to what, and rows by their primary keys."""

import collections
import collections.abc
import dataclasses
import functools
import typing

import sqlalchemy as sa
from neutron_lib.db import model_base

Values = dict[str, typing.Any]  #: column -> value


class RowName(typing.NamedTuple):
    """A row, by its table's name and the values of its primary key."""

    table: str
    key: tuple[typing.Any, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A foreign key of ``table``."""

    table: sa.Table
    columns: tuple[str, ...]
    referred: tuple[str, ...]  #: columns of the other table
    on_delete: str  #: "CASCADE", "SET NULL", or "" where the database refuses

    def to(self, rows: typing.Iterable[Values]) -> sa.ColumnElement[bool]:
        """Return the condition that a row refers to one of ``rows``."""
        wanted = {tuple(row[column] for column in self.referred) for row in rows}
        return _one_of(self.table, self.columns, wanted)


@functools.cache
def tables() -> typing.Mapping[str, sa.Table]:
    """Return all tables of the models that this process has loaded, referred ones first."""
    return {table.name: table for table in model_base.BASEV2.metadata.sorted_tables}


@functools.cache
def references_to(table: str) -> tuple[Reference, ...]:
    """Return the foreign keys that refer to a table."""
    found = []
    for other in tables().values():
        for constraint in other.foreign_key_constraints:
            if constraint.referred_table.name == table:
                found.append(
                    Reference(
                        table=other,
                        columns=tuple(element.parent.name for element in constraint.elements),
                        referred=tuple(element.column.name for element in constraint.elements),
                        on_delete=(constraint.ondelete or "").upper(),
                    )
                )
    return tuple(found)


def name_of(table: sa.Table, row: typing.Mapping[typing.Any, typing.Any]) -> RowName:
    """Return the name of a row."""
    return RowName(table.name, tuple(row[column.name] for column in table.primary_key))


#: Names in one statement that reads rows: SQLite refuses a condition of 1,000 alternatives.
_AT_A_TIME = 200


def read(
    connection: sa.Connection,
    names: collections.abc.Iterable[RowName],
    *,
    lock: bool = False,
) -> dict[RowName, Values]:
    """Return what the named rows hold; those that are not there are left out.

    :param lock: lock them, and read what is committed now, however old the snapshot is.
    """
    by_table: dict[str, list[tuple[typing.Any, ...]]] = collections.defaultdict(list)
    for name in names:
        by_table[name.table].append(name.key)
    found: dict[RowName, Values] = {}
    for table_name, keys in by_table.items():
        table = tables()[table_name]
        columns = tuple(column.name for column in table.primary_key)
        for start in range(0, len(keys), _AT_A_TIME):
            some = keys[start : start + _AT_A_TIME]
            query = sa.select(table).where(_one_of(table, columns, some))
            query = query.with_for_update() if lock else query
            for row in connection.execute(query).mappings():
                found[name_of(table, row)] = dict(row)
    return found


def _one_of(
    table: sa.Table,
    columns: tuple[str, ...],
    keys: typing.Iterable[tuple[typing.Any, ...]],
) -> sa.ColumnElement[bool]:
    keys = list(keys)
    if len(columns) == 1:
        return table.c[columns[0]].in_([key[0] for key in keys])
    conditions = [
        sa.and_(*(table.c[column] == value for column, value in zip(columns, key, strict=True)))
        for key in keys
    ]
    return sa.or_(sa.false(), *conditions)
