# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""API dicts of rows that a flush is about to delete.

Called in ``before_flush``: the object is complete there, its relations can still be loaded, and the
session does not flush again while they are. Neutron's own functions make the dicts from the ORM
object where they take one; never from a versioned object, whose loading may end a block of the
request's transaction, which flushes, which a flushing session refuses. Networks, subnets and ports
are not here: ML2 hands their dicts over before the flush (see ``capture.mechanisms``), with what
only ML2 adds.
"""

import json
import typing


def of_deleted(
    plugin: typing.Any, context: typing.Any, kind: str, row: typing.Any
) -> dict[str, typing.Any] | None:
    """Return the API dict of ``row``, an ORM object; ``None`` for kinds that are not made here.

    ``context`` must be the one whose session flushes: another would open a transaction of its own.
    """
    api: typing.Any = None
    if kind == "security_group":
        api = plugin._make_security_group_dict(context, row)
    elif kind == "security_group_rule":
        api = plugin._make_security_group_rule_dict(row)
    elif kind in _MAKERS:
        api = _MAKERS[kind](plugin, row)
    return typing.cast("dict[str, typing.Any] | None", frozen(api))


def _address_group(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    """Return what ``_make_address_group_dict`` says, which wants a versioned object."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "project_id": row.project_id,
        "addresses": [str(association.address) for association in row.addresses],
        "standard_attr_id": row.standard_attr_id,
    }


def _router(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    """Return what a router's own row says: gateway and routes have gone before it."""
    names = ("id", "name", "project_id", "admin_state_up", "gw_port_id", "enable_snat", "flavor_id")
    own = {name: getattr(row, name) for name in names}
    return {**own, "description": row.description, "standard_attr_id": row.standard_attr_id}


def _router_interface(plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    """Return which router and subnets an interface joined, with the API dict of its port."""
    port = plugin._make_port_dict(row.port)
    return {
        "id": row.port_id,
        "router_id": row.router_id,
        "port_id": row.port_id,
        "port_type": row.port_type,
        "subnet_ids": [address["subnet_id"] for address in port["fixed_ips"]],
        "port": port,
    }


def _floatingip(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    """Return a floating IP's row by the names that the API gives its columns."""
    names = ("id", "project_id", "floating_network_id", "floating_ip_address", "floating_port_id")
    own = {name: getattr(row, name) for name in (*names, "fixed_ip_address", "router_id", "status")}
    return {
        **own,
        "port_id": row.fixed_port_id,
        "last_known_router_id": row.last_known_router_id,
        "description": row.description,
        "standard_attr_id": row.standard_attr_id,
    }


def _port_forwarding(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    """Return a port forwarding's own columns: its versioned object wants a router that has gone."""
    names = ("id", "floatingip_id", "internal_neutron_port_id", "protocol", "internal_ip_address")
    ranges = [f"{side}_port_{end}" for side in ("internal", "external") for end in ("start", "end")]
    return {name: getattr(row, name) for name in (*names, *ranges, "standard_attr_id")}


def _qos_policy(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    names = ("id", "name", "project_id", "description", "standard_attr_id")
    return {name: getattr(row, name) for name in names}


def _log(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    names = ("id", "name", "project_id", "resource_type", "resource_id", "target_id", "event")
    own = {name: getattr(row, name) for name in (*names, "enabled", "standard_attr_id")}
    return {**own, "description": row.description}


def _trunk(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    """Return a trunk with its subports, which are deleted together with it."""
    names = ("id", "name", "project_id", "port_id", "admin_state_up", "description")
    subports = [_subport(_plugin, subport) for subport in row.sub_ports]
    own = {name: getattr(row, name) for name in names}
    return {**own, "sub_ports": subports, "standard_attr_id": row.standard_attr_id}


def _subport(_plugin: typing.Any, row: typing.Any) -> dict[str, typing.Any]:
    names = ("port_id", "trunk_id", "segmentation_type", "segmentation_id")
    return {"id": row.port_id, **{name: getattr(row, name) for name in names}}


_MAKERS: dict[str, typing.Callable[[typing.Any, typing.Any], dict[str, typing.Any]]] = {
    "address_group": _address_group,
    "floatingip": _floatingip,
    "log": _log,
    "port_forwarding": _port_forwarding,
    "qos_policy": _qos_policy,
    "router": _router,
    "router_interface": _router_interface,
    "subport": _subport,
    "trunk": _trunk,
}


def frozen(value: typing.Any) -> typing.Any:
    """Return a deep copy of ``value`` as JSON knows it: ML2 goes on changing its own dicts."""
    return json.loads(json.dumps(value, default=str))
