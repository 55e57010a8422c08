# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""From what a transaction collected to the workflows that the journal is asked to record."""

import collections
import dataclasses
import typing
import uuid

import sqlalchemy as sa
from neutron_lib import constants

from networking_workflow.capture import changes, classes, rows
from networking_workflow.journal import references
from networking_workflow.model import keys as model_keys
from networking_workflow.model import running as model_running
from networking_workflow.model import states, workflows
from networking_workflow.plan import keys

_OP = states.Operation


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A lane (``model.graph``) as capture knows it."""

    name: str
    drivers: typing.Mapping[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)
    """Driver -> resource types that it may have work for; None: every one."""

    def knowing(self, resource_type: str) -> list[str]:
        """Return the drivers that may have work for a resource of this type."""
        return [
            name for name, kinds in self.drivers.items() if kinds is None or resource_type in kinds
        ]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Who asked for a transaction: the API call, or a driver inside a task."""

    operation_id: str = ""
    request_id: str = ""
    project_id: str = ""
    initiator: states.Initiator = states.Initiator.API

    @classmethod
    def of(cls, context: typing.Any, running: model_running.RunningTask | None) -> "Origin":
        """Return the origin of a transaction of this request context (``None``: unknown)."""
        request_id = getattr(context, "request_id", None) or ""
        if running is not None:
            return cls(
                operation_id=running.claim.operation_id,
                request_id=request_id,
                project_id=running.claim.project_id,
                initiator=states.Initiator.DRIVER,
            )
        return cls(
            operation_id=request_id,
            request_id=request_id,
            project_id=getattr(context, "project_id", None) or "",
        )


def build(
    connection: sa.Connection,
    collected: typing.Sequence[changes.Collected],
    origin: Origin,
    lanes: typing.Sequence[Lane] = (),
) -> list[workflows.NewWorkflow]:
    """Return one workflow a changed resource and lane, in apply order.

    Reads what the flush does not tell (owners of descriptions, unchanged references of updated
    resources): a number of statements that does not depend on how many resources changed.
    """
    notes = [entry for entry in collected if isinstance(entry, changes.Note)]
    notes.extend(_described(connection, collected, notes))
    notes.extend(_routed(connection, notes))
    ordered = changes.in_apply_order(changes.fold(changes.merge(notes)).values())
    current = _read(connection, ordered)
    further = _through(connection, ordered)
    edges: dict[changes.Reference, list[changes.Edge]] = collections.defaultdict(list)
    for entry in collected:
        if isinstance(entry, changes.Edge):
            edges[entry.resource_type, entry.resource_id].append(entry)
    return [
        workflow
        for note in ordered
        for workflow in _workflows(
            note,
            current.get((note.resource_type, note.resource_id)),
            edges.get((note.resource_type, note.resource_id), []),
            further,
            origin,
            _lanes_of(note.resource_type, lanes),
        )
    ]


def _described(
    connection: sa.Connection,
    collected: typing.Sequence[changes.Collected],
    notes: typing.Sequence[changes.Note],
) -> list[changes.Note]:
    """Return an update of the owner of each description that no other note tells of."""
    known = {note.standard_attr_id for note in notes}
    wanted: dict[str, set[int]] = collections.defaultdict(set)
    for entry in collected:
        if isinstance(entry, changes.Description) and entry.standard_attr_id not in known:
            wanted[entry.table].add(entry.standard_attr_id)
    found: list[changes.Note] = []
    for table, ids in wanted.items():
        kind, column = classes.OWNERS[table]
        owners = sa.table(table, sa.column(column), sa.column("standard_attr_id"))
        query = sa.select(owners.c[column]).where(owners.c.standard_attr_id.in_(ids))
        found.extend(
            changes.Note(resource_type=kind, resource_id=resource_id, operation=_OP.UPDATE)
            for resource_id in connection.scalars(query)
        )
    return found


def _routed(connection: sa.Connection, notes: typing.Sequence[changes.Note]) -> list[changes.Note]:
    """Return an update of each router or interface whose port's addresses change.

    Its own rows do not change.
    """
    ports = {
        note.resource_id
        for note in notes
        if note.operation is _OP.UPDATE
        and note.resource_type == "port"
        and any(kind == "subnet" for kind, _ in note.references)
    }
    if not ports:
        return []
    return [
        changes.Note(
            resource_type="router" if row.port_type == _GATEWAY else "router_interface",
            resource_id=row.router_id if row.port_type == _GATEWAY else row.port_id,
            operation=_OP.UPDATE,
        )
        for row in connection.execute(_ROUTER_PORTS.where(_RP.port_id.in_(sorted(ports))))
    ]


_GATEWAY = constants.DEVICE_OWNER_ROUTER_GW
_RP = sa.table("routerports", *map(sa.column, ("port_id", "router_id", "port_type"))).c
_ROUTER_PORTS = sa.select(_RP.port_id, _RP.router_id, _RP.port_type)


def _read(
    connection: sa.Connection, notes: typing.Sequence[changes.Note]
) -> dict[changes.Reference, references.Row]:
    """Return today's row of each updated resource: the flush holds only what changed."""
    by_kind: dict[str, list[str]] = collections.defaultdict(list)
    for note in notes:
        if note.operation is _OP.UPDATE:
            by_kind[note.resource_type].append(note.resource_id)
    return {
        (kind, resource_id): row
        for kind, ids in by_kind.items()
        for resource_id, row in references.read(connection, kind, ids).items()
    }


def _through(
    connection: sa.Connection, notes: typing.Sequence[changes.Note]
) -> dict[changes.Reference, set[changes.Reference]]:
    """Return what the named ports and floating IPs refer to, before this transaction and after it.

    One that it deletes is known by its own note alone.
    """
    names = {
        reference
        for note in notes
        for reference in note.references
        if reference[0] in classes.THROUGH.get(note.resource_type, ())
    }
    found: dict[changes.Reference, set[changes.Reference]] = collections.defaultdict(set)
    for note in notes:
        name = (note.resource_type, note.resource_id)
        if name in names:
            networks = {named for kind, named in note.references if kind == "network"}
            found[name] |= (note.references - {rows.EXTERNAL}) | {("hcg", n) for n in networks}
    ports = [named for kind, named in names if kind == "port"]
    if ports:
        for port, refers in references.of_ports(connection, ports).items():
            found["port", port] |= refers
    addresses = [named for kind, named in names if kind == "floatingip"]
    if addresses:
        for address, row in references.read(connection, "floatingip", addresses).items():
            found["floatingip", address] |= set(row.references)
    return found


def _lanes_of(resource_type: str, lanes: typing.Sequence[Lane]) -> list[str]:
    """Return the lanes whose drivers know the type; what none knows is for the default one."""
    knowing = [lane.name for lane in lanes if lane.knowing(resource_type)]
    return knowing or [model_keys.DEFAULT_LANE]


def _workflows(
    note: changes.Note,
    current: references.Row | None,
    edges: typing.Sequence[changes.Edge],
    further: typing.Mapping[changes.Reference, set[changes.Reference]],
    origin: Origin,
    lanes: typing.Sequence[str],
) -> list[workflows.NewWorkflow]:
    refers = set(note.references)
    allowed = keys.RULES[note.resource_type].references
    for name in note.references & further.keys():
        refers.update(found for found in further[name] if found[0] in allowed)
    project_id, standard_attr_id = note.project_id, note.standard_attr_id
    if current is not None and current.exists:
        refers.update(current.references)
        project_id = project_id or current.project_id
        standard_attr_id = standard_attr_id or current.standard_attr_id
    resolved, snapshot = _resolved(refers), _snapshot(note, edges)
    return [
        workflows.NewWorkflow(
            id=str(uuid.uuid4()),
            resource_type=note.resource_type,
            resource_id=note.resource_id,
            operation=note.operation,
            keys=keys.keys_for(lane, note.resource_type, note.resource_id, resolved),
            project_id=origin.project_id or project_id or "",
            operation_id=origin.operation_id,
            request_id=origin.request_id,
            initiator=origin.initiator,
            lane=lane,
            snapshot=snapshot,
            standard_attr_id=None if note.operation is _OP.DELETE else standard_attr_id,
        )
        for lane in lanes
    ]


def _resolved(refers: set[changes.Reference]) -> set[changes.Reference]:
    """Return the references with an external port's mark replaced by its network's group."""
    if rows.EXTERNAL not in refers:
        return refers
    groups = {("hcg", name) for kind, name in refers if kind == "network"}
    return (refers - {rows.EXTERNAL}) | groups


def _snapshot(
    note: changes.Note, edges: typing.Sequence[changes.Edge]
) -> workflows.Snapshot | None:
    if note.operation is _OP.DELETE:
        deleted = [edge for edge in edges if edge.deleted]
        if not deleted:
            return _document(deleted=note.deleted, extras={})
        return _document(deleted=deleted[0].deleted, extras=_of_all_hosts(deleted))
    updates = [edge for edge in edges if not edge.deleted]
    if note.operation is _OP.CREATE or not updates:
        return None
    # Several updates of one transaction: what was before the first, and what is after the last.
    first, last = updates[0], updates[-1]
    before = {key: value for key, value in first.extras.items() if key.startswith("original")}
    return _document(original=first.original, extras={**last.extras, **before})


def _of_all_hosts(deleted: typing.Sequence[changes.Edge]) -> typing.Mapping[str, typing.Any]:
    """Return what ML2 knew of a deleted resource; it deletes a distributed port once a host."""
    extras = deleted[0].extras
    if len(deleted) == 1:
        return extras
    places = [
        {name: edge.extras[name] for name in ("binding", "binding_levels")} for edge in deleted
    ]
    return {**extras, "distributed": places}


def _document(
    *,
    original: typing.Mapping[str, typing.Any] | None = None,
    deleted: typing.Mapping[str, typing.Any] | None = None,
    extras: typing.Mapping[str, typing.Any],
) -> workflows.Snapshot:
    return {
        "version": workflows.SNAPSHOT_VERSION,
        "original": original,
        "deleted": deleted,
        "edge": extras,
    }
