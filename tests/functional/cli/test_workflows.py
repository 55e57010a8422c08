# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow list`` and ``show``."""

import json
import shlex
import subprocess
import sys
import threading
import typing
import urllib.parse
import uuid

# Not ``import http.server``: see networking_workflow/drivers/fabric/server.py.
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.functional.api import seed
from tests.functional.cli import openstack


def _ids(rows: list[dict[str, str]]) -> list[str]:
    return [row["ID"] for row in rows]


def _failed_and_done(tenant: openstack.OpenStack, seeded: seed.Seed) -> tuple[str, str]:
    assert tenant.project_id is not None
    failed = seeded.record(tenant.project_id)
    seeded.fail(failed)
    done = seeded.record(tenant.project_id)
    seeded.succeed(done)
    return failed, done


def test_the_program_lists_what_has_failed_and_why(
    tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    failed, done = _failed_and_done(tenant, seeded)
    with tenant.running("network", "workflow", "list", "--state", "failed") as process:
        out, err = process.communicate(timeout=openstack.PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    assert failed in out
    assert "BACKEND_REFUSED: The network backend refused the change." in out
    assert done not in out


def test_each_filter_narrows_a_list(admin: openstack.OpenStack, seeded: seed.Seed) -> None:
    project = uuid.uuid4().hex
    workflow = seeded.record(project)
    seeded.fail(workflow, driver="ovn")
    (task,) = admin.json("network", "task", "list", "--workflow", workflow)
    shown = admin.json("network", "workflow", "show", workflow)
    common = {
        "--resource": (shown["resource_id"], str(uuid.uuid4())),
        "--type": ("port", "network"),
        "--project": (project, uuid.uuid4().hex),
        "--operation-id": (shown["operation_id"], "req-other"),
        "--driver": ("ovn", "fabric"),
        "--changed-since": (shown["updated_at"], "2100-01-01T00:00:00Z"),
    }
    of_workflows = common | {
        "--id": (workflow, str(uuid.uuid4())),
        "--state": ("FAILED", "READY"),
        "--operation": ("create", "delete"),
        "--request-id": (shown["request_id"], "req-other"),
        "--initiator": ("api", "agent"),
        "--task-state": ("FAILED", "PENDING"),
    }
    of_tasks = common | {
        "--id": (task["ID"], str(uuid.uuid4())),
        "--workflow": (workflow, str(uuid.uuid4())),
        "--state": ("FAILED", "PENDING"),
        "--name": ("ovn", "fabric"),
        "--workflow-state": ("FAILED", "READY"),
    }
    lines, expected = [], []
    for noun, options, row in (
        ("workflow", of_workflows, workflow),
        ("task", of_tasks, task["ID"]),
    ):
        right = {option: values[0] for option, values in options.items()}
        for changed in [{}, *({option: values[1]} for option, values in options.items())]:
            given = [word for pair in (right | changed).items() for word in pair]
            lines.append(shlex.join(["network", noun, "list", *given]))
            expected.append([] if changed else [row])
    assert [_ids(rows) for rows in admin.batch(*lines)] == expected


def test_several_values_of_a_filter_find_any_of_them(
    tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    failed, done = _failed_and_done(tenant, seeded)
    assert tenant.project_id is not None
    ready = seeded.record(tenant.project_id)
    two = ("--state", "FAILED", "--state", "SUCCESS")
    assert set(_ids(tenant.json("network", "workflow", "list", *two))) == {failed, done}
    assert ready in _ids(tenant.json("network", "workflow", "list"))


def test_a_list_goes_on_behind_its_last_row_and_says_that_there_is_more(
    tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    assert tenant.project_id is not None
    newest_first = [seeded.record(tenant.project_id) for _ in range(5)][::-1]
    listed = ("network", "workflow", "list", "-f", "json")
    first = tenant(*listed, "--limit", "3")
    assert _ids(first.json) == newest_first[:3]
    assert f"more than these 3: go on with --marker {newest_first[2]}" in first.err
    rest = tenant(*listed, "--limit", "3", "--marker", newest_first[2])
    assert (_ids(rest.json), rest.err) == (newest_first[3:], "")
    whole = tenant(*listed, "--limit", "0", "--sort", "created_at")
    assert (_ids(whole.json), whole.err) == (newest_first[::-1], "")


def test_long_lists_show_all_that_show_shows(admin: openstack.OpenStack, seeded: seed.Seed) -> None:
    workflow = seeded.record(uuid.uuid4().hex)
    seeded.fail(workflow)
    for noun in ("workflow", "task"):
        mine = ("--workflow" if noun == "task" else "--id", workflow)
        (row,) = admin.json("network", noun, "list", *mine, "--long")
        shown = admin.json("network", noun, "show", row["ID"])
        assert sorted(map(str, row.values())) == sorted(map(str, shown.values()))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("list", "--state", "BROKEN"), 2, "choose from 'READY', 'WAITING'"),
        (("list", "--sort", "created_at:down"), 1, "must be asc or desc, not 'down'"),
        (("list", "--sort", "failure"), 1, "'failure'"),
        (("list", "--changed-since", "yesterday"), 1, "'yesterday' is no time like 2026-"),
        (("list", "--limit", "-1"), 2, "invalid"),
        (("list", "--project", "green"), 1, "'green' cannot be looked up"),
        (("show", "nothing"), 1, "Workflow nothing could not be found. It is not there, it is"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_clear_words(
    admin: openstack.OpenStack, arguments: tuple[str, ...], status: int, says: str
) -> None:
    ended = admin("network", "workflow", *arguments)
    assert (ended.status, ended.out) == (status, "")
    assert says in ended.err
    assert "Traceback" not in ended.err


def test_nothing_of_a_server_is_imported() -> None:
    script = (
        "import sys\n"
        "from networking_workflow.cli import actions, sync_state, tasks, wait, workflows\n"
        "print({name.split('.')[0] for name in sys.modules}\n"
        "    & {'neutron', 'neutron_lib', 'taskflow', 'oslo_db', 'sqlalchemy'})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "set()\n"


class _Projects(BaseHTTPRequestHandler):
    """As much of Keystone as a look-up of a project's name asks for."""

    named: typing.ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        (name,) = urllib.parse.parse_qs(url.query).get("name", [""])
        found = [{"id": one, "name": name} for one in filter(None, [self.named.get(name)])]
        link = {"rel": "self", "href": f"http://{self.headers['Host']}/v3/"}
        version = {"id": "v3.14", "status": "stable", "links": [link]}
        answers = {"/v3/projects": {"projects": found}, "/v3": {"version": version}}
        answer = answers.get(url.path.rstrip("/"))
        body = json.dumps(answer).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_project_may_be_named(admin: openstack.OpenStack, seeded: seed.Seed) -> None:
    project = uuid.uuid4().hex
    workflow = seeded.record(project)
    _Projects.named["green"] = project
    with HTTPServer(("127.0.0.1", 0), _Projects) as keystone:
        threading.Thread(target=keystone.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{keystone.server_port}/v3"
        asked = {"OS_IDENTITY_ENDPOINT_OVERRIDE": address}
        listed = ["network", "workflow", "list", "-f", "json", "--project"]
        green, blue = (
            admin.forks.run([*listed, name], admin.environment | asked)
            for name in ("green", "blue")
        )
        keystone.shutdown()
    assert _ids(green.json) == [workflow]
    assert "'blue' cannot be looked up: No Project found for blue. Give its ID." in blue.err
