# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network workflow retry``, ``skip``, ``cancel``: by id, and all that match."""

import typing
import uuid

import pytest

from networking_workflow.cli import actions
from networking_workflow.journal import record
from networking_workflow.model import keys, states, workflows
from tests.functional.api import seed
from tests.functional.cli import openstack


def _failed(seeded: seed.Seed, project: str, number: int = 1) -> list[str]:
    ids = []
    for _ in range(number):
        ids.append(seeded.record(project))
        seeded.fail(ids[-1])
    return ids


def _states(admin: openstack.OpenStack, project: str) -> dict[str, str]:
    listed = ("network", "workflow", "list", "--project", project, "--limit", "0")
    return {row["ID"]: row["State"] for row in admin.json(*listed)}


def _rows(rows: list[dict[str, typing.Any]]) -> list[tuple[str, str]]:
    return [(row["ID"], row["Result"]) for row in rows]


def test_named_workflows_are_moved_one_by_one_and_who_refuses_says_why(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    project, nobody = uuid.uuid4().hex, str(uuid.uuid4())
    first, second = _failed(seeded, project, 2)
    done = seeded.record(project)
    seeded.succeed(done)
    ended = admin("network", "workflow", "retry", first, done, nobody, second, "-f", "json")
    assert ended.status == 1
    rows = openstack.Ended(status=0, out=ended.out, err="").json
    refused = [(done, "refused"), (nobody, "refused")]
    assert _rows(rows) == [(first, "retried"), *refused, (second, "retried")]
    assert rows[1]["Reason"] == f"Workflow {done} is SUCCESS; it cannot be retried from there."
    assert f"Workflow {nobody} could not be found." in rows[2]["Reason"]
    assert _states(admin, project) == {first: "READY", done: "SUCCESS", second: "READY"}


@pytest.mark.parametrize(
    ("action", "result", "after"),
    [
        ("retry", "retried", "READY"),
        ("skip", "skipped", "SKIPPED"),
        ("cancel", "cancelled", "CANCELLED"),
    ],
)
def test_all_that_match_are_moved_after_a_look_at_which(
    admin: openstack.OpenStack, seeded: seed.Seed, action: str, result: str, after: str
) -> None:
    project = uuid.uuid4().hex
    ids = _failed(seeded, project, 2)
    command = ("network", "workflow", action, "--project", project, "-f", "json")
    dry = admin(*command, "--dry-run")
    assert _rows(dry.json) == [(one, f"would be {result}") for one in ids]
    assert dry.err == f"2 would be {result}; nothing was changed.\n"
    unconfirmed = admin(*command)
    assert (unconfirmed.status, unconfirmed.out) == (1, "")
    assert f"2 workflows would be {result}; nothing was changed. Say --yes" in unconfirmed.err
    assert set(_states(admin, project).values()) == {"FAILED"}
    wet = admin(*command, "--yes")
    assert _rows(wet.json) == [(one, result) for one in ids]
    assert wet.err == f"2 {result}, 0 refused.\n"
    assert set(_states(admin, project).values()) == {after}
    again = admin(*command, "--state", "SUCCESS", "--yes")
    assert (again.json, again.err) == ([], f"No workflow that can be {result} matches.\n")


def test_more_than_one_request_moves_are_moved_each_once(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    project, number = uuid.uuid4().hex, actions._AT_A_TIME + 1
    new = [_new(project) for _ in range(number)]
    with seeded.engine.begin() as connection:
        record.record(connection, new)
    ended = admin("network", "workflow", "skip", "--project", project, "--yes", "-f", "json")
    assert sorted(_rows(ended.json)) == sorted((one.id, "skipped") for one in new)
    progress = f"{number - 1} of {number}\n{number} of {number}\n"
    assert ended.err == f"{progress}{number} skipped, 0 refused.\n"
    assert set(_states(admin, project).values()) == {"SKIPPED"}


def _new(project: str) -> workflows.NewWorkflow:
    port = str(uuid.uuid4())
    return workflows.NewWorkflow(
        id=str(uuid.uuid4()),
        resource_type="port",
        resource_id=port,
        operation=states.Operation.CREATE,
        keys={str(keys.Key(keys.DEFAULT_LANE, "port", port)): keys.Mode.EXCLUSIVE},
        project_id=project,
        operation_id="req-many",
        request_id="req-many",
        snapshot={"version": 1, "deleted": {}, "edge": {}},
    )


def test_a_running_workflow_will_be_cancelled_when_its_call_has_returned(
    admin: openstack.OpenStack, seeded: seed.Seed
) -> None:
    project = uuid.uuid4().hex
    running = seeded.record(project)
    claim, _ = seeded.start(running)
    filtered = admin.json("network", "workflow", "cancel", "--project", project, "--yes")
    named = admin.json("network", "workflow", "cancel", running)
    assert _rows(filtered) == _rows(named) == [(running, "will be cancelled")]
    assert seeded.journal.cancel_requested(claim)
    seeded.journal.cancelled(claim)


@pytest.mark.parametrize(
    ("answer", "status", "after"), [("y\n", 0, "SKIPPED"), ("\n", 1, "FAILED")]
)
def test_on_a_terminal_it_asks(
    admin: openstack.OpenStack, seeded: seed.Seed, answer: str, status: int, after: str
) -> None:
    project = uuid.uuid4().hex
    (workflow,) = _failed(seeded, project)
    with admin.on_terminal("network", "workflow", "skip", "--project", project) as terminal:
        terminal.read_until("Skip 1 workflow? [y/N] ")
        terminal.type(answer)
        assert terminal.end() == status
    assert _states(admin, project) == {workflow: after}


@pytest.mark.parametrize("arguments", [(), ("one", "--state", "FAILED")])
def test_it_must_be_clear_which_are_meant(
    admin: openstack.OpenStack, arguments: tuple[str, ...]
) -> None:
    ended = admin("network", "workflow", "cancel", *arguments)
    assert ended.status == 1
    assert "Say which workflows are to be cancelled: IDs, or filters, and not both." in ended.err


def test_tenants_move_nothing(
    admin: openstack.OpenStack, tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    assert tenant.project_id is not None
    (workflow,) = _failed(seeded, tenant.project_id)
    for which in ((workflow,), ("--state", "FAILED", "--yes")):
        ended = tenant("network", "workflow", "retry", *which)
        assert ended.status == 1
        assert "rule:retry_workflow is disallowed by policy. Administrators may" in ended.err
    assert _states(admin, tenant.project_id) == {workflow: "FAILED"}
