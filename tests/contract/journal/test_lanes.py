# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A driver changes its lane only while nothing of either lane is unfinished."""

import dataclasses

import pytest
import sqlalchemy as sa

from networking_workflow.journal import lanes, retries, tables
from networking_workflow.model import errors, workflows
from networking_workflow.model import keys as model_keys
from networking_workflow.model.states import SyncState
from tests.contract.journal.world import FAILURE, World, change

ONE = {"ovn": "default", "switch": "default"}
TWO = {"ovn": "default", "switch": "switch"}


def settle(world: World, placed: dict[str, str], home: str = "default") -> None:
    """Take lanes up when no conductor is alive."""
    world.journal.sign_off("c1")
    retries.run(world.journal.engine, lambda connection: lanes.settle(connection, placed, home))
    world.conductor()
    world.sync()


def known(world: World) -> dict[str, str]:
    return dict(
        tuple(row) for row in world.query(sa.select(tables.lanes.c.driver, tables.lanes.c.lane))
    )


def shown(world: World) -> list[tuple[str, str, str]]:
    table = tables.resource_sync.c
    query = sa.select(table.lane, table.resource_id, table.sync_state)
    return sorted(tuple(row) for row in world.query(query))


def said(world: World, lane: str) -> set[tuple[object, ...]]:
    """Return what a lane says, with its reason and since when."""
    table = tables.resource_sync.c
    query = sa.select(table.resource_id, table.sync_state, table.sync_error, table.updated_at)
    return {tuple(row) for row in world.query(query.where(table.lane == lane))}


def in_lane(resource: str, lane: str) -> workflows.NewWorkflow:
    key = model_keys.Key(lane, *resource.split("/"))
    return dataclasses.replace(
        change(resource), lane=lane, keys={str(key): model_keys.Mode.EXCLUSIVE}
    )


def run(world: World, *, fails: bool = False) -> str:
    claim = world.claim()
    assert claim is not None
    if fails:
        world.journal.fail(claim, FAILURE, [])
    else:
        world.journal.succeed(claim, [])
    world.sync()
    return claim.id


def test_lanes_are_taken_up_and_changed_while_nothing_is_queued(world: World) -> None:
    settle(world, ONE)
    assert known(world) == ONE
    settle(world, TWO)
    assert known(world) == TWO
    settle(world, {**TWO, "logger": "switch"})
    assert known(world)["logger"] == "switch"
    settle(world, {"ovn": "default"})
    assert known(world) == {"ovn": "default"}


@pytest.mark.parametrize("first", [{}, ONE], ids=["for the first time", "known"])
def test_a_driver_leaves_no_lane_with_work_for_it(world: World, first: dict[str, str]) -> None:
    if first:
        settle(world, first)
    world.record(change("network/n1"), change("network/n2"))
    run(world, fails=True)
    with pytest.raises(errors.ConfigurationError) as refused:
        settle(world, TWO)
    words = str(refused.value)
    assert "moves driver switch from lane default to lane switch" in words
    assert "1 FAILED in lane default, 1 READY in lane default" in words
    assert known(world) == first
    settle(world, ONE)
    run(world)
    with pytest.raises(errors.ConfigurationError, match="1 FAILED in lane default"):
        settle(world, TWO)


def test_a_lane_with_work_is_not_given_up(world: World) -> None:
    settle(world, TWO)
    world.record(in_lane("network/n1", "switch"))
    for placed in ({"ovn": "default"}, ONE):
        with pytest.raises(errors.ConfigurationError, match="1 READY in lane switch"):
            settle(world, placed)
    settle(world, {**TWO, "logger": "default"})  # concerns neither
    run(world)
    settle(world, ONE)
    assert known(world) == ONE


def test_lanes_are_not_changed_under_conductors_that_know_others(world: World) -> None:
    settle(world, ONE)
    for placed in (TWO, {**ONE, "logger": "logger"}):
        with pytest.raises(errors.ConfigurationError, match="and conductors are alive that know"):
            retries.run(
                world.journal.engine,
                lambda connection, placed=placed: lanes.settle(connection, placed, "default"),
            )
    assert known(world) == ONE


def test_a_driver_with_work_left_does_not_come_back_into_another_lane(world: World) -> None:
    settle(world, ONE)
    world.record(change("network/n1"))
    settle(world, {"ovn": "default"})
    assert known(world) == ONE
    with pytest.raises(errors.ConfigurationError, match="1 READY in lane default"):
        settle(world, TWO)
    run(world)
    settle(world, {"ovn": "default"})
    assert known(world) == {"ovn": "default"}
    settle(world, TWO)
    assert known(world) == TWO


def fail(world: World, resource: str, lane: str) -> None:
    """Let a lane say ERROR of a resource, and nobody be about to mend it."""
    world.record(in_lane(resource, lane))
    world.journal.skip(run(world, fails=True))
    world.sync()


def test_what_a_lane_that_is_given_up_says_of_resources_is_said_by_its_heir(world: World) -> None:
    settle(world, TWO)
    world.record(change("network/both"))
    run(world)
    for resource in ("network/both", "network/alone"):
        fail(world, resource, "switch")
    world.record(in_lane("network/good", "switch"))
    run(world)
    before = said(world, "switch")
    settle(world, ONE)
    assert shown(world) == [
        ("default", "alone", "ERROR"),
        ("default", "both", "ERROR"),
        ("default", "good", "SYNCED"),
    ]
    assert said(world, "default") == before


def test_what_is_worse_stays_with_its_reason(world: World) -> None:
    settle(world, TWO)
    fail(world, "network/n", "default")
    before = said(world, "default")
    world.record(in_lane("network/n", "switch"))
    claim = world.claim()
    assert claim is not None
    drifted = dataclasses.replace(FAILURE, shows=SyncState.DRIFTED)
    world.journal.fail(claim, drifted, [])
    world.journal.skip(claim.id)
    settle(world, ONE)
    assert said(world, "default") == before


@pytest.mark.parametrize("home", ["ovn", "switch"])
def test_the_default_lane_is_given_up_too_when_its_drivers_leave_it(
    world: World, home: str
) -> None:
    settle(world, ONE)
    fail(world, "network/n", "default")
    settle(world, {"ovn": "ovn", "switch": "switch"}, home)
    assert shown(world) == [(home, "n", "ERROR")]


def test_what_a_lane_said_whose_drivers_are_no_more_is_forgotten(world: World) -> None:
    settle(world, TWO)
    fail(world, "network/n", "switch")
    settle(world, {"ovn": "default"})
    assert shown(world) == []
