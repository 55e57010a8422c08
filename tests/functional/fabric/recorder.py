# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A mechanism driver that writes down everything its contexts say; runs in Neutron's process."""

import json
import typing

from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api

from networking_workflow.capture import changes, edges, snapshots, workflows
from networking_workflow.model import states

Json = dict[str, typing.Any]

_NETWORK = ("current", "original", "network_segments")
_SUBNET = ("current", "original")
_PORT = (
    "current",
    "original",
    "status",
    "original_status",
    "binding_levels",
    "original_binding_levels",
    "top_bound_segment",
    "original_top_bound_segment",
    "bottom_bound_segment",
    "original_bottom_bound_segment",
    "host",
    "original_host",
    "vif_type",
    "original_vif_type",
    "vif_details",
    "original_vif_details",
    "segments_to_bind",
)


def described(context: typing.Any) -> Json:
    """Return all that a driver can read from a context."""
    network = None
    if isinstance(context, api.NetworkContext):
        names: tuple[str, ...] = _NETWORK
    else:
        names = _PORT if isinstance(context, api.PortContext) else _SUBNET
        network = described(context.network)
    said = {name: getattr(context, name) for name in names} | {"network": network}
    return typing.cast(Json, json.loads(json.dumps(said)))


class Recorder(api.MechanismDriver):
    """Binds every port; keeps (hook, what its context said) and snapshots of what is deleted."""

    connectivity = portbindings.CONNECTIVITY_L2  # binds ports without an address, too

    def __init__(self) -> None:
        self.calls: list[tuple[str, Json]] = []
        self.deletes: dict[str, list[changes.Edge]] = {}

    def initialize(self) -> None:
        """Nothing to set up."""

    def bind_port(self, context: typing.Any) -> None:
        segment = context.segments_to_bind[0]["id"]
        details = {"of_host": context.host}
        context.set_binding(segment, portbindings.VIF_TYPE_OTHER, details)

    def taken(self) -> list[tuple[str, Json]]:
        """Return the calls since the last time."""
        calls, self.calls = self.calls, []
        return calls

    def snapshot(self, resource_type: str, resource_id: str) -> typing.Any:
        """Return the snapshot that capture makes of a delete; None if it was not deleted."""
        edges = self.deletes.get(resource_id)
        if edges is None:
            return None
        note = changes.Note(
            resource_type=resource_type,
            resource_id=resource_id,
            operation=states.Operation.DELETE,
        )
        return json.loads(json.dumps(workflows._snapshot(note, edges)))

    def delete_network_precommit(self, context: typing.Any) -> None:
        self._keep("network", context, edges.network_extras(context))

    def delete_subnet_precommit(self, context: typing.Any) -> None:
        self._keep("subnet", context, {"network": context.network.current})

    def delete_port_precommit(self, context: typing.Any) -> None:
        self._keep("port", context, edges.port_extras(context))

    def _keep(self, resource_type: str, context: typing.Any, extras: Json) -> None:
        edge = changes.Edge(
            resource_type=resource_type,
            resource_id=context.current["id"],
            deleted=snapshots.frozen(context.current),
            extras=snapshots.frozen(extras),
        )
        self.deletes.setdefault(context.current["id"], []).append(edge)


def _recording(hook: str) -> typing.Callable[[Recorder, typing.Any], None]:
    def record(self: Recorder, context: typing.Any) -> None:
        self.calls.append((hook, described(context)))

    return record


for _kind in ("network", "subnet", "port"):
    for _operation in ("create", "update", "delete"):
        _hook = f"{_operation}_{_kind}_postcommit"
        setattr(Recorder, _hook, _recording(_hook))
