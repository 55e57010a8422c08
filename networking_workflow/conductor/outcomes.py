# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a run's outcomes mean for its workflow and its tasks. Pure."""

import dataclasses
import enum
import typing

from networking_workflow.model import errors, retry, states
from networking_workflow.plan import flows


class Verdict(enum.Enum):
    """How a run ends; the order says which decides when drivers differ.

    What may yet succeed comes before what cannot: a driver that refuses must not keep another from
    being tried again.
    """

    SUCCEED = enum.auto()
    WAIT_FOR_DRIVER = enum.auto()  #: it cannot be called now, whatever it is for; no attempt spent
    HOLD = enum.auto()  #: a reference is not in the backend; gives its keys back
    RETRY = enum.auto()  #: later, while attempts are left
    FAIL = enum.auto()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A verdict with the error and the driver that it rests on."""

    verdict: Verdict
    error: errors.DriverError | None = None
    driver: str | None = None


def verdict_on(error: errors.DriverError, *, left: int) -> Verdict:
    """Return what one error asks for; ``left``: attempts that remain after this one.

    It falls below 0 only where the journal refused to hold, attempt after attempt: what the backend
    lacks is in sync by the journal, so nothing will bring it.
    """
    if isinstance(error, errors.BackendUnreachable | errors.DriverOccupied):
        return Verdict.WAIT_FOR_DRIVER
    if isinstance(error, errors.MissingReference):
        return Verdict.FAIL if left < 0 else Verdict.HOLD
    if isinstance(error, errors.PermanentFailure) or left <= 0:
        return Verdict.FAIL
    return Verdict.RETRY


def state_after(error: errors.DriverError | None, *, left: int) -> states.TaskState:
    """Return the state of a task whose driver call ended with ``error``."""
    if error is None:
        return states.TaskState.SUCCESS
    if verdict_on(error, left=left) is Verdict.FAIL:
        return states.TaskState.FAILED
    return states.TaskState.RETRYING


def decide(
    outcomes: typing.Iterable[flows.Outcome],
    *,
    spent: int,
    policy_of: typing.Callable[[str], retry.RetryPolicy],
) -> Decision:
    """Return how the run ends.

    Where several drivers want to be tried again, the one with the longest delay decides.

    :param spent: attempts of the workflow, this one included.
    :param policy_of: driver -> how often and when it is tried again.
    """
    order = list(Verdict)
    best: tuple[tuple[int, float], Decision] | None = None
    for one in outcomes:
        if one.error is None:
            continue
        policy = policy_of(one.task.driver)
        verdict = verdict_on(one.error, left=policy.attempts - spent)
        decision = Decision(verdict=verdict, error=one.error, driver=one.task.driver)
        delay_s = policy.longest_s(spent) if verdict is Verdict.RETRY else 0.0
        rank = (order.index(verdict), -delay_s)
        if best is None or rank < best[0]:
            best = rank, decision
    return best[1] if best else Decision(verdict=Verdict.SUCCEED)
