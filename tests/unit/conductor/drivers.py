# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Drivers that keep their backend in memory; they hold to ``drivers.protocol.Driver``."""

import collections.abc
import threading
import typing

from networking_workflow.drivers import protocol
from networking_workflow.model import errors, running, states


class Call(typing.NamedTuple):
    """One call of a driver, as it came in."""

    operation: states.Operation
    resource_id: str
    workflow_id: str
    task_id: str


class MemoryDriver:
    """A backend of dicts: ``rows`` is what it holds, ``calls`` is append-only.

    ``down`` makes it unreachable. ``before`` is called at the start of every apply and delete, and
    may raise any error, or block.
    """

    def __init__(
        self,
        name: str = "memory",
        before: collections.abc.Callable[[protocol.Target], None] | None = None,
    ) -> None:
        self._name = name
        self._lock = threading.Lock()
        self.before = before
        self.down = False
        self.rows: dict[str, dict[str, typing.Any]] = {}
        self.calls: list[Call] = []
        self.targets: list[protocol.Target] = []
        self.probes = 0
        self.tasks_seen: list[running.RunningTask | None] = []

    @property
    def name(self) -> str:
        """Return what tasks call it."""
        return self._name

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Handle everything but ``address_group``."""
        return resource_type != "address_group"

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any]:
        """Hold the resource, and count how often."""
        self._enter(target)
        with self._lock:
            row = self.rows.setdefault(target.resource_id, {"applies": 0})
            row["applies"] += 1
            return dict(row)

    def delete(self, target: protocol.Target) -> None:
        """Forget the resource."""
        self._enter(target)
        with self._lock:
            self.rows.pop(target.resource_id, None)

    def probe(self) -> None:
        """Return unless ``down``."""
        self.probes += 1
        self._reach()

    def _enter(self, target: protocol.Target) -> None:
        self._reach()
        with self._lock:
            self.targets.append(target)
            self.tasks_seen.append(running.RUNNING.get())
            self.calls.append(
                Call(target.operation, target.resource_id, target.workflow_id, target.task_id)
            )
        if self.before is not None:
            self.before(target)

    def _reach(self) -> None:
        if self.down:
            raise errors.BackendUnreachable(f"{self._name} is switched off")
