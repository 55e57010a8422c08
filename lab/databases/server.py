# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What all database servers of the lab have in common."""

import abc
import typing

from lab import processes


class Server(abc.ABC):
    """One database server (or cluster) with its data in a temporary folder.

    ``start`` and ``stop`` may follow each other many times; the data stays until ``close``.
    """

    kind: typing.ClassVar[str]  #: "sqlite", "mariadb", "galera" or "postgresql"

    @abc.abstractmethod
    def start(self) -> None:
        """Start it and return when it answers."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Shut it down cleanly; the data stays."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Let it die as in a power cut of the process (SIGKILL); the data stays."""

    @abc.abstractmethod
    def create_database(self, name: str) -> list[str]:
        """Create an empty database; return its SQLAlchemy URLs, one for each node."""

    @abc.abstractmethod
    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it; no error if there is none."""

    @abc.abstractmethod
    def disconnect_others(self, name: str) -> None:
        """End every session on a database, so that no lock of a dead test is left on it."""

    @abc.abstractmethod
    def close(self) -> None:
        """Kill it and delete its data."""

    def restart(self) -> None:
        """Shut it down cleanly and start it again, at the same URLs."""
        self.stop()
        self.start()

    def __enter__(self) -> typing.Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def checked_name(name: str) -> str:
    """Return a database's name if it needs no quoting anywhere.

    :raises LabError: otherwise.
    """
    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        raise processes.LabError(f"{name!r}: use lower case letters, digits and underscores")
    return name
