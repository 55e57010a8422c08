# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A driver changes its lane only while nothing of either lane is unfinished."""

import dataclasses

import pytest
import sqlalchemy as sa

from networking_workflow.journal import lanes, retries, tables
from networking_workflow.model import errors, workflows
from networking_workflow.model import keys as model_keys
from tests.contract.journal.world import FAILURE, World, change

ONE = {"ovn": "default", "switch": "default"}
TWO = {"ovn": "default", "switch": "switch"}


def settle(world: World, placed: dict[str, str]) -> None:
    retries.run(world.journal.engine, lambda connection: lanes.settle(connection, placed))
    world.sync()


def known(world: World) -> dict[str, str]:
    return dict(
        tuple(row) for row in world.query(sa.select(tables.lanes.c.driver, tables.lanes.c.lane))
    )


def shown(world: World) -> list[tuple[str, str, str]]:
    table = tables.resource_sync.c
    query = sa.select(table.lane, table.resource_id, table.sync_state)
    return sorted(tuple(row) for row in world.query(query))


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
    settle(world, {**TWO, "logger": "logger"})  # concerns neither
    run(world)
    settle(world, ONE)
    assert known(world) == ONE


def test_what_a_lane_that_is_given_up_says_of_resources_is_said_by_its_heir(world: World) -> None:
    settle(world, TWO)
    world.record(change("network/both"))
    run(world)
    for resource in ("network/both", "network/alone"):
        world.record(in_lane(resource, "switch"))
        failed = run(world, fails=True)
        world.journal.skip(failed)
        world.sync()
    assert [row[0] for row in shown(world)] == ["default", "switch", "switch"]
    settle(world, ONE)
    assert shown(world) == [("default", "alone", "ERROR"), ("default", "both", "ERROR")]
