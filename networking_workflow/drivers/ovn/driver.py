# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``drivers.protocol.Driver`` for ML2/OVN."""

import typing

from neutron.common.ovn import acl as ovn_acl
from neutron_lib import context as n_context
from neutron_lib import exceptions as n_exc
from oslo_log import log

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import connections, seams, settings
from networking_workflow.drivers.ovn import errors as ovn_errors
from networking_workflow.drivers.ovn.apply import (
    address_groups,
    floatingips,
    logs,
    networks,
    port_forwardings,
    ports,
    qos,
    router_interfaces,
    routers,
    security_groups,
    subnets,
    trunks,
)
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.model import errors, states

LOG = log.getLogger(__name__)

_Call = typing.Callable[[apply_work.Work], None]
_Apply = typing.Callable[[apply_work.Work], apply_work.Applied] | _Call

_KINDS: dict[str, tuple[_Apply, _Call]] = {
    "network": (networks.apply, networks.delete),
    "subnet": (subnets.apply, subnets.delete),
    "port": (ports.apply, ports.delete),
    "security_group": (security_groups.apply, security_groups.delete),
    "security_group_rule": (security_groups.apply_rule, security_groups.delete_rule),
    "address_group": (address_groups.apply, address_groups.delete),
    "floatingip": (floatingips.apply, floatingips.delete),
    "port_forwarding": (port_forwardings.apply, port_forwardings.delete),
    "log": (logs.apply, logs.delete),
    "qos_policy": (qos.apply, qos.delete),
    "router": (routers.apply, routers.delete),
    "router_interface": (router_interfaces.apply, router_interfaces.delete),
    "trunk": (trunks.apply, trunks.delete),
    "subport": (trunks.apply_subport, trunks.delete_subport),
}

#: How it is asked whether a row is still there, for kinds that are not the core plugin's.
_ROWS: dict[str, _Call] = {
    "floatingip": floatingips.require_row,
    "log": logs.require_row,
    "port_forwarding": port_forwardings.require_row,
    "qos_policy": qos.require_row,
    "router": routers.require_row,
    "router_interface": router_interfaces.require_row,
    "trunk": trunks.require_row,
    "subport": trunks.require_subport_row,
}

_FILTERING = frozenset({"security_group", "security_group_rule", "address_group", "log"})


class OvnDriver:
    """Keeps the Northbound database at what Neutron's rows say.

    :param mech_driver: Neutron's ``OVNMechanismDriver``, initialized, after ``PROCESS AFTER_INIT``.
    :param plugin: the core plugin, through which rows are read.
    :param timeout_s: longest time that one write may take, its turn included.
    """

    def __init__(self, mech_driver: typing.Any, *, plugin: typing.Any, timeout_s: float) -> None:
        self._mech_driver, self._plugin = mech_driver, plugin
        self._connections = connections.Connections(timeout_s)

    @property
    def name(self) -> str:
        """Return the alias of the mechanism driver."""
        return "ovn"

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether OVN has something to do for this kind of resource."""
        if resource_type in _FILTERING and not ovn_acl.is_sg_enabled():
            return False
        return resource_type in _KINDS and operation in states.Operation

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        """See :meth:`protocol.Driver.apply`; only DNS records of ports need to be remembered."""
        return self._call(_KINDS[target.resource_type][0], target)

    def delete(self, target: protocol.Target) -> None:
        """See :meth:`protocol.Driver.delete`."""
        self._call(_KINDS[target.resource_type][1], target)

    def probe(self) -> None:
        """See :meth:`protocol.Driver.probe`."""
        self._connections.get()

    def close(self) -> None:
        """Give the connections up."""
        self._connections.close()

    def _call(self, do: _Apply, target: protocol.Target) -> apply_work.Applied:
        pair = self._connect()
        work = apply_work.Work(
            connections=self._connections,
            pair=pair,
            plugin=self._plugin,
            mech_driver=self._mech_driver,
            context=n_context.get_admin_context(),
            settings=settings.from_config(mcast_flood_broken=pair.mcast_flood_broken),
            target=target,
        )
        with seams.own_connections(pair):
            try:
                return do(work)
            except errors.WorkflowError:
                raise
            except ovn_errors.GONE as gone:
                self._forget(work, gone)
                return None
            except ovn_errors.EXPECTED as failed:
                raise self._understand(pair, failed) from failed

    def _connect(self) -> connections.Pair:
        seams.use_own_connections(self._mech_driver)
        # Neutron keeps the first OVNClient of a process in a singleton (its placement extension):
        # that must be stock's own, which the next line makes if it is not there.
        _ = self._mech_driver._ovn_client
        return self._connections.get()

    def _forget(self, work: apply_work.Work, gone: Exception) -> None:
        """The row went while it was worked on: leave nothing in OVN that nobody would clean up.

        :raises TransientFailure: if it was something else that was not found.
        """
        target = work.target
        try:
            _ROWS.get(target.resource_type, _require_core_row)(work)
        except n_exc.NotFound:
            LOG.info("%s %s is gone from the database", target.resource_type, target.resource_id)
            try:
                _KINDS[target.resource_type][1](work)
            except ovn_errors.EXPECTED as failed:
                raise self._understand(work.pair, failed) from failed
            return
        raise errors.TransientFailure(f"{type(gone).__name__}: {gone}")

    def _understand(self, pair: connections.Pair, failed: Exception) -> errors.DriverError:
        understood = ovn_errors.classify(failed)
        if isinstance(understood, errors.BackendUnreachable):
            self._connections.drop(pair)
        return understood


def _require_core_row(work: apply_work.Work) -> None:
    getter = getattr(work.plugin, f"get_{work.target.resource_type}")
    getter(work.context, work.target.resource_id)
