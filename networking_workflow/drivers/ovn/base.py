# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is alike for who drives OVN and who only compares."""

import typing

from neutron.common.ovn import acl as ovn_acl
from neutron_lib import context as n_context
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import connections, seams, settings
from networking_workflow.drivers.ovn import errors as ovn_errors
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.model import errors, states

_FILTERING = frozenset({"security_group", "security_group_rule", "address_group", "log"})


class OnOvn:
    """Works on connections of its own, not on those of the process's API requests.

    :param mech_driver: Neutron's ``OVNMechanismDriver``, initialized, after ``PROCESS AFTER_INIT``.
    :param plugin: the core plugin, through which rows are read.
    """

    name = "ovn"  #: the alias of the mechanism driver

    #: Resource types that it knows.
    kinds: typing.ClassVar[typing.Container[str]]

    #: As for :func:`seams.use_own_connections`.
    pings_apart: typing.ClassVar[bool]

    def __init__(
        self, mech_driver: typing.Any, plugin: typing.Any, own: connections.Connections
    ) -> None:
        self._mech_driver, self._plugin, self._connections = mech_driver, plugin, own

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether OVN has something to do for this kind of resource."""
        if resource_type in _FILTERING and not ovn_acl.is_sg_enabled():
            return False
        return resource_type in self.kinds and operation in states.Operation

    def probe(self) -> None:
        """See :meth:`protocol.Driver.probe`."""
        self._connect()

    def close(self) -> None:
        """Give the connections up."""
        self._connections.close()

    def _connect(self) -> connections.Pair:
        """Return the connections of its own, once nothing of stock's can take them for its own.

        :raises BackendUnreachable: if a server does not answer in time.
        """
        seams.use_own_connections(self._mech_driver, pings_apart=self.pings_apart)
        seams.use_own_client(directory.get_plugin(plugin_constants.L3))
        # Neutron keeps the first OVNClient of a process in a singleton (its placement extension):
        # that must be stock's own, which the next line makes if it is not there.
        _ = self._mech_driver._ovn_client
        return self._connections.get()

    def _work(self, pair: connections.Pair, target: protocol.Target) -> apply_work.Work:
        return apply_work.Work(
            connections=self._connections,
            pair=pair,
            plugin=self._plugin,
            mech_driver=self._mech_driver,
            context=n_context.get_admin_context(),
            settings=settings.from_config(mcast_flood_broken=pair.mcast_flood_broken),
            target=target,
        )

    def _understand(self, pair: connections.Pair, failed: Exception) -> errors.DriverError:
        understood = ovn_errors.classify(failed)
        if isinstance(understood, errors.BackendUnreachable):
            self._connections.drop(pair)
        return understood
