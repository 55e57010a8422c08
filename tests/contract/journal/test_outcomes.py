# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How workflows stand that somebody waits for."""

import itertools

import sqlalchemy as sa

from networking_workflow.journal import outcomes, tables
from networking_workflow.model.failures import FailureCode
from networking_workflow.model.states import WorkflowState
from tests.contract.journal.world import FAILURE, World, change


def test_each_stands_as_it_is_and_one_that_is_unknown_is_left_out(world: World) -> None:
    (failed,) = world.record(change("port/a"))
    claim = world.claim()
    assert claim is not None
    world.journal.fail(claim, FAILURE)
    (ready,) = world.record(change("port/b"))
    found = {one.workflow_id: one for one in world.journal.outcomes([failed, ready, "unknown"])}
    assert {name: (one.state, one.failure) for name, one in found.items()} == {
        failed: (WorkflowState.FAILED, FailureCode.BACKEND_REFUSED),
        ready: (WorkflowState.READY, None),
    }
    assert (found[ready].resource_type, found[ready].resource_id) == ("port", "b")


def test_a_superseded_one_stands_as_the_last_of_its_successors(world: World) -> None:
    """However many there are: an end that is not looked for would be told as a good one."""
    chain = world.record(*(change(f"port/{number}") for number in range(40)))
    table = tables.workflows
    with world.observer.begin() as connection:
        for earlier, later in itertools.pairwise(chain):
            own = sa.update(table).where(table.c.id == earlier)
            superseded = {"state": "SUPERSEDED", "holding": False, "superseded_by": later}
            connection.execute(own.values(**superseded))
    world.sync()
    expected = outcomes.Outcome(
        asked_id=chain[0],
        workflow_id=chain[-1],
        resource_type="port",
        resource_id="39",
        state=WorkflowState.READY,
        failure=None,
    )
    assert world.journal.outcomes([chain[0]]) == [expected]
    (of_all,) = world.journal.outcomes(chain)
    assert (of_all.workflow_id, of_all.asked_id in chain) == (chain[-1], True)
