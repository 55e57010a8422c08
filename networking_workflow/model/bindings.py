# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A port's binding that an API call began and leaves to a task: how far it came, and for what."""

import dataclasses
import typing

from networking_workflow.model import workflows

#: Where it is in a snapshot's ``edge``.
EDGE = "deferred_binding"

Json = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One level of hierarchical binding, as far as the call came.

    Drivers before ``driver`` in ML2's order have been asked at this level. At all levels but the
    last ``driver`` has bound ``segment_id``; at the last it is the one that is to be asked.
    """

    driver: str
    segments: list[Json]  #: offered at this level
    segment_id: str | None = None
    chosen: bool = False  #: by the port's allocation: no other driver is asked at this level


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Deferral:
    """Where the drivers are to be asked on, and what the binding was asked for."""

    host: str
    vnic_type: str
    profile: str  #: JSON, as the binding's row has it
    levels: tuple[Level, ...]

    @property
    def driver(self) -> str:
        """Return the driver that is to be asked."""
        return self.levels[-1].driver

    def is_for(self, binding: typing.Any) -> bool:
        """Return whether a row of bindings still asks for what this one was made for."""
        return (self.host, self.vnic_type, self.profile) == inputs(binding)

    def to_json(self) -> Json:
        """Return what :func:`of` reads."""
        return dataclasses.asdict(self)


def inputs(binding: typing.Any) -> tuple[str, str, str]:
    """Return what a binding depends on: a change of it is another binding."""
    return binding.host or "", binding.vnic_type, binding.profile or ""


def of(snapshot: workflows.Snapshot | None) -> Deferral | None:
    """Return the binding that a workflow is to finish; None: no call has left it one."""
    said = ((snapshot or {}).get("edge") or {}).get(EDGE)
    if not said:
        return None
    levels = tuple(Level(**level) for level in said["levels"])
    return Deferral(**{**said, "levels": levels})
