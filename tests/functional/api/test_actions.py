# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``PUT /v2.0/workflows/{id}/retry|skip|cancel``, and the same for all that a filter finds."""

import collections.abc
import typing
import uuid

import pytest

from networking_workflow.capture import calls
from networking_workflow.model import states
from tests.functional.api import clients, seed

pytestmark = pytest.mark.again_on_sqlite

_ACTIONS = ("retry", "skip", "cancel")


@pytest.fixture
def told() -> collections.abc.Iterator[list[str]]:
    """Return the ids of the workflows that conductors have been told of."""
    ids: list[str] = []
    calls.AFTER_COMMIT.append(ids.extend)
    yield ids
    calls.AFTER_COMMIT.remove(ids.extend)


def _failed(neutron: clients.Neutron, seeded: seed.Seed, driver: str = "ovn") -> str:
    workflow = seeded.record(neutron.tenant().project_id)
    seeded.fail(workflow, driver=driver)
    return workflow


def _state(neutron: clients.Neutron, workflow: str) -> str:
    state: str = neutron.admin.get(f"/workflows/{workflow}")["workflow_state"]
    return state


def test_a_failed_workflow_is_retried_and_conductors_are_told(
    neutron: clients.Neutron, seeded: seed.Seed, told: list[str]
) -> None:
    workflow = _failed(neutron, seeded)
    answer = neutron.admin.call("PUT", f"/workflows/{workflow}/retry")
    assert answer.status == 200
    assert answer.body == {"workflow": neutron.admin.get(f"/workflows/{workflow}")}
    assert answer.body["workflow"]["workflow_state"] == "READY"
    assert answer.body["workflow"]["failure"] is None
    assert told == [workflow]
    seeded.succeed(workflow)
    assert _state(neutron, workflow) == "SUCCESS"


def test_a_failed_workflow_is_skipped(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    workflow = _failed(neutron, seeded)
    assert neutron.admin.call("PUT", f"/workflows/{workflow}/skip").status == 200
    assert _state(neutron, workflow) == "SKIPPED"


def test_who_waited_for_a_cancelled_workflow_goes_on(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant, network = neutron.tenant(), str(uuid.uuid4())
    blocker = seeded.record(tenant.project_id, resource_type="network", resource_id=network)
    seeded.unreachable(blocker)
    waiter = seeded.record(tenant.project_id, relies_on=[("network", network)])
    seeded.park(waiter)
    assert neutron.admin.call("PUT", f"/workflows/{blocker}/cancel").status == 200
    assert (_state(neutron, blocker), _state(neutron, waiter)) == ("CANCELLED", "READY")


def test_a_running_workflow_is_cancelled_when_its_call_has_returned(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    workflow = seeded.record(neutron.tenant().project_id)
    claim, _ = seeded.start(workflow)
    answer = neutron.admin.call("PUT", f"/workflows/{workflow}/cancel")
    assert (answer.status, answer.body["workflow"]["workflow_state"]) == (200, "RUNNING")
    assert seeded.journal.cancel_requested(claim)
    seeded.journal.cancelled(claim)
    assert _state(neutron, workflow) == "CANCELLED"


@pytest.mark.parametrize("action", _ACTIONS)
def test_a_state_that_does_not_allow_it_is_answered_with_409_and_the_reason(
    neutron: clients.Neutron, seeded: seed.Seed, action: str
) -> None:
    workflow = seeded.record(neutron.tenant().project_id)
    seeded.succeed(workflow)
    answer = neutron.admin.call("PUT", f"/workflows/{workflow}/{action}")
    assert answer.status == 409
    assert f"Workflow {workflow} is SUCCESS" in str(answer.body)


@pytest.mark.parametrize("action", _ACTIONS)
def test_only_administrators_move_workflows(
    neutron: clients.Neutron, seeded: seed.Seed, action: str
) -> None:
    owner, other = neutron.tenant(), neutron.tenant()
    workflow = seeded.record(owner.project_id)
    assert owner.status("PUT", f"/workflows/{workflow}/{action}") == 403
    assert other.status("PUT", f"/workflows/{workflow}/{action}") == 404
    assert owner.status("PUT", f"/workflows/{action}", {"filters": {"id": workflow}}) == 403
    assert neutron.admin.status("PUT", f"/workflows/{uuid.uuid4()}/{action}") == 404
    assert _state(neutron, workflow) == "READY"


def test_an_action_is_a_put_without_a_body(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    workflow = _failed(neutron, seeded)
    path = f"/workflows/{workflow}/retry"
    assert neutron.admin.status("PUT", path, {"workflow": {"attempts": 0}}) == 400
    assert neutron.admin.status("POST", path) == 404
    assert neutron.admin.status("PUT", f"/workflows/{workflow}/explode") == 404
    assert neutron.admin.status("PUT", path, {}) == 200


def _many(neutron: clients.Neutron, action: str, **body: typing.Any) -> dict[str, typing.Any]:
    answer = neutron.admin.call("PUT", f"/workflows/{action}", body)
    assert answer.status == 200, answer
    done: dict[str, typing.Any] = answer.body
    return done


@pytest.mark.on_sqlite
def test_all_failed_ones_of_a_driver_are_retried_after_a_look_at_which(
    neutron: clients.Neutron, seeded: seed.Seed, told: list[str]
) -> None:
    driver = f"driver-{uuid.uuid4().hex[:8]}"
    ids = {_failed(neutron, seeded, driver) for _ in range(3)}
    other = _failed(neutron, seeded)
    done = seeded.record(neutron.tenant().project_id)
    seeded.succeed(done)
    dry = _many(neutron, "retry", filters={"driver": driver}, dry_run=True)
    assert (dry["dry_run"], dry["matched"], dry["refused"]) == (True, 3, [])
    assert {row["id"] for row in dry["workflows"]} == ids
    assert {_state(neutron, workflow) for workflow in ids} == {"FAILED"}
    assert told == []
    wet = _many(neutron, "retry", filters={"driver": driver})
    assert (wet["matched"], wet["workflows"]) == (3, dry["workflows"])
    assert {_state(neutron, workflow) for workflow in ids} == {"READY"}
    assert _state(neutron, other) == "FAILED"
    assert set(told) == ids
    assert _many(neutron, "retry", filters={"driver": driver})["matched"] == 0


def test_a_limit_leaves_the_rest_for_the_next_request(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    driver = f"driver-{uuid.uuid4().hex[:8]}"
    ids = [_failed(neutron, seeded, driver) for _ in range(3)]
    first = _many(neutron, "skip", filters={"driver": [driver]}, limit=2)
    assert (first["matched"], [row["id"] for row in first["workflows"]]) == (3, ids[:2])
    second = _many(neutron, "skip", filters={"driver": [driver]}, limit=2)
    assert (second["matched"], [row["id"] for row in second["workflows"]]) == (1, ids[2:])


def test_filters_find_only_what_the_action_can_move(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    project = neutron.tenant().project_id
    failed = seeded.record(project)
    seeded.fail(failed)
    running = seeded.record(project)
    seeded.claim(running)
    found = {
        action: {
            row["id"]
            for row in _many(neutron, action, filters={"project_id": project}, dry_run=True)[
                "workflows"
            ]
        }
        for action in _ACTIONS
    }
    assert found == {"retry": {failed}, "skip": {failed}, "cancel": {failed, running}}
    for state in (states.WorkflowState.SUCCESS, states.WorkflowState.READY):
        filters = {"project_id": project, "workflow_state": state}
        assert _many(neutron, "retry", filters=filters)["matched"] == 0


@pytest.mark.on_sqlite
def test_what_has_moved_meanwhile_is_named_with_the_reason(
    neutron: clients.Neutron, seeded: seed.Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = f"driver-{uuid.uuid4().hex[:8]}"
    first, second = (_failed(neutron, seeded, driver) for _ in range(2))
    stock = type(seeded.journal).retry

    def retry(journal: typing.Any, workflow_id: str) -> None:
        if workflow_id == second:
            seeded.journal.skip(second)
        stock(journal, workflow_id)

    monkeypatch.setattr(type(seeded.journal), "retry", retry)
    done = _many(neutron, "retry", filters={"driver": driver})
    assert [row["id"] for row in done["workflows"]] == [first]
    (refused,) = done["refused"]
    assert refused["id"] == second
    assert "SKIPPED" in refused["reason"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "filters"),
        ([], "filters"),
        ({}, "filters"),
        ({"filters": {}}, "at least one"),
        ({"filters": {"colour": "blue"}}, "'colour' is no filter"),
        ({"filters": {"failure_detail": "x"}}, "no filter"),
        ({"filters": {"driver": 1}}, "driver must be a text"),
        ({"filters": {"driver": []}}, "driver must be a text"),
        ({"filters": {"workflow_state": "BROKEN"}}, "'BROKEN' is none of"),
        ({"filters": {"changed_since": "yesterday"}}, "'yesterday' is no time"),
        ({"filters": {"driver": "ovn"}, "dry_run": "yes"}, "true or false"),
        ({"filters": {"driver": "ovn"}, "limit": 0}, "from 1 to 1000"),
        ({"filters": {"driver": "ovn"}, "limit": True}, "from 1 to 1000"),
        ({"filters": {"driver": "ovn"}, "force": True}, "nothing else"),
    ],
)
def test_a_request_for_many_that_is_not_clear_is_refused(
    neutron: clients.Neutron, body: typing.Any, says: str
) -> None:
    answer = neutron.admin.call("PUT", "/workflows/cancel", body)
    assert answer.status == 400
    assert says in str(answer.body)
