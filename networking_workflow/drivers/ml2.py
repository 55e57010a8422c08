# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Any unmodified ML2 mechanism driver, behind the driver protocol.

The driver's own ``*_postcommit`` hooks are called with ML2's own context classes, built again:
``current`` from today's rows, ``original`` from what this driver last applied, a deleted resource
from the snapshot. A driver that has never applied a resource gets what stock ML2 would have called
until now: create, and for a bound port the update that binding leads to.

A hook may be called again with the same contents: a conductor can die between the driver's answer
and the journal's commit. Optional extras of a driver are those of ``drivers.protocol``.
"""

import typing

from neutron_lib.plugins.ml2 import api
from oslo_serialization import jsonutils

from networking_workflow.drivers import contexts, foreign, places, protocol
from networking_workflow.model import errors, running, states

#: The resource types that mechanism drivers have hooks for.
RESOURCE_TYPES = frozenset({"network", "subnet", "port"})


class Call(typing.NamedTuple):
    """One hook to call."""

    operation: states.Operation
    context: typing.Any  #: ML2's NetworkContext, SubnetContext or PortContext


class Work(typing.NamedTuple):
    """The hooks that one apply calls, in order, and what to keep once they all returned."""

    calls: list[Call]
    kept: contexts.Json


class Ml2Driver:
    """Keeps ``drivers.protocol.Driver`` for one mechanism driver of the core plugin."""

    def __init__(self, name: str, mech_driver: typing.Any, plugin: typing.Any) -> None:
        self._name = name
        self._driver = mech_driver
        self._plugin = plugin

    @property
    def name(self) -> str:
        """Return the alias from ``[ml2] mechanism_drivers``."""
        return self._name

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether the driver's class overrides a hook that such a workflow may call.

        An update may have to make what an earlier create failed to make, and the create of a bound
        port includes the update that binding leads to: both ask for either hook.
        """
        if resource_type not in RESOURCE_TYPES:
            return False
        if operation is states.Operation.DELETE:
            return self._overrides(resource_type, operation)
        return any(
            self._overrides(resource_type, each)
            for each in (states.Operation.CREATE, states.Operation.UPDATE)
        )

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        """Call the hooks that take the backend from what was last applied to today's rows.

        Returns what comes back as ``Target.applied``: the API dict, and the port's places.
        """
        context = contexts.admin_context()
        with foreign.translated(f"{self._name} reading {target.resource_type}"):
            work = self._work(target, context)
        for call in work.calls:
            _require_lease()
            self._call(target.resource_type, call)
        self._read_back(target, work.calls[-1].context)
        return work.kept

    def delete(self, target: protocol.Target) -> None:
        """Call the delete hook with the snapshot's contents; for a distributed port once a host."""
        context = contexts.admin_context()
        for mech_context in self._deleted(target, context):
            _require_lease()
            self._call(target.resource_type, Call(states.Operation.DELETE, mech_context))
        if self._observed(target) is not None:
            raise errors.BackendDiffers(
                (f"{target.resource_type} is still there after its delete",)
            )

    def probe(self) -> None:
        """Ask the driver's own ``probe``; without one there is nothing to ask.

        :raises BackendUnreachable: whatever the probe's error was.
        """
        if not isinstance(self._driver, protocol.Probing):
            return
        try:
            with foreign.translated(f"{self._name}.probe"):
                self._driver.probe()
        except errors.BackendUnreachable:
            raise
        except errors.DriverError as error:
            raise errors.BackendUnreachable(error.detail) from error

    def _call(self, resource_type: str, call: Call) -> None:
        if not self._overrides(resource_type, call.operation):
            return
        hook = _hook(resource_type, call.operation)
        try:
            with foreign.translated(f"{self._name}.{hook}"):
                getattr(self._driver, hook)(call.context)
        except foreign.NoAnswer:
            # One slow answer costs an attempt; a backend that is frozen must not.
            self.probe()
            raise

    def _work(self, target: protocol.Target, context: typing.Any) -> Work:
        match target.resource_type:
            case "network":
                return self._network_work(target, context)
            case "subnet":
                return self._subnet_work(target, context)
            case "port":
                return self._port_work(target, context)
        raise errors.PermanentFailure(f"ML2 drivers have no hook for a {target.resource_type}.")

    def _network_work(self, target: protocol.Target, context: typing.Any) -> Work:
        network = contexts.read_network(self._plugin, context, target.resource_id)

        def build(original: contexts.Json | None) -> typing.Any:
            return contexts.network_context(self._plugin, context, network, original)

        return self._simple_work(target, network.current, build)

    def _subnet_work(self, target: protocol.Target, context: typing.Any) -> Work:
        subnet = self._plugin.get_subnet(context, target.resource_id)
        network = contexts.read_network(self._plugin, context, subnet["network_id"])

        def build(original: contexts.Json | None) -> typing.Any:
            # A create's dict carries its network, an update's does not (ml2/plugin.py,
            # _after_create_subnet).
            current = subnet if original else subnet | {"network": network.current}
            return contexts.subnet_context(self._plugin, context, current, network, original)

        return self._simple_work(target, subnet, build)

    def _simple_work(
        self,
        target: protocol.Target,
        current: contexts.Json,
        build: typing.Callable[[contexts.Json | None], typing.Any],
    ) -> Work:
        kept: contexts.Json = {"current": current}
        if target.applied:
            update = Call(states.Operation.UPDATE, build(dict(target.applied["current"])))
            return Work([update], kept)
        calls = [Call(states.Operation.CREATE, build(None))]
        if original := (target.snapshot or {}).get("original"):
            calls.append(Call(states.Operation.UPDATE, build(dict(original))))
        return Work(calls, kept)

    def _port_work(self, target: protocol.Target, context: typing.Any) -> Work:
        port = contexts.read_port(self._plugin, context, target.resource_id)
        network = contexts.read_network(self._plugin, context, port.current["network_id"])
        build = _PortContexts(self._plugin, context, network, target)
        before = contexts.original_ports(target.snapshot)
        if target.applied:
            calls = build.next(contexts.Port.from_json(target.applied), before, port)
        else:
            calls = build.first(before, port)
        return Work(calls, port.to_json())

    def _deleted(self, target: protocol.Target, context: typing.Any) -> list[typing.Any]:
        snapshot = target.snapshot
        if not snapshot or not snapshot.get("deleted"):
            # A create or update that found its row gone, behind the delete: nothing was captured of
            # the delete, and what this driver applied last is what the backend may hold.
            if not target.applied:
                return []
            bound = [
                {"binding": place["binding"], "binding_levels": place["levels"]}
                for place in target.applied.get("places", ())
            ]
            snapshot = {"deleted": target.applied["current"], "edge": {"distributed": bound}}
        deleted, edge = dict(snapshot["deleted"]), snapshot.get("edge") or {}
        if target.resource_type == "network":
            network = contexts.Network(current=deleted, segments=edge.get("segments"))
            return [contexts.network_context(self._plugin, context, network)]
        known = edge.get("network")
        parent = contexts.Network(
            current=dict(known or {"id": deleted["network_id"]}),
            segments=edge.get("segments"),
        )
        if target.resource_type == "subnet":
            network_of = parent if known else None
            return [contexts.subnet_context(self._plugin, context, deleted, network_of)]
        port = contexts.deleted_port(snapshot)
        return [
            contexts.port_context(self._plugin, context, one, place, parent)
            for one in self._deleted_at(target, context, port)
            for place in one.places
        ]

    def _deleted_at(
        self, target: protocol.Target, context: typing.Any, port: contexts.Port
    ) -> list[contexts.Port]:
        """Return a deleted port at each place where something may be left of it; one at least."""
        before = contexts.original_ports(target.snapshot)
        if target.applied:
            before = [contexts.Port.from_json(target.applied), *before]
        everywhere = [*places.left(before, port), port]
        found = [places.vacant(context, target, one) for one in everywhere]
        return [one for one in found if one is not None] or [port.unbound()]

    def _read_back(self, target: protocol.Target, mech_context: typing.Any) -> None:
        """Compare what the backend holds with what the driver means it to hold, if it can say."""
        if not isinstance(self._driver, protocol.Observing):
            return
        observed = self._observed(target)
        # As JSON, since that is how an observation comes: tuples are lists there.
        desired = jsonutils.loads(
            jsonutils.dumps(self._driver.desired(target.resource_type, mech_context))
        )
        if observed is None:
            raise errors.BackendDiffers((f"{target.resource_type} is not there after its apply",))
        differences = tuple(
            f"{field}: wanted {desired[field]!r}, observed {observed.get(field)!r}"
            for field in desired
            if observed.get(field) != desired[field]
        )
        if differences:
            raise errors.BackendDiffers(differences)

    def _observed(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        if not isinstance(self._driver, protocol.Observing):
            return None
        with foreign.translated(f"{self._name}.observe"):
            return self._driver.observe(target.resource_type, target.resource_id)

    def _overrides(self, resource_type: str, operation: states.Operation) -> bool:
        hook = _hook(resource_type, operation)
        own = getattr(type(self._driver), hook, None)
        return own is not None and own is not getattr(api.MechanismDriver, hook)


class _PortContexts:
    """Builds the calls for one port on one network.

    What is unbound at one place is ``DOWN`` when it is bound at the other, as with stock, whatever
    an earlier attempt has reported: the two may be one switch port, and the first has unplugged it.
    """

    def __init__(
        self,
        plugin: typing.Any,
        context: typing.Any,
        network: contexts.Network,
        target: protocol.Target,
    ) -> None:
        self._plugin = plugin
        self._context = context
        self._network = network
        self._target = target

    def first(self, before: list[contexts.Port], port: contexts.Port) -> list[Call]:
        """Return what makes a port that this driver has applied nothing of.

        As stock: create it unbound, then bind it. If the captured change moved it away from places
        where an unfinished attempt may have left something, that is unbound in between.
        """
        unbound = port.unbound()
        current = unbound.current | {"network": self._network.current}
        created = contexts.Port(current=current, places=unbound.places)
        calls = [Call(states.Operation.CREATE, self._build(created, created.places[0], None))]
        left = places.left(before, port)
        updates = self._leave(left, port)
        if port.is_bound:
            updates += self.updates(unbound, port.down() if left else port)
        if before and not updates:
            updates = self.updates(before[0].unbound() if left else before[0], port)
        return calls + updates

    def next(
        self, applied: contexts.Port, before: list[contexts.Port], port: contexts.Port
    ) -> list[Call]:
        """Return what takes a port from what this driver applied last to today's row.

        As stock: a port that moves is unbound at its old place, then bound at the new one. It may
        have been elsewhere in between, where an attempt in vain may have left something.
        """
        left = places.left([applied, *before], port)
        if not left:
            return self.updates(applied, port)
        calls = self._leave(left, port)
        if not calls:
            return self.updates(applied.unbound(), port.down())
        if port.is_bound:
            calls += self.updates(port.unbound(), port.down())
        return calls

    def _leave(self, left: typing.Iterable[contexts.Port], port: contexts.Port) -> list[Call]:
        """Return the updates that unbind a port at each of these; none where another is by now."""
        vacant = [places.vacant(self._context, self._target, one) for one in left]
        return [
            call for one in vacant if one is not None for call in self.updates(one, port.unbound())
        ]

    def updates(self, before: contexts.Port, port: contexts.Port) -> list[Call]:
        """Return the update from one state of a port to another; one a host if distributed."""
        return [
            Call(states.Operation.UPDATE, self._build(port, place, before)) for place in port.places
        ]

    def _build(
        self, port: contexts.Port, place: contexts.Place, before: contexts.Port | None
    ) -> typing.Any:
        return contexts.port_context(
            self._plugin, self._context, port, place, self._network, before
        )


def _require_lease() -> None:
    """Return if the task on this thread may call its backend: reading took time, as did a hook.

    :raises LeaseLost: if the workflow may be another conductor's by now.
    """
    task = running.RUNNING.get()
    if task is not None:
        task.require()


def _hook(resource_type: str, operation: states.Operation) -> str:
    return f"{operation}_{resource_type}_postcommit"
