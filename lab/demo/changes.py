# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Changes made through the API, and what the API says of each afterwards."""

import dataclasses
import time
import typing

import openstack.connection
import requests

#: How many rows one request asks for; each phase makes far fewer changes.
_PAGE = 1000

#: Workflow states that nothing but an operator or a later change leaves.
TERMINAL = frozenset({"SUCCESS", "FAILED", "SUPERSEDED", "CANCELLED", "SKIPPED", "REVERTED"})


#: Shown instead of the sync_state of a resource that was deleted, now or by a later change.
GONE = "(deleted)"


@dataclasses.dataclass
class Change:
    """One call, and the newest workflow of its resource."""

    label: str
    collection: str  #: for example ``ports``, or a path: ``qos/policies``; "": shows no state
    resource_id: str
    api_ms: float
    workflow_id: str = ""
    workflow_state: str = ""
    tasks: list[str] = dataclasses.field(default_factory=list)
    sync_state: str = ""

    @property
    def settled(self) -> bool:
        """Return whether nothing is left to be done for it."""
        return self.workflow_state in TERMINAL


class Tenant:
    """A client that makes changes through openstacksdk and remembers each."""

    def __init__(self, connection: openstack.connection.Connection) -> None:
        self.network = connection.network
        self.changes: list[Change] = []

    def make(
        self, label: str, collection: str, call: typing.Callable[[], typing.Any]
    ) -> typing.Any:
        """Call, time it, and remember it."""
        begun = time.perf_counter()
        resource = call()
        spent_ms = (time.perf_counter() - begun) * 1000
        change = Change(label, collection, resource.id, spent_ms)
        self.changes.append(change)
        return resource

    def get(self, path: str) -> typing.Any:
        """Return the body of one GET below ``/v2.0``.

        :raises requests.HTTPError: if the API refuses it.
        """
        answer: requests.Response = self.network.get(path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: typing.Any) -> typing.Any:
        """Return the body of one POST below ``/v2.0``.

        :raises requests.HTTPError: if the API refuses it.
        """
        answer: requests.Response = self.network.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def refresh(self, changes: typing.Iterable[Change]) -> bool:
        """Ask the API where each change stands; return whether all have settled."""
        changes = list(changes)
        workflows = self.get(f"/workflows?limit={_PAGE}&sort_key=created_at&sort_dir=asc")[
            "workflows"
        ]
        tasks = self.get(f"/tasks?limit={_PAGE}")["tasks"]
        newest = {workflow["resource_id"]: workflow for workflow in workflows}
        states: dict[str, dict[str, str]] = {}
        for change in changes:
            if change.collection and change.collection not in states:
                kind = change.collection.rpartition("/")[2]
                rows = self.get(f"/{change.collection}?fields=id&fields=sync_state")[kind]
                states[change.collection] = {row["id"]: row["sync_state"] for row in rows}
            workflow = newest.get(change.resource_id)
            if workflow is None:
                continue
            change.workflow_id, change.workflow_state = workflow["id"], workflow["workflow_state"]
            change.tasks = [
                f"{task['name']} {task['task_state']}"
                for task in tasks
                if task["workflow_id"] == workflow["id"]
            ]
            if change.collection:
                change.sync_state = states[change.collection].get(change.resource_id, GONE)
        return all(change.settled for change in changes)

    def unfinished(self) -> list[dict[str, typing.Any]]:
        """Return every workflow that is not terminal, those that drivers started among them."""
        workflows = self.get(f"/workflows?limit={_PAGE}")["workflows"]
        return [row for row in workflows if row["workflow_state"] not in TERMINAL]
