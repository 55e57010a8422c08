# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""PostgreSQL: one server of our own, reached through a unix socket."""

import contextlib
import pathlib
import signal
import typing
import urllib.parse

import psycopg2

from lab import processes
from lab.databases import server

START_DEADLINE_S = 60.0
PACKAGE = "postgresql"


def program(name: str) -> str:
    """Return the path of one of the server's programs, which Debian keeps out of the PATH.

    :raises MissingProgram: if no version of PostgreSQL is installed.
    """
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return processes.find_program(name, package=PACKAGE, folders=map(str, folders))


class PostgreSQL(server.Server):
    """One PostgreSQL server, run by the system user ``postgres`` when we are root.

    :param durable: ``synchronous_commit=on``, as production has it.
    """

    kind = "postgresql"

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable
        self.process: processes.Process | None = None
        self._folder: processes.Folder | None = None

    @property
    def folder(self) -> processes.Folder:
        """Return where data, socket and log are.

        :raises LabError: before ``start`` and after ``close``.
        """
        if self._folder is None:
            raise processes.LabError("PostgreSQL() was not started, or is closed")
        return self._folder

    def start(self) -> None:
        postgres = program("postgres")
        if self._folder is None:
            self._folder = processes.Folder("postgresql", user="postgres")
        data = self.folder.path / "data"
        if not data.exists():
            self.folder.run(
                [
                    program("initdb"),
                    "--no-sync",
                    "--auth=trust",
                    "--username=postgres",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--pgdata",
                    str(data),
                ]
            )
        # A killed server leaves it behind; its pid may belong to somebody else by now.
        (data / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder.path),
            "max_connections": "300",
            "synchronous_commit": "on" if self.durable else "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = processes.Process(
            "postgresql",
            [postgres, "-D", str(data), *options],
            folder=self.folder,
            log=self.folder.path / "postgres.log",
        )
        self.process.wait_ready(self._answers, START_DEADLINE_S)

    def stop(self) -> None:
        if self.process is not None:
            # "Fast": ends the sessions. SIGTERM would wait for the clients to go.
            self.process.stop(signal_number=signal.SIGINT)
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def create_database(self, name: str) -> list[str]:
        self.query(f"CREATE DATABASE {server.checked_name(name)}")
        return [self.url(name)]

    def drop_database(self, name: str) -> None:
        self.query(f"DROP DATABASE IF EXISTS {server.checked_name(name)} WITH (FORCE)")

    def disconnect_others(self, name: str) -> None:
        self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{server.checked_name(name)}' AND pid <> pg_backend_pid()"
        )

    def close(self) -> None:
        self.kill()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        host = urllib.parse.quote(str(self.folder.path))
        return f"postgresql+psycopg2://postgres@/{database}?host={host}"

    def query(self, statement: str) -> list[tuple[typing.Any, ...]]:
        """Run one statement as the administrator; return its rows, if it has any."""
        connection = psycopg2.connect(
            host=str(self.folder.path), user="postgres", dbname="postgres", connect_timeout=5
        )
        with contextlib.closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    def _answers(self) -> bool:
        try:
            self.query("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True
