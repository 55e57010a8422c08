# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``docs/api.md``: every example is replayed, every attribute is told of.

With ``NETWORKING_WORKFLOW_WRITE_DOCS`` in the environment the answers are written into the page.
"""

import json
import os
import pathlib
import re
import typing
import uuid

import pytest

from networking_workflow.api import headers, idempotency, prefer, sync_state, tasks, workflows
from tests.functional.api import clients, seed

pytestmark = pytest.mark.again_on_sqlite

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "api.md"

_EXAMPLE = re.compile(r"```http\n(.*?)```", re.DOTALL)
_HEADERS = (
    *(headers.WORKFLOW_ID, prefer.WAIT, idempotency.REPLAYED),
    *("Preference-Applied", "Location", "Retry-After"),
)
_ADMINS_WORDS = {seed.DETAIL_SECRET: "constraint violation: ...", seed.HOST_SECRET: "controller-1"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z")
_REQUEST = re.compile(r"req-[0-9a-f-]{36}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Replay:
    """A tenant with workflows in several states, and what its requests are answered with."""

    def __init__(self, neutron: clients.Neutron, seeded: seed.Seed) -> None:
        self._tenant, self._admin = neutron.tenant(), neutron.admin
        project = self._tenant.project_id
        self._tenant.create("network", name="red")  # with the project's default group
        port, network = str(uuid.uuid4()), str(uuid.uuid4())
        failed = seeded.record(project, resource_id=port)
        seeded.fail(failed)
        done = seeded.record(project)
        seeded.succeed(done)
        first = seeded.record(project, resource_type="network", resource_id=network)
        seeded.claim(first)
        another = seeded.record(project, relies_on=[("network", network)])
        seeded.park(another)
        self._tenant.create("network", name="green")
        self._names = {
            "project": project,
            "port": port,
            "network": network,
            "failed": failed,
            "done": done,
            "first": first,
            "another": another,
        }

    def answer(self, example: str) -> str:
        """Return an example with the answer that its request gets."""
        request = example.split("\n\n")[0].strip("\n")
        lines = request.split("\n")
        client = self._admin if lines[0].startswith("#") else self._tenant
        lines = [line for line in lines if not line.startswith("#")]
        method, path = self._filled(lines[0]).split(" ", 1)
        sent = dict(line.split(": ", 1) for line in lines[1:] if not line.startswith("{"))
        bodies = [json.loads(self._filled(line)) for line in lines[1:] if line.startswith("{")]
        answer = client.call(method, path.removeprefix("/v2.0"), *bodies, **sent)
        said = [f"{name}: {answer.headers[name]}" for name in _HEADERS if name in answer.headers]
        shown = "\n".join([str(answer.status), *said, json.dumps(answer.body, indent=1)])
        return f"{request}\n\n{self._named(shown)}\n"

    def _filled(self, text: str) -> str:
        for name, value in self._names.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _named(self, text: str) -> str:
        for name, value in self._names.items():
            text = text.replace(value, "{" + name + "}")
        for secret, word in _ADMINS_WORDS.items():
            text = text.replace(secret, word)
        text = _TIME.sub("2026-11-26T12:00:00.000000Z", text)
        return _UUID.sub("{id}", _REQUEST.sub("req-{id}", text))


def test_every_example_is_answered_as_the_page_says(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    replay, page = Replay(neutron, seeded), PAGE.read_text()
    answered = _EXAMPLE.sub(lambda match: f"```http\n{replay.answer(match[1])}```", page)
    if os.environ.get("NETWORKING_WORKFLOW_WRITE_DOCS"):
        PAGE.write_text(answered)
    assert answered == page


@pytest.mark.parametrize(
    ("title", "attributes"),
    [
        ("## Tasks", tasks.ATTRIBUTES),
        ("## Workflows", workflows.ATTRIBUTES),
        ("## On resources", sync_state.ATTRIBUTES),
    ],
)
def test_the_page_tells_of_every_attribute_and_how_it_is_asked_for(
    title: str, attributes: dict[str, dict[str, typing.Any]]
) -> None:
    section = PAGE.read_text().split(f"{title}\n")[1].split("\n## ")[0]
    told: dict[str, tuple[bool, ...]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]) if line.startswith("| `") else ():
            told[name] = tuple(cell == "yes" for cell in cells[2:])
    sorts = [True] if title != "## On resources" else []
    assert told == {
        name: (
            bool(attribute.get("is_filter")),
            *(bool(attribute.get("is_sort_key")) for _ in sorts),
        )
        for name, attribute in attributes.items()
        if name != "tenant_id"  # Neutron's old name of project_id, which it adds by itself
    }
