# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Each guard of the protocol, and what happens without it, in a fixed order of events.

Each test runs twice: with the guard, where its invariant holds, and with the guard taken out, where
it must not, so that the test can fail. SQLite has one writer at a time, which is guard enough
against all but the last two: there is nothing to interleave.
"""

import collections.abc
import contextlib
import typing

import pytest
import sqlalchemy as sa

from lab.databases import pool
from networking_workflow.journal import claims, fence, folds, order, schema, sync, tables, takes
from networking_workflow.model import errors, workflows
from networking_workflow.model.states import Operation
from tests.contract.journal import interleave
from tests.contract.journal.world import MISSING, World, change

WITH_LOCKS = ("mariadb", "postgresql", "galera")

guarded = pytest.mark.parametrize("guard", [True, False], ids=["guarded", "unguarded"])


@pytest.fixture(params=WITH_LOCKS)
def locking_world(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[World]:
    """A cloud on each database where two may write at once."""
    made = World(database_pool.empty(request.param, "journal", schema.create_all))
    made.conductor()
    made.conductor("c2")
    yield made
    made.close()


@pytest.fixture
def postgresql_world(database_pool: pool.Pool) -> collections.abc.Iterator[World]:
    """A cloud on PostgreSQL."""
    made = World(database_pool.empty("postgresql", "journal", schema.create_all))
    made.conductor()
    made.conductor("c2")
    yield made
    made.close()


def run_to_the_end(world: World) -> dict[str, int]:
    """Succeed with whatever can be claimed, do all chores; return the states that remain."""
    while True:
        world.sync()
        chores = (
            world.journal.wake_stranded()
            + world.journal.release_held()
            + world.journal.requeue_due()
        )
        world.sync()
        claims = world.claim_all()
        for claim in claims.values():
            world.journal.succeed(claim)
        if not claims and not chores:
            return world.states()


def blocked_pair(world: World) -> tuple[workflows.Claim, str]:
    """Return a claim and the id of a READY workflow behind it, visible at every node."""
    world.record(change("network/n"))
    blocker = world.claim("c2")
    assert blocker is not None
    (waiter,) = world.record(change("port/p", shared=["network/n"]))
    return blocker, waiter


@guarded
def test_park_writes_its_blockers_row(
    postgresql_world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    # On one MariaDB server the foreign key of blocked_by locks the blocker's row as well; for
    # Galera, where that lock means nothing to the other node, see test_galera.py.
    world = postgresql_world
    blocker, _ = blocked_pair(world)
    if not guard:
        monkeypatch.setattr(claims, "write_blocker", read_blocker)
    with (
        interleave.stop_before_commit(world.journal.engine) as parked,
        interleave.stop_before(world.other.engine, "UPDATE workflow_workflows") as finishing,
        interleave.in_thread(lambda: world.journal.claim("c1")) as claiming,
    ):
        parked.wait_until_reached()
        with interleave.in_thread(lambda: world.other.succeed(blocker)) as finish:
            finishing.wait_until_reached()
            finishing.go_on()
            if not guard:
                finish.result(interleave.DEADLINE_S)
            parked.go_on()
        finish.result()
        claiming.result()
    assert (run_to_the_end(world) == {"SUCCESS": 2}) is guard


def read_blocker(connection: sa.Connection, blocker: str) -> bool:
    """Look at the blocker's row instead of writing it."""
    row = tables.workflows.c
    found = connection.execute(sa.select(row.id).where(row.id == blocker, row.holding))
    return found.first() is not None


@guarded
def test_park_tests_that_its_blocker_is_holding(
    locking_world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world = locking_world
    blocker, _ = blocked_pair(world)
    # The second look would find it, too; here is shown that either is enough for an ended one.
    monkeypatch.setattr(order, "still_before", lambda *_: True)
    if not guard:
        monkeypatch.setattr(claims, "write_blocker", write_any_blocker)
    with (
        interleave.stop_before(world.journal.engine, "SET parked") as parking,
        interleave.in_thread(lambda: world.journal.claim("c1")) as claiming,
    ):
        parking.wait_until_reached()
        world.other.succeed(blocker)
        world.sync()
        parking.go_on()
        claiming.result()
    waiting = world.query(
        sa.select(tables.workflows.c.id).where(tables.workflows.c.state == "WAITING")
    )
    assert (len(waiting) == 0) is guard


def write_any_blocker(connection: sa.Connection, blocker: str) -> bool:
    """Write the blocker's row whether it holds anything or not."""
    table = tables.workflows
    statement = sa.update(table).where(table.c.id == blocker).values(parked=table.c.parked + 1)
    return bool(connection.execute(statement).rowcount)


@guarded
def test_park_looks_again_under_its_blockers_lock(
    locking_world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world = locking_world
    blocker, waiter = blocked_pair(world)
    if not guard:
        monkeypatch.setattr(order, "still_before", lambda *_: True)
    with (
        interleave.stop_before(world.journal.engine, "SET parked") as parking,
        interleave.in_thread(lambda: world.journal.claim("c1")) as claiming,
    ):
        parking.wait_until_reached()
        world.other.take_anew(blocker, blocker.keys)  # behind the waiter now, and still holding
        world.sync()
        parking.go_on()
        found = claiming.result()
    if isinstance(found, workflows.Claim):
        assert found.id == waiter
        world.journal.succeed(found)
    # Without it each of the two waits for the other.
    assert (run_to_the_end(world) == {"SUCCESS": 2}) is guard


@guarded
def test_a_claim_tests_that_nobody_claimed_meanwhile(
    locking_world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world = locking_world
    (port,) = world.record(change("port/p"))
    if not guard:
        monkeypatch.setattr(claims, "claim_row", claim_row_whatever_its_fence)
    with (
        interleave.stop_before(world.journal.engine, "ORDER BY workflow_workflows.gen") as looked,
        interleave.in_thread(lambda: world.journal.claim("c1")) as claiming,
    ):
        looked.wait_until_reached()
        meanwhile = world.other.claim("c2")
        assert isinstance(meanwhile, workflows.Claim)
        world.record(change("network/n"))
        network = world.other.claim("c2")
        assert isinstance(network, workflows.Claim)
        again = {**meanwhile.keys, **change("port/p", shared=["network/n"]).keys}
        world.other.take_anew(meanwhile, again)
        world.sync()
        looked.go_on()
        found = claiming.result()
    # The port must wait for the network's workflow, which runs.
    assert (not isinstance(found, workflows.Claim)) is guard
    assert (world.state(port) != "RUNNING") is guard


CLAIM_ROW = claims.claim_row


def claim_row_whatever_its_fence(
    connection: sa.Connection, parameters: dict[str, typing.Any]
) -> bool:
    """Claim a row that is READY, whoever had it meanwhile."""
    row = tables.workflows.c
    now = connection.execute(sa.select(row.fence).where(row.id == parameters["own_id"])).scalar()
    return CLAIM_ROW(connection, {**parameters, "seen_fence": now})


@guarded
def test_the_fence_is_a_write(
    locking_world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world = locking_world
    world.record(change("port/p"))
    claim = world.claim("c1")
    assert claim is not None
    with world.journal.engine.begin() as connection:
        connection.execute(
            sa.update(tables.conductors)
            .where(tables.conductors.c.id == "c1")
            .values(expires_at=sa.text("started_at"))
        )
    world.sync()
    check = fence.check_fence if guard else read_fence
    taken_over_before_commit = committed = False
    with (
        interleave.stop_before(world.other.engine, "UPDATE workflow_workflows") as taking,
        world.api().connect() as neutron,
    ):
        neutron.execute(sa.insert(tables.keys), {"k": "what a task wrote", "gen": 1})
        check(neutron, claim)
        with interleave.in_thread(lambda: world.other.take_over_lost(by="c2")) as take_over:
            taking.wait_until_reached()
            taking.go_on()
            if not guard or world.kind == "galera":
                assert take_over.result(interleave.DEADLINE_S) == 1
                taken_over_before_commit = True
                world.sync()
            with contextlib.suppress(sa.exc.DBAPIError):
                neutron.commit()
                committed = True
        assert take_over.result() == 1
    assert (not (taken_over_before_commit and committed)) is guard


def read_fence(connection: sa.Connection, claim: workflows.Claim) -> None:
    """Read the claim's row instead of writing it."""
    row = tables.workflows.c
    found = connection.execute(
        sa.select(row.id).where(
            row.id == claim.id, row.owner == claim.owner, row.fence == claim.fence
        )
    )
    if found.first() is None:
        raise errors.LeaseLost(claim.id)


@guarded
def test_held_writes_its_resources_row(
    locking_world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world = locking_world
    world.record(change("security_group/g", Operation.CREATE))
    group = world.claim("c2")
    assert group is not None
    world.record(change("port/p"))
    port = world.claim("c1")
    assert port is not None
    if not guard:
        monkeypatch.setattr(sync, "hold_for", read_resource)
    with (
        interleave.stop_before_commit(world.journal.engine) as holding,
        interleave.stop_before(world.other.engine, "UPDATE workflow_resource_sync") as settling,
        interleave.in_thread(
            lambda: world.journal.hold(
                port, MISSING, resource_type="security_group", resource_id="g"
            )
        ) as hold,
    ):
        holding.wait_until_reached()
        with interleave.in_thread(lambda: world.other.succeed(group)) as succeed:
            settling.wait_until_reached()
            settling.go_on()
            if not guard:
                succeed.result(interleave.DEADLINE_S)
            holding.go_on()
        succeed.result()
        hold.result()
    assert (run_to_the_end(world) == {"SUCCESS": 2}) is guard


def read_resource(connection: sa.Connection, missing: sync.Resource) -> bool:
    """Look at the resource's row instead of writing it."""
    row = tables.resource_sync.c
    found = connection.execute(
        sa.select(row.sync_state).where(
            row.resource_type == missing.resource_type, row.resource_id == missing.resource_id
        )
    )
    return found.scalar() != "SYNCED"


@guarded
def test_a_survivor_inherits_holds(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world.record(change("port/p"))
    world.record(change("port/p", shared=["security_group/g"]))
    world.record(change("security_group/g", Operation.DELETE))
    if not guard:
        monkeypatch.setattr(folds, "inherit", drop_holds)
    running = world.claim_all()
    # The port's apply reads the group: its delete must not run beside it.
    assert ({claim.resource_type for claim in running.values()} == {"port"}) is guard


def drop_holds(connection: sa.Connection, survivor: str, plan: folds.Plan) -> None:
    """Delete the folded ones' holds instead of inheriting them."""
    holds = tables.holds
    connection.execute(sa.delete(holds).where(holds.c.workflow_id.in_(plan.ids)))


@guarded
def test_only_what_nothing_stands_between_is_folded(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world.record(change("security_group/g", Operation.CREATE))
    group = world.claim()
    assert group is not None
    world.record(change("port/p"))
    world.record(change("port/p", shared=["security_group/g"]))
    if not guard:
        monkeypatch.setattr(folds.order, "before", only_own_key)
    port = world.claim()
    assert port is not None
    # Folded, it would read the group while the group's own workflow is running.
    assert ("default:security_group/g" not in port.keys) is guard


def only_own_key(
    connection: sa.Connection,
    holds: collections.abc.Sequence[takes.Hold],
    except_for: collections.abc.Sequence[str],
) -> None:
    """See nobody in the way."""
