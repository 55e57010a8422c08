# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a tenant's requests do, as calls of the core plugin; all run in Neutron's process."""

import typing

import sqlalchemy as sa
from neutron_lib import context as neutron_context
from neutron_lib.db import api as db_api
from neutron_lib.plugins import utils

from networking_workflow.drivers import protocol
from networking_workflow.journal import tables
from networking_workflow.model import states

Json = dict[str, typing.Any]

_PROJECT = "demo"

_DEFAULTS: dict[str, Json] = {
    "network": {"name": "made", "admin_state_up": True, "shared": False},
    "subnet": {"name": "made", "cidr": "10.0.0.0/24", "ip_version": 4},
    "port": {"name": "made"},
}


def request() -> typing.Any:
    """Return the context of one API request."""
    context = neutron_context.get_admin_context()
    context.project_id = _PROJECT
    return context


def create(plugin: typing.Any, kind: str, attributes: Json) -> Json:
    """Make a network, subnet or port; an ``id`` among the attributes is taken."""
    body = {"tenant_id": _PROJECT, **_DEFAULTS[kind], **attributes}
    make = getattr(utils, f"create_{kind}")
    return dict(make(plugin, request(), {kind: body}, check_allow_post="id" not in attributes))


def update(plugin: typing.Any, kind: str, resource_id: str, attributes: Json) -> Json:
    """Change it."""
    change = getattr(plugin, f"update_{kind}")
    return dict(change(request(), resource_id, {kind: attributes}))


def delete(plugin: typing.Any, kind: str, resource_id: str) -> None:
    """Delete it."""
    getattr(plugin, f"delete_{kind}")(request(), resource_id)


def get(plugin: typing.Any, kind: str, resource_id: str) -> Json:
    """Return it as the API shows it."""
    return dict(getattr(plugin, f"get_{kind}")(request(), resource_id))


def target_of(_plugin: typing.Any, kind: str, resource_id: str) -> protocol.Target:
    """Return the target of the newest workflow that was recorded for it."""
    found = sa.select(tables.workflows).where(
        tables.workflows.c.resource_type == kind, tables.workflows.c.resource_id == resource_id
    )
    with db_api.CONTEXT_READER.get_engine().connect() as connection:
        row = connection.execute(found.order_by(tables.workflows.c.gen.desc())).first()
    if row is None:
        raise LookupError(f"No workflow was recorded for {kind} {resource_id}.")
    return protocol.Target(
        resource_type=kind,
        resource_id=resource_id,
        operation=states.Operation(row.operation),
        project_id=row.project_id,
        workflow_id=row.id,
        task_id=row.id,
        snapshot=row.snapshot,
    )
