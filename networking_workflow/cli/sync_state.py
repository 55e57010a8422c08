# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network sync list`` and ``show``: what is not in sync, and why."""

import argparse
import collections.abc
import dataclasses
import typing

from openstack import resource
from osc_lib import exceptions
from osc_lib.command import command

from networking_workflow.cli import errors, fields, lists, models
from networking_workflow.model import states

#: States of what is not as it was asked for; UNMANAGED is what no driver programs.
_NOT_IN_SYNC = (states.SyncState.PENDING, states.SyncState.DRIFTED, states.SyncState.ERROR)

#: Of a deleted resource there is nothing left that could show a state: its workflow tells.
_UNFINISHED = sorted(set(states.WorkflowState) - states.TERMINAL)
_GONE = {
    states.SyncState.PENDING: _UNFINISHED,
    states.SyncState.ERROR: [states.WorkflowState.FAILED],
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of resources that show ``sync_state``."""

    path: str
    collection: str
    extension: str | None = None  #: what the network service needs to have it
    name: str = "name"  #: what people call one by


#: By type, as workflows name it; ``tests/functional/cli`` holds them to the API's.
KINDS: dict[str, Kind] = {
    "network": Kind(path="/networks", collection="networks"),
    "subnet": Kind(path="/subnets", collection="subnets"),
    "port": Kind(path="/ports", collection="ports"),
    "security_group": Kind(
        path="/security-groups", collection="security_groups", extension="security-group"
    ),
    "security_group_rule": Kind(
        path="/security-group-rules",
        collection="security_group_rules",
        extension="security-group",
        name="description",
    ),
    "address_group": Kind(
        path="/address-groups", collection="address_groups", extension="address-group"
    ),
    "router": Kind(path="/routers", collection="routers", extension="router"),
    "floatingip": Kind(
        path="/floatingips",
        collection="floatingips",
        extension="router",
        name="floating_ip_address",
    ),
    "qos_policy": Kind(path="/qos/policies", collection="policies", extension="qos"),
    "trunk": Kind(path="/trunks", collection="trunks", extension="trunk"),
}


class Synced(resource.Resource):
    """What resources of every kind say of their backend."""

    allow_list = True

    project_id = resource.Body("project_id")
    sync_state = resource.Body("sync_state")
    sync_error = resource.Body("sync_error")
    sync_updated_at = resource.Body("sync_updated_at")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One resource, or one that was deleted, and whether its backend follows."""

    resource_type: str
    id: str
    name: str
    project_id: str
    sync_state: str
    sync_error: str | None
    sync_updated_at: str | None


_GROUPED = ("Resource Type", "Sync State", "Resources", "Reason", "Oldest Since")
_LONG = {
    "Resource Type": "resource_type",
    "ID": "id",
    "Name": "name",
    "Project": "project_id",
    "Sync State": "sync_state",
    "Reason": "sync_error",
    "Since": "sync_updated_at",
}


class ListSync(errors.Networked, command.Lister):
    """List what is not in sync with its backend, and why.

    Resources of every kind, and deleted ones that a backend has not deleted yet.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        every = [state.value for state in states.SyncState]
        parser.add_argument(
            "--state",
            metavar="<state>",
            action="append",
            type=str.upper,
            choices=every,
            help=f"In this state: {', '.join(every)} (may be repeated; default: PENDING, DRIFTED "
            "and ERROR, with --resource every state)",
        )
        parser.add_argument(
            "--type",
            metavar="<type>",
            action="append",
            choices=list(KINDS),
            help=f"Of this type: {', '.join(KINDS)} (may be repeated; default: all)",
        )
        parser.add_argument(
            "--resource",
            metavar="<id>",
            action="append",
            help="The resource with this ID (may be repeated); lists each, as --long",
        )
        lists.add_project(parser)
        parser.add_argument(
            "--long",
            action="store_true",
            help="List each resource; else they are counted by type, state and reason",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], collections.abc.Iterable[tuple[typing.Any, ...]]]:
        """Return headers and rows."""
        by_default = states.SyncState if parsed_args.resource else _NOT_IN_SYNC
        wanted = parsed_args.state or [state.value for state in by_default]
        narrowed = lists.projects(self, parsed_args)
        if parsed_args.resource:
            narrowed["id"] = parsed_args.resource
        types = parsed_args.type or list(KINDS)
        found = [*self._resources(types, wanted, narrowed), *self._deleted(types, wanted, narrowed)]
        if not found:
            self.say("Nothing that you may see is in these states: " + ", ".join(wanted) + ".")
        if parsed_args.long or parsed_args.resource:
            return tuple(_LONG), [fields.row(_LONG.values(), one) for one in found]
        return _GROUPED, _groups(found)

    def _resources(
        self, types: list[str], wanted: list[str], narrowed: lists.Query
    ) -> collections.abc.Iterator[Found]:
        served = self.served()
        for resource_type in types:
            kind = KINDS[resource_type]
            if kind.extension is None or kind.extension in served:
                yield from _found(self.network, resource_type, sync_state=wanted, **narrowed)

    def _deleted(
        self, types: list[str], wanted: list[str], narrowed: lists.Query
    ) -> collections.abc.Iterator[Found]:
        by_workflow = {
            state: sync_state
            for sync_state, workflow_states in _GONE.items()
            for state in workflow_states
            if sync_state in wanted
        }
        if not by_workflow:
            return
        asked: lists.Query = {"resource_type": types} if set(types) != set(KINDS) else {}
        asked |= {
            {"id": "resource_id"}.get(name, name): values for name, values in narrowed.items()
        }
        deleting = {
            "operation": states.Operation.DELETE.value,
            "workflow_state": sorted(by_workflow),
            **lists.order("updated_at,id"),
        }
        for one in lists.every(self.network, models.Workflow, **asked, **deleting):
            yield Found(
                resource_type=f"{one.resource_type} (deleted)",
                id=one.resource_id,
                name="",
                project_id=one.project_id,
                sync_state=by_workflow[one.workflow_state].value,
                sync_error=(one.failure or {}).get("message"),
                sync_updated_at=one.updated_at,
            )


class ShowSync(errors.Networked, command.ShowOne):
    """Show whether one resource is in sync with its backend, and what is being done about it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "type", metavar="<type>", choices=list(KINDS), help=f"Its type: {', '.join(KINDS)}"
        )
        parser.add_argument("resource", metavar="<resource>", help="Its name or ID")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[typing.Any, ...]]:
        """Return names and values."""
        resource_type = parsed_args.type
        found = self._one(resource_type, parsed_args.resource)
        newest = next(iter(self._workflows(found.id)), None)
        values = {
            name: fields.cell(name, value) for name, value in dataclasses.asdict(found).items()
        }
        values |= {
            "workflow": newest.id if newest else None,
            "workflow_state": newest.workflow_state if newest else None,
            "waiting_for": fields.cell("waiting_for", newest.waiting_for if newest else None),
            "failure": fields.cell("failure", newest.failure if newest else None),
            "failure_detail": fields.cell(
                "failure_detail", newest.failure_detail if newest else None
            ),
        }
        return tuple(sorted(values)), tuple(values[name] for name in sorted(values))

    def _one(self, resource_type: str, name_or_id: str) -> Found:
        """Return the resource.

        :raises CommandError: if there is none, or several have the name.
        """
        self.served()
        kind = KINDS[resource_type]
        for attribute in ("id", kind.name):
            found = list(_found(self.network, resource_type, **{attribute: name_or_id}))
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(one.id for one in found)
                raise exceptions.CommandError(
                    f"{len(found)} resources have the name {name_or_id!r}; say which by ID: {ids}"
                )
        raise exceptions.CommandError(
            f"There is no {resource_type} {name_or_id!r} that you may see. What became of a "
            "deleted one is shown by: openstack network workflow list --resource <id>"
        )

    def _workflows(self, resource_id: str) -> collections.abc.Iterator[models.Workflow]:
        found: collections.abc.Iterator[models.Workflow] = models.Workflow.list(
            self.network,
            paginated=False,
            resource_id=resource_id,
            limit=1,
            **lists.order("created_at:desc"),
        )
        return found


def _found(network: typing.Any, resource_type: str, **asked: typing.Any) -> list[Found]:
    """Return resources of one type, what changed longest ago first."""
    kind = KINDS[resource_type]
    wanted = ["id", kind.name, "project_id", "sync_state", "sync_error", "sync_updated_at"]
    found = [
        Found(
            resource_type=resource_type,
            id=one.id,
            name=getattr(one, kind.name) or "",
            project_id=one.project_id,
            sync_state=one.sync_state,
            sync_error=one.sync_error,
            sync_updated_at=one.sync_updated_at,
        )
        for one in lists.every(network, _model(kind), fields=wanted, **asked)
    ]
    return sorted(found, key=lambda one: (one.sync_updated_at or "", one.id))


def _model(kind: Kind) -> type[Synced]:
    """Return the class of a kind's resources: openstacksdk's own drop filters by sync_state."""
    asked = resource.QueryParameters("fields", "id", "project_id", "sync_state", kind.name)
    return type(
        "SyncedOfKind",
        (Synced,),
        {
            "base_path": kind.path,
            "resources_key": kind.collection,
            "_query_mapping": asked,
            kind.name: resource.Body(kind.name),
        },
    )


def _groups(
    found: collections.abc.Iterable[Found],
) -> collections.abc.Iterator[tuple[typing.Any, ...]]:
    """Yield a row for each type, state and reason."""
    groups: dict[tuple[str, str, str | None], list[Found]] = {}
    for one in found:
        groups.setdefault((one.resource_type, one.sync_state, one.sync_error), []).append(one)
    for (resource_type, sync_state, reason), some in groups.items():
        since = min((one.sync_updated_at for one in some if one.sync_updated_at), default=None)
        yield (
            *(resource_type, sync_state, len(some)),
            *(fields.cell("sync_error", reason), fields.cell("sync_updated_at", since)),
        )
