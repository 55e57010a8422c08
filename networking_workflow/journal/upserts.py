# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""INSERT or UPDATE, in each database's own words; made once per table and used with parameters.

Run them with a list of parameter dictionaries: ``insert().values([...])`` would be compiled anew
for every call.
"""

import collections.abc
import functools
import typing

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

#: Called with the row that would have been inserted; returns the new value of each column.
Updates = collections.abc.Callable[
    [typing.Any], collections.abc.Mapping[str, sa.ColumnElement[typing.Any]]
]


@functools.lru_cache(maxsize=64)
def upsert(dialect: str, table: sa.Table, updates: Updates) -> sa.Insert:
    """Return an INSERT that, where the primary key is taken, sets what ``updates`` says.

    Safe under concurrency everywhere: the row is locked from then to the end of the transaction.
    """
    if dialect in ("mysql", "mariadb"):
        for_mysql = mysql.insert(table)
        return for_mysql.on_duplicate_key_update(dict(updates(for_mysql.inserted)))
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=dict(updates(statement.excluded))
    )
