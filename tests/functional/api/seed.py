# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Workflows and tasks in any state, written by the journal's own functions."""

import typing
import uuid

from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import journal, record
from networking_workflow.model import failures, keys, states, tasks, workflows

#: What no tenant may ever read: a driver's words, a host, what a snapshot holds.
DETAIL_SECRET = "ovsdb at 10.77.66.55 said: token=hunter2"
HOST_SECRET = "controller-7-rack-b"
SNAPSHOT_SECRET = "snapshot-hunter3"

OWNER = "seed"


class Seed:
    """A conductor that does exactly what a test says."""

    def __init__(self, url: str) -> None:
        self.engine = journal_engine.make_engine(url, pool_size=2)
        self.journal = journal.Journal(self.engine)
        self.journal.register(OWNER, host=HOST_SECRET, pid=1, lease_s=3600.0)

    def close(self) -> None:
        self.engine.dispose()

    def record(
        self,
        project_id: str,
        *,
        resource_type: str = "port",
        resource_id: str | None = None,
        operation: states.Operation = states.Operation.CREATE,
        relies_on: typing.Iterable[tuple[str, str]] = (),
    ) -> str:
        """Record one workflow and return its id; ``relies_on`` are resources it takes shared."""
        resource_id = resource_id or str(uuid.uuid4())
        own = str(keys.Key(keys.DEFAULT_LANE, resource_type, resource_id))
        shared = [str(keys.Key(keys.DEFAULT_LANE, *name)) for name in relies_on]
        new = workflows.NewWorkflow(
            id=str(uuid.uuid4()),
            resource_type=resource_type,
            resource_id=resource_id,
            operation=operation,
            keys={own: keys.Mode.EXCLUSIVE} | dict.fromkeys(shared, keys.Mode.SHARED),
            project_id=project_id,
            operation_id=f"req-{uuid.uuid4()}",
            request_id=f"req-{uuid.uuid4()}",
            snapshot={"version": 1, "deleted": {"secret": SNAPSHOT_SECRET}, "edge": {}},
        )
        with self.engine.begin() as connection:
            record.record(connection, [new])
        return new.id

    def claim(self, workflow_id: str) -> workflows.Claim:
        """Claim this workflow; whatever comes before it succeeds."""
        while (outcome := self.journal.claim(OWNER)) is not None:
            if isinstance(outcome, workflows.Parked):
                continue
            if outcome.id == workflow_id:
                return outcome
            self.journal.succeed(outcome)
        raise AssertionError(f"{workflow_id} is not READY")

    def park(self, workflow_id: str) -> None:
        """Look at this workflow, which an earlier one holds up."""
        while (outcome := self.journal.claim(OWNER)) is not None:
            if isinstance(outcome, workflows.Claim):
                assert outcome.id != workflow_id
                self.journal.succeed(outcome)
            elif outcome.workflow_id == workflow_id:
                return
        raise AssertionError(f"{workflow_id} is not READY")

    def start(self, workflow_id: str, *drivers: str) -> tuple[workflows.Claim, str]:
        """Claim it and start its first task; return the task's id too."""
        claim = self.claim(workflow_id)
        planned = [
            tasks.PlannedTask(name=driver, driver=driver, position=position)
            for position, driver in enumerate(drivers or ("ovn",))
        ]
        return claim, self.journal.start_tasks(claim, planned)[0].id

    def succeed(self, workflow_id: str) -> None:
        claim, task_id = self.start(workflow_id)
        done = tasks.TaskResult(id=task_id, state=states.TaskState.SUCCESS)
        self.journal.succeed(claim, [done])

    def fail(
        self,
        workflow_id: str,
        code: failures.FailureCode = failures.FailureCode.BACKEND_REFUSED,
        driver: str = "ovn",
    ) -> None:
        claim, task_id = self.start(workflow_id, driver)
        failure = failures.Failure(code=code, detail=DETAIL_SECRET)
        failed = tasks.TaskResult(id=task_id, state=states.TaskState.FAILED, failure=failure)
        self.journal.fail(claim, failure, [failed])

    def unreachable(
        self,
        workflow_id: str,
        driver: str = "ovn",
        code: failures.FailureCode = failures.FailureCode.BACKEND_UNREACHABLE,
    ) -> None:
        """Let its driver find no backend; or let it be one that cannot be called for ``code``."""
        claim, task_id = self.start(workflow_id, driver)
        failure = failures.Failure(code=code, detail=DETAIL_SECRET)
        result = tasks.TaskResult(id=task_id, state=states.TaskState.RETRYING, failure=failure)
        self.journal.retry_later(
            claim,
            failure,
            delay_s=3600.0,
            spend_attempt=False,
            waits_for=f"driver:{driver}",
            results=[result],
        )

    def hold(self, workflow_id: str, resource_type: str, resource_id: str) -> None:
        """Let its driver find that the backend lacks a resource."""
        claim, task_id = self.start(workflow_id)
        failure = failures.Failure(
            code=failures.FailureCode.REFERENCE_MISSING, detail=DETAIL_SECRET
        )
        result = tasks.TaskResult(id=task_id, state=states.TaskState.RETRYING, failure=failure)
        self.journal.hold(
            claim, failure, resource_type=resource_type, resource_id=resource_id, results=[result]
        )
