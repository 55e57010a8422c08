# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a tenant's requests do, as calls of the core plugin; all run in Neutron's process."""

import typing

from neutron_lib import context as neutron_context
from neutron_lib.plugins import utils

from networking_workflow.testing.resources import delete, get, update

Json = dict[str, typing.Any]

__all__ = ["create_network", "create_port", "create_subnet", "delete", "every", "get", "update"]

NOTHING: Json = {}


def request() -> typing.Any:
    """Return the context of one API request."""
    context = neutron_context.get_admin_context()
    context.project_id = "demo"
    return context


def create_network(plugin: typing.Any, attributes: Json = NOTHING) -> Json:
    body = {"name": "net", "admin_state_up": True, "shared": False, "tenant_id": "demo"}
    return dict(utils.create_network(plugin, request(), {"network": body | attributes}))


def create_subnet(plugin: typing.Any, network_id: str, attributes: Json = NOTHING) -> Json:
    body = {"network_id": network_id, "tenant_id": "demo", "cidr": "10.0.0.0/24", "ip_version": 4}
    return dict(utils.create_subnet(plugin, request(), {"subnet": body | attributes}))


def create_port(plugin: typing.Any, network_id: str, attributes: Json = NOTHING) -> Json:
    body = {"network_id": network_id, "tenant_id": "demo", "name": "port"}
    return dict(utils.create_port(plugin, request(), {"port": body | attributes}))


def every(plugin: typing.Any, kind: str) -> list[Json]:
    return [dict(each) for each in getattr(plugin, f"get_{kind}s")(request())]
