# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Tasks: each step is durable, keeps its id over attempts, and what drivers return is kept."""

import json
import typing

import pytest
import sqlalchemy as sa

from networking_workflow.journal import retries, tables
from networking_workflow.model import failures, tasks, workflows
from networking_workflow.model.states import Operation, TaskState
from tests.contract.journal.world import FAILURE, World, change

BUSY = failures.Failure(code=failures.FailureCode.BACKEND_BUSY, detail="not now")
PLANNED = [
    tasks.PlannedTask(name="ovn", driver="ovn", position=0),
    tasks.PlannedTask(name="fabric", driver="fabric", position=1),
]


def states(world: World) -> list[tuple[str, str, int]]:
    """Return name, state and attempts of all tasks, in order."""
    table = tables.tasks.c
    return [
        tuple(row)
        for row in world.query(
            sa.select(table.name, table.task_state, table.attempts).order_by(table.position)
        )
    ]


def test_steps_are_written_as_they_start_and_end(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    assert states(world) == [("ovn", "RUNNING", 1), ("fabric", "PENDING", 0)]
    done = tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS)
    world.journal.step(claim, done, next_task_id=fabric.id, applied={"ovn": {"mtu": 1442}})
    assert states(world) == [("ovn", "SUCCESS", 1), ("fabric", "RUNNING", 1)]
    done = tasks.TaskResult(id=fabric.id, state=TaskState.SUCCESS)
    world.journal.succeed(claim, [done], {"fabric": {"vlan": 7}})
    assert states(world) == [("ovn", "SUCCESS", 1), ("fabric", "SUCCESS", 1)]
    assert world.applied(claim) == {"ovn": {"mtu": 1442}, "fabric": {"vlan": 7}}
    (host,) = {row.host for row in world.query(sa.select(tables.tasks.c.host))}
    assert host == "host"


def test_the_next_owner_goes_on_with_the_same_task_ids(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    done = tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS)
    world.journal.step(claim, done, next_task_id=fabric.id)
    world.journal.hand_back(claim)
    claim = world.claim()
    assert claim is not None
    again = world.journal.start_tasks(claim, PLANNED)
    assert [(one.id, one.state, one.attempts) for one in again] == [
        (ovn.id, TaskState.SUCCESS, 1),
        (fabric.id, TaskState.RUNNING, 2),
    ]


def test_a_failure_is_kept_with_its_words(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, _ = world.journal.start_tasks(claim, PLANNED)
    result = tasks.TaskResult(id=ovn.id, state=TaskState.FAILED, failure=FAILURE)
    world.journal.fail(claim, FAILURE, [result])
    table = tables.tasks.c
    (row,) = world.query(
        sa.select(table.failure_code, table.failure_detail).where(table.id == ovn.id)
    )
    assert tuple(row) == (FAILURE.code, FAILURE.detail)


def failures_seen(world: World, claim: workflows.Claim, task_id: str) -> list[object]:
    """Return what workflow, task and resource say is wrong."""
    task, resource = tables.tasks.c, tables.resource_sync.c
    (of_task,) = world.query(
        sa.select(task.task_state, task.failure_code, task.failure_detail).where(task.id == task_id)
    )
    (of_resource,) = world.query(sa.select(resource.sync_state, resource.sync_error))
    workflow = world.row(claim.id)
    return [
        (workflow.state, workflow.failure_code, workflow.failure_detail),
        tuple(of_task),
        tuple(of_resource),
    ]


def test_what_is_wrong_while_a_task_runs_is_said_until_it_is_written_how_it_ended(
    world: World,
) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    before = world.journal.shown(claim)
    assert before == failures.Shown()
    world.journal.remark(claim, ovn.id, FAILURE)
    assert failures_seen(world, claim, ovn.id) == [
        ("RUNNING", FAILURE.code, FAILURE.detail),
        ("RUNNING", FAILURE.code, FAILURE.detail),
        ("PENDING", FAILURE.code),
    ]
    assert failures_seen(world, claim, fabric.id)[1] == ("PENDING", None, None)
    done = tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS, before_late=before)
    world.journal.step(claim, done, next_task_id=fabric.id)
    nothing = [("RUNNING", None, None), ("SUCCESS", None, None), ("PENDING", None)]
    assert failures_seen(world, claim, ovn.id) == nothing


def test_what_was_wrong_before_is_shown_again_when_a_late_call_is_back(world: World) -> None:
    (port,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    failed = tasks.TaskResult(id=ovn.id, state=TaskState.RETRYING, failure=BUSY)
    world.journal.retry_later(claim, BUSY, delay_s=0.0, spend_attempt=True, results=[failed])
    world.sync()
    world.journal.requeue_due()
    claim = world.claim()
    assert claim is not None
    assert claim.id == port
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    world.sync()
    before = world.journal.shown(claim)
    assert before == failures.Shown(failure=BUSY, sync_error=BUSY.code)
    world.journal.remark(claim, ovn.id, FAILURE)
    done = tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS, before_late=before)
    world.journal.step(claim, done, next_task_id=fabric.id)
    assert failures_seen(world, claim, ovn.id) == [
        ("RUNNING", BUSY.code, BUSY.detail),
        ("SUCCESS", None, None),
        ("PENDING", BUSY.code),
    ]


def test_a_driver_that_could_not_be_called_was_not_tried(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    assert (ovn.called_before, fabric.called_before) == (False, False)
    refused = tasks.TaskResult(id=ovn.id, state=TaskState.RETRYING, failure=BUSY, called=False)
    world.journal.step(claim, refused, next_task_id=fabric.id)
    busy = tasks.TaskResult(id=fabric.id, state=TaskState.RETRYING, failure=BUSY)
    world.journal.retry_later(claim, BUSY, delay_s=0.0, spend_attempt=False, results=[busy])
    assert states(world) == [("ovn", "RETRYING", 0), ("fabric", "RETRYING", 1)]
    world.sync()
    world.journal.requeue_due()
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    assert (ovn.called_before, fabric.called_before) == (False, True)
    assert states(world) == [("ovn", "RUNNING", 1), ("fabric", "RETRYING", 1)]


def test_what_is_said_of_an_older_change_leaves_a_newer_one_alone(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, _ = world.journal.start_tasks(claim, PLANNED)
    world.record(change("port/p"))
    world.journal.remark(claim, ovn.id, FAILURE)
    assert failures_seen(world, claim, ovn.id)[2] == ("PENDING", None)


def test_success_says_nothing_of_what_was_wrong_before(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    (ovn,) = world.journal.start_tasks(claim, PLANNED[:1])
    world.journal.remark(claim, ovn.id, FAILURE)
    world.journal.succeed(claim, [tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS)])
    assert failures_seen(world, claim, ovn.id) == [
        ("SUCCESS", None, None),
        ("SUCCESS", None, None),
        ("SYNCED", None),
    ]


def test_a_retried_workflow_starts_all_its_tasks_over(world: World) -> None:
    (port,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, PLANNED)
    done = tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS)
    world.journal.step(claim, done, next_task_id=fabric.id)
    failed = tasks.TaskResult(id=fabric.id, state=TaskState.FAILED, failure=FAILURE)
    world.journal.fail(claim, FAILURE, [failed])
    world.journal.retry(port)
    assert states(world) == [("ovn", "PENDING", 1), ("fabric", "PENDING", 1)]


def test_a_delete_forgets_what_drivers_returned(world: World) -> None:
    for operation in (Operation.CREATE, Operation.DELETE):
        world.record(change("port/p", operation))
        claim = world.claim()
        assert claim is not None
        assert world.applied(claim) == (
            {} if operation is Operation.CREATE else {"ovn": {"a": ["é", None]}}
        )
        world.journal.succeed(claim, (), {"ovn": {"a": ["é", None]}})
    assert world.applied(claim) == {}


def test_what_a_driver_returned_is_handed_to_its_next_task(world: World) -> None:
    for operation, handed in ((Operation.CREATE, None), (Operation.UPDATE, {"mtu": 1442})):
        world.record(change("port/p", operation))
        claim = world.claim()
        assert claim is not None
        (ovn,) = world.journal.start_tasks(claim, PLANNED[:1])
        assert ovn.applied == handed
        world.journal.succeed(claim, (), {"ovn": {"mtu": 1442}})


def test_what_a_driver_has_applied_of_others_is_told_to_it_alone(world: World) -> None:
    for resource, body in (("port/p", {"mtu": 1}), ("port/q", {"mtu": 2}), ("network/p", {})):
        world.record(change(resource))
        claim = world.claim()
        assert claim is not None
        world.journal.start_tasks(claim, PLANNED)
        world.journal.succeed(claim, (), {"ovn": body, "fabric": {"vlan": 7}})
    assert world.journal.applied_of("ovn", "port", ["q", "p", "unknown"]) == {
        "p": {"mtu": 1},
        "q": {"mtu": 2},
    }
    assert world.journal.applied_of("ovn", "port", ["q"]) == {"q": {"mtu": 2}}
    assert world.journal.applied_of("other", "port", ["p"]) == {}


def test_start_that_was_committed_unseen_is_gone_on_with(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    first = world.journal.start_tasks(claim, PLANNED)
    again = world.journal.start_tasks(claim, PLANNED)
    assert [(one.id, one.state) for one in again] == [(one.id, one.state) for one in first]
    assert [name for name, _, _ in states(world)] == ["ovn", "fabric"]


def test_a_first_claim_starts_what_is_planned_for_it_in_its_own_transaction(world: World) -> None:
    world.record(change("port/p"))
    asked: list[workflows.Claim] = []

    def plan(connection: sa.Connection, claim: workflows.Claim) -> list[tasks.PlannedTask]:
        assert connection.in_transaction()
        asked.append(claim)
        return PLANNED

    world.sync()
    claim = world.journal.claim("c1", plan=plan)
    assert isinstance(claim, workflows.Claim)
    assert [(one.name, one.state, one.attempts) for one in claim.started] == [
        ("ovn", TaskState.RUNNING, 1),
        ("fabric", TaskState.PENDING, 0),
    ]
    assert [one.id for one in asked] == [claim.id]
    assert states(world) == [("ovn", "RUNNING", 1), ("fabric", "PENDING", 0)]
    (host,) = {row.host for row in world.query(sa.select(tables.tasks.c.host)) if row.host}
    assert host == "host"
    world.journal.hand_back(claim)
    later = world.journal.claim("c1", plan=plan)
    assert isinstance(later, workflows.Claim)
    assert later.started == ()
    assert len(asked) == 1
    again = world.journal.start_tasks(later, PLANNED)
    assert [(one.id, one.attempts) for one in again] == [
        (claim.started[0].id, 2),
        (claim.started[1].id, 0),
    ]


def test_a_first_claim_knows_what_drivers_returned_before(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    world.journal.succeed(claim, (), {"ovn": {"mtu": 1442}})
    world.record(change("port/p", Operation.UPDATE))
    world.sync()
    update = world.journal.claim("c1", plan=lambda _connection, _claim: PLANNED)
    assert isinstance(update, workflows.Claim)
    assert [one.applied for one in update.started] == [{"mtu": 1442}, None]


def test_a_claim_that_is_rolled_back_has_started_nothing(world: World) -> None:
    workflow_id = world.record(change("port/p"))[0]

    def plan(_connection: sa.Connection, _claim: workflows.Claim) -> list[tasks.PlannedTask]:
        return [PLANNED[0], PLANNED[0]]  # one name twice: the second insert is refused

    world.sync()
    with pytest.raises(sa.exc.IntegrityError):
        world.journal.claim("c1", plan=plan)
    assert world.state(workflow_id) == "READY"
    assert states(world) == []
    claim = world.claim()
    assert claim is not None
    assert claim.fence == 1


def no_driver(_connection: sa.Connection, _claim: workflows.Claim) -> list[tasks.PlannedTask]:
    raise SystemExit("bad options")


def no_table(connection: sa.Connection, _claim: workflows.Claim) -> list[tasks.PlannedTask]:
    connection.execute(sa.text("SELECT 1 FROM no_such_table"))
    return PLANNED


@pytest.mark.parametrize("plan", [no_driver, no_table])
def test_a_plan_that_breaks_does_not_keep_a_workflow_from_being_claimed(
    world: World, plan: typing.Any
) -> None:
    world.record(change("port/p"))
    world.sync()
    claim = world.journal.claim("c1", plan=plan)
    assert isinstance(claim, workflows.Claim)
    assert (claim.fence, claim.started) == (1, ())
    assert states(world) == []


def test_a_conflict_within_a_plan_has_the_claim_tried_again(world: World) -> None:
    world.record(change("port/p"))
    conflicts = [retries.LookAgain()]

    def plan(_connection: sa.Connection, _claim: workflows.Claim) -> list[tasks.PlannedTask]:
        if conflicts:
            raise conflicts.pop()
        return PLANNED

    world.sync()
    claim = world.journal.claim("c1", plan=plan)
    assert isinstance(claim, workflows.Claim)
    assert [one.name for one in claim.started] == ["ovn", "fabric"]


def test_a_driver_that_was_removed_leaves_its_task_skipped(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    world.journal.start_tasks(claim, PLANNED)
    world.journal.hand_back(claim)
    claim = world.claim()
    assert claim is not None
    (started,) = world.journal.start_tasks(claim, PLANNED[1:])
    assert started.name == "fabric"
    assert started.state is TaskState.RUNNING
    assert states(world) == [("ovn", "SKIPPED", 1), ("fabric", "RUNNING", 1)]


def test_where_every_driver_was_removed_all_tasks_are_skipped(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, _ = world.journal.start_tasks(claim, PLANNED)
    again = tasks.TaskResult(id=ovn.id, state=TaskState.RETRYING, failure=FAILURE)
    world.journal.retry_later(claim, FAILURE, delay_s=-1.0, spend_attempt=True, results=[again])
    world.journal.requeue_due()
    claim = world.claim()
    assert claim is not None
    world.journal.succeed_unmanaged(claim)
    assert states(world) == [("ovn", "SKIPPED", 1), ("fabric", "SKIPPED", 0)]


def test_snapshot_of_two_megabytes_comes_back_as_it_was(world: World) -> None:
    pairs = [{"ip_address": f"10.0.{n // 256}.{n % 256}", "mac": "ä" * 2000} for n in range(500)]
    addresses = [f"2001:db8::{n:x}/128" + "." * 1000 for n in range(1000)]
    snapshot = {
        "version": workflows.SNAPSHOT_VERSION,
        "original": {"allowed_address_pairs": pairs},
        "deleted": None,
        "edge": {"addresses": addresses},
    }
    assert len(json.dumps(snapshot, ensure_ascii=False).encode()) > 2_000_000
    world.record(change("port/p", snapshot=snapshot))
    claim = world.claim()
    assert claim is not None
    assert claim.snapshot == snapshot
    world.journal.succeed(claim)
