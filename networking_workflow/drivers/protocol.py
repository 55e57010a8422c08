# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a driver does for one resource, and what it may rely on while it does it.

A call is made under the resource's keys: no other conductor works on anything that conflicts. It
is made at least once: a conductor may die after the backend took the change and before the journal
knew, and the next one calls again with the same task id. Hence every method is idempotent.
"""

import dataclasses
import typing

from networking_workflow.model import errors, states, workflows

#: ``(resource type, resource id)``
Reached = tuple[str, str]

#: Opens updates of resources.
FanOut = typing.Callable[[typing.Iterable[Reached]], None]


#: Returns what a driver's last successful tasks of other resources of the type returned, by id.
AppliedOf = typing.Callable[
    [typing.Iterable[str]], typing.Mapping[str, typing.Mapping[str, typing.Any]]
]


def _no_journal(
    _resource_ids: typing.Iterable[str],
) -> typing.Mapping[str, typing.Mapping[str, typing.Any]]:
    return {}


def _no_conductor(reached: typing.Iterable[Reached]) -> None:
    """Stand in for a conductor where there is none.

    :raises WorkflowError: if anything is reached: it must not be lost in silence.
    """
    for resource_type, resource_id in reached:
        raise errors.WorkflowError(
            f"The change reaches {resource_type} {resource_id}, and there is no conductor here "
            "that could open a workflow for it. Give Target a fan_out."
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The resource that one task is about."""

    resource_type: str  #: for example ``port``
    resource_id: str
    operation: states.Operation
    project_id: str = ""
    workflow_id: str = ""
    task_id: str = ""  #: the same in every attempt
    snapshot: workflows.Snapshot | None = None  #: what capture kept (see ``model.workflows``)
    applied: typing.Mapping[str, typing.Any] | None = None
    """What this driver's last successful task of the resource returned; ``None`` at first.

    Drivers that need an ``original`` (edge-triggered ones) take it from here.
    """
    has_failed: bool = False
    """The task is FAILED, nothing came since, and another task of the workflow is tried again."""
    followed: bool = False
    """All other tasks of the workflow are still to come: they read what this one writes to the
    database.
    """
    applied_of: AppliedOf = _no_journal
    """What ``applied`` is of other resources of this type, by id; without those that have none."""
    fan_out: FanOut = _no_conductor
    """Opens an update of each resource that this change reaches beside its own.

    To be called outside of transactions, and before the backend is given anything that would make
    the next attempt see no change any more. They are recorded, in batches, when it returns; those
    whose keys this workflow holds run after it. Every attempt may open them again.
    """


class Driver(typing.Protocol):
    """One backend. Errors are those of ``model.errors.DriverError`` and below, nothing else."""

    @property
    def name(self) -> str:
        """Return the name that tasks carry, for ML2 drivers their alias."""

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether a workflow of this kind has a task for this driver at all."""

    def apply(self, target: Target) -> typing.Mapping[str, typing.Any] | None:
        """Make the backend hold the current rows of the resource; the row exists.

        The return value is kept and handed to the next task as ``Target.applied``.

        :raises BackendUnreachable: no connection; spends no attempt.
        :raises TransientFailure: trying again may help.
        :raises PermanentFailure: trying again cannot help; ``BackendDiffers`` names differences.
        :raises MissingReference: the backend lacks something that the resource refers to.
        """

    def delete(self, target: Target) -> None:
        """Make the backend forget the resource, whose row is gone; absent is a success.

        :raises DriverError: as for :meth:`apply`; ``StillReferred`` where another resource in the
            backend still refers to it.
        """

    def probe(self) -> None:
        """Return if the backend can be reached; within a few seconds at most.

        :raises BackendUnreachable: otherwise.
        """


@typing.runtime_checkable
class Preparing(typing.Protocol):
    """A driver that has a task before those of the others, in a few workflows only."""

    @property
    def prepares_for(self) -> str:
        """Return the name of the driver whose lane it belongs to."""

    def wants(self, snapshot: workflows.Snapshot | None) -> bool:
        """Return whether the workflow with this snapshot has a task for it."""

    def give_up(self, target: Target) -> None:
        """Note in Neutron's database that the task has failed for good."""


@typing.runtime_checkable
class Probing(typing.Protocol):
    """What a mechanism driver may offer besides ML2's interface: is the backend there?

    Neutron never calls it. Without it, workflows that met ``BackendUnreachable`` are tried again
    after a delay instead of when the backend is back.
    """

    def probe(self) -> None:
        """Return if the backend can be reached; within a few seconds at most.

        :raises Exception: of any class that ``drivers.foreign`` knows, otherwise.
        """


@typing.runtime_checkable
class Observing(typing.Protocol):
    """What a mechanism driver may offer besides ML2's interface: what does the backend hold?

    Neutron never calls it. With it, a task ends in SUCCESS only if what was read back is what was
    meant; without it, "no exception" is all that is known.
    """

    def observe(
        self, resource_type: str, resource_id: str
    ) -> typing.Mapping[str, typing.Any] | None:
        """Return what the backend holds of a network, subnet or port, as JSON; None: nothing."""

    def desired(self, resource_type: str, context: typing.Any) -> typing.Mapping[str, typing.Any]:
        """Return the fields of :meth:`observe` that matter, as ML2's context wants them."""
