# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One workflow as capture hands it over, and as a conductor claims it."""

import dataclasses
import typing

from networking_workflow.model import keys as model_keys
from networking_workflow.model import states

#: What the database cannot give back later: exact, versioned, never shown outside.
#: ``{"version": 1, "original": {...} | None, "deleted": {...} | None, "edge": {...}}``;
#: ``original`` is the resource's API dict before the change, ``deleted`` the one of a deleted row,
#: ``edge`` what ML2 drivers need besides (binding levels, vif details, parents' dicts).
Snapshot = typing.Mapping[str, typing.Any]

SNAPSHOT_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewWorkflow:
    """One resource that one transaction changed; what the journal is asked to record."""

    id: str  #: UUID, made by the caller so that rows that refer to it need no read-back
    resource_type: str
    resource_id: str
    operation: states.Operation
    keys: typing.Mapping[str, model_keys.Mode]  #: own resource exclusive, references shared
    project_id: str = ""  #: the operation's project, not the resource's; "" where there is none
    operation_id: str = ""  #: request id of the API call
    request_id: str = ""
    initiator: states.Initiator = states.Initiator.API
    lane: str = model_keys.DEFAULT_LANE
    priority: int = 0  #: lower goes first within a project
    snapshot: Snapshot | None = None
    standard_attr_id: int | None = None  #: the row that shows ``sync_state``; None once deleted

    @property
    def own_key(self) -> str:
        """Return the key of the resource itself."""
        return str(model_keys.Key(self.lane, self.resource_type, self.resource_id))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A conductor's lease on one workflow: everything a run needs, and the fence on every write."""

    id: str
    lane: str
    resource_type: str
    resource_id: str
    operation: states.Operation
    project_id: str
    operation_id: str
    request_id: str
    initiator: states.Initiator
    snapshot: Snapshot | None
    keys: typing.Mapping[str, model_keys.Mode]  #: what it holds now, inherited holds included
    gen: int  #: highest generation of its own resource key that it carries
    attempts: int  #: how many attempts it spent before this one
    owner: str  #: conductor id
    fence: int
    cancel_requested: bool = False
    folded: tuple[str, ...] = ()  #: ids that this claim superseded (coalesced)
