# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a run's outcomes mean."""

import itertools

import pytest

from networking_workflow.conductor import outcomes
from networking_workflow.conductor.outcomes import Verdict
from networking_workflow.model import errors, states, tasks
from networking_workflow.plan import flows

UNREACHABLE = errors.BackendUnreachable("no route")
MISSING = errors.MissingReference("network", "n", "no such switch")
STILL_USED = errors.StillReferred("port", "p", "has a port")
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


def test_no_error_is_success():
    decision = outcomes.decide([outcome(None, "a"), outcome(None, "b")], left=1)
    assert decision == outcomes.Decision(verdict=Verdict.SUCCEED)


@pytest.mark.parametrize("pair", itertools.combinations(ORDER, 2))
@pytest.mark.parametrize("turned", [False, True])
def test_what_may_yet_succeed_decides_before_what_cannot(pair, turned):
    (first, verdict), (second, _) = pair
    both = [outcome(first, "a"), outcome(second, "b")]
    decision = outcomes.decide(reversed(both) if turned else both, left=1)
    assert (decision.verdict, decision.error, decision.driver) == (verdict, first, "a")
