# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Waiting: who is parked on another is told when that one ends, however it ends."""

import sqlalchemy as sa

from networking_workflow.journal import tables, wakes
from networking_workflow.model import tasks, workflows
from networking_workflow.model.states import Operation, TaskState
from tests.contract.journal import crashes, interleave
from tests.contract.journal.world import FAILURE, MISSING, World, change


def park_all(world: World, blocker: str) -> None:
    """Park every READY workflow but ``blocker`` on it, as that many claims would."""
    table = tables.workflows
    with world.journal.engine.begin() as connection:
        parked = connection.execute(
            sa.update(table)
            .where(table.c.state == "READY", table.c.id != blocker)
            .values(state="WAITING", blocked_by=blocker)
        ).rowcount
        connection.execute(sa.update(table).where(table.c.id == blocker).values(parked=parked))


def test_parked_ones_wake(world: World) -> None:
    (network,) = world.record(change("network/n", Operation.CREATE))
    claim = world.claim()
    assert claim is not None
    port = change("port/p", shared=["network/n"])
    world.record(port)
    parked = world.journal.claim("c1")
    assert parked == workflows.Parked(
        workflow_id=port.id, blocked_by=network, project_id="project", more=False
    )
    assert (world.row(port.id).state, world.row(port.id).blocked_by) == ("WAITING", network)
    assert not world.journal.has_work()
    world.journal.succeed(claim)
    assert (world.row(port.id).state, world.row(port.id).blocked_by) == ("READY", None)
    assert world.journal.has_work()


def test_each_of_many_exclusive_ones_is_parked_once_on_the_one_before_it(world: World) -> None:
    ids = [
        world.record(change(f"subnet/{number}", exclusive=["metadata/n"]))[0] for number in range(6)
    ]
    for position, workflow_id in enumerate(ids):
        claims = world.claim_all()
        assert set(claims) == {workflow_id}
        waiting = [world.row(later).blocked_by for later in ids[position + 1 :]]
        assert waiting == ids[position:-1]
        world.journal.succeed(claims[workflow_id])
    assert [world.row(one).parked for one in ids] == [0] * 6


def test_two_thousand_parked_on_one_wake_in_batches(world: World) -> None:
    (network,) = world.record(change("network/n"))
    for start in range(0, 2000, 500):
        world.record(
            *(
                change(f"port/{number}", shared=["network/n"])
                for number in range(start, start + 500)
            )
        )
    claim = world.claim()
    assert claim is not None
    park_all(world, network)
    sizes: list[int] = []

    def count(_connection, _cursor, statement, parameters, _context, _many) -> None:
        if "blocked_by" in statement.partition("WHERE")[0]:
            sizes.append(len(parameters))

    sa.event.listen(world.journal.engine, "before_cursor_execute", count)
    world.journal.succeed(claim)
    assert world.states() == {"SUCCESS": 1, "READY": 2000}
    assert len(sizes) == 2000 / wakes.BATCH
    assert max(sizes) < wakes.BATCH + 10
    assert world.row(network).parked == 0


def test_a_wake_up_that_a_crash_cut_short_is_made_good(world: World) -> None:
    (network,) = world.record(change("network/n"))
    ports = [change(f"port/{number}", shared=["network/n"]) for number in range(wakes.AT_ONCE + 1)]
    world.record(*ports)
    claim = world.claim()
    assert claim is not None
    park_all(world, network)
    with crashes.killed_at("journal.settled"):
        world.journal.succeed(claim)
    assert world.states() == {"SUCCESS": 1, "WAITING": len(ports)}
    assert world.other.wake_stranded() == len(ports)
    assert world.states() == {"SUCCESS": 1, "READY": len(ports)}
    assert world.other.wake_stranded() == 0


def test_failed_holds_nothing_and_blocks_nobody(world: World) -> None:
    (network,) = world.record(change("network/n"))
    (port,) = world.record(change("port/p", shared=["network/n"]))
    claim = world.claim()
    assert claim is not None
    assert world.claim() is None
    world.journal.fail(claim, FAILURE)
    assert world.state(network) == "FAILED"
    assert world.holds(network) == []
    assert world.sync_state("network/n") == ("ERROR", "BACKEND_REFUSED")
    claims = world.claim_all()
    assert set(claims) == {port}
    assert world.row(network).failure_detail == "the backend says no"


def test_failed_is_superseded_by_the_next_success_of_its_resource(world: World) -> None:
    (failed,) = world.record(change("network/n", Operation.CREATE))
    claim = world.claim()
    assert claim is not None
    world.journal.fail(claim, FAILURE)
    (update,) = world.record(change("network/n"))
    claim = world.claim()
    assert claim is not None
    world.journal.succeed(claim)
    assert (world.row(failed).state, world.row(failed).superseded_by) == ("SUPERSEDED", update)
    assert world.sync_state("network/n") == ("SYNCED", None)


def test_retry_takes_keys_anew(world: World) -> None:
    (failed,) = world.record(change("port/p", shared=["network/n"]))
    claim = world.claim()
    assert claim is not None
    world.journal.fail(claim, FAILURE)
    (network,) = world.record(change("network/n"))
    world.journal.retry(failed)
    world.sync()
    claim = world.claim()
    assert claim is not None
    assert claim.id == network  # which was recorded after it, and before its retry
    assert world.claim() is None
    assert world.row(failed).blocked_by == network
    world.journal.succeed(claim)
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.attempts) == (failed, 0)
    assert world.sync_state("port/p") == ("PENDING", None)


def test_retrying_keeps_its_keys_and_its_place(world: World) -> None:
    (network,) = world.record(change("network/n"))
    world.record(change("port/p", shared=["network/n"]))
    claim = world.claim()
    assert claim is not None
    world.journal.retry_later(claim, FAILURE, delay_s=3600.0, spend_attempt=True)
    assert world.state(network) == "RETRYING"
    assert world.sync_state("network/n") == ("PENDING", "BACKEND_REFUSED")
    assert world.claim() is None
    assert world.journal.requeue_due() == 0
    assert not world.journal.has_work()
    again = tables.workflows.c
    with world.journal.engine.begin() as connection:
        connection.execute(
            sa.update(tables.workflows)
            .where(again.id == network)
            .values(not_before=again.created_at)
        )
    assert world.journal.has_work()
    assert world.journal.requeue_due() == 1
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.attempts) == (network, 1)


def test_what_is_shown_counts_every_try_that_ended(world: World) -> None:
    for spent, end in ((0, world.journal.succeed), (2, lambda c: world.journal.fail(c, FAILURE))):
        (recorded,) = world.record(change(f"port/{spent}"))
        for _ in range(spent):
            claim = world.claim()
            assert claim is not None
            world.journal.retry_later(claim, FAILURE, delay_s=-1.0, spend_attempt=True)
            world.journal.requeue_due()
        claim = world.claim()
        assert claim is not None
        assert claim.attempts == spent
        end(claim)
        assert world.row(recorded).attempts == spent + 1


def test_what_no_driver_programs_is_unmanaged_and_keeps_nobody_waiting(world: World) -> None:
    (port,) = world.record(change("port/p", shared=["network/n"]))
    claim = world.claim()
    assert claim is not None
    (network,) = world.record(change("network/n", Operation.CREATE))
    world.journal.hold(claim, MISSING, resource_type="network", resource_id="n")
    assert world.state(port) == "HELD"
    claim = world.claim()
    assert claim is not None
    assert claim.id == network
    world.journal.succeed_unmanaged(claim)
    assert world.sync_state("network/n") == ("UNMANAGED", None)
    claim = world.claim()
    assert claim is not None
    assert claim.id == port
    world.journal.hold(claim, MISSING, resource_type="network", resource_id="n")
    assert world.state(port) == "READY"  # it is not waited for either


def test_waiting_for_a_driver_spends_no_attempt_and_ends_when_it_is_back(world: World) -> None:
    for number in range(3):
        world.record(change(f"network/{number}"))
        claim = world.claim()
        assert claim is not None
        driver = "fabric" if number else "ovn"
        world.journal.retry_later(
            claim, FAILURE, delay_s=3600.0, spend_attempt=False, waits_for=f"driver:{driver}"
        )
    world.sync()
    assert world.other.drivers_waited_for() == ["fabric", "ovn"]
    assert world.other.wake_drivers(["fabric"]) == 2
    assert world.states() == {"READY": 2, "RETRYING": 1}
    world.sync()
    assert world.other.drivers_waited_for() == ["ovn"]
    claim = world.claim()
    assert claim is not None
    assert claim.attempts == 0


def test_of_those_that_wait_for_a_driver_the_oldest_of_the_most_urgent_go_first(
    world: World,
) -> None:
    made = [
        world.record(change(f"network/{number}", priority=priority))[0]
        for number, priority in enumerate((5, 5, 1, 5, 5))
    ]
    for number, claim in enumerate(world.claim_all().values()):
        driver = ("ovn", "binding-ovn")[number % 2]
        world.journal.retry_later(
            claim, FAILURE, delay_s=3600.0, spend_attempt=False, waits_for=f"driver:{driver}"
        )
    both = ["ovn", "binding-ovn"]
    for expected in (made[2], made[0], made[1], made[3], made[4]):
        assert world.other.wake_drivers(both, limit=1) == 1
        claim = world.claim()
        assert claim is not None
        assert claim.id == expected
    assert world.other.wake_drivers(both, limit=1) == 0


def test_what_another_conductor_wakes_first_does_not_hide_those_behind_it(world: World) -> None:
    """On SQLite the two cannot be at it at a time: the second one finds what is left."""
    for number in range(3):
        world.record(change(f"network/{number}"))
    for claim in world.claim_all().values():
        world.journal.retry_later(
            claim, FAILURE, delay_s=3600.0, spend_attempt=False, waits_for="driver:ovn"
        )
    world.sync()
    with (
        interleave.stop_before(world.journal.engine, "UPDATE workflow_workflows") as waking,
        interleave.in_thread(lambda: world.journal.wake_drivers(["ovn"], limit=2)) as woken,
    ):
        waking.wait_until_reached()
        with interleave.in_thread(lambda: world.other.wake_drivers(["ovn"], limit=2)) as first:
            if world.kind != "sqlite":
                assert first.result(interleave.DEADLINE_S) == 2
                world.sync()
            waking.go_on()
            assert woken.result(interleave.DEADLINE_S) == 2  # there may be more
    world.sync()
    world.other.wake_drivers(["ovn"], limit=2)
    assert world.states() == {"READY": 3}


def test_held_is_released_when_its_resource_is_synced(world: World) -> None:
    (port,) = world.record(change("port/p", shared=["network/n"]))
    claim = world.claim()
    assert claim is not None
    (group,) = world.record(change("security_group/g", Operation.CREATE))
    (after,) = world.record(change("port/q", shared=["port/p"]))
    assert set(world.claim_all("c1")) == {group}
    world.journal.hold(claim, MISSING, resource_type="security_group", resource_id="g")
    row = world.row(port)
    assert (row.state, row.waits_for) == ("HELD", "security_group/g")
    assert world.holds(port) == []
    assert world.state(after) == "READY"  # HELD holds nothing
    assert world.sync_state("port/p") == ("PENDING", "REFERENCE_MISSING")
    world.journal.take_over_lost(by="c1")
    claims = world.query(sa.select(tables.workflows).where(tables.workflows.c.id == group))
    assert claims[0].state == "RUNNING"
    world.journal.sign_off("c1")
    world.conductor()
    world.record(change("network/n"))
    for claim in world.claim_all().values():
        world.journal.succeed(claim)
    row = world.row(port)
    assert (row.state, row.waits_for) == ("READY", None)
    assert {mode for _, mode, _ in world.holds(port)} == {"S", "X"}
    assert world.journal.release_held() == 0


def test_held_is_ready_at_once_if_its_resource_has_just_come(world: World) -> None:
    world.record(change("security_group/g", Operation.CREATE))
    group = world.claim()
    assert group is not None
    (port,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    world.journal.succeed(group)
    world.journal.hold(claim, MISSING, resource_type="security_group", resource_id="g")
    row = world.row(port)
    assert (row.state, row.attempts) == ("READY", 1)
    assert world.holds(port) != []


def test_a_release_that_a_crash_cut_short_is_made_good(world: World) -> None:
    world.record(change("security_group/g", Operation.CREATE))
    group = world.claim()
    assert group is not None
    ports = world.record(change("port/p"), change("port/q"))
    for claim in world.claim_all().values():
        world.journal.hold(claim, MISSING, resource_type="security_group", resource_id="g")
    with crashes.killed_at("journal.settled"):
        world.journal.succeed(group)
    assert world.state(group.id) == "SUCCESS"
    assert {world.state(port) for port in ports} == {"HELD"}
    world.sync()
    assert world.other.release_held() == 2
    assert {world.state(port) for port in ports} == {"READY"}
    world.sync()
    assert world.other.release_held() == 0


def test_mutual_holds_fail_in_plain_sight(world: World) -> None:
    first, second = world.record(change("port/p"), change("port/q"))
    (third,) = world.record(change("port/r"))
    claims = world.claim_all()
    for claim, other in ((first, "q"), (second, "p"), (third, "p")):
        world.journal.hold(claims[claim], MISSING, resource_type="port", resource_id=other)
    assert world.states() == {"HELD": 3}
    assert world.journal.fail_mutual_holds() == 2
    assert [world.state(one) for one in (first, second, third)] == ["FAILED", "FAILED", "HELD"]
    assert "waits for port/q" in world.row(first).failure_detail
    assert world.sync_state("port/p") == ("ERROR", "REFERENCE_MISSING")
    assert world.journal.fail_mutual_holds() == 0


def test_mutual_holds_are_found_where_later_changes_were_folded_in(world: World) -> None:
    ids = world.record(change("port/p", Operation.CREATE), change("port/q", Operation.CREATE))
    world.record(change("port/p"), change("port/q"))
    claims = world.claim_all()
    assert sorted(claims) == sorted(ids)
    for held, other in zip(ids, ("q", "p"), strict=True):
        world.journal.hold(claims[held], MISSING, resource_type="port", resource_id=other)
    assert world.journal.fail_mutual_holds() == 2


def test_mutual_holds_are_found_behind_many_that_wait_for_one_resource(world: World) -> None:
    (network,) = world.record(change("network/n", Operation.CREATE))
    many = [f"port/{number}" for number in range(5)]
    for port in many:
        world.record(change(port, Operation.CREATE))
    world.record(change("port/p"), change("port/q"))
    missing = {name: ("network", "n") for name in many}
    missing |= {"port/p": ("port", "q"), "port/q": ("port", "p")}
    for claim in world.claim_all().values():
        if claim.id != network:
            resource_type, resource_id = missing[f"port/{claim.resource_id}"]
            world.journal.hold(claim, MISSING, resource_type=resource_type, resource_id=resource_id)
    assert world.states() == {"RUNNING": 1, "HELD": 7}
    assert world.journal.fail_mutual_holds(limit=2) == 2


def test_a_hold_that_a_queued_change_may_end_is_no_mutual_hold(world: World) -> None:
    first, second = world.record(change("port/p"), change("port/q"))
    claims = world.claim_all()
    world.journal.hold(claims[first], MISSING, resource_type="port", resource_id="q")
    world.journal.hold(claims[second], MISSING, resource_type="port", resource_id="p")
    world.record(change("port/q"))
    assert world.journal.fail_mutual_holds() == 0


def test_held_is_superseded_by_the_next_success_of_its_resource(world: World) -> None:
    (held,) = world.record(change("port/p"))
    world.record(change("port/q"))
    claims = world.claim_all()
    ovn = tasks.PlannedTask(name="ovn", driver="ovn", position=0)
    (started,) = world.journal.start_tasks(claims[held], [ovn])
    again = tasks.TaskResult(id=started.id, state=TaskState.RETRYING, failure=MISSING)
    world.journal.hold(
        claims[held], MISSING, resource_type="port", resource_id="q", results=[again]
    )
    (delete,) = world.record(change("port/p", Operation.DELETE))
    claim = world.claim()
    assert claim is not None
    world.journal.succeed(claim)
    row = world.row(held)
    assert (row.state, row.superseded_by, row.waits_for) == ("SUPERSEDED", delete, None)
    (task,) = world.query(sa.select(tables.tasks.c.task_state))
    assert task.task_state == "SKIPPED"


def test_keys_taken_anew_have_todays_place(world: World) -> None:
    (port,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    (waiting,) = world.record(change("subnet/s", shared=["port/p"]))
    assert world.claim() is None
    (group,) = world.record(change("security_group/g"))
    keys = {**claim.keys, **change("port/p", shared=["security_group/g"]).keys}
    world.journal.take_anew(claim, keys)
    assert world.state(port) == "READY"
    assert world.state(waiting) == "READY"  # it stands before the port now
    assert set(world.claim_all()) == {waiting, group}
    assert world.state(port) == "WAITING"


def test_settling_never_overwrites_a_newer_pending(world: World) -> None:
    world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    world.record(change("port/p"))
    world.journal.succeed(claim)
    assert world.sync_state("port/p") == ("PENDING", None)
    claim = world.claim()
    assert claim is not None
    world.journal.succeed(claim)
    assert world.sync_state("port/p") == ("SYNCED", None)
