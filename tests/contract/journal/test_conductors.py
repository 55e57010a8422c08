# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Leases and fences: one owner at a time, and a stale one changes nothing."""

import collections.abc
import typing

import pytest
import sqlalchemy as sa

from networking_workflow.journal import fence, tables
from networking_workflow.journal import journal as journals
from networking_workflow.model import errors, failures, tasks, workflows
from networking_workflow.model.states import Operation, TaskState
from tests.contract.journal.world import FAILURE, MISSING, World, change

PLANNED = [tasks.PlannedTask(name="ovn", driver="ovn", position=0)]


def expire(world: World, conductor: str) -> None:
    """Make the lease of a conductor end in the past, whatever the clocks say."""
    table = tables.conductors
    with world.journal.engine.begin() as connection:
        connection.execute(
            sa.update(table).where(table.c.id == conductor).values(expires_at=sa.text("started_at"))
        )
    world.sync()


def claimed(world: World, owner: str) -> workflows.Claim:
    """Record one change and claim it."""
    world.record(change("port/p", Operation.CREATE))
    claim = world.claim(owner)
    assert claim is not None
    return claim


def test_a_lease_that_is_renewed_is_not_taken_over(world: World) -> None:
    world.conductor("c2")
    claim = claimed(world, "c1")
    expire(world, "c1")
    assert world.journal.renew("c1", 60.0)
    world.sync()
    assert world.other.take_over_lost(by="c2") == 0
    assert world.row(claim.id).owner == "c1"


def test_a_lease_that_was_taken_over_is_not_renewed(world: World) -> None:
    world.conductor("c2")
    claim = claimed(world, "c1")
    expire(world, "c1")
    assert world.other.take_over_lost(by="c2") == 1
    world.sync()
    assert not world.journal.renew("c1", 60.0)
    row = world.row(claim.id)
    assert (row.state, row.owner, row.fence) == ("READY", None, claim.fence + 1)
    assert world.holds(claim.id) != []
    again = world.claim("c2")
    assert again is not None
    assert (again.id, again.keys) == (claim.id, claim.keys)


def test_nobody_takes_over_from_itself(world: World) -> None:
    claim = claimed(world, "c1")
    expire(world, "c1")
    assert world.journal.take_over_lost(by="c1") == 0
    assert world.row(claim.id).owner == "c1"


def test_what_a_lost_or_unknown_conductor_claims_is_taken_over(world: World) -> None:
    world.conductor("c2")
    expire(world, "c1")
    assert world.other.take_over_lost(by="c2") == 0
    world.sync()
    late = claimed(world, "c1")  # it was paused in its claim, and does not know yet
    world.record(change("port/q"))
    unknown = world.claim("never registered")
    assert unknown is not None
    world.sync()
    assert world.other.take_over_lost(by="c2") == 2
    assert world.state(late.id) == world.state(unknown.id) == "READY"


def test_sign_off_hands_back(world: World) -> None:
    claim = claimed(world, "c1")
    world.journal.sign_off("c1")
    row = world.row(claim.id)
    assert (row.state, row.owner, row.fence) == ("READY", None, claim.fence + 1)
    assert world.holds(claim.id) != []
    assert not world.journal.renew("c1", 60.0)
    with pytest.raises(errors.LeaseLost):
        world.journal.succeed(claim)


def test_a_conductor_that_comes_back_under_its_old_name_starts_afresh(world: World) -> None:
    claim = claimed(world, "c1")
    world.conductor("c1")
    assert world.state(claim.id) == "READY"
    assert world.journal.renew("c1", 60.0)


def test_rows_that_a_conductor_does_not_know_go_back(world: World) -> None:
    known = claimed(world, "c1")
    world.record(change("port/q"))
    unknown = world.claim("c1")
    assert unknown is not None
    assert world.journal.hand_back_unknown("c1", {known.id}, older_than_s=3600.0) == 0
    assert world.journal.hand_back_unknown("c1", {known.id}) == 1
    assert (world.state(known.id), world.state(unknown.id)) == ("RUNNING", "READY")


def test_hand_back_keeps_keys_and_place(world: World) -> None:
    claim = claimed(world, "c1")
    holds = world.holds()
    world.journal.hand_back(claim)
    assert (world.state(claim.id), world.holds()) == ("READY", holds)
    again = world.claim("c1")
    assert again is not None
    assert again.fence > claim.fence
    with pytest.raises(errors.LeaseLost):  # the same conductor, but an older lease
        world.journal.hand_back(claim)


FENCED: dict[str, collections.abc.Callable[[journals.Journal, workflows.Claim], typing.Any]] = {
    "start_tasks": lambda journal, claim: journal.start_tasks(claim, PLANNED),
    "step": lambda journal, claim: journal.step(
        claim,
        tasks.TaskResult(id="task", state=TaskState.SUCCESS),
        next_task_id="task",
        applied={"ovn": {}},
    ),
    "step after a late call": lambda journal, claim: journal.step(
        claim,
        tasks.TaskResult(id="task", state=TaskState.SUCCESS, before_late=failures.Shown()),
        next_task_id="task",
    ),
    "remark": lambda journal, claim: journal.remark(claim, "task", FAILURE),
    "open_children": lambda journal, claim: journal.open_children(claim, [change("port/c")]),
    "succeed": lambda journal, claim: journal.succeed(claim, (), {"ovn": {}}),
    "succeed_unmanaged": lambda journal, claim: journal.succeed_unmanaged(claim),
    "fail": lambda journal, claim: journal.fail(claim, FAILURE),
    "retry_later": lambda journal, claim: journal.retry_later(
        claim, FAILURE, delay_s=1.0, spend_attempt=True
    ),
    "hold": lambda journal, claim: journal.hold(
        claim, MISSING, resource_type="port", resource_id="q"
    ),
    "hold for one that has come": lambda journal, claim: journal.hold(
        claim, MISSING, resource_type="port", resource_id="nowhere"
    ),
    "take_anew": lambda journal, claim: journal.take_anew(claim, claim.keys),
    "hand_back": lambda journal, claim: journal.hand_back(claim),
    "supersede_by_delete": lambda journal, claim: journal.supersede_by_delete(claim),
    "supersede_by_no_delete": lambda journal, claim: journal.supersede_by_delete(claim),
    "cancelled": lambda journal, claim: journal.cancelled(claim),
}


@pytest.mark.parametrize("method", sorted(FENCED))
def test_a_stale_fence_changes_no_row(world: World, method: str) -> None:
    stale = claimed(world, "c1")
    started = world.journal.start_tasks(stale, PLANNED)
    world.record(change("port/q"))
    if method == "supersede_by_delete":
        world.record(change("network/n"))
        world.record(change("port/p", Operation.DELETE, shared=["network/n"]))
    world.conductor("c2")
    expire(world, "c1")
    assert world.other.take_over_lost(by="c2") == 1
    world.sync()
    before = everything(world)
    with pytest.raises(errors.LeaseLost):
        FENCED[method](world.journal, stale)
    assert everything(world) == before
    assert len(started) == 1


def test_the_fence_of_neutrons_own_writes(world: World) -> None:
    claim = claimed(world, "c1")
    with world.api().begin() as connection:
        fence.check_fence(connection, claim)
    world.sync()
    assert world.row(claim.id).fence_checks == 1
    with world.api().connect() as connection:
        connection.execute(sa.select(tables.workflows.c.state)).all()  # an old snapshot on MariaDB
        connection.rollback()
        if world.kind != "sqlite":  # where nobody else could write meanwhile
            connection.execute(sa.select(tables.workflows.c.state)).all()
        expire_and_take_over(world)
        with pytest.raises(errors.LeaseLost):
            fence.check_fence(connection, claim)


def expire_and_take_over(world: World) -> None:
    """Let another conductor take over from c1."""
    world.conductor("c2")
    expire(world, "c1")
    assert world.journal.take_over_lost(by="c2") == 1


def everything(world: World) -> dict[str, list[tuple[typing.Any, ...]]]:
    """Return all rows of the journal."""
    return {
        name: sorted((tuple(row) for row in world.query(sa.select(table))), key=repr)
        for name, table in tables.metadata.tables.items()
    }
