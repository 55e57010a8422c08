# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the rows of Neutron's tables held before a call changed them, and after.

Kept in memory, and only for a call that may have to be undone: one whose caller waits (see
``capture.restore``). Each statement that changes rows is seen on its way to the database, those of
the unit of work and bulk ones alike, and reads first what it is about to change, with a lock that
it would take anyway. A DELETE reads what the database itself deletes or empties along with it, too.

A transaction that is rolled back leaves nothing, so a retried call keeps what its last attempt
found. Rows of ``INSERT ... SELECT`` and of plain inserts past the unit of work are not seen:
Neutron makes such rows when it starts only.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import functools
import threading
import typing

import sqlalchemy as sa
from neutron_lib.db import model_base
from sqlalchemy import event

Values = dict[str, typing.Any]  #: column -> value


class RowName(typing.NamedTuple):
    """A row, by its table's name and the values of its primary key."""

    table: str
    key: tuple[typing.Any, ...]


@dataclasses.dataclass(slots=True)
class Image:
    """One row; ``None``: it was not there, or is not there any more."""

    before: Values | None
    after: Values | None


class Images:
    """What one call changed, as far as it is committed."""

    def __init__(self) -> None:
        self.rows: dict[RowName, Image] = {}
        #: own key of each recorded workflow -> the highest generation that the call has taken
        self.gens: dict[str, int] = {}

    def add(self, rows: typing.Mapping[RowName, Image]) -> None:
        """Add what a transaction changed that came after those that are known."""
        for name, image in rows.items():
            known = self.rows.setdefault(name, image)
            known.after = image.after


class _Call(threading.local):
    images: Images | None = None


_CALL = _Call()


@contextlib.contextmanager
def keeping() -> typing.Iterator[Images]:
    """Give what this thread's transactions change within the block, each once it is committed."""
    outer, _CALL.images = _CALL.images, Images()
    try:
        yield _CALL.images
    finally:
        _CALL.images = outer


def kept() -> Images | None:
    """Return what this thread keeps at the moment."""
    return _CALL.images


_INFO = "networking_workflow_images"


class _Transaction:
    """What one outermost transaction of one session changes."""

    def __init__(self) -> None:
        self.rows: dict[RowName, Image] = {}
        self.before_flush: frozenset[RowName] = frozenset()

    def see(
        self, connection: sa.Connection, statement: typing.Any, many: typing.Any, one: typing.Any
    ) -> None:
        """Read what a statement is about to change."""
        if not isinstance(statement, (sa.Update, sa.Delete)):
            return
        table = tables().get(getattr(statement.table, "name", ""))
        if table is None:  # the journal's own
            return
        condition = sa.true() if statement.whereclause is None else statement.whereclause
        for parameters in many or (one,):
            found = self._read(connection, table, condition, parameters)
            if isinstance(statement, sa.Delete):
                self._see_dependents(connection, table, found)

    def _see_dependents(
        self, connection: sa.Connection, table: sa.Table, deleted: list[Values]
    ) -> None:
        """Read what refers to deleted rows, and goes with them or loses its reference."""
        if not deleted:
            return
        for reference in references_to(table.name):
            if reference.on_delete in ("CASCADE", "SET NULL"):
                found = self._read(connection, reference.table, reference.to(deleted), {})
                if reference.on_delete == "CASCADE":
                    self._see_dependents(connection, reference.table, found)

    def _read(
        self, connection: sa.Connection, table: sa.Table, condition: typing.Any, values: typing.Any
    ) -> list[Values]:
        """Note rows that are not known yet; return these."""
        query = sa.select(table).where(condition).with_for_update()
        new = []
        for row in connection.execute(query, values or {}).mappings().all():
            name = name_of(table, row)
            if name not in self.rows:
                self.rows[name] = Image(dict(row), None)
                new.append(dict(row))
        return new

    def flushed(self, state: typing.Any) -> None:
        """Note a row that the unit of work has made, or has given another primary key.

        One may be changed in the flush that makes it.

        :param state: of an object after its flush.
        """
        mapper = state.mapper
        keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
        if state.key is not None and not keys & state.committed_state.keys():
            return
        key = tuple(mapper.primary_key_from_instance(state.obj()))
        if state.key is not None and key == tuple(state.key[1]):
            return
        name = RowName(mapper.local_table.name, key)
        if name.table in tables() and name not in self.before_flush:
            self.rows[name] = Image(None, None)

    def read_after(self, connection: sa.Connection) -> None:
        """Read what all rows hold now."""
        for name, values in read(connection, self.rows).items():
            self.rows[name].after = values


def _of(session: typing.Any) -> _Transaction | None:
    return typing.cast("_Transaction | None", session.info.get(_INFO))


def begin(session: typing.Any, connection: sa.Connection) -> None:
    """Watch an outermost transaction of a session, if this thread keeps images."""
    if _CALL.images is None:
        return
    transaction = session.info[_INFO] = _Transaction()

    def see(
        conn: sa.Connection, statement: typing.Any, many: typing.Any, one: typing.Any, _: typing.Any
    ) -> None:
        if _of(session) is transaction:
            transaction.see(conn, statement, many, one)

    event.listen(connection, "before_execute", see)


def before_flush(session: typing.Any) -> None:
    """Remember what is known, to tell what a flush makes from what it makes anew."""
    transaction = _of(session)
    if transaction is not None:
        transaction.before_flush = frozenset(transaction.rows)


def after_flush(session: typing.Any, flush: typing.Any) -> None:
    """Note the rows that a flush has made or renamed."""
    transaction = _of(session)
    if transaction is None:
        return
    for state, (is_delete, list_only) in list(flush.states.items()):
        if not is_delete and not list_only:
            transaction.flushed(state)


def before_commit(session: typing.Any) -> None:
    """Read what is there after all the transaction's changes."""
    transaction = _of(session)
    if transaction is not None:
        transaction.read_after(session.connection())


def after_commit(session: typing.Any, gens: typing.Mapping[str, int]) -> None:
    """Keep what a transaction has committed, and the generations of what it recorded."""
    transaction, images = _of(session), _CALL.images
    if transaction is not None and images is not None:
        images.add(transaction.rows)
        images.gens.update(gens)


def end(session: typing.Any) -> None:
    """Forget a transaction, however it ended."""
    session.info.pop(_INFO, None)


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


def read(
    connection: sa.Connection, names: collections.abc.Iterable[RowName]
) -> dict[RowName, Values]:
    """Return what the named rows hold; those that are not there are left out."""
    by_table: dict[str, list[tuple[typing.Any, ...]]] = collections.defaultdict(list)
    for name in names:
        by_table[name.table].append(name.key)
    found: dict[RowName, Values] = {}
    for table_name, keys in by_table.items():
        table = tables()[table_name]
        columns = tuple(column.name for column in table.primary_key)
        query = sa.select(table).where(_one_of(table, columns, keys))
        for row in connection.execute(query).mappings().all():
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
