# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""MariaDB: one server of our own, reached through a unix socket."""

import contextlib
import hashlib
import pathlib
import shutil
import typing
import urllib.parse

import pymysql
import pymysql.cursors

from lab import processes, templates
from lab.databases import server

START_DEADLINE_S = 60.0

_INSTALL_OPTIONS = (
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    "--innodb-log-file-size=48M",
    "--innodb-flush-method=nosync",
)


class Node:
    """One mariadbd process with its data directory; the Galera cluster has two.

    :param durable: flush the log at every commit (``innodb_flush_log_at_trx_commit=1``), as
        production does; otherwise once a second, which is faster and may lose commits in a
        power cut of the machine, but not when only the process is killed.
    :param options: more options for mariadbd.
    """

    def __init__(
        self, name: str = "mariadb", *, durable: bool = True, options: typing.Sequence[str] = ()
    ) -> None:
        self.name = name
        self.durable = durable
        self.options = list(options)
        self.folder = processes.Folder(name, user="mysql")
        self.socket = self.folder.path / "mysqld.sock"
        self.data = self.folder.path / "data"
        self.log = self.folder.path / "mariadbd.log"
        self.process: processes.Process | None = None

    def initialise(self) -> None:
        """Make the data directory, unless it is there."""
        if self.data.exists():
            return
        install = processes.find_program("mariadb-install-db", package="mariadb-server")
        server = processes.find_program("mariadbd", package="mariadb-server")
        recipe = (self.folder.run([server, "--version"]), *_INSTALL_OPTIONS)
        digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
        template = templates.FOLDER / f"{digest}-mariadb-data"

        def make() -> pathlib.Path:
            places = (f"--datadir={self.data}", f"--tmpdir={self.folder.path}")
            self.folder.run([install, "--no-defaults", *places, *_INSTALL_OPTIONS])
            return self.data

        if not templates.once(template, make):
            shutil.copytree(template, self.data)
            self.folder.own(self.data)

    def command(self, extra: typing.Sequence[str] = ()) -> list[str]:
        """Return the command line of the server."""
        return [
            processes.find_program("mariadbd", package="mariadb-server"),
            "--no-defaults",
            f"--datadir={self.data}",
            # In a shared one, each server that starts deletes the others' temporary tables.
            f"--tmpdir={self.folder.path}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder.path / 'mysqld.pid'}",
            f"--innodb-flush-log-at-trx-commit={1 if self.durable else 2}",
            "--skip-networking",
            "--skip-name-resolve",
            "--max-connections=600",
            "--innodb-buffer-pool-size=256M",
            "--innodb-log-file-size=48M",
            "--table-open-cache=4000",
            *self.options,
            *extra,
        ]

    def launch(self, extra: typing.Sequence[str] = ()) -> None:
        """Start the process without waiting for it."""
        self.process = processes.Process(
            self.name, self.command(extra), folder=self.folder, log=self.log
        )

    def wait_ready(self, ready: typing.Callable[[], bool], deadline_s: float) -> None:
        """Return when ``ready()`` says so; see :meth:`lab.processes.Process.wait_ready`."""
        if self.process is None:
            raise processes.LabError(f"{self.name} was not started")
        self.process.wait_ready(ready, deadline_s)

    def answers(self) -> bool:
        """Return whether it takes connections."""
        try:
            self.query("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Shut it down cleanly."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def kill(self) -> None:
        """SIGKILL it."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def close(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        self.folder.remove()

    def connect(self, database: str | None = None) -> "pymysql.Connection[typing.Any]":
        """Return a connection of its administrator, in autocommit mode."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=5,
            ssl_disabled=True,
        )

    def query(self, *statements: str) -> list[tuple[typing.Any, ...]]:
        """Run statements on a connection of their own; return the rows of the last one."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def disconnect_others(self, database: str) -> None:
        """Kill every session on a database."""
        rows = self.query(
            f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"
            " AND id <> CONNECTION_ID()"
        )
        for (session,) in rows:
            with contextlib.suppress(pymysql.err.OperationalError):  # it has just ended by itself
                self.query(f"KILL {session}")

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return mysql_url(self.socket, database)


def mysql_url(socket: pathlib.Path, database: str) -> str:
    """Return the SQLAlchemy URL of a database behind a unix socket.

    Without TLS: PyMySQL would read all certificates of the machine at each connect to get ready.
    """
    query = f"unix_socket={urllib.parse.quote(str(socket))}&ssl_disabled=true"
    return f"mysql+pymysql://root@localhost/{database}?{query}"


#: Neutron's migrations were written for three-byte characters; their widest keys need it.
CREATE_DATABASE = "CREATE DATABASE {name} CHARACTER SET utf8mb3"


class MariaDB(server.Server):
    """One MariaDB server, run by the system user ``mysql`` when we are root."""

    kind = "mariadb"

    def __init__(self, *, durable: bool = True, options: typing.Sequence[str] = ()) -> None:
        self.durable = durable
        self.options = options
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """Return the server.

        :raises LabError: before ``start`` and after ``close``.
        """
        if self._node is None:
            raise processes.LabError("MariaDB() was not started, or is closed")
        return self._node

    def start(self) -> None:
        if self._node is None:
            processes.find_program("mariadbd", package="mariadb-server")
            self._node = Node(durable=self.durable, options=self.options)
        self._node.initialise()
        self._node.launch()
        self._node.wait_ready(self._node.answers, START_DEADLINE_S)

    def stop(self) -> None:
        self.node.stop()

    def kill(self) -> None:
        self.node.kill()

    def create_database(self, name: str) -> list[str]:
        self.node.query(CREATE_DATABASE.format(name=server.checked_name(name)))
        return [self.node.url(name)]

    def drop_database(self, name: str) -> None:
        self.disconnect_others(name)
        self.node.query(f"DROP DATABASE IF EXISTS {server.checked_name(name)}")

    def disconnect_others(self, name: str) -> None:
        self.node.disconnect_others(server.checked_name(name))

    def close(self) -> None:
        if self._node is not None:
            self._node.close()
            self._node = None
