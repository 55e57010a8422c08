# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Moments inside the processes that are measured: when they committed, when they called a driver.

``python -m benchmarks.probes api|conductor ...`` is the process as it is, with two moments sent as
datagrams: the return of the COMMIT that recorded workflows, and the call of a driver for one. The
clock is the machine's monotonic one, the same in all processes.
"""

import json
import os
import pathlib
import socket
import sys
import tempfile
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

    def take(self) -> None:
        """Read what has arrived; of several calls for one workflow the first counts."""
        while True:
            try:
                moment = json.loads(self._socket.recv(65536))
            except BlockingIOError:
                return
            for workflow_id in moment["ids"]:
                getattr(self, moment["what"]).setdefault(workflow_id, moment["at"])

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        self._folder.cleanup()


def install(path: str) -> None:
    """Send the two moments of this process to ``path`` from now on."""
    from networking_workflow.capture import session
    from networking_workflow.drivers import ml2

    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def send(what: str, at: float, ids: list[str]) -> None:
        sender.sendto(json.dumps({"what": what, "at": at, "ids": ids}).encode(), path)

    apply = ml2.Ml2Driver.apply

    def timed_apply(self: ml2.Ml2Driver, target: typing.Any) -> typing.Any:
        send("started", time.monotonic(), [target.workflow_id])
        return apply(self, target)

    ml2.Ml2Driver.apply = timed_apply  # type: ignore[method-assign]
    # Before the hook that wakes the conductor.
    session.AFTER_COMMIT.insert(0, lambda ids: send("committed", time.monotonic(), ids))


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
        return application


def _main() -> None:
    kind = sys.argv.pop(1)
    if kind == "api":
        server.Application = _Application  # type: ignore[misc]
        server.main()
        return
    import neutron as _  # noqa: F401 - it chooses the backend of oslo.service

    from networking_workflow.cmd import conductor

    install(os.environ[SOCKET])
    conductor.main()


if __name__ == "__main__":
    _main()
