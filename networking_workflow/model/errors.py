# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The error tree. Each says what happened, what it means and what to do, and carries its data."""

from networking_workflow.model import failures, states


class WorkflowError(Exception):
    """Base of every error that this package raises."""


class LeaseLost(WorkflowError):
    """Another conductor took the workflow over; stop without reporting."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"The lease on workflow {workflow_id} was lost. Its new owner will finish the work. If "
            "this repeats, raise [workflow] lease_s above the longest pause of this process."
        )


class IllegalMove(WorkflowError):
    """An operator asked for a move that the workflow's state does not allow."""

    def __init__(self, workflow_id: str, state: str, action: str) -> None:
        self.workflow_id, self.state, self.action = workflow_id, state, action
        super().__init__(f"Workflow {workflow_id} is {state}; it cannot {action} from there.")


class WorkflowNotFound(WorkflowError):
    """No workflow has this id (any more)."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(f"There is no workflow {workflow_id}; it may have been pruned.")


class ConfigurationError(WorkflowError):
    """The process must not start: something is configured wrongly, and the text says what to do."""


class DriverError(WorkflowError):
    """Base of what a driver's apply, delete, observe or probe may raise."""

    code = failures.FailureCode.DRIVER_ERROR

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)

    @property
    def failure(self) -> failures.Failure:
        """Return what the journal records of this error."""
        return failures.Failure(code=self.code, detail=self.detail)


class BackendUnreachable(DriverError):
    """The backend cannot be reached at all: spends no attempt; wait for the driver's probe."""

    code = failures.FailureCode.BACKEND_UNREACHABLE


class DriverOccupied(DriverError):
    """As many calls of the driver run as may at a time: spends no attempt; wait for one to end."""

    code = failures.FailureCode.BACKEND_BUSY


class TransientFailure(DriverError):
    """Trying again may help: spends one attempt."""

    code = failures.FailureCode.BACKEND_BUSY


class PermanentFailure(DriverError):
    """Trying again cannot help."""

    def __init__(
        self, detail: str, code: failures.FailureCode = failures.FailureCode.BACKEND_REFUSED
    ) -> None:
        super().__init__(detail)
        self.code = code


class BackendDiffers(PermanentFailure):
    """What was read back is not what was meant; ``differences`` says where, in words."""

    def __init__(self, differences: "tuple[str, ...]") -> None:
        self.differences = differences
        super().__init__("; ".join(differences), failures.FailureCode.BACKEND_DIFFERS)


class BackendDisturbed(TransientFailure):
    """As :class:`BackendDiffers`, but an earlier call may have landed late: look once more."""

    code = failures.FailureCode.BACKEND_DIFFERS


class BackendDrifted(TransientFailure):
    """Who only looks found a difference: perhaps too early, so look again; else it has drifted."""

    code = failures.FailureCode.BACKEND_DIFFERS

    @property
    def failure(self) -> failures.Failure:
        """Return what the journal records: nothing failed but the comparison."""
        return failures.Failure(code=self.code, detail=self.detail, shows=states.SyncState.DRIFTED)


class MissingReference(DriverError):
    """The backend lacks what the resource refers to: hold the workflow until it is there."""

    code = failures.FailureCode.REFERENCE_MISSING

    def __init__(self, resource_type: str, resource_id: str, detail: str) -> None:
        self.resource_type, self.resource_id = resource_type, resource_id
        super().__init__(detail)


class StillReferred(MissingReference):
    """What is to be deleted is still referred to by another resource: hold likewise."""

    code = failures.FailureCode.STILL_IN_USE
