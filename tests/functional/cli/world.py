# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A live Neutron for the command line, and resources of a project."""

import contextlib
import typing

from lab import client, neutron
from lab.databases import pool
from networking_workflow.model import failures, states, tasks, workflows
from tests.functional.api import seed

#: A backend that nobody calls.
_NOWHERE = "http://127.0.0.1:9"


def serve(
    stack: contextlib.ExitStack,
    database: pool.Database,
    *,
    core_plugin: str,
    identity: neutron.Identity,
) -> str:
    """Start neutron-api until the stack is closed; return its URL."""
    profile = neutron.Profile(
        database_url=database.url,
        core_plugin=core_plugin,
        mechanism_drivers=("fabric",),
        fabric_url=_NOWHERE,
        workflow={"conductor": "separate"} if core_plugin == "ml2_workflow" else {},
        tenants=True,
        identity=identity,
    )
    deployment = stack.enter_context(neutron.Deployment(profile))
    return stack.enter_context(neutron.NeutronApi(deployment)).url


class Project:
    """Resources of one project, and what becomes of their workflows."""

    def __init__(self, url: str, seeded: seed.Seed, project_id: str) -> None:
        self.id = project_id
        self.seeded = seeded
        self._url = url

    def make(self, collection: str, **attributes: typing.Any) -> dict[str, typing.Any]:
        """Create a resource."""
        with self._client() as caller:
            return caller.create(collection, **attributes)

    def delete(self, collection: str, resource_id: str) -> None:
        """Delete a resource."""
        with self._client() as caller:
            caller.delete(collection, resource_id)

    def workflow(self, resource_id: str) -> str:
        """Return the id of a resource's newest workflow."""
        newest = "sort_key=created_at&sort_dir=desc&limit=1"
        with self._client() as caller:
            answer = caller.call("GET", f"/workflows?resource_id={resource_id}&{newest}")
        workflow_id: str = answer.body["workflows"][0]["id"]
        return workflow_id

    def settle(self) -> None:
        """Let every workflow that may go succeed, those of other projects too."""
        while (outcome := self.seeded.journal.claim(seed.OWNER)) is not None:
            if isinstance(outcome, workflows.Claim):
                self.seeded.journal.succeed(outcome)

    def refuse(self, workflow_id: str, detail: str) -> None:
        """Let the backend refuse a workflow's change, in these words."""
        claim, task_id = self.seeded.start(workflow_id, "ovn")
        failure = failures.Failure(code=failures.FailureCode.BACKEND_REFUSED, detail=detail)
        failed = tasks.TaskResult(id=task_id, state=states.TaskState.FAILED, failure=failure)
        self.seeded.journal.fail(claim, failure, [failed])

    def _client(self) -> client.Client:
        headers = client.identity(self.id)
        return client.Client(self._url, headers=headers, project_id=self.id)
