# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which task this thread is running: what capture, fences and backend records ask for."""

import contextvars
import dataclasses
import typing

from networking_workflow.model import workflows


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunningTask:
    """The task whose driver call is on this thread's stack."""

    claim: workflows.Claim
    task_id: str
    task_name: str
    require: typing.Callable[[], None] = lambda: None
    """Returns if the backend may be called (still): before each of several calls of one task.

    It raises LeaseLost otherwise.
    """


#: Set by the conductor around every driver call; ``None`` everywhere else.
RUNNING: contextvars.ContextVar[RunningTask | None] = contextvars.ContextVar(
    "networking_workflow_running_task", default=None
)
