# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Order: what conflicts runs one after the other as committed, what does not at the same time."""

import re

import pytest
import sqlalchemy as sa

from networking_workflow.journal import order, tables
from networking_workflow.model import workflows
from networking_workflow.model.states import Operation
from tests.contract.journal import world as worlds
from tests.contract.journal.world import World, change, key


def test_conflicting_workflows_run_in_commit_order(world: World) -> None:
    network = change("network/n", Operation.CREATE)
    port = change("port/p", Operation.CREATE, shared=["network/n"])
    again = change("network/n", shared=["network/m"])
    for new in (network, port, again):
        world.record(new)
    for new in (network, port, again):
        claims = world.claim_all()
        assert list(claims) == [new.id]
        world.journal.succeed(claims[new.id])
    assert world.states() == {"SUCCESS": 3}
    assert world.holds() == []


def test_shared_ones_run_at_the_same_time(world: World) -> None:
    (network,) = world.record(change("network/n", Operation.CREATE))
    ports = [world.record(change(f"port/{number}", shared=["network/n"]))[0] for number in range(5)]
    (deleted,) = world.record(change("network/n", Operation.DELETE))
    first = world.claim_all()
    assert set(first) == {network}
    world.journal.succeed(first[network])
    claims = world.claim_all()
    assert set(claims) == set(ports)
    for claim in claims.values():
        world.journal.succeed(claim)
    assert set(world.claim_all()) == {deleted}


def test_one_of_many_keys_is_enough_to_wait_for_whichever_it_is(world: World) -> None:
    """Of more keys than one statement asks about."""
    groups = [f"security_group/{number:03}" for number in range(2 * order.MOST_HOLDS + 1)]
    for one in (groups[0], groups[order.MOST_HOLDS], groups[-1]):
        (before,) = world.record(change(one))
        (behind,) = world.record(change("port/p", shared=groups))
        claims = world.claim_all()
        assert set(claims) == {before}
        assert world.state(behind) == "WAITING"
        world.journal.succeed(claims[before])
        claims = world.claim_all()
        assert set(claims) == {behind}
        world.journal.succeed(claims[behind])


@pytest.mark.parametrize("busy", [False, True])
def test_what_is_claimed_does_not_hang_on_how_many_were_expected(world: World, busy: bool) -> None:
    world.conductor()
    new = [
        change(f"port/{number}", shared=["network/n"], project_id=f"project-{number // 2}")
        for number in range(4)
    ]
    world.record(*new)
    claimed: dict[str, workflows.Claim] = {}
    for others in (3, 2, 1, 0):
        claim = world.journal.claim("c1", after_project="project-0", busy=busy)
        assert isinstance(claim, workflows.Claim)
        assert claim.more is (others > 0)
        claimed[claim.id] = claim
        world.sync()
    projects = [one.project_id for one in claimed.values()]
    assert projects == ["project-1"] * 2 + ["project-0"] * 2
    assert {id_: one.keys for id_, one in claimed.items()} == {one.id: one.keys for one in new}
    assert world.journal.claim("c1", busy=busy) is None


def test_one_that_is_ready_alone_is_read_with_what_it_holds(world: World) -> None:
    world.conductor()
    world.record(change("port/p", shared=["network/n", "subnet/s"]))
    read = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        if statement.startswith("SELECT"):
            read.append(statement)

    sa.event.listen(world.journal.engine, "before_cursor_execute", note)
    assert world.journal.claim("c1") is not None
    sa.event.remove(world.journal.engine, "before_cursor_execute", note)
    assert len([one for one in read if "workflow_" in one]) == 2


def test_one_transaction_that_takes_a_key_exclusively_several_times(world: World) -> None:
    new = [
        change("port/p", shared=["network/n"]),
        change("subnet/s", exclusive=["metadata/n"], shared=["network/n"]),
        change("subnet/t", exclusive=["metadata/n"], shared=["network/n"]),
        change("network/n", Operation.DELETE),
        change("network/n", Operation.CREATE),
        change("port/q", shared=["network/n"]),
    ]
    world.record(*new)
    ids = [one.id for one in new]
    metadata = [gen for k, _, gen in world.holds() if k == worlds.key("metadata/n")]
    assert metadata == [1, 2]
    rounds = []
    while claims := world.claim_all():
        rounds.append({ids.index(claim) for claim in claims})
        for claim in claims.values():
            world.journal.succeed(claim)
    # Delete and create of the network are one change: nothing stands between them.
    assert rounds == [{0, 1}, {2}, {3}, {5}]
    assert world.state(ids[4]) == "SUPERSEDED"


def test_shared_takers_of_keys_without_a_row(world: World) -> None:
    first = change("port/p", shared=["network/old", "subnet/old"])
    second = change("port/q", shared=["network/old", "subnet/old"])
    world.record(first)
    world.record(second)
    assert set(world.claim_all()) == {first.id, second.id}
    (network,) = world.record(change("network/old"))
    assert world.claim() is None
    assert world.row(network).blocked_by in {first.id, second.id}


def test_what_many_rely_on_is_asked_for_once_and_locked_with_one_statement(world: World) -> None:
    shared = ["network/n", "subnet/s", "security_group/g"]
    world.record(*(change(name, Operation.CREATE) for name in shared))
    world.record(change("port/p", shared=shared))
    seen: list[str] = []
    sa.event.listen(
        world.api(),
        "before_cursor_execute",
        lambda _connection, _cursor, text, *_: seen.append(" ".join(text.split())),
    )
    world.record(change("port/q", shared=shared))
    assert not [text for text in seen if text.startswith("SELECT workflow_keys.k FROM")]
    locking = r"SELECT (STRAIGHT_JOIN )?workflow_keys\.k, workflow_keys\.gen "
    assert len([text for text in seen if re.match(locking, text)]) == 1


def test_known_key_that_has_gone_is_taken_as_a_new_one(world: World) -> None:
    world.record(change("network/n", Operation.CREATE))
    world.record(change("port/p", shared=["network/n"]))  # now this process knows the key
    for claim in iter(world.claim, None):
        world.journal.succeed(claim)
    with world.observer.begin() as connection:
        connection.execute(sa.delete(tables.gates).where(tables.gates.c.k == key("network/n")))
        connection.execute(sa.delete(tables.keys).where(tables.keys.c.k == key("network/n")))
    world.sync()
    first, second = change("port/q", shared=["network/n"]), change("port/r", shared=["network/n"])
    world.record(first)
    world.record(second)
    assert set(world.claim_all()) == {first.id, second.id}
    (network,) = world.record(change("network/n"))
    assert world.claim() is None
    assert world.row(network).blocked_by in {first.id, second.id}


def test_rolled_back_transaction_leaves_nothing(world: World) -> None:
    with world.api().connect() as connection:
        worlds.records.record(connection, [change("port/p", shared=["network/n"])])
        connection.rollback()
    world.sync()
    assert world.states() == {}
    assert world.holds() == []
    assert not world.journal.has_work()
