# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a run's outcomes mean for its workflow and its tasks. Pure."""

import dataclasses
import enum
import typing

from networking_workflow.model import errors, states
from networking_workflow.plan import flows


class Verdict(enum.Enum):
    """How a run ends; the order says which decides when drivers differ.

    What may yet succeed comes before what cannot: a driver that refuses must not keep another from
    being tried again.
    """

    SUCCEED = enum.auto()
    WAIT_FOR_DRIVER = enum.auto()  #: a backend cannot be reached; spends no attempt
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
    if isinstance(error, errors.BackendUnreachable):
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


def decide(outcomes: typing.Iterable[flows.Outcome], *, left: int) -> Decision:
    """Return how the run ends."""
    decisions = [
        Decision(verdict=verdict_on(one.error, left=left), error=one.error, driver=one.task.driver)
        for one in outcomes
        if one.error is not None
    ]
    order = list(Verdict)
    return min(
        decisions,
        key=lambda decision: order.index(decision.verdict),
        default=Decision(verdict=Verdict.SUCCEED),
    )
