# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""ML2's mechanism manager, with the backend calls left out and their edge data kept.

``*_precommit`` run as they are, and what an edge-triggered driver will ask for and no row tells
after the commit goes into the session's transaction. ``*_postcommit`` do nothing: a conductor calls
the drivers. Binding stays in the API call, for its answer tells Nova how the port is plugged; see
``capture.bindings`` for the exception. In the mode ``shadow`` ``*_postcommit`` are stock's.
"""

import typing

from networking_workflow.capture import bindings, changes, session, snapshots

_BINDING = {
    "host": "binding:host_id",
    "vnic_type": "binding:vnic_type",
    "profile": "binding:profile",
    "vif_type": "binding:vif_type",
    "vif_details": "binding:vif_details",
}


class RecordingMechanismManager(bindings.DeferringMechanismManager):
    """Stands in for the manager that ``Ml2Plugin.__init__`` makes; see ``capture.plugin``.

    A create keeps nothing: its rows can be read again, and the context of ``create_port`` lacks at
    precommit what ML2 adds to it after the commit.
    """

    def update_network_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the network as it was."""
        super().update_network_precommit(context)
        _keep(context, "network", _network_extras(context))

    def delete_network_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the network with its segments."""
        super().delete_network_precommit(context)
        _keep(context, "network", _network_extras(context), delete=True)

    def update_subnet_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the subnet as it was."""
        super().update_subnet_precommit(context)
        _keep(context, "subnet", {})

    def delete_subnet_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the subnet with its network."""
        super().delete_subnet_precommit(context)
        _keep(context, "subnet", {"network": context.network.current}, delete=True)

    def update_port_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the port and its binding as they were."""
        super().update_port_precommit(context)
        extras = _port_extras(context)
        original = context.original
        extras["original_binding"] = {
            name: original[key] for name, key in _BINDING.items() if key in original
        }
        extras["original_binding_levels"] = _levels(context._original_binding_levels)
        extras["original_vif_type"] = context.original_vif_type
        extras["original_vif_details"] = context.original_vif_details
        _keep(context, "port", extras)

    def delete_port_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the port with its binding and network."""
        super().delete_port_precommit(context)
        _keep(context, "port", _port_extras(context), delete=True)


class CapturingMechanismManager(RecordingMechanismManager):
    """And leaves the drivers to conductors."""

    def create_network_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def update_network_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def delete_network_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def create_subnet_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def update_subnet_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def delete_subnet_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def create_port_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def update_port_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""

    def delete_port_postcommit(self, context: typing.Any) -> None:
        """Do nothing: the workflow does it."""


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


def _network_extras(context: typing.Any) -> dict[str, typing.Any]:
    return {"segments": context.network_segments}


def _port_extras(context: typing.Any) -> dict[str, typing.Any]:
    binding = context._binding
    return {
        "network": context.network.current,
        "segments": context.network.network_segments,
        "binding": {column: getattr(binding, column) for column in binding._cols},
        "binding_levels": _levels(context._binding_levels),
    }


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
