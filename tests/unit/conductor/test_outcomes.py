# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a run's outcomes mean."""

import itertools

import pytest

from networking_workflow.conductor import outcomes
from networking_workflow.conductor.outcomes import Verdict
from networking_workflow.model import errors, retry, states, tasks
from networking_workflow.plan import flows

UNREACHABLE = errors.BackendUnreachable("no route")
MISSING = errors.MissingReference("network", "n", "no such switch")
STILL_USED = errors.StillReferred("port", "p", "has a port")
OCCUPIED = errors.DriverOccupied("as many as may")
BUSY = errors.TransientFailure("busy")
UNKNOWN = errors.DriverError("KeyError: 'x'")
REFUSED = errors.PermanentFailure("no")
DIFFERS = errors.BackendDiffers(("name: a is not b",))

#: From what decides to what does not.
ORDER = [
    (UNREACHABLE, Verdict.WAIT_FOR_DRIVER),
    (MISSING, Verdict.HOLD),
    (BUSY, Verdict.RETRY),
    (REFUSED, Verdict.FAIL),
]


def outcome(error, name="ovn"):
    started = tasks.StartedTask(
        id=f"task-{name}", name=name, driver=name, state=states.TaskState.RUNNING, attempts=1
    )
    return flows.Outcome(task=started, state=outcomes.state_after(error, left=1), error=error)


@pytest.mark.parametrize(
    ("error", "left", "verdict", "state"),
    [
        (UNREACHABLE, 1, Verdict.WAIT_FOR_DRIVER, "RETRYING"),
        (UNREACHABLE, 0, Verdict.WAIT_FOR_DRIVER, "RETRYING"),
        (OCCUPIED, 1, Verdict.WAIT_FOR_DRIVER, "RETRYING"),
        (OCCUPIED, 0, Verdict.WAIT_FOR_DRIVER, "RETRYING"),
        (MISSING, 0, Verdict.HOLD, "RETRYING"),
        (MISSING, -1, Verdict.FAIL, "FAILED"),
        (STILL_USED, 1, Verdict.HOLD, "RETRYING"),
        (BUSY, 1, Verdict.RETRY, "RETRYING"),
        (BUSY, 0, Verdict.FAIL, "FAILED"),
        (UNKNOWN, 1, Verdict.RETRY, "RETRYING"),
        (UNKNOWN, 0, Verdict.FAIL, "FAILED"),
        (REFUSED, 1, Verdict.FAIL, "FAILED"),
        (DIFFERS, 1, Verdict.FAIL, "FAILED"),
    ],
)
def test_verdict_and_task_state_of_one_error(error, left, verdict, state):
    assert outcomes.verdict_on(error, left=left) is verdict
    assert outcomes.state_after(error, left=left) == state


def decide(found, *, spent=1, **policies):
    """Decide with the policies of some drivers; others are tried twice."""
    twice = retry.RetryPolicy(attempts=2)
    return outcomes.decide(found, spent=spent, policy_of=lambda driver: policies.get(driver, twice))


def test_no_error_is_success():
    decision = decide([outcome(None, "a"), outcome(None, "b")])
    assert decision == outcomes.Decision(verdict=Verdict.SUCCEED)


@pytest.mark.parametrize("pair", itertools.combinations(ORDER, 2))
@pytest.mark.parametrize("turned", [False, True])
def test_what_may_yet_succeed_decides_before_what_cannot(pair, turned):
    (first, verdict), (second, _) = pair
    both = [outcome(first, "a"), outcome(second, "b")]
    decision = decide(reversed(both) if turned else both)
    assert (decision.verdict, decision.error, decision.driver) == (verdict, first, "a")


def test_each_drivers_own_attempts_say_whether_it_may_be_tried_again():
    soon, late = retry.RetryPolicy(attempts=2), retry.RetryPolicy(attempts=9)
    failed = [outcome(BUSY, "impatient"), outcome(BUSY, "patient")]
    decision = decide(failed, spent=2, impatient=soon, patient=late)
    assert (decision.verdict, decision.driver) == (Verdict.RETRY, "patient")
    decision = decide(failed[:1], spent=2, impatient=soon, patient=late)
    assert (decision.verdict, decision.driver) == (Verdict.FAIL, "impatient")


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_to_be_tried_again_the_one_with_the_longest_delay_decides(turned):
    quick = retry.RetryPolicy(first_delay_s=0.1)
    slow = retry.RetryPolicy(first_delay_s=60.0)
    failed = [outcome(BUSY, "quick"), outcome(BUSY, "slow")]
    decision = decide(reversed(failed) if turned else failed, quick=quick, slow=slow)
    assert (decision.verdict, decision.driver) == (Verdict.RETRY, "slow")
