# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""DELETE of several rows, each by its whole primary key: locks those rows and no gap.

For several rows MariaDB reads the whole of a table that it thinks small, whatever index it is told
to use, and locks all of it: rows that others have just deleted, gaps where they insert. On Galera
an applier that writes there then aborts the transaction. So it is given the primary keys as a table
to join, where it heeds the hint.
"""

import collections.abc
import functools
import typing

import sqlalchemy as sa

#: Rows per statement; a smaller number of rows repeats the last one, so that few are compiled.
_SIZES = (1, 4, 16, 64)


def delete_rows(
    connection: sa.Connection,
    table: sa.Table,
    rows: collections.abc.Sequence[tuple[typing.Any, ...]],
) -> None:
    """Delete the rows of ``table`` whose primary keys are ``rows``; missing ones do not matter.

    They are locked in the order given.
    """
    largest = _SIZES[-1]
    statement = _joined if connection.dialect.name in ("mysql", "mariadb") else _plain
    for start in range(0, len(rows), largest):
        chunk = list(rows[start : start + largest])
        size = next(size for size in _SIZES if size >= len(chunk))
        chunk += [chunk[-1]] * (size - len(chunk))
        parameters = {
            f"{column.name}_{index}": value
            for index, row in enumerate(chunk)
            for column, value in zip(table.primary_key.columns, row, strict=True)
        }
        connection.execute(statement(table, size), parameters)


@functools.lru_cache(maxsize=32)
def _plain(table: sa.Table, size: int) -> sa.Delete:
    def row(index: int) -> sa.ColumnElement[bool]:
        return sa.and_(*(column == _bound(column, index) for column in table.primary_key.columns))

    return sa.delete(table).where(sa.or_(*(row(index) for index in range(size))))


@functools.lru_cache(maxsize=32)
def _joined(table: sa.Table, size: int) -> sa.TextClause:
    columns = list(table.primary_key.columns)
    these = " UNION ALL ".join(
        "SELECT " + ", ".join(f":{one.name}_{index} AS {one.name}" for one in columns)
        for index in range(size)
    )
    same = " AND ".join(f"{table.name}.{one.name} = these.{one.name}" for one in columns)
    return sa.text(
        f"DELETE FROM {table.name} USING ({these}) AS these "
        f"STRAIGHT_JOIN {table.name} FORCE INDEX (PRIMARY) ON {same}"
    ).bindparams(*(_bound(one, index) for one in columns for index in range(size)))


def _bound(column: sa.Column[typing.Any], index: int) -> sa.BindParameter[typing.Any]:
    return sa.bindparam(f"{column.name}_{index}", type_=column.type)
