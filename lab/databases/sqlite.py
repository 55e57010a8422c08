# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""SQLite: a folder of files, with the interface of a server."""

import pathlib

from lab import processes
from lab.databases import server


class SQLite(server.Server):
    """Database files in one temporary folder. There is nothing to start, stop or kill."""

    kind = "sqlite"

    def __init__(self) -> None:
        self._folder: processes.Folder | None = None

    @property
    def folder(self) -> pathlib.Path:
        """Return where the files are.

        :raises LabError: before ``start`` and after ``close``.
        """
        if self._folder is None:
            raise processes.LabError("SQLite() was not started, or is closed")
        return self._folder.path

    def start(self) -> None:
        if self._folder is None:
            self._folder = processes.Folder("sqlite")

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        pass

    def file(self, name: str) -> pathlib.Path:
        """Return the path of a database's file, whether or not it is there."""
        return self.folder / f"{server.checked_name(name)}.db"

    def create_database(self, name: str) -> list[str]:
        path = self.file(name)
        path.touch(exist_ok=False)
        return [f"sqlite:///{path}"]

    def drop_database(self, name: str) -> None:
        for path in self.folder.glob(f"{server.checked_name(name)}.db*"):  # -wal and -shm too
            path.unlink()

    def disconnect_others(self, name: str) -> None:
        pass  # a dead process holds no lock on a file

    def close(self) -> None:
        if self._folder is not None:
            self._folder.remove()
            self._folder = None
