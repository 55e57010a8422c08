# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Servers started when first asked for, and databases that one test after the other gets empty."""

import collections.abc
import contextlib
import dataclasses
import functools
import shutil
import typing

import sqlalchemy as sa

from lab import databases

#: Every kind of server, in the order in which tests are run on them.
KINDS: dict[str, type[databases.Server]] = {
    cls.kind: cls
    for cls in (databases.SQLite, databases.MariaDB, databases.Galera, databases.PostgreSQL)
}


#: The same without a flush to the disk at each commit: for those that nobody kills.
QUICK: dict[str, typing.Callable[[], databases.Server]] = {
    **KINDS,
    **{
        cls.kind: functools.partial(cls, durable=False)
        for cls in (databases.MariaDB, databases.Galera, databases.PostgreSQL)
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """One database that a test has to itself."""

    kind: str  #: "sqlite", "mariadb", "galera" or "postgresql"
    name: str
    urls: tuple[str, ...]  #: SQLAlchemy URLs, one for each node that can be written to
    server: databases.Server

    @property
    def url(self) -> str:
        """Return the (first) URL."""
        return self.urls[0]


#: The rows of each table that has any.
Rows = dict[str, list[dict[str, typing.Any]]]


class Pool:
    """Lends databases; one server of each kind, started by the first loan."""

    def __init__(
        self, make: typing.Mapping[str, typing.Callable[[], databases.Server]] = KINDS
    ) -> None:
        self._make = make
        self._servers: dict[str, databases.Server] = {}
        self._kept: dict[tuple[str, str], Database] = {}
        self._given_back: dict[tuple[str, str], list[tuple[Database, Rows]]] = {}
        self._made = 0

    def server(self, kind: str) -> databases.Server:
        """Return the running server of a kind."""
        if kind not in self._servers:
            server = self._make[kind]()
            self._servers[kind] = server
            server.start()
        return self._servers[kind]

    def create(self, kind: str, purpose: str = "blank") -> Database:
        """Return a database without any table."""
        self._made += 1
        name = f"{purpose}_{self._made}"
        server = self.server(kind)
        urls = tuple(server.create_database(name))
        return Database(kind=kind, name=name, urls=urls, server=server)

    @contextlib.contextmanager
    def blank(self, kind: str) -> collections.abc.Iterator[Database]:
        """Lend a database without any table; it is dropped afterwards."""
        database = self.create(kind)
        try:
            yield database
        finally:
            database.server.drop_database(database.name)

    def empty(
        self, kind: str, purpose: str, create_tables: typing.Callable[[sa.Engine], None]
    ) -> Database:
        """Return a database whose tables ``create_tables`` made, all of them without rows.

        On a server it is the same one at each call with the same ``purpose``: whoever is still
        connected is thrown out, and rows are deleted, which takes a tenth of the time that making
        tables takes. On SQLite, where nobody can be thrown out, it is a new copy of a file.
        """
        database = self._kept.get((kind, purpose))
        if database is None:
            database = self.create(kind, purpose)
            with engine(database.url) as made:
                create_tables(made)
            self._kept[kind, purpose] = database
        elif not isinstance(database.server, databases.SQLite):
            database.server.disconnect_others(database.name)
            with engine(database.url) as kept:
                delete_all_rows(kept)
        if isinstance(database.server, databases.SQLite):
            copy = self.create(kind, purpose)
            shutil.copyfile(database.server.file(database.name), database.server.file(copy.name))
            return copy
        wait_for_other_nodes(database)
        return database

    @contextlib.contextmanager
    def filled(
        self, kind: str, purpose: str, fill: typing.Callable[[Database], None]
    ) -> collections.abc.Iterator[Database]:
        """Lend a database as ``fill`` leaves a blank one; who asks meanwhile gets another.

        MariaDB keeps what is given back for the next one who asks with the same ``purpose``: to
        put the rows back takes a twentieth of the time that many tables take.
        """
        if not isinstance(self.server(kind), databases.MariaDB | databases.Galera):
            with self.blank(kind) as database:
                fill(database)
                yield database
            return
        there = self._given_back.setdefault((kind, purpose), [])
        if there:
            database, rows = there.pop()
            database.server.disconnect_others(database.name)
            with engine(database.url) as again:
                delete_all_rows(again)
                insert_rows(again, rows)
            wait_for_other_nodes(database)
        else:
            database = self.create(kind, purpose)
            fill(database)
            with engine(database.url) as made:
                rows = all_rows(made)
        try:
            yield database
        finally:
            there.append((database, rows))

    def close(self) -> None:
        """Kill all servers and delete their data."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._kept.clear()
        self._given_back.clear()


@contextlib.contextmanager
def engine(url: str) -> collections.abc.Iterator[sa.Engine]:
    """Lend an engine that keeps no connection open afterwards."""
    made = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        yield made
    finally:
        made.dispose()


def delete_all_rows(on: sa.Engine, keep: typing.Collection[str] = ()) -> None:
    """Empty every table of a database, except those named in ``keep``."""
    tables = [name for name in sa.inspect(on).get_table_names() if name not in keep]
    quoted = [on.dialect.identifier_preparer.quote(name) for name in tables]
    if not quoted:
        return
    with on.begin() as connection:
        if on.dialect.name == "postgresql":
            connection.exec_driver_sql(f"TRUNCATE {', '.join(quoted)} CASCADE")
            return
        if on.dialect.name != "sqlite":  # which does not check foreign keys unless told to
            connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        for name in _not_empty(connection, quoted):
            connection.exec_driver_sql(f"DELETE FROM {name}")


def all_rows(on: sa.Engine) -> Rows:
    """Return every row of a database."""
    tables = sa.inspect(on).get_table_names()
    quote = on.dialect.identifier_preparer.quote
    with on.connect() as connection:
        filled = _not_empty(connection, [quote(name) for name in tables])
        return {
            name: [
                dict(row)
                for row in connection.exec_driver_sql(f"SELECT * FROM {quote(name)}").mappings()
            ]
            for name in tables
            if quote(name) in filled
        }


def insert_rows(on: sa.Engine, rows: Rows) -> None:
    """Insert rows into the tables of a MariaDB database, whichever refer to which."""
    with on.begin() as connection:
        connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        for name, found in rows.items():
            table = sa.table(name, *(sa.column(column) for column in found[0]))
            connection.execute(sa.insert(table), found)


def _not_empty(connection: sa.Connection, quoted: list[str]) -> list[str]:
    """Return those of the tables that have rows."""
    found = connection.exec_driver_sql(
        " UNION ALL ".join(
            f"SELECT {number}, EXISTS (SELECT 1 FROM {name})" for number, name in enumerate(quoted)
        )
    )
    return [quoted[number] for number, filled in found if filled]


def wait_for_other_nodes(database: Database) -> None:
    """Return when every node shows what was committed at any node before this call."""
    if len(database.urls) == 1:
        return
    for url in database.urls:
        with engine(url) as node, node.connect() as connection:
            connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 1")
            connection.exec_driver_sql("SELECT 1 FROM information_schema.tables LIMIT 1")
            connection.exec_driver_sql("SELECT 1")
