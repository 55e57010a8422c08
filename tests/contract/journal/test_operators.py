# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What operators may ask for: every state has a way out, and illegal moves are refused."""

import pytest

from networking_workflow.model import errors
from networking_workflow.model.states import Operation
from tests.contract.journal.world import FAILURE, MISSING, World, change


@pytest.mark.parametrize(("action", "state"), [("cancel", "CANCELLED"), ("skip", "SKIPPED")])
def test_what_has_not_run_can_be_ended(world: World, action: str, state: str) -> None:
    (network,) = world.record(change("network/n"))
    (waiting,) = world.record(change("port/p", shared=["network/n"]))
    (parked,) = world.record(change("subnet/s", shared=["port/p"]))
    running = world.claim()
    assert running is not None
    assert world.claim() is None
    end = getattr(world.journal, action)
    end(waiting)
    assert (world.state(waiting), world.state(parked)) == (state, "READY")
    assert world.holds(waiting) == []
    assert world.sync_state("port/p") == ("ERROR", "CANCELLED")
    world.journal.retry_later(running, FAILURE, delay_s=3600.0, spend_attempt=True)
    end(network)
    assert world.state(network) == state
    with pytest.raises(errors.IllegalMove):
        end(network)


@pytest.mark.parametrize(("action", "state"), [("cancel", "CANCELLED"), ("skip", "SKIPPED")])
def test_failed_and_held_can_be_ended(world: World, action: str, state: str) -> None:
    failed, held = world.record(change("port/p"), change("port/q"))
    world.record(change("port/r"))
    claims = world.claim_all()
    world.journal.fail(claims[failed], FAILURE)
    world.journal.hold(claims[held], MISSING, resource_type="port", resource_id="r")
    getattr(world.journal, action)(failed)
    getattr(world.journal, action)(held)
    assert (world.state(failed), world.state(held)) == (state, state)
    assert world.row(held).waits_for is None


def test_cancelling_a_running_one_is_a_request_until_its_call_returns(world: World) -> None:
    (port,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    assert not world.journal.cancel_requested(claim)
    world.journal.cancel(port)
    assert world.state(port) == "RUNNING"
    assert world.journal.cancel_requested(claim)
    world.journal.cancelled(claim)
    assert world.state(port) == "CANCELLED"
    assert world.holds() == []
    assert world.sync_state("port/p") == ("ERROR", "CANCELLED")


def test_a_later_change_does_not_end_with_one_that_is_cancelled(world: World) -> None:
    (first,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    world.journal.cancel(first)
    world.journal.hand_back(claim)
    (second,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.cancel_requested, claim.folded) == (first, True, ())
    world.journal.cancelled(claim)
    claim = world.claim()
    assert claim is not None
    assert (claim.id, claim.cancel_requested) == (second, False)


def test_a_retry_is_a_later_word_than_a_request_to_cancel(world: World) -> None:
    (failed,) = world.record(change("port/p"))
    claim = world.claim()
    assert claim is not None
    world.journal.cancel(failed)
    world.journal.fail(claim, FAILURE)
    world.journal.retry(failed)
    claim = world.claim()
    assert claim is not None
    assert not claim.cancel_requested


def test_a_running_one_cannot_be_skipped_or_retried(world: World) -> None:
    (port,) = world.record(change("port/p"))
    assert world.claim() is not None
    for action in (world.journal.skip, world.journal.retry):
        with pytest.raises(errors.IllegalMove):
            action(port)


def test_an_unknown_workflow_is_not_found(world: World) -> None:
    for action in (world.journal.skip, world.journal.retry, world.journal.cancel):
        with pytest.raises(errors.WorkflowNotFound):
            action("00000000-0000-0000-0000-000000000000")


def test_a_workflow_whose_row_is_gone_is_superseded_by_its_delete(world: World) -> None:
    (create,) = world.record(change("port/p", Operation.CREATE))
    claim = world.claim()
    assert claim is not None
    assert not world.journal.supersede_by_delete(claim)
    (delete,) = world.record(change("port/p", Operation.DELETE))
    assert world.journal.supersede_by_delete(claim)
    row = world.row(create)
    assert (row.state, row.superseded_by) == ("SUPERSEDED", delete)
    claim = world.claim()
    assert claim is not None
    assert claim.id == delete
