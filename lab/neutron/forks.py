# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's programs as processes that need not import Neutron first, which takes seconds.

``python -m lab.neutron.forks`` imports once what they import before they read a configuration, and
forks for each program that is asked for; the child goes on as the program. The core plugin is not
among the imports, since it prepares the database that is configured. Nothing else has been done in
the process: it has one thread, and no connection.
"""

import gc
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import typing

from lab import processes

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

SERVER, CONDUCTOR, APPLICATION = "server", "conductor", "application"

#: What is executed otherwise; the arguments follow.
_COMMANDS = {
    (sys.executable, "-m", "lab.neutron.server"): SERVER,
    (
        sys.executable,
        str(pathlib.Path(sys.executable).parent / "neutron-workflow-conductor"),
    ): CONDUCTOR,
}

#: Seconds between two looks whether a child has ended.
_LOOK_S = 0.01


class Forked:
    """A child, as ``subprocess.Popen`` shows one."""

    def __init__(self, forks: "Forks", pid: int) -> None:
        self.pid, self._forks = pid, forks
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        if self._status is None:
            self._status = self._forks.ask(poll=self.pid)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended.

        :raises subprocess.TimeoutExpired: if it does not in time.
        """
        started = time.monotonic()
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() - started > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            threading.Event().wait(_LOOK_S)
        return status


class Forks:
    """The process that forks; it is started by the first program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def spawn(
        self,
        program: str,
        arguments: typing.Sequence[str],
        environment: typing.Mapping[str, str],
        *,
        folder: pathlib.Path,
        out: pathlib.Path,
        err: pathlib.Path,
    ) -> Forked:
        """Start a program in a folder and a session of its own; its words are appended to files."""
        told = {"program": program, "arguments": list(arguments), "environment": dict(environment)}
        places = {"folder": str(folder), "out": str(out), "err": str(err)}
        pid = self.ask(**told, **places)
        assert pid is not None
        return Forked(self, pid)

    def ask(self, **request: typing.Any) -> int | None:
        """Return the answer to one request; that a child was killed if nobody answers any more."""
        with self._lock:
            if self._process is None:
                self._process = self._start()
            requests, answers = self._process.stdin, self._process.stdout
            assert requests is not None
            assert answers is not None
            try:
                requests.write(json.dumps(request) + "\n")
                requests.flush()
                answer: int | None = json.loads(answers.readline())
            except (OSError, ValueError) as error:
                if "poll" in request:
                    return -signal.SIGKILL  # each dies with who has forked it
                raise processes.LabError(f"{__name__} has ended; stderr says why") from error
            return answer

    def close(self) -> None:
        """End it, and with it what it has forked."""
        if self._process is not None:
            self._process.communicate()

    @staticmethod
    def _start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", __name__],
            cwd=REPOSITORY,
            env=processes.clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


class ForkedProcess(processes.Process):
    """A process of the lab that is forked, if it is a program that can be."""

    def __init__(self, forks: Forks, *arguments: typing.Any, **more: typing.Any) -> None:
        self._forks = forks
        super().__init__(*arguments, **more)

    def _start(
        self,
        argv: typing.Sequence[str],
        folder: processes.Folder,
        environment: typing.Mapping[str, str],
    ) -> processes.Child:
        for command, program in _COMMANDS.items():
            if tuple(argv[: len(command)]) == command:
                return self._forks.spawn(
                    program,
                    argv[len(command) :],
                    environment,
                    folder=folder.path,
                    out=self.log,
                    err=self.log,
                )
        return super()._start(argv, folder, environment)


# -- the process that forks ----------------------------------------------------------------------


def _server() -> None:
    from lab.neutron import server

    server.main()


def _conductor() -> None:
    from networking_workflow.cmd import conductor

    sys.exit(conductor.main())


_PROGRAMS: dict[str, typing.Callable[[], object]] = {
    SERVER: _server,
    CONDUCTOR: _conductor,
    APPLICATION: lambda: importlib.import_module("neutron.wsgi.api"),  # as servers do
}

_IMPORTED = (
    "neutron",  # first: it chooses oslo.service's threads
    "neutron.plugins.ml2.drivers.ovn.mech_driver.mech_driver",
    "neutron.plugins.ml2.plugin",
    "neutron.server.api",
    "neutron.services.ovn_l3.plugin",
    "networking_workflow.cmd.conductor",
    "lab.neutron.server",
)


def main() -> None:
    """Answer requests until there are no more; in a child, be the program."""
    gc.disable()  # an import makes much and frees nothing
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    ended: dict[int, int] = {}
    parent = os.getpid()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            answer = _poll(request["poll"], ended)
        else:
            answer = os.fork()
            if not answer:
                _become(parent, **request)
                return  # and end as a program does
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _poll(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def _become(
    parent: int,
    *,
    program: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    out: str,
    err: str,
) -> None:
    os.setsid()
    processes.die_with(parent)
    os.chdir(folder)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    places = ((os.devnull, os.O_RDONLY), (out, append), (err, append))
    for number, (path, flags) in enumerate(places):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may be another
    more = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in more if path and path not in sys.path]
    sys.argv = [program, *arguments]
    _PROGRAMS[program]()


if __name__ == "__main__":
    main()
