# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""ML2's driver contexts, built again from today's rows or from a snapshot.

A driver cannot tell them from those of ML2: they are ML2's own classes. Everything is built from
plain JSON values, because what a driver last applied is kept as JSON and becomes ``original``.
"""

import dataclasses
import typing

from neutron.db import segments_db
from neutron.objects import ports as port_objects
from neutron.plugins.ml2 import driver_context, models
from neutron_lib import constants
from neutron_lib import context as neutron_context
from neutron_lib.api.definitions import portbindings
from neutron_lib.db import api as db_api
from oslo_serialization import jsonutils

from networking_workflow.model import profiles, running, workflows

Json = dict[str, typing.Any]

#: An attribute of the port that ML2 shows in the profile of its API dict, and so of ``original``;
#: the binding's row has it not (``_update_port_dict_binding`` in ``ml2/plugin.py``).
_TRUSTED = "trusted"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network's API dict and its segments, dynamic ones included; None: read when needed."""

    current: Json
    segments: list[Json] | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One binding of a port: columns of its row, and of its binding levels' rows."""

    binding: Json
    levels: list[Json]

    @property
    def host(self) -> str:
        """Return the host, "" if there is none."""
        return str(self.binding.get("host") or "")

    @property
    def is_bound(self) -> bool:
        """Return whether it has been bound, or at least tried to: ML2 announces both."""
        return bool(self.binding["vif_type"] != portbindings.VIF_TYPE_UNBOUND)

    @property
    def where(self) -> tuple[typing.Any, ...]:
        """Return what ML2 binds a port anew for, and the segments that it is bound to."""
        segments = tuple(level["segment_id"] for level in self.levels)
        profile = {name: said for name, said in self.profile.items() if name != _TRUSTED}
        return (self.host, self.binding.get("vnic_type"), profile, segments)

    @property
    def profile(self) -> Json:
        """Return what the binding profile says."""
        return profiles.parsed(self.binding.get("profile"))

    def unbound(self) -> "Place":
        """Return it as it was before a driver bound it, on the same host."""
        unbound = {"vif_type": portbindings.VIF_TYPE_UNBOUND, "vif_details": ""}
        return Place(binding=self.binding | unbound, levels=[])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port's API dict and its places: one, but for distributed ports one a host."""

    current: Json
    places: list[Place]

    @property
    def is_distributed(self) -> bool:
        """Return whether drivers get one context a host, as for interfaces of DVR routers."""
        return bool(self.current["device_owner"] == constants.DEVICE_OWNER_DVR_INTERFACE)

    @property
    def is_bound(self) -> bool:
        """Return whether it is bound anywhere; see :attr:`Place.is_bound`."""
        return any(place.is_bound for place in self.places)

    @property
    def links(self) -> frozenset[str]:
        """Return the ids of the switch ports that it is plugged at (``model.profiles``)."""
        return frozenset(
            link
            for place in self.places
            if place.binding["vif_type"] not in portbindings.VIF_UNPLUGGED_TYPES
            for link in profiles.links(place.profile)
        )

    def without_links(self, taken: typing.Collection[str]) -> "Port | None":
        """Return it as plugged at its other switch ports only; None: there is no other."""
        places = [
            Place(
                binding=place.binding | {"profile": profiles.without(place.profile, taken)},
                levels=place.levels,
            )
            for place in self.places
        ]
        profile = profiles.without(self.current.get(portbindings.PROFILE), taken)
        left = Port(current=self.current | {portbindings.PROFILE: profile}, places=places)
        return left if left.links else None

    def down(self) -> "Port":
        """Return it as ML2 has it before the backend has reported it."""
        return Port(
            current=self.current | {"status": constants.PORT_STATUS_DOWN}, places=self.places
        )

    def unbound(self) -> "Port":
        """Return it as it was before a driver bound it."""
        current = self.current
        if not self.is_distributed:
            current = current | {
                portbindings.VIF_TYPE: portbindings.VIF_TYPE_UNBOUND,
                portbindings.VIF_DETAILS: {},
                "status": constants.PORT_STATUS_DOWN,
            }
        return Port(current=current, places=[place.unbound() for place in self.places])

    def place_at(self, host: str) -> Place:
        """Return the place that a context for ``host`` had before (a distributed one: its own)."""
        of_host = [place for place in self.places if place.host == host]
        return of_host[0] if self.is_distributed and of_host else self.places[0]

    def to_json(self) -> Json:
        """Return what :meth:`from_json` takes."""
        return {"current": self.current, "places": [dataclasses.asdict(p) for p in self.places]}

    @classmethod
    def from_json(cls, kept: typing.Mapping[str, typing.Any]) -> "Port":
        """Return the port that :meth:`to_json` described."""
        return cls(current=kept["current"], places=[Place(**place) for place in kept["places"]])


def admin_context() -> typing.Any:
    """Return a fresh admin context that carries the request id of the running task's workflow."""
    context = neutron_context.get_admin_context()
    task = running.RUNNING.get()
    if task and task.claim.request_id:
        context.request_id = task.claim.request_id
    return context


def read_network(plugin: typing.Any, context: typing.Any, network_id: str) -> Network:
    """Return today's network.

    :raises NetworkNotFound: (neutron_lib) if its row is gone.
    """
    with db_api.CONTEXT_READER.using(context):
        return Network(
            current=plugin.get_network(context, network_id),
            segments=segments_db.get_network_segments(context, network_id, filter_dynamic=None),
        )


def read_port(plugin: typing.Any, context: typing.Any, port_id: str) -> Port:
    """Return today's port with its active binding, or with one place a host if distributed.

    :raises PortNotFound: (neutron_lib) if its row is gone.
    """
    with db_api.CONTEXT_READER.using(context):
        current = plugin.get_port(context, port_id)
        bindings = context.session.query(models.PortBinding).filter_by(
            port_id=port_id, status=constants.ACTIVE
        )
        rows = bindings.all() or [_no_binding(port_id)]
        if current["device_owner"] == constants.DEVICE_OWNER_DVR_INTERFACE:
            of_hosts = context.session.query(models.DistributedPortBinding)
            rows = of_hosts.filter_by(port_id=port_id).all() or rows
        levels = [_columns(row) for row in _levels(context, port_id)]
    places = [
        Place(binding=_columns(row), levels=[x for x in levels if x["host"] == row.host])
        for row in rows
    ]
    return Port(current=current, places=places)


def deleted_port(snapshot: workflows.Snapshot) -> Port:
    """Return a deleted port as its snapshot has it."""
    edge = snapshot["edge"]
    port_id = snapshot["deleted"]["id"]
    places = [
        Place(binding=each["binding"], levels=each.get("binding_levels") or [])
        for each in edge.get("distributed") or [edge]
        if each.get("binding")
    ]
    unknown = Place(binding=_columns(_no_binding(port_id)), levels=[])
    return Port(current=snapshot["deleted"], places=places or [unknown])


def original_ports(snapshot: workflows.Snapshot | None) -> list[Port]:
    """Return the port before the captured change, and of several also on the way; none: a create.

    The oldest comes first. A change on the way may have been tried, and something be left of it.
    """
    if not snapshot or not snapshot.get("original"):
        return []
    edge = snapshot.get("edge") or {}
    passed = [_port_of(one["original"], one) for one in edge.get(workflows.PASSED) or ()]
    return [_port_of(snapshot["original"], edge), *passed]


def _port_of(original: Json, edge: typing.Mapping[str, typing.Any]) -> Port:
    binding = dict(edge.get("original_binding") or {})
    if not binding:
        binding = _columns(_no_binding(original["id"])) | {
            "host": original.get(portbindings.HOST_ID) or "",
            "vif_type": edge.get("original_vif_type") or original[portbindings.VIF_TYPE],
            "vif_details": edge.get("original_vif_details") or "",
        }
    levels = list(edge.get("original_binding_levels") or [])
    return Port(current=dict(original), places=[Place(binding=binding, levels=levels)])


def links_of_others(
    context: typing.Any, port_id: str, links: frozenset[str]
) -> dict[str, frozenset[str]]:
    """Return which of these switch ports other ports are bound at, by the id of the port.

    No database takes a profile apart: every profile that names a switch port is read.
    """
    binding = models.PortBinding
    with db_api.CONTEXT_READER.using(context):
        query = context.session.query(binding.port_id, binding.profile).filter(
            binding.port_id != port_id,
            binding.status == constants.ACTIVE,
            binding.vif_type.not_in(portbindings.VIF_UNPLUGGED_TYPES),
            binding.profile.contains(profiles.LINKS),
        )
        found = {other: profiles.links(profile) & links for other, profile in query}
    return {other: named for other, named in found.items() if named}


def network_context(
    plugin: typing.Any, context: typing.Any, network: Network, original: Json | None = None
) -> typing.Any:
    """Return the context of a network."""
    return driver_context.NetworkContext(
        plugin, context, network.current, original_network=original, segments=network.segments
    )


def subnet_context(
    plugin: typing.Any,
    context: typing.Any,
    subnet: Json,
    network: Network | None,
    original: Json | None = None,
) -> typing.Any:
    """Return the context of a subnet; without a network it reads that when it is asked for it."""
    rebuilt = driver_context.SubnetContext(plugin, context, subnet, None, original_subnet=original)
    if network:
        rebuilt._network_context = network_context(plugin, context, network)
    return rebuilt


def port_context(
    plugin: typing.Any,
    context: typing.Any,
    port: Port,
    place: Place,
    network: Network,
    original: Port | None = None,
) -> typing.Any:
    """Return the context of a port at one place.

    ML2's class takes the original's binding from the *current* one (``driver_context.py``,
    ``PortContext.__init__``), since ML2 makes it before it changes the binding; here it is given.
    """
    rebuilt = driver_context.PortContext(
        plugin,
        context,
        port.current,
        network_context(plugin, context, network),
        _binding(place),
        _level_objects(context, place),
        original_port=original.current if original else None,
    )
    if original:
        before = original.place_at(place.host)
        rebuilt._original_vif_type = before.binding["vif_type"]
        rebuilt._original_vif_details = plugin._get_vif_details(_binding(before))
        rebuilt._original_binding_levels = _level_objects(context, before)
    return rebuilt


def _columns(row: typing.Any) -> Json:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def _levels(context: typing.Any, port_id: str) -> list[typing.Any]:
    levels = context.session.query(models.PortBindingLevel).filter_by(port_id=port_id)
    return list(levels.order_by(models.PortBindingLevel.level))


def _no_binding(port_id: str) -> typing.Any:
    return models.PortBinding(
        port_id=port_id,
        host="",
        vnic_type=portbindings.VNIC_NORMAL,
        profile="",
        vif_type=portbindings.VIF_TYPE_UNBOUND,
        vif_details="",
        status=constants.ACTIVE,
    )


def _binding(place: Place) -> typing.Any:
    distributed = "router_id" in place.binding
    model = models.DistributedPortBinding if distributed else models.PortBinding
    texts = {
        name: value if isinstance(value, str) else jsonutils.dumps(value)
        for name in ("profile", "vif_details")
        if (value := place.binding.get(name)) is not None
    }
    return model(**(place.binding | texts))


def _level_objects(context: typing.Any, place: Place) -> list[typing.Any]:
    return [port_objects.PortBindingLevel(context, **level) for level in place.levels]
