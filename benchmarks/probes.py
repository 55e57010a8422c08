# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Moments inside the processes that are measured: when they committed, when they called a driver.

``python -m benchmarks.probes api|conductor ...`` is the process as it is, with moments sent as
datagrams: the return of the COMMIT that recorded workflows, the call of a driver for one, the
return of the COMMIT that ended a port's, and how long the work for a port on OVN took. The clock is
the machine's monotonic one, the same in all processes. Who sends waits while ten are unread.
"""

import importlib
import json
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time
import typing

from lab import neutron
from lab.neutron import server

#: Environment variable with the path of the socket that gets the moments.
SOCKET = "NETWORKING_WORKFLOW_PROBES"


class Moments:
    """Where the moments arrive."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="probes-")
        self.path = pathlib.Path(self._folder.name) / "moments"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        #: workflow id -> seconds of the monotonic clock
        self.committed: dict[str, float] = {}
        self.started: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        #: port id -> milliseconds of each call for it, and the statements sent meanwhile
        self.worked: dict[str, list[tuple[float, int]]] = {}

    def take(self) -> None:
        """Read what has arrived; of several calls for one workflow the first counts."""
        while True:
            try:
                moment = json.loads(self._socket.recv(65536))
            except BlockingIOError:
                return
            if moment["what"] == "worked":
                self.worked.setdefault(moment["id"], []).append((moment["ms"], moment["number"]))
                continue
            for workflow_id in moment["ids"]:
                getattr(self, moment["what"]).setdefault(workflow_id, moment["at"])

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        self._folder.cleanup()


def install(path: str) -> None:
    """Send the moments of this process's workflows to ``path`` from now on."""
    from networking_workflow.capture import calls
    from networking_workflow.drivers import ml2
    from networking_workflow.journal import journal

    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def send(what: str, at: float, ids: list[str]) -> None:
        sender.sendto(json.dumps({"what": what, "at": at, "ids": ids}).encode(), path)

    def started(target: typing.Any) -> None:
        send("started", time.monotonic(), [target.workflow_id])

    def ended(claim: typing.Any) -> None:
        if claim.resource_type == "port":
            send("ended", time.monotonic(), [claim.id])

    _before(ml2.Ml2Driver, "apply", started)
    _after(journal.Journal, "succeed", ended)
    # Before the hook that wakes the conductor.
    calls.AFTER_COMMIT.insert(0, lambda ids: send("committed", time.monotonic(), ids))


def _before(owner: type, name: str, moment: typing.Callable[[typing.Any], None]) -> None:
    """Let ``moment`` hear of every call of a method first."""
    original = getattr(owner, name)

    def call(self: typing.Any, target: typing.Any) -> typing.Any:
        moment(target)
        return original(self, target)

    setattr(owner, name, call)


def _after(owner: type, name: str, moment: typing.Callable[[typing.Any], None]) -> None:
    """Let ``moment`` hear of every return of a method."""
    original = getattr(owner, name)

    def call(self: typing.Any, target: typing.Any, *arguments: typing.Any) -> typing.Any:
        result = original(self, target, *arguments)
        moment(target)
        return result

    setattr(owner, name, call)


def install_work(path: str) -> None:
    """Send how long each call for a port on OVN takes: stock's postcommits, or our driver's."""
    import sqlalchemy as sa
    from neutron.plugins.ml2.drivers.ovn.mech_driver import mech_driver

    from networking_workflow.drivers.ovn import driver

    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sent = threading.local()

    def count(*_: typing.Any) -> None:
        sent.number = getattr(sent, "number", 0) + 1

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", count)

    def timed(owner: type, name: str, port_of: typing.Callable[[typing.Any], str]) -> None:
        original = getattr(owner, name)

        def call(self: typing.Any, target: typing.Any) -> typing.Any:
            before, started = getattr(sent, "number", 0), time.perf_counter()
            try:
                return original(self, target)
            finally:
                took_ms = (time.perf_counter() - started) * 1000
                number = getattr(sent, "number", 0) - before
                moment = {"what": "worked", "id": port_of(target), "ms": took_ms, "number": number}
                sender.sendto(json.dumps(moment).encode(), path)

        setattr(owner, name, call)

    for name in ("create_port_postcommit", "update_port_postcommit"):
        timed(mech_driver.OVNMechanismDriver, name, lambda target: str(target.current["id"]))
    timed(driver.OvnDriver, "apply", lambda target: str(target.resource_id))


class ProbedApi(neutron.NeutronApi):
    """neutron-api that sends its moments."""

    def _argv(self) -> list[str]:
        python, _, _, *options = super()._argv()
        return [python, "-m", "benchmarks.probes", "api", *options]


class ProbedConductor(neutron.Conductor):
    """neutron-workflow-conductor that sends its moments."""

    def _argv(self) -> list[str]:
        python, _, *options = super()._argv()
        return [python, "-m", "benchmarks.probes", "conductor", *options]


class _Application(server.Application):
    def load(self) -> typing.Any:
        application = super().load()
        install(os.environ[SOCKET])
        install_work(os.environ[SOCKET])
        return application


def _main() -> None:
    kind = sys.argv.pop(1)
    if kind == "api":
        server.main(_Application)
        return
    importlib.import_module("neutron")  # it chooses the backend of oslo.service

    from networking_workflow.cmd import conductor

    install(os.environ[SOCKET])
    install_work(os.environ[SOCKET])
    conductor.main()


if __name__ == "__main__":
    _main()
