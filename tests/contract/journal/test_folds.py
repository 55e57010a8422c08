# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Coalescing: later changes of a resource are folded in, never across another workflow's hold."""

from networking_workflow.model import tasks
from networking_workflow.model.states import Operation, TaskState
from tests.contract.journal.world import FAILURE, MISSING, World, change, key

OVN = tasks.PlannedTask(name="ovn", driver="ovn", position=0)
FABRIC = tasks.PlannedTask(name="fabric", driver="fabric", position=1)


def test_queued_changes_of_one_resource_are_folded_into_the_oldest(world: World) -> None:
    before = {"version": 1, "original": {"name": "a"}, "deleted": None, "edge": {"host": "h1"}}
    after = {"version": 1, "original": {"name": "b"}, "deleted": None, "edge": {"host": "h2"}}
    first = change("port/p", Operation.CREATE, shared=["network/n"], snapshot=before)
    second = change("port/p", shared=["network/n", "security_group/g"], snapshot=after)
    third = change("port/p", shared=["network/n"])
    for new in (first, second, third):
        world.record(new)
    claim = world.claim()
    assert claim is not None
    assert claim.id == first.id
    assert claim.folded == (second.id, third.id)
    assert claim.operation is Operation.CREATE
    assert claim.snapshot == {**before, "edge": {"host": "h2"}}
    assert claim.keys == {**second.keys}
    assert claim.gen == 3
    for folded in (second, third):
        row = world.row(folded.id)
        assert (row.state, row.superseded_by) == ("SUPERSEDED", first.id)
        assert world.holds(folded.id) == []
    assert [(k, gen) for k, mode, gen in world.holds(first.id) if mode == "X"] == [
        (key("port/p"), 1),
        (key("port/p"), 2),
        (key("port/p"), 3),
    ]
    world.journal.succeed(claim)
    assert world.holds() == []
    assert world.sync_state("port/p") == ("SYNCED", None)


def test_a_correction_has_all_attempts_and_is_not_kept_waiting(world: World) -> None:
    (wrong,) = world.record(change("port/p", Operation.CREATE))
    for _ in range(3):
        claim = world.claim()
        assert claim is not None
        world.journal.retry_later(claim, FAILURE, delay_s=-1.0, spend_attempt=True)
        world.journal.requeue_due()
    claim = world.claim()
    assert claim is not None
    world.journal.retry_later(claim, FAILURE, delay_s=3600.0, spend_attempt=True)
    assert world.row(wrong).attempts == 4
    (right,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.folded, claim.attempts) == (wrong, (right,), 0)
    assert world.row(wrong).attempts == 0


def test_a_newer_change_does_not_hurry_what_others_or_a_backend_keep_waiting(world: World) -> None:
    (network,) = world.record(change("network/n"))
    (port,) = world.record(change("port/p"))
    for _ in range(2):
        claim = world.claim()
        assert claim is not None
        waits_for = "driver:ovn" if claim.id == port else None
        world.journal.retry_later(
            claim, FAILURE, delay_s=3600.0, spend_attempt=True, waits_for=waits_for
        )
    world.record(change("port/p"))
    world.record(change("port/q", shared=["network/n"]))
    assert world.claim() is None
    assert (world.state(network), world.state(port)) == ("RETRYING", "RETRYING")


def test_folding_never_crosses_another_workflows_hold(world: World) -> None:
    first = change("network/n")
    between = change("port/p", shared=["network/n"])
    second = change("network/n")
    for new in (first, between, second):
        world.record(new)
    order = []
    while (claim := world.claim()) is not None:
        assert claim.folded == ()
        order.append(claim.id)
        world.journal.succeed(claim)
    assert order == [first.id, between.id, second.id]


def test_a_change_behind_another_one_is_folded_once_that_is_done(world: World) -> None:
    world.record(change("network/m"))
    other = world.claim()
    assert other is not None
    first = change("port/p", shared=["network/n"])
    second = change("port/p", shared=["network/n", "network/m"])
    third = change("port/p", shared=["network/n"])
    for new in (first, second, third):
        world.record(new)
    claim = world.claim()
    assert claim is not None
    assert claim.id == first.id
    assert claim.folded == ()  # the second one waits for network/m, and the third for the second
    world.journal.succeed(claim)
    assert world.claim() is None
    world.journal.succeed(other)
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.folded) == (second.id, (third.id,))


def test_holds_of_folded_ones_are_inherited(world: World) -> None:
    first = change("port/p")
    second = change("port/p", shared=["security_group/g"])
    for new in (first, second):
        world.record(new)
    claim = world.claim()
    assert claim is not None
    assert claim.folded == (second.id,)
    world.record(change("security_group/g", Operation.DELETE))
    assert world.claim() is None
    world.journal.succeed(claim)
    assert world.claim() is not None


def test_those_parked_on_a_folded_one_are_told(world: World) -> None:
    world.record(change("network/n"))
    blocker = world.claim()
    assert blocker is not None
    first = change("port/p", shared=["network/n"])
    second = change("port/p", shared=["network/n"])
    third = change("subnet/s", shared=["port/p"])
    for new in (first, second, third):
        world.record(new)
    assert world.claim() is None
    assert world.row(third.id).blocked_by == second.id
    world.journal.succeed(blocker)
    claim = world.claim()
    assert claim is not None
    assert claim.folded == (second.id,)
    assert world.state(third.id) == "READY"
    assert world.claim() is None
    assert world.row(third.id).blocked_by == first.id
    assert world.row(second.id).parked == 0


def test_create_and_delete_are_a_delete(world: World) -> None:
    deleted = {"version": 1, "original": None, "deleted": {"id": "p"}, "edge": {}}
    world.record(change("port/p", Operation.CREATE))
    world.record(change("port/p"))
    world.record(change("port/p", Operation.DELETE, snapshot=deleted))
    claim = world.claim()
    assert claim is not None
    assert (claim.operation, claim.snapshot) == (Operation.DELETE, deleted)
    assert len(claim.folded) == 2


def test_an_update_that_took_its_keys_anew_behind_a_delete_changes_nothing_of_it(
    world: World,
) -> None:
    before = {"version": 1, "original": {"id": "p"}, "deleted": None, "edge": {"host": "h1"}}
    deleted = {"version": 1, "original": None, "deleted": {"id": "p"}, "edge": {"host": "h2"}}
    update, group = world.record(change("port/p", snapshot=before), change("security_group/g"))
    claims = world.claim_all()
    world.journal.hold(claims[update], MISSING, resource_type="security_group", resource_id="g")
    (delete,) = world.record(change("port/p", Operation.DELETE, snapshot=deleted))
    world.journal.succeed(claims[group])
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.folded) == (delete, (update,))
    assert (claim.operation, claim.snapshot) == (Operation.DELETE, deleted)


def test_tasks_that_succeeded_start_over_when_a_later_change_is_folded_in(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    ovn, fabric = world.journal.start_tasks(claim, [OVN, FABRIC])
    done = tasks.TaskResult(id=ovn.id, state=TaskState.SUCCESS)
    world.journal.step(claim, done, next_task_id=fabric.id, applied={"ovn": {"name": "a"}})
    failed = tasks.TaskResult(id=fabric.id, state=TaskState.RETRYING, failure=FAILURE)
    world.journal.retry_later(claim, FAILURE, delay_s=-1.0, spend_attempt=True, results=[failed])
    world.record(change("port/p"))
    assert world.journal.requeue_due() == 1
    claim = world.claim()
    assert claim is not None
    assert len(claim.folded) == 1
    started = world.journal.start_tasks(claim, [OVN, FABRIC])
    assert [(one.id, one.state, one.attempts) for one in started] == [
        (ovn.id, TaskState.RUNNING, 2),
        (fabric.id, TaskState.RETRYING, 1),
    ]


def test_a_retry_carries_the_keys_of_what_was_folded_in(world: World) -> None:
    first = change("port/p", shared=["network/n"])
    second = change("port/p", shared=["network/n", "security_group/g"])
    world.record(first)
    world.record(second)
    claim = world.claim()
    assert claim is not None
    world.journal.fail(claim, FAILURE)
    world.journal.retry(first.id)
    claim = world.claim()
    assert claim is not None
    assert claim.keys == second.keys
