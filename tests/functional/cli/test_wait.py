# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow wait``: what it exits with, and what it says meanwhile."""

import contextlib
import itertools
import socket
import subprocess
import threading
import typing
import urllib.parse
import uuid

import pytest

from tests.functional.api import seed
from tests.functional.cli import openstack

_WAIT = ("network", "workflow", "wait")


def _read_line(stream: typing.IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def _rest(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=openstack.PATIENCE_S)
    return process.returncode, err, out


def test_it_waits_until_all_have_ended_and_says_how_far_it_is(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    first = seeded.record(uuid.uuid4().hex)
    claim, _ = seeded.start(first)
    second = seeded.record(uuid.uuid4().hex)
    with admin.running(*_WAIT, f"{first}, {second}") as process:
        assert _read_line(process.stderr) == "1 READY, 1 RUNNING\n"
        seeded.journal.succeed(claim)
        assert _read_line(process.stderr) == "1 READY, 1 SUCCESS\n"
        claim, _ = seeded.start(second)
        assert _read_line(process.stderr) == "1 RUNNING, 1 SUCCESS\n"
        seeded.journal.succeed(claim)
        assert _rest(process) == (0, "", "Ended: 2 SUCCESS.\n")


def test_on_a_terminal_one_line_is_rewritten(admin: openstack.OpenStack, seeded: seed.Seed) -> None:
    workflow = seeded.record(uuid.uuid4().hex)
    with admin.on_terminal(*_WAIT, workflow) as terminal:
        terminal.read_until("\r\x1b[K1 READY; 0 s")
        seeded.succeed(workflow)
        assert terminal.end() == 0
    assert terminal.shown.endswith("\r\x1b[KEnded: 1 SUCCESS.\r\n")
    assert terminal.shown.count("\n") == 1


def test_one_that_failed_exits_1_and_says_which_step_and_why(
    admin: openstack.OpenStack, tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    assert tenant.project_id is not None
    failed = seeded.record(tenant.project_id)
    seeded.fail(failed)
    done = seeded.record(tenant.project_id)
    seeded.succeed(done)
    port = admin.json("network", "workflow", "show", failed)["resource_id"]
    as_tenant, as_admin = (caller(*_WAIT, failed, done) for caller in (tenant, admin))
    said = (
        f"Workflow {failed} (create port {port}): FAILED\n"
        "  step ovn: BACKEND_REFUSED: The network backend refused the change.\n"
    )
    assert (as_tenant.status, as_admin.status) == (1, 1)
    assert as_tenant.out.partition("\n")[2] == said
    assert as_admin.out.partition("\n")[2] == f"{said}    {seed.DETAIL_SECRET}\n"


def test_a_cancelled_one_exits_1(admin: openstack.OpenStack, seeded: seed.Seed) -> None:
    workflow = seeded.record(uuid.uuid4().hex)
    seeded.journal.cancel(workflow)
    ended = admin(*_WAIT, workflow)
    assert ended.status == 1
    assert ended.out.startswith("Ended: 1 CANCELLED.\n")


def test_when_the_time_is_over_it_exits_2_and_says_what_is_waited_for(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    network, project = str(uuid.uuid4()), uuid.uuid4().hex
    blocker = seeded.record(project, resource_type="network", resource_id=network)
    claim, _ = seeded.start(blocker)
    waiter = seeded.record(project, relies_on=[("network", network)])
    seeded.park(waiter)
    ended = admin(*_WAIT, waiter, "--timeout", "0.3")
    seeded.journal.succeed(claim)
    assert ended.status == 2
    assert ended.out.startswith("1 of 1 had not ended after 0.3 s.\n")
    assert f"WAITING, waits for workflow {blocker} of network {network}\n" in ended.out


def test_a_resource_is_waited_for_until_its_newest_workflow_has_ended(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    port, project = str(uuid.uuid4()), uuid.uuid4().hex
    skipped = seeded.record(project, resource_id=port)
    seeded.journal.skip(skipped)
    newest = seeded.record(project, resource_id=port)
    unfinished = admin(*_WAIT, "--resource", port, "--timeout", "0")
    seeded.succeed(newest)
    ended = admin(*_WAIT, "--resource", port)
    assert (unfinished.status, ended.status, ended.out) == (2, 0, "Ended: 1 SUCCESS.\n")


def test_what_was_superseded_ends_as_the_workflow_that_does_its_work(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    port, project = str(uuid.uuid4()), uuid.uuid4().hex
    old = seeded.record(project, resource_id=port)
    seeded.fail(old)
    healing = seeded.record(project, resource_id=port)
    seeded.succeed(healing)
    shown = admin.json("network", "workflow", "show", old)
    assert shown["superseded_by"] == healing
    ended = admin(*_WAIT, old)
    assert (ended.status, ended.out) == (0, "Ended: 1 SUCCESS.\n")


def test_an_operation_is_all_that_one_call_opened(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    workflow = seeded.record(uuid.uuid4().hex)
    seeded.succeed(workflow)
    operation = admin.json("network", "workflow", "show", workflow)["operation_id"]
    assert admin(*_WAIT, "--operation-id", operation).out == "Ended: 1 SUCCESS.\n"


def test_what_is_not_there_is_not_waited_for(
    admin: openstack.OpenStack, tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    of_another = seeded.record(uuid.uuid4().hex)
    for caller, arguments, says in (
        (admin, (), "Say what to wait for"),
        (tenant, (of_another,), f"Workflow {of_another} could not be found."),
        (tenant, ("--operation-id", "req-1"), "The API call req-1 opened no workflow that you"),
        (tenant, ("--resource", "port-1"), "There is no workflow of a resource port-1 that you"),
    ):
        ended = caller(*_WAIT, *arguments)
        assert (ended.status, ended.out) == (1, "")
        assert says in ended.err


class _Relay:
    """Passes connections on to a server, as a proxy does."""

    def __init__(self, url: str, *, answers_when_away: bool) -> None:
        self._there = urllib.parse.urlsplit(url)
        self._answers = answers_when_away
        self._away = False
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        self._away = False
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def leave(self) -> None:
        """Be as the server behind it, which is away; or be away oneself."""
        self._away = True
        if not self._answers:
            self._refuse()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self.leave()
        self._refuse()

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = listener.accept()
                if self._away:
                    with near:
                        near.recv(65536)
                        near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n")
                    continue
                far = socket.create_connection((self._there.hostname, self._there.port))
                self._open += [near, far]
                for pair in itertools.permutations((near, far)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)


@pytest.mark.parametrize("answers_when_away", [False, True])
def test_it_waits_on_while_the_network_service_restarts(
    url: str, forks: openstack.Forks, seeded: seed.Seed, answers_when_away: bool
) -> None:
    workflow = seeded.record(uuid.uuid4().hex)
    relay = _Relay(url, answers_when_away=answers_when_away)
    caller = openstack.OpenStack(url=f"http://127.0.0.1:{relay.port}", forks=forks)
    with caller.running(*_WAIT, workflow) as process:
        assert _read_line(process.stderr) == "1 READY\n"
        relay.leave()
        assert "cannot be reached; trying on." in _read_line(process.stderr)
        seeded.succeed(workflow)
        relay.start()
        assert _rest(process) == (0, "", "Ended: 1 SUCCESS.\n")
    relay.close()
