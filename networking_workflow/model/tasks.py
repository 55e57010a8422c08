# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One step of a workflow: what the plan asks for and how it came out."""

import dataclasses
import typing

from networking_workflow.model import failures, states


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTask:
    """One driver that a workflow calls; ``name`` is unique within the workflow."""

    name: str  #: for example "ovn"
    driver: str
    position: int  #: order within the lane, from 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StartedTask:
    """A planned task with its durable identity; the id is the same in every attempt."""

    id: str
    name: str
    driver: str
    state: states.TaskState  #: SUCCESS: an earlier attempt finished it and nothing came since
    attempts: int  #: calls of its driver; the one to come included if it is RUNNING
    has_failed: bool = False  #: it is FAILED, and another task's failure has it called once more
    applied: typing.Mapping[str, typing.Any] | None = None
    """What the driver returned when it last applied the resource; None: never, or nothing."""

    @property
    def called_before(self) -> bool:
        """Return whether its driver may have been called in an earlier run of the workflow."""
        return self.attempts > int(self.state is states.TaskState.RUNNING)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """How one attempt of a task ended."""

    id: str
    state: states.TaskState
    failure: failures.Failure | None = None
    called: bool = True  #: False: its driver could not be called, so it counts as no attempt
    before_late: failures.Shown | None = None
    """What was shown before its call was said to be late, and is shown again while others are
    called; None: that was not said."""
