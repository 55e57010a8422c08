# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Where stock's OVN mechanism driver is changed, one function for each change.

All of them act on the process that calls them, and a second call changes nothing. They are for
every process that loads the plugin: API processes, conductors, OVN's maintenance process.
"""

import contextlib
import contextvars
import threading
import time
import types
import typing

from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import (
    maintenance,
    ovn_client,
    ovsdb_monitor,
)
from oslo_log import log
from ovs import poller
from ovs.db import idl as ovs_idl
from ovsdbapp.backend.ovs_idl import connection, idlutils

from networking_workflow.drivers.ovn import connections
from networking_workflow.drivers.ovn import errors as ovn_errors

LOG = log.getLogger(__name__)

# The originals; ``impl_idl_ovn``, imported above, has replaced the second one by then.
_STOCK_START = connection.Connection.start
_STOCK_WAIT = idlutils.wait_for_change
_STOCK_COMMIT = ovs_idl.Transaction.commit_block

#: The connections of the conductor's call on this thread; None: the process's own ones.
OWN_PAIR: contextvars.ContextVar[connections.Pair | None] = contextvars.ContextVar(
    "networking_workflow_ovn_pair", default=None
)


def prepare(mech_driver: typing.Any) -> None:
    """Make every change that a process with the plugin needs; before ``PROCESS AFTER_INIT``."""
    use_own_connections(mech_driver)
    read_while_transactions_wait()
    leave_repairs_to_workflows()
    leave_router_ports_to_workflows()
    ask_each_thread_for_revisions()


@contextlib.contextmanager
def own_connections(pair: connections.Pair) -> typing.Iterator[None]:
    """Let Neutron's code on this thread use ``pair`` (see :func:`use_own_connections`)."""
    token = OWN_PAIR.set(pair)
    try:
        yield
    finally:
        OWN_PAIR.reset(token)


def use_own_connections(mech_driver: typing.Any, *, pings_apart: bool = True) -> None:
    """Make the driver's connections depend on who asks.

    A conductor's threads run Neutron code that reaches OVN through the driver object (network
    availability zones, provisioning, QoS, trunks). On the process's own connections one stuck
    transaction would block them and the API alike; so they get the conductor's, by a class that
    stands in for the driver's: ``nb_ovn`` and the like are attributes of the instance in stock.

    :param pings_apart: and keep ``GET /agents`` from writing to OVN; False: all is as in stock for
        whoever is no conductor.
    """
    names = ("_nb_ovn", "_sb_ovn", "_ovn_client_inst")
    _let_depend_on_thread(mech_driver, _PingsApart if pings_apart else _PerThread, names)


def use_own_client(l3_plugin: typing.Any) -> None:
    """Make the ``OVNClient`` of OVN's router plugin depend on who asks, as the driver's does.

    It makes one at the first use and keeps it: were that a conductor's, the events that an API
    process handles would be looked at in another copy of OVN than they came from, one that a
    conductor closes when it ends. Any other plugin is left as it is, and so is None.
    """
    if "_ovn_client_inst" in getattr(l3_plugin, "__dict__", ()):
        _let_depend_on_thread(l3_plugin, _ClientPerThread, ("_ovn_client_inst",))


def _let_depend_on_thread(stock: typing.Any, added: type, names: typing.Iterable[str]) -> None:
    """Let the class ``added``, which has properties of these names, stand before an instance's.

    Threads that use it meanwhile find a value at every moment.
    """
    kind = stock.__class__
    if issubclass(kind, _ClientPerThread):
        return
    for name in names:
        stock.__dict__[_stored(name)] = stock.__dict__[name]
    stock.__class__ = type(f"Workflow{kind.__name__}", (added, kind), {})
    for name in names:
        stock.__dict__.pop(name, None)


def _stored(name: str) -> str:
    return f"_stock{name}"


def _per_thread(name: str, own: str) -> typing.Any:
    stored = _stored(name)

    def get(driver: typing.Any) -> typing.Any:
        pair = OWN_PAIR.get()
        return driver.__dict__[stored] if pair is None else getattr(pair, own)

    def set_(driver: typing.Any, value: typing.Any) -> None:
        driver.__dict__[stored] = value

    return property(get, set_)


class _ClientPerThread:
    """Goes before the stock class; the stock properties read and write these attributes."""

    _ovn_client_inst = _per_thread("_ovn_client_inst", "client")


class _PerThread(_ClientPerThread):
    _nb_ovn = _per_thread("_nb_ovn", "nb")
    _sb_ovn = _per_thread("_sb_ovn", "sb")


class _PingsApart(_PerThread):
    """And asks the chassis for a sign of life on a thread of its own."""

    _pinging: threading.Thread | None = None

    def ping_all_chassis(self) -> bool:
        """Ask the chassis for a sign of life, but not on the thread of ``GET /agents``.

        Stock writes to the Northbound database here and waits for it; the answer shows what the
        chassis said last in either case.
        """
        driver = typing.cast(typing.Any, self)
        nb = driver.nb_ovn
        following = nb.idl.state == ovs_idl.Idl.IDL_S_MONITORING and (
            nb.idl._session.is_connected()
        )
        if following and not (self._pinging and self._pinging.is_alive()):
            self._pinging = threading.Thread(
                target=self._ping, name="workflow-ovn-ping", daemon=True
            )
            self._pinging.start()
        return False

    def _ping(self) -> None:
        try:
            super().ping_all_chassis()  # type: ignore[misc]  # a mixin: the driver has it
        except ovn_errors.EXPECTED as failed:
            LOG.warning("The OVN chassis could not be asked for a sign of life: %s", failed)


#: Whether ``OVNClient`` is not to write revision numbers on this thread: its caller does.
_BUMPED_LATER: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "networking_workflow_ovn_bumped_later", default=False
)


@contextlib.contextmanager
def revision_bumped_later() -> typing.Iterator[None]:
    """Keep ``OVNClient`` from writing the revision of a port in the block.

    It reads the whole port again for it, fourteen statements, and so would the caller.
    """
    token = _BUMPED_LATER.set(True)
    try:
        yield
    finally:
        _BUMPED_LATER.reset(token)


def ask_each_thread_for_revisions() -> None:
    """Make :func:`revision_bumped_later` work.

    Stands in for ``db_rev`` in ``neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/ovn_client.py``.
    """
    if not isinstance(ovn_client.db_rev, _Revisions):
        ovn_client.db_rev = _Revisions(ovn_client.db_rev)


class _Revisions:
    """``neutron.db.ovn_revision_numbers_db``, which a thread may ask not to write."""

    def __init__(self, stock: types.ModuleType) -> None:
        self._stock = stock

    def bump_revision(self, *args: typing.Any, **kwargs: typing.Any) -> None:
        if not _BUMPED_LATER.get():
            self._stock.bump_revision(*args, **kwargs)

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._stock, name)


#: Tasks of OVN's maintenance process that read Neutron's rows, and write what they found to rows
#: that workflows answer for. Stands for ``DBInconsistenciesPeriodics`` in
#: ``neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/maintenance.py``. Its other tasks write what
#: does not depend on what waits in the queue, and stay (``docs/ovn.md`` names each of them).
LEFT_TO_WORKFLOWS: tuple[str, ...] = (
    "check_baremetal_ports_dhcp_options",
    "check_for_inconsistencies",
    "check_global_dhcp_opts",
    "check_network_broadcast_arps_to_all_routers",
    "check_provider_distributed_ports",
    "check_redirect_type_router_gateway_ports",
    "set_network_type_and_physnet",
    "update_security_group_with_address_group",
)


def leave_repairs_to_workflows() -> None:
    """Take the repairs that overtake changes in the queue out of OVN's maintenance process.

    A change may be committed and applied between their look at Neutron's rows and their write, and
    would be undone. Periodic tasks are found by a mark on the method; without it these are never
    run.
    """
    for name in LEFT_TO_WORKFLOWS:
        setattr(maintenance.DBInconsistenciesPeriodics, name, _left_to_workflows)


def _left_to_workflows(_periodics: typing.Any) -> None:
    LOG.info("Repairs of OVN's Northbound database are left to workflows")


def leave_router_ports_to_workflows() -> None:
    """Keep API event threads from writing the routers' side of router ports.

    Stands in for ``LogicalSwitchPortUpdateLogicalRouterPortEvent`` in
    ``neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/ovsdb_monitor.py``: after a change of the
    network's side it reads Neutron's port and writes all of the router's side, without a key. The
    workflow of the router or its interface, which a change of the port's addresses opens, does so.
    """
    ovsdb_monitor.LogicalSwitchPortUpdateLogicalRouterPortEvent.match_fn = _never


def _never(_event: typing.Any, _kind: str, _row: typing.Any, _old: typing.Any = None) -> bool:
    return False


def read_while_transactions_wait() -> None:
    """Let a waiting transaction give the local copy free, and stop waiting when its time is over.

    Stock's thread keeps the copy locked from the first try of a transaction to its end, and waits
    without a limit for the server to come back (``idlutils.wait_for_change`` as ``impl_idl_ovn.py``
    replaces it). Every read of the process waits for that lock: ``GET /networks`` hangs while the
    Northbound database is away and one event thread has something to write. While it waits the
    copy holds no half-made change, so that it can be read.
    """
    connection.Connection.start = _start
    idlutils.wait_for_change = _wait_for_change
    ovs_idl.Transaction.commit_block = _commit_block


def _start(self: typing.Any) -> typing.Any:
    started = _STOCK_START(self)
    self.idl.workflow_connection = self
    return started


def _wait_for_change(
    idl: typing.Any, timeout: float | None = None, seqno: int | None = None
) -> None:
    owner = getattr(idl, "workflow_connection", None)
    if owner is None:
        # The first contents, when nobody can read yet; or a connection that sees to itself.
        _STOCK_WAIT(idl, timeout, seqno)
        return
    seen = idl.change_seqno if seqno is None else seqno
    deadline = time.monotonic() + (owner.timeout if timeout is None else timeout)
    while idl.change_seqno == seen and not idl.run():
        if time.monotonic() >= deadline:
            raise RuntimeError("OVS transaction timed out")
        _block(owner, [idl], deadline)


def _commit_block(self: typing.Any) -> typing.Any:
    owner = getattr(self.idl, "workflow_connection", None)
    if owner is None:
        return _STOCK_COMMIT(self)
    deadline = time.monotonic() + owner.timeout
    while (status := self.commit()) == ovs_idl.Transaction.INCOMPLETE:
        self.idl.run()
        if time.monotonic() >= deadline:
            return ovs_idl.Transaction.TRY_AGAIN
        _block(owner, [self.idl, self], deadline)
    return status


def _block(owner: typing.Any, waits_for: list[typing.Any], deadline: float) -> None:
    """Wait with the lock released, which this thread holds once; only it changes the copy."""
    poll = poller.Poller()
    for one in waits_for:
        one.wait(poll)
    poll.timer_wait(max(1, int((deadline - time.monotonic()) * 1000)))
    owner.lock.release()
    try:
        poll.block()
    finally:
        owner.lock.acquire()
