# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``docs/client.md``: every example is replayed, every command and option is told of.

With ``NETWORKING_WORKFLOW_WRITE_DOCS`` in the environment the answers are written into the page.
"""

import importlib.metadata
import os
import pathlib
import re
import shlex
import uuid

from tests.functional.api import seed
from tests.functional.cli import openstack, world

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "client.md"

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_MEMBER = "# as a member of the project\n"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _on_page(name: str) -> str:
    """Return the id that something has on the page, as long as any other."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


class Replay:
    """A project with workflows in several states, and what the command line says of them."""

    def __init__(self, url: str, admin: openstack.OpenStack, seeded: seed.Seed) -> None:
        project = uuid.uuid4().hex
        self._admin = admin
        self._member = openstack.OpenStack(url=url, forks=admin.forks, project_id=project)
        self._names = {project: uuid.uuid5(uuid.NAMESPACE_URL, "project").hex}
        self._fill(world.Project(url, seeded, project))

    def _fill(self, project: world.Project) -> None:
        web = project.make("networks", name="web")["id"]
        project.settle()
        self._port(project, "web-1", web)
        project.settle()
        old = self._port(project, "old", web)
        project.settle()
        project.delete("ports", old)
        project.refuse(project.workflow(old), "Logical_Switch_Port is locked by another client")
        odd = self._port(project, "odd", web)
        project.refuse(project.workflow(odd), "constraint violation: 4294967296 is out of range")
        self._name("workflow of odd", project.workflow(odd))
        blue = project.make("networks", name="blue")["id"]
        running = project.workflow(blue)
        self.claim, _ = project.seeded.start(running)
        waiting = project.workflow(self._port(project, "blue-1", blue))
        project.seeded.park(waiting)
        self._name("workflow of blue", running)
        self._name("workflow of blue-1", waiting)

    def _port(self, project: world.Project, name: str, network_id: str) -> str:
        port: str = project.make("ports", name=name, network_id=network_id)["id"]
        self._name(name, port)
        return port

    def _name(self, name: str, real: str) -> None:
        self._names[real] = _on_page(name)

    def answers(self, block: str) -> str:
        """Return a block's commands, each with what it says now."""
        caller = self._member if block.startswith(_MEMBER) else self._admin
        lines = [line for line in block.splitlines() if line.startswith("$ ")]
        said = "\n".join(line + "\n" + self._answer(caller, line) for line in lines)
        return (_MEMBER if caller is self._member else "") + said

    def _answer(self, caller: openstack.OpenStack, line: str) -> str:
        program, *arguments = shlex.split(self._real(line.removeprefix("$ ")))
        assert program == "openstack"
        ended = caller(*arguments)
        status = f"(exit {ended.status})\n" if ended.status else ""
        return self._told(ended.err + ended.out + status)

    def _real(self, text: str) -> str:
        for real, told in self._names.items():
            text = text.replace(told, real)
        return text

    def _told(self, text: str) -> str:
        for found in _UUID.findall(text):
            if found not in self._names:
                self._name(f"{len(self._names)}", found)
        for real, told in self._names.items():
            text = text.replace(real, told)
        return _TIME.sub("2026-11-27T12:00:00.000000Z", text)


def test_every_example_says_what_the_page_says(
    url: str, admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    replay, page = Replay(url, admin, seeded), PAGE.read_text()
    said = _BLOCK.sub(lambda match: f"```console\n{replay.answers(match[1])}```", page)
    seeded.journal.cancelled(replay.claim)
    if os.environ.get("NETWORKING_WORKFLOW_WRITE_DOCS"):
        PAGE.write_text(said)
    assert said == page


def test_every_command_has_an_example() -> None:
    commands = {
        point.name.replace("_", " ")
        for point in importlib.metadata.distribution("networking-workflow").entry_points
        if point.group == "openstack.network.v2"
    }
    examples = "\n".join(_BLOCK.findall(PAGE.read_text()))
    assert {one for one in commands if f"$ openstack {one}" in examples} == commands
