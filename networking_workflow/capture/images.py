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

import contextlib
import dataclasses
import threading
import typing

import sqlalchemy as sa
from sqlalchemy import event

from networking_workflow.capture import schema


@dataclasses.dataclass(slots=True)
class Image:
    """One row; ``None``: it was not there, or is not there any more."""

    before: schema.Values | None
    after: schema.Values | None
    between: bool = False  #: others changed it between two commits of the call

    @property
    def changed(self) -> list[str]:
        """Return the columns that the call changed and that are to be put back."""
        if self.after is None:
            return []
        if self.before is None:
            return [column for column in self.after if column not in GO_ON]
        return [
            column
            for column, value in self.after.items()
            if value != self.before[column] and column not in GO_ON
        ]


#: Columns that say that something happened.
GO_ON = frozenset({"revision_number", "updated_at"})

#: Columns that backends write at any time.
MOVED_BY_BACKENDS = frozenset({"status"})

#: Columns that the task of a deferred binding writes, as part of the call's own workflow. What
#: anybody else makes of them is a workflow.
MOVED_BY_TASKS = frozenset({"vif_type", "vif_details"})


def differ(one: schema.Values | None, other: schema.Values | None) -> bool:
    """Return whether somebody who calls the API has made one row of the other."""
    if one is None or other is None:
        return one is not other
    left = GO_ON | MOVED_BY_BACKENDS
    return any(value != other[column] for column, value in one.items() if column not in left)


class Images:
    """What one call changed, as far as it is committed."""

    def __init__(self) -> None:
        self.rows: dict[schema.RowName, Image] = {}
        #: own key of each recorded workflow -> the first generation that the call has taken
        self.gens: dict[str, int] = {}

    def add(self, rows: typing.Mapping[schema.RowName, Image]) -> None:
        """Add what a transaction changed that came after those that are known."""
        for name, image in rows.items():
            known = self.rows.get(name)
            if known is None:
                self.rows[name] = image
            else:
                known.between |= differ(known.after, image.before)
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


_INFO = "networking_workflow_images"


class _Flush:
    """What a flush has done so far."""

    def __init__(self) -> None:
        self.first_seen: set[schema.RowName] = set()
        #: rows inserted, and of each table whose keys the database makes a name without a key
        self.inserted: set[schema.RowName] = set()

    def has_inserted(self, name: schema.RowName) -> bool:
        """Return whether a row that is there now was not there before."""
        return not self.inserted.isdisjoint({name, schema.RowName(name.table, ())})


class _Transaction:
    """What one outermost transaction of one session changes."""

    def __init__(self) -> None:
        self.rows: dict[schema.RowName, Image] = {}
        self.gone: set[schema.RowName] = set()  #: deleted, and what refers to them has been read
        self.flush = _Flush()

    def see(
        self, connection: sa.Connection, statement: typing.Any, many: typing.Any, one: typing.Any
    ) -> None:
        """Read what a statement is about to change."""
        if not isinstance(statement, (sa.Update, sa.Delete)):
            if isinstance(statement, sa.Insert):
                self._see_insert(statement.table, many or (one,))
            return
        table = schema.tables().get(getattr(statement.table, "name", ""))
        if table is None:  # the journal's own
            return
        condition = sa.true() if statement.whereclause is None else statement.whereclause
        deletes = isinstance(statement, sa.Delete)
        for parameters in many or (one,):
            found = self._read(connection, table, condition, parameters, deletes=deletes)
            if deletes:
                self._see_dependents(connection, table, found)

    def _see_insert(self, table: typing.Any, many: typing.Any) -> None:
        for parameters in many:
            key = tuple((parameters or {}).get(column.name) for column in table.primary_key)
            self.flush.inserted.add(schema.RowName(table.name, () if None in key else key))

    def _see_dependents(
        self, connection: sa.Connection, table: sa.Table, deleted: list[schema.Values]
    ) -> None:
        """Read what refers to deleted rows, and goes with them or loses its reference."""
        deleted = [row for row in deleted if schema.name_of(table, row) not in self.gone]
        if not deleted:
            return
        self.gone.update(schema.name_of(table, row) for row in deleted)
        for reference in schema.references_to(table.name):
            if reference.on_delete in ("CASCADE", "SET NULL"):
                condition = reference.to(deleted)
                found = self._read(connection, reference.table, condition, {}, deletes=True)
                if reference.on_delete == "CASCADE":
                    self._see_dependents(connection, reference.table, found)

    def _read(
        self,
        connection: sa.Connection,
        table: sa.Table,
        condition: typing.Any,
        values: typing.Any,
        *,
        deletes: bool,
    ) -> list[schema.Values]:
        """Return rows, and note those that are not known yet.

        An UPDATE locks as it does itself: on PostgreSQL whoever refers to the row need not wait.
        """
        query = sa.select(table).where(condition).with_for_update(key_share=not deletes)
        found = [dict(row) for row in connection.execute(query, values or {}).mappings()]
        for row in found:
            name = schema.name_of(table, row)
            if name not in self.rows:
                self.rows[name] = Image(row, None)
                self.flush.first_seen.add(name)
        return found

    def flushed(self, state: typing.Any) -> None:
        """Note a row that the unit of work has made, or has given another primary key.

        One may be changed in the flush that makes it; one that a flush was to delete and to make
        anew is changed instead.

        :param state: of an object after its flush.
        """
        mapper = state.mapper
        keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
        if state.key is not None and not keys & state.committed_state.keys():
            return
        key = tuple(mapper.primary_key_from_instance(state.obj()))
        if state.key is not None and key == tuple(state.key[1]):
            return
        name = schema.RowName(mapper.local_table.name, key)
        if name.table not in schema.tables() or (
            state.key is None and not self.flush.has_inserted(name)
        ):
            return
        if name not in self.rows or (state.key is None and name in self.flush.first_seen):
            self.rows[name] = Image(None, None)

    def read_after(self, connection: sa.Connection) -> None:
        """Read what all rows hold now."""
        for name, values in schema.read(connection, self.rows).items():
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
    """Forget the flush before, to tell what this one makes from what it makes anew."""
    transaction = _of(session)
    if transaction is not None:
        transaction.flush = _Flush()


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
        for key, gen in gens.items():
            images.gens.setdefault(key, gen)


def end(session: typing.Any) -> None:
    """Forget a transaction, however it ended."""
    session.info.pop(_INFO, None)
