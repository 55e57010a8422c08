# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One workflow as capture hands it over, and as a conductor claims it."""

import dataclasses
import typing

from networking_workflow.model import keys as model_keys
from networking_workflow.model import states, tasks

#: What the database cannot give back later: exact, versioned, never shown outside.
#: ``{"version": 1, "original": {...} | None, "deleted": {...} | None, "edge": {...}}``;
#: ``original`` is the resource's API dict before the change, ``deleted`` the one of a deleted row,
#: ``edge`` what ML2 drivers need besides (binding levels, vif details, parents' dicts). What tells
#: of the state that ``original`` tells of is called ``original_*`` there.
Snapshot = typing.Mapping[str, typing.Any]

SNAPSHOT_VERSION = 1

#: Where a snapshot of several changes taken as one has, in its ``edge``, the bindings of a port
#: that were left on the way: each an ``original`` with what tells of the same state.
PASSED = "passed"

_BINDING, _LEVELS = "original_binding", "original_binding_levels"


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
    more: bool = True  #: others were READY when it was chosen
    started: tuple[tasks.StartedTask, ...] = ()  #: by the claim itself; empty: still to be planned


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parked:
    """A normal outcome of a claim: an earlier workflow comes first; look again for another one."""

    workflow_id: str
    blocked_by: str
    project_id: str
    more: bool = True  #: as for :class:`Claim`


def merge_operations(earlier: states.Operation, later: states.Operation) -> states.Operation:
    """Return what two changes of one resource are together, to a backend that saw neither.

    An update behind a delete was made before it, and took its keys anew since.
    """
    if later is states.Operation.DELETE:
        return later
    if earlier is states.Operation.DELETE and later is states.Operation.UPDATE:
        return earlier
    if earlier is states.Operation.CREATE:
        return earlier
    return states.Operation.UPDATE


def merge_snapshots(earlier: Snapshot | None, later: Snapshot | None) -> Snapshot | None:
    """Return the snapshot of two changes taken as one: before the first, and after the second.

    The oldest ``original``, with what tells of the same state, the latest ``deleted`` and, name by
    name, the latest rest of ``edge``. Nothing is later than a delete: what stands behind it took
    its keys anew.
    """
    if earlier is None or later is None:
        return earlier if later is None else later
    if earlier.get("deleted") and not later.get("deleted"):
        return earlier
    # A binding that was left to a task has no original: it changed nothing yet.
    oldest = earlier if earlier.get("original") else later
    edge = {**(earlier.get("edge") or {}), **(later.get("edge") or {}), **_of_original(oldest)}
    passed = _passed(oldest, earlier, later)
    return {
        **earlier,
        **later,
        "original": oldest.get("original"),
        "deleted": later.get("deleted") or earlier.get("deleted"),
        "edge": edge | {PASSED: passed} if passed else edge,
    }


def _of_original(snapshot: Snapshot) -> dict[str, typing.Any]:
    """Return what a snapshot's edge tells of the state before the change."""
    edge = snapshot.get("edge") or {}
    return {name: value for name, value in edge.items() if name.startswith("original")}


def _passed(oldest: Snapshot, earlier: Snapshot, later: Snapshot) -> list[typing.Any]:
    """Return the bindings that a port has left between the oldest and today's, once each."""
    between = {"original": later.get("original"), **_of_original(later)}
    found = [
        *(earlier.get("edge") or {}).get(PASSED, ()),
        *([] if later is oldest else [between]),
        *(later.get("edge") or {}).get(PASSED, ()),
    ]
    passed: list[typing.Any] = []
    for one in found:
        known = [_of_original(oldest), *passed]
        if one.get(_BINDING) and not any(_is_same_binding(one, other) for other in known):
            passed.append(one)
    return passed


def _is_same_binding(one: Snapshot, other: Snapshot) -> bool:
    return one.get(_BINDING) == other.get(_BINDING) and one.get(_LEVELS) == other.get(_LEVELS)
