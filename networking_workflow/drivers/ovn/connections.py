# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The conductor's own pair of OVSDB connections: opened when needed, dropped when stuck.

An API process has connections of its own (stock's), and one stuck transaction on those freezes
every read of the process. After a time-out a connection is dropped with what is queued on it, so
that a write that was given up is not made minutes later, and the next call dials anew.
"""

import dataclasses
import threading
import typing

from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import ovn_client, ovsdb_monitor
from neutron_lib.plugins import directory
from oslo_log import log
from ovsdbapp.backend.ovs_idl import idlutils

from networking_workflow.drivers.ovn import idls, reads
from networking_workflow.model import errors

LOG = log.getLogger(__name__)

#: Northbound schema from which a switch no longer floods its multicast reports by itself.
MCAST_FLOOD_FIXED = (6, 3, 0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One connection to each database, and Neutron's ``OVNClient`` on top of them."""

    nb: typing.Any
    sb: typing.Any
    client: typing.Any
    mcast_flood_broken: bool

    def drop(self) -> None:
        """Give both up; threads that wait on them get an error at once."""
        self.nb.ovsdb_connection.drop()
        self.sb.ovsdb_connection.drop()


class Connections:
    """Keeps one :class:`Pair` alive; safe to use from several threads.

    :param read_only: no transaction can be made on them.
    """

    def __init__(self, timeout_s: float, *, read_only: bool = False) -> None:
        #: A transaction may wait this long for its turn and as long again for its result.
        self.wait_s = timeout_s / 2
        self._lock = threading.Lock()
        self._pair: Pair | None = None
        self._kind = idls.ReadOnlyConnection if read_only else idls.BoundedConnection

    def get(self) -> Pair:
        """Return the pair, dialling if there is none; its Northbound copy is up to date.

        :raises BackendUnreachable: if a server does not answer in time.
        """
        pair = self._dialled()
        self.catch_up(pair)
        return pair

    def catch_up(self, pair: Pair) -> None:
        """Wait until the copy holds everything that the server committed before this call.

        :raises BackendUnreachable: if the server does not answer in time; the pair is dropped if
            it seems to be connected all the same.
        """
        with pair.nb.ovsdb_connection.lock:
            if not pair.nb.idl.current:
                raise errors.BackendUnreachable("The OVN Northbound database is not connected.")
            barrier = pair.nb.idl.send_barrier()
        # The thread that follows the server has to look: what was sent may be buffered.
        pair.nb.ovsdb_connection.txns.alert_notify()
        if not barrier.done.wait(self.wait_s):
            self.drop(pair)
            raise errors.BackendUnreachable(
                f"The OVN Northbound database did not answer within {self.wait_s:.1f} s."
            )
        if not barrier.ok:
            raise errors.BackendUnreachable("The OVN Northbound connection broke.")

    def drop(self, pair: Pair) -> None:
        """Give ``pair`` up, if it is still the one in use."""
        with self._lock:
            if self._pair is pair:
                self._pair = None
                LOG.warning("Dropped the OVN connections after a time-out; dialling anew.")
                pair.drop()

    def close(self) -> None:
        """Give up whatever is open."""
        with self._lock:
            if self._pair is not None:
                self._pair.drop()
                self._pair = None

    def _dialled(self) -> Pair:
        if not self._lock.acquire(timeout=2 * self.wait_s):
            raise errors.BackendUnreachable("Another thread is still dialling OVN.")
        try:
            if self._pair is None:
                self._pair = _dial(self.wait_s, self._kind)
            return self._pair
        finally:
            self._lock.release()


def _dial(timeout_s: float, kind: type[idls.BoundedConnection]) -> Pair:
    nb_remote, sb_remote = ovn_conf.get_ovn_nb_connection(), ovn_conf.get_ovn_sb_connection()
    nb = _open(idls.NorthboundApi, idls.NorthboundIdl, nb_remote, timeout_s, kind)
    try:
        sb = _open(idls.SouthboundApi, idls.SouthboundIdl, sb_remote, timeout_s, kind)
    except errors.BackendUnreachable:
        nb.ovsdb_connection.drop()
        raise
    client = ovn_client.OVNClient(nb, sb)
    client._plugin_property = reads.Plugin(directory.get_plugin())
    version = tuple(int(part) for part in nb.idl._db.version.split("."))
    # Stock asks the server for its schema to know this, once per client, and without a time-out.
    client._is_mcast_flood_broken = version < MCAST_FLOOD_FIXED
    return Pair(nb=nb, sb=sb, client=client, mcast_flood_broken=client._is_mcast_flood_broken)


def _open(
    api_class: typing.Any,
    idl_class: typing.Any,
    remote: str,
    timeout_s: float,
    kind: type[idls.BoundedConnection],
) -> typing.Any:
    ovsdb_monitor._check_and_set_ssl_files(api_class.schema)
    schema = idls.fetch_schema(remote, api_class.schema, timeout_s)
    helper = idlutils.create_schema_helper(schema)
    idl = idl_class.from_helper(remote, helper)
    return api_class(kind(idl, timeout_s))
