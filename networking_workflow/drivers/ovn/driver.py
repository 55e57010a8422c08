# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``drivers.protocol.Driver`` for ML2/OVN."""

import typing

from neutron_lib import exceptions as n_exc
from oslo_log import log

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import base, connections, seams
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
from networking_workflow.model import errors

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


class OvnDriver(base.OnOvn):
    """Keeps the Northbound database at what Neutron's rows say.

    :param timeout_s: longest time that one write may take, its turn included.
    """

    kinds = _KINDS
    pings_apart = True

    def __init__(self, mech_driver: typing.Any, *, plugin: typing.Any, timeout_s: float) -> None:
        super().__init__(mech_driver, plugin, connections.Connections(timeout_s))

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        """See :meth:`protocol.Driver.apply`; only DNS records of ports need to be remembered."""
        return self._call(_KINDS[target.resource_type][0], target)

    def delete(self, target: protocol.Target) -> None:
        """See :meth:`protocol.Driver.delete`."""
        self._call(_KINDS[target.resource_type][1], target)

    def _call(self, do: _Apply, target: protocol.Target) -> apply_work.Applied:
        pair = self._connect()
        work = self._work(pair, target)
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


def _require_core_row(work: apply_work.Work) -> None:
    getter = getattr(work.plugin, f"get_{work.target.resource_type}")
    getter(work.context, work.target.resource_id)
