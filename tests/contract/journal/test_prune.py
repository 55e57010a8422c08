# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What ended long ago is forgotten, and nothing else is."""

import datetime

import sqlalchemy as sa

from networking_workflow.journal import prune, record, tables
from networking_workflow.model import tasks, workflows
from networking_workflow.model.states import Operation, TaskState
from tests.contract.journal.world import FAILURE, World, change

DAY_S = 86400.0
AGE = prune.Age(finished_s=14 * DAY_S, failed_s=90 * DAY_S)


def forget(world: World, limit: int = 500) -> int:
    world.sync()
    count = world.journal.prune(
        keep_finished_s=AGE.finished_s, keep_failed_s=AGE.failed_s, limit=limit
    )
    world.sync()
    return count


def ended(world: World, *workflow_ids: str, days_ago: float) -> None:
    """Let workflows have ended so many days ago."""
    table = tables.workflows
    moment = sa.select(table.c.finished_at).where(table.c.id == workflow_ids[0])
    (row,) = world.query(moment)
    then = row.finished_at - datetime.timedelta(days=days_ago)
    with world.observer.begin() as connection:
        connection.execute(
            sa.update(table).where(table.c.id.in_(workflow_ids)).values(finished_at=then)
        )
    world.sync()


def run(world: World, resource: str, operation: Operation = Operation.UPDATE) -> workflows.Claim:
    """Record a change and claim it, when nothing else is READY."""
    (workflow,) = world.record(change(resource, operation))
    claim = world.claim()
    assert claim is not None
    assert claim.id == workflow
    return claim


def succeeded(world: World, resource: str, operation: Operation = Operation.UPDATE) -> str:
    claim = run(world, resource, operation)
    planned = [tasks.PlannedTask(name="ovn", driver="ovn", position=0)]
    (task,) = world.journal.start_tasks(claim, planned)
    world.journal.succeed(claim, [tasks.TaskResult(id=task.id, state=TaskState.SUCCESS)])
    world.sync()
    return claim.id


def failed(world: World, resource: str) -> str:
    claim = run(world, resource)
    world.journal.fail(claim, FAILURE)
    world.sync()
    return claim.id


def ids(world: World) -> set[str]:
    return {row.id for row in world.query(sa.select(tables.workflows.c.id))}


def only_the_older_goes(world: World, older: tuple[str, float], younger: tuple[str, float]) -> None:
    """Take two that ended so many days ago."""
    for workflow, days_ago in (older, younger):
        ended(world, workflow, days_ago=days_ago)
    assert forget(world) == 1
    assert ids(world) == {younger[0]}


def test_ended_workflows_go_with_their_tasks_when_they_are_old(world: World) -> None:
    old, young = succeeded(world, "port/old"), succeeded(world, "port/young")
    only_the_older_goes(world, (old, 14.1), (young, 13.9))
    (task,) = world.query(sa.select(tables.tasks.c.workflow_id))
    assert task.workflow_id == young
    assert forget(world) == 0


def test_failed_ones_stay_longer(world: World) -> None:
    kept, gone = failed(world, "port/a"), failed(world, "port/b")
    only_the_older_goes(world, (gone, 90.1), (kept, 89.9))
    world.journal.retry(kept)
    assert world.state(kept) == "READY"


def test_what_has_not_ended_stays_however_old_it_is(world: World) -> None:
    again = failed(world, "port/b")
    ended(world, again, days_ago=400)
    world.journal.retry(again)
    (waiting,) = world.record(change("port/a"))
    assert forget(world) == 0
    assert ids(world) == {waiting, again}


def test_a_deleted_resource_is_forgotten_with_its_delete_and_a_living_one_is_not(
    world: World,
) -> None:
    created = succeeded(world, "port/gone", Operation.CREATE)
    deleted = succeeded(world, "port/gone", Operation.DELETE)
    living = succeeded(world, "port/living", Operation.CREATE)
    ended(world, created, deleted, living, days_ago=15)
    assert forget(world) == 3
    rows = world.query(sa.select(tables.resource_sync.c.resource_id))
    assert [row.resource_id for row in rows] == ["living"]
    assert world.sync_state("port/living") == ("SYNCED", None)


def test_a_resource_that_changes_again_goes_on_where_it_was(world: World) -> None:
    ended(world, succeeded(world, "port/a"), days_ago=15)
    assert forget(world) == 1
    failed(world, "port/a")
    assert world.sync_state("port/a")[0] == "ERROR"
    succeeded(world, "port/a")
    assert world.sync_state("port/a") == ("SYNCED", None)


def test_what_somebody_is_still_parked_on_stays(world: World) -> None:
    (blocker,) = world.record(change("network/n"))
    claim = world.claim()
    assert claim is not None
    (waiter,) = world.record(change("port/p", shared=["network/n"]))
    assert world.claim() is None
    table = tables.workflows
    with world.observer.begin() as connection:  # a crash between the end and the wake-up
        connection.execute(sa.delete(tables.holds).where(tables.holds.c.workflow_id == blocker))
        stranded = {"state": "SUCCESS", "holding": False, "owner": None}
        own = sa.update(table).where(table.c.id == blocker)
        connection.execute(own.values(finished_at=table.c.created_at, **stranded))
    ended(world, blocker, days_ago=15)
    assert world.state(waiter) == "WAITING"
    assert forget(world) == 0
    assert world.journal.wake_stranded() == 1
    assert forget(world) == 1
    assert ids(world) == {waiter}


def test_a_batch_takes_the_oldest_and_no_more_than_it_may(world: World) -> None:
    names = [succeeded(world, f"port/{number}") for number in range(5)]
    for number, workflow in enumerate(names):
        ended(world, workflow, days_ago=20 - number)
    assert forget(world, limit=3) == 3
    assert ids(world) == set(names[3:])


def test_nobody_who_records_or_claims_waits_for_a_batch(world: World) -> None:
    """On SQLite every writer waits for the one before it; there the batch is over first."""
    ended(world, succeeded(world, "port/a"), days_ago=15)
    with world.journal.engine.connect() as connection:
        assert prune.prune(connection, AGE, 500) == 1
        if world.kind == "sqlite":
            connection.commit()
        with world.api(-1 % len(world.database.urls)).begin() as api:
            record.record(api, [change("port/a"), change("port/b")])
        assert world.claim() is not None
        connection.commit()
    world.sync()
    assert world.states() == {"RUNNING": 1, "READY": 1}
