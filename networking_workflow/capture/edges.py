# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What an edge-triggered driver will ask for and no row tells after the commit.

ML2 hands it over in its own contexts before it commits (``capture.mechanisms``). Who changes rows
past ML2 has the same contexts made of the rows as they are.
"""

import typing

from neutron.plugins.ml2 import db as ml2_db
from neutron.plugins.ml2 import driver_context
from neutron_lib import constants
from neutron_lib.plugins import utils as plugin_utils

from networking_workflow.capture import changes, session, snapshots

_BINDING = {
    "host": "binding:host_id",
    "vnic_type": "binding:vnic_type",
    "profile": "binding:profile",
    "vif_type": "binding:vif_type",
    "vif_details": "binding:vif_details",
}


def keep_network(context: typing.Any, *, delete: bool = False) -> None:
    """Keep a network as it was; of a deleted one its segments, too."""
    _keep(context, "network", network_extras(context), delete=delete)


def keep_subnet(context: typing.Any, *, delete: bool = False) -> None:
    """Keep a subnet as it was; of a deleted one its network, too."""
    _keep(context, "subnet", {"network": context.network.current} if delete else {}, delete=delete)


def keep_port(context: typing.Any, *, delete: bool = False) -> None:
    """Keep a port and its binding as they were; of a deleted one its network, too."""
    extras = port_extras(context)
    if not delete:
        original = context.original
        extras["original_binding"] = {
            name: original[key] for name, key in _BINDING.items() if key in original
        }
        extras["original_binding_levels"] = _levels(context._original_binding_levels)
        extras["original_vif_type"] = context.original_vif_type
        extras["original_vif_details"] = context.original_vif_details
    _keep(context, "port", extras, delete=delete)


def keep_present(
    plugin: typing.Any,
    plugin_context: typing.Any,
    resource_type: str,
    resource_id: str,
    *,
    delete: bool,
) -> None:
    """Keep a network, subnet or port as it is, before the session's transaction changes it."""
    if resource_type == "network":
        current = plugin.get_network(plugin_context, resource_id)
        network = driver_context.NetworkContext(plugin, plugin_context, current, current)
        keep_network(network, delete=delete)
    elif resource_type == "subnet":
        current = plugin.get_subnet(plugin_context, resource_id)
        parent = plugin.get_network(plugin_context, current["network_id"])
        subnet = driver_context.SubnetContext(plugin, plugin_context, current, parent, current)
        keep_subnet(subnet, delete=delete)
    else:
        _keep_present_port(plugin, plugin_context, resource_id, delete=delete)


def _keep_present_port(
    plugin: typing.Any, plugin_context: typing.Any, port_id: str, *, delete: bool
) -> None:
    row = plugin._get_port(plugin_context, port_id)
    current = plugin._make_port_dict(row)
    network = plugin.get_network(plugin_context, current["network_id"])
    binding = plugin_utils.get_port_binding_by_status_and_host(row.port_bindings, constants.ACTIVE)
    if binding is None:  # ML2 tells no driver of such a port, either (``delete_port``)
        return
    levels = ml2_db.get_binding_level_objs(plugin_context, port_id, binding.host)
    port = driver_context.PortContext(
        plugin, plugin_context, current, network, binding, levels, original_port=current
    )
    keep_port(port, delete=delete)


def network_extras(context: typing.Any) -> dict[str, typing.Any]:
    """Return what ML2's context says of a network beside its API dict."""
    return {"segments": context.network_segments}


def port_extras(context: typing.Any) -> dict[str, typing.Any]:
    """Return what ML2's context says of a port beside its API dict."""
    binding = context._binding
    return {
        "network": context.network.current,
        "segments": context.network.network_segments,
        "binding": {column: getattr(binding, column) for column in binding._cols},
        "binding_levels": _levels(context._binding_levels),
    }


def _keep(
    context: typing.Any, kind: str, extras: dict[str, typing.Any], *, delete: bool = False
) -> None:
    current = snapshots.frozen(context.current)
    edge = changes.Edge(
        resource_type=kind,
        resource_id=current["id"],
        original=None if delete else snapshots.frozen(context.original),
        deleted=current if delete else None,
        extras=snapshots.frozen(extras),
    )
    session.add_edge(context.plugin_context.session, edge)


def _levels(levels: typing.Any) -> list[dict[str, typing.Any]]:
    """Return binding levels as plain rows, outermost first."""
    return [
        {
            "host": level.host,
            "level": level.level,
            "driver": level.driver,
            "segment_id": level.segment_id,
        }
        for level in levels or ()
    ]
