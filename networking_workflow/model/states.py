# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Every state of workflows, tasks and resources, and the one table of legal moves of each.

The database repeats the values in CHECK constraints and ``docs/states.md`` is generated from here.
"""

import enum


class WorkflowState(enum.StrEnum):
    """Where one journalled workflow stands."""

    READY = "READY"  #: its order has not been looked at yet, or it may go
    WAITING = "WAITING"  #: an earlier workflow on one of its keys comes first
    RUNNING = "RUNNING"  #: one conductor holds its lease
    RETRYING = "RETRYING"  #: a transient failure; keeps its keys until the next attempt
    HELD = "HELD"  #: refers to what the backend lacks; holds no key
    REVERTING = "REVERTING"  #: the caller waited, a task failed, reverts run
    REVERTED = "REVERTED"  #: reverts ran; the caller was told
    SUCCESS = "SUCCESS"  #: every driver did its step
    FAILED = "FAILED"  #: permanent, or attempts spent; holds no key
    SUPERSEDED = "SUPERSEDED"  #: a later workflow of the same resource does its work
    CANCELLED = "CANCELLED"  #: an operator ended it before it did anything more
    SKIPPED = "SKIPPED"  #: an operator decided that the backend need not follow


#: States in which a workflow holds its keys; the ``holding`` column repeats this.
HOLDING = frozenset(
    {
        WorkflowState.READY,
        WorkflowState.WAITING,
        WorkflowState.RUNNING,
        WorkflowState.RETRYING,
        WorkflowState.REVERTING,
    }
)

#: States in which a conductor owns the workflow.
OWNED = frozenset({WorkflowState.RUNNING, WorkflowState.REVERTING})

#: States that nothing but pruning leaves.
FINAL = frozenset(
    {
        WorkflowState.REVERTED,
        WorkflowState.SUCCESS,
        WorkflowState.SUPERSEDED,
        WorkflowState.CANCELLED,
        WorkflowState.SKIPPED,
    }
)

#: States that end a wait: final ones, and FAILED, which only an operator or a later change leaves.
TERMINAL = FINAL | {WorkflowState.FAILED}

_W = WorkflowState
WORKFLOW_MOVES: frozenset[tuple[WorkflowState, WorkflowState]] = frozenset(
    {
        (_W.READY, _W.WAITING),  # something stands before it
        (_W.WAITING, _W.READY),  # that finished: look again
        (_W.READY, _W.RUNNING),  # claimed
        (_W.RUNNING, _W.SUCCESS),  # every step done
        (_W.RUNNING, _W.RETRYING),  # transient failure, or the backend cannot be reached
        (_W.RETRYING, _W.READY),  # the delay is over, or the backend is back
        (_W.RUNNING, _W.READY),  # handed back, taken over (fence + 1), or keys taken anew
        (_W.RUNNING, _W.HELD),  # a reference is not in the backend
        (_W.HELD, _W.READY),  # the reference came: keys taken anew
        (_W.RUNNING, _W.FAILED),  # permanent, or attempts spent
        (_W.HELD, _W.FAILED),  # two that wait for each other
        (_W.FAILED, _W.READY),  # retried by an operator: keys taken anew
        (_W.FAILED, _W.SKIPPED),  # settled by an operator
        (_W.FAILED, _W.REVERTED),  # its caller waited, and what it was to apply is undone
        (_W.RUNNING, _W.CANCELLED),  # cancel was requested and the call has returned
        (_W.RUNNING, _W.REVERTING),  # synchronous form, a task failed
        (_W.REVERTING, _W.REVERTED),
        (_W.REVERTING, _W.READY),  # taken over while reverting
    }
    | {
        (before, after)
        for before in (_W.READY, _W.WAITING, _W.RETRYING, _W.HELD, _W.FAILED)
        for after in (_W.SUPERSEDED, _W.CANCELLED, _W.SKIPPED)
    }
)


def _before(state: WorkflowState) -> frozenset[WorkflowState]:
    return frozenset(before for before, after in WORKFLOW_MOVES if after is state)


#: What an operator may ask for -> the states in which it may be.
ASKED_FROM: dict[str, frozenset[WorkflowState]] = {
    "retry": frozenset({WorkflowState.FAILED}),
    "skip": _before(WorkflowState.SKIPPED),
    "cancel": _before(WorkflowState.CANCELLED) | OWNED,
}


class TaskState(enum.StrEnum):
    """Where one step (one driver, or one agent, doing one thing) stands."""

    PENDING = "PENDING"  #: its workflow has not come to it yet
    RUNNING = "RUNNING"  #: the driver is being called
    SUCCESS = "SUCCESS"  #: done, and read back where the driver can observe
    FAILED = "FAILED"  #: for good, until a retry or a later workflow
    RETRYING = "RETRYING"  #: failed, and will be tried again
    REVERTING = "REVERTING"  #: its revert is being called
    REVERTED = "REVERTED"  #: its revert ran
    SKIPPED = "SKIPPED"  #: not needed any more


_T = TaskState
TASK_MOVES: frozenset[tuple[TaskState, TaskState]] = frozenset(
    {
        (_T.PENDING, _T.RUNNING),
        (_T.PENDING, _T.SKIPPED),  # its workflow ended without it
        (_T.RUNNING, _T.RUNNING),  # the process died; another conductor starts the step again
        (_T.RUNNING, _T.SUCCESS),
        (_T.RUNNING, _T.FAILED),
        (_T.RUNNING, _T.RETRYING),
        (_T.RUNNING, _T.SKIPPED),
        (_T.RETRYING, _T.RUNNING),
        (_T.RETRYING, _T.FAILED),
        (_T.RETRYING, _T.SKIPPED),
        (_T.FAILED, _T.RUNNING),  # retried by an operator
        (_T.FAILED, _T.SKIPPED),
        (_T.SUCCESS, _T.PENDING),  # its workflow took up a later change, or took its keys anew
        (_T.FAILED, _T.PENDING),  # its workflow was retried: keys taken anew
        (_T.SUCCESS, _T.REVERTING),
        (_T.FAILED, _T.REVERTING),
        (_T.REVERTING, _T.REVERTED),
        (_T.REVERTING, _T.FAILED),
    }
)


class SyncState(enum.StrEnum):
    """Whether the backend holds what the database says; the order is from best to worst."""

    UNMANAGED = "UNMANAGED"  #: no workflow has dealt with it, or no driver programs it
    SYNCED = "SYNCED"  #: applied, and read back where the driver can observe
    PENDING = "PENDING"  #: a change has not reached the backend yet
    DRIFTED = "DRIFTED"  #: verified: the backend differs
    ERROR = "ERROR"  #: the last change failed

    @classmethod
    def worst(cls, states: "list[SyncState]") -> "SyncState":
        """Return what a resource shows when its drivers say ``states``; none: UNMANAGED."""
        order = list(cls)
        return max(states, key=order.index, default=cls.UNMANAGED)


class Operation(enum.StrEnum):
    """What the captured transaction did to the resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Initiator(enum.StrEnum):
    """Who started a workflow."""

    API = "api"
    AGENT = "agent"
    DRIVER = "driver"  #: a driver wrote Neutron's database while it ran in a task
    VERIFY = "verify"
    OPERATOR = "operator"


class ConductorState(enum.StrEnum):
    """Where one conductor process stands."""

    ALIVE = "ALIVE"  #: renews its lease
    LOST = "LOST"  #: another conductor took its workflows over
    STOPPED = "STOPPED"  #: went away by itself, holding nothing
