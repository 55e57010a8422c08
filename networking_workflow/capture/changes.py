# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What one transaction did, resource by resource. Pure: no session, no SQL.

The unit of work yields rows in an order of its own: children before parents, an update of a port's
addresses before the create of the port. Hence one resource's notes are merged before they mean
anything.
"""

import dataclasses
import typing

from networking_workflow.capture import classes
from networking_workflow.model import states
from networking_workflow.plan import keys

Reference = tuple[str, str]  #: (resource type, id)

_OP = states.Operation


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What one row of a flush says about one resource."""

    resource_type: str
    resource_id: str
    operation: states.Operation
    references: frozenset[Reference] = frozenset()  #: old and new ones
    project_id: str | None = None
    standard_attr_id: int | None = None
    parent: Reference | None = None  #: what it is part of if both are made or deleted together
    deleted: typing.Mapping[str, typing.Any] | None = None  #: API dict of a deleted row


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """What ML2 knew of a resource before the commit and no row tells afterwards."""

    resource_type: str
    resource_id: str
    original: typing.Mapping[str, typing.Any] | None = None
    deleted: typing.Mapping[str, typing.Any] | None = None
    extras: typing.Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """A description that changed; its owner is known by the standard attribute alone."""

    table: str
    standard_attr_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class Posted:
    """A row that a POST may have asked for: inserted, or known to be none that it asked for."""

    resource_id: str
    is_counted: bool  #: False: deleted again, or made by the way


Collected = Note | Edge | Description | Posted


def merge(notes: typing.Iterable[Note]) -> dict[Reference, Note]:
    """Return one note a resource; none for what the transaction both made and deleted.

    Within one transaction update + create is a create, delete + create an update.
    """
    merged: dict[Reference, Note] = {}
    gone: set[Reference] = set()
    for note in notes:
        name = (note.resource_type, note.resource_id)
        if name not in merged:
            if name not in gone or note.operation is _OP.CREATE:
                merged[name] = note
                gone.discard(name)
            continue
        before = merged[name]
        if (before.operation, note.operation) == (_OP.CREATE, _OP.DELETE):
            del merged[name]
            gone.add(name)
            continue
        merged[name] = _join(before, note)
    return merged


def _join(before: Note, after: Note) -> Note:
    return dataclasses.replace(
        before,
        operation=_operation(before.operation, after.operation),
        references=before.references | after.references,
        project_id=before.project_id or after.project_id,
        standard_attr_id=after.standard_attr_id or before.standard_attr_id,
        parent=before.parent or after.parent,
        deleted=after.deleted or before.deleted,
    )


def _operation(before: states.Operation, after: states.Operation) -> states.Operation:
    if _OP.DELETE in (before, after):
        return _OP.UPDATE if after is _OP.CREATE else _OP.DELETE
    return _OP.CREATE if _OP.CREATE in (before, after) else _OP.UPDATE


def fold(merged: typing.Mapping[Reference, Note]) -> dict[Reference, Note]:
    """Return ``merged`` without what was made or deleted together with its parent.

    The parent takes over the resources that the folded ones refer to.
    """
    kept: dict[Reference, Note] = dict(merged)
    for name, note in merged.items():
        parent = kept.get(note.parent) if note.parent else None
        if parent is None or note.operation is _OP.UPDATE or note.operation != parent.operation:
            continue
        del kept[name]
        allowed = keys.RULES[parent.resource_type].references
        refers = {reference for reference in note.references if reference[0] in allowed}
        kept[(parent.resource_type, parent.resource_id)] = dataclasses.replace(
            parent, references=parent.references | refers
        )
    return kept


def in_apply_order(notes: typing.Iterable[Note]) -> list[Note]:
    """Return creates and updates, parents first, then deletes, children first.

    Deletes come last: an update of the same transaction may be what stops referring to the deleted.
    """

    def place(note: Note) -> tuple[bool, int, str]:
        rank = classes.COVERED.index(note.resource_type)
        is_delete = note.operation is _OP.DELETE
        return (is_delete, -rank if is_delete else rank, note.resource_id)

    return sorted(notes, key=place)
