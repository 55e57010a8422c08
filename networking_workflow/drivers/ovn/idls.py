# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""OVSDB copies and connections on which nothing waits without a bound.

Stock's connection waits for ever in three places while the server is away: for the first contents,
for a change after a transaction that has to be tried again, and, through the lock that it holds
meanwhile, in every read (``ovsdbapp/backend/ovs_idl/connection.py``, and ``wait_for_change`` as
``neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/impl_idl_ovn.py`` replaces it).

Private names of python ovs 4.0 that are used: ``Idl._session``, ``Idl._outstanding_txns``,
``Idl._db`` and ``Transaction._process_reply``. It has no public way to ask whether a copy is
current, nor to send a request of one's own.
"""

import contextlib
import errno
import os
import queue
import threading
import time
import typing

from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import impl_idl_ovn, ovsdb_monitor
from ovs import jsonrpc, poller, stream
from ovs.db import idl as ovs_idl
from ovsdbapp.backend.ovs_idl import connection, idlutils

from networking_workflow.model import errors

#: Pause between two attempts of a broken session to come back: first and longest, in milliseconds.
BACKOFF_MS = (200, 2000)


class ConnectionDropped(RuntimeError):
    """The connection was given up while something waited on it."""


class CopyBusy(RuntimeError):
    """The local copy could not be read: a transaction holds it for longer than the bound."""


class BoundedLock:
    """A re-entrant lock whose ``with`` gives up after ``timeout_s`` seconds.

    :raises CopyBusy: from ``__enter__``.
    """

    def __init__(self, timeout_s: float) -> None:
        self._lock = threading.RLock()
        self._timeout_s = timeout_s

    def __enter__(self) -> bool:
        if not self._lock.acquire(timeout=self._timeout_s):
            raise CopyBusy(f"The OVSDB copy was busy for {self._timeout_s:.1f} s.")
        return True

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()


class Barrier:
    """Stands among an IDL's outstanding transactions until the reply to its request is processed.

    The server sends every update that it committed before the reply, so that the copy holds all of
    them once ``done`` is set.
    """

    def __init__(self) -> None:
        self.done = threading.Event()
        self.ok = False

    def _process_reply(self, msg: typing.Any) -> None:
        self.ok = msg.type == jsonrpc.Message.T_REPLY
        self.done.set()

    @property
    def _status(self) -> str:
        return "incomplete"

    @_status.setter
    def _status(self, _value: str) -> None:
        # The IDL sets it when the session broke, and never otherwise.
        self.done.set()


class _Droppable(ovs_idl.Idl):
    """What both IDLs have in common: waits that :meth:`drop` ends at once."""

    def __init__(self, *args: typing.Any, **kwargs: typing.Any) -> None:
        self.dropped = False
        self.committing = False  #: a transaction is under way; set by its queue
        self._wake_read, self._wake_write = os.pipe()
        super().__init__(*args, **kwargs)
        self._session.reconnect.set_backoff(*BACKOFF_MS)

    def wait(self, poll: typing.Any) -> None:
        super().wait(poll)
        poll.fd_wait(self._wake_read, poller.POLLIN)

    def run(self) -> bool:
        if not self.dropped:
            return bool(super().run())
        if self.committing:
            raise ConnectionDropped("The connection was given up after a time-out.")
        return False

    def drop(self) -> None:
        """End every wait on this IDL, now and later."""
        self.dropped = True
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        super().close()
        os.close(self._wake_write)
        os.close(self._wake_read)

    @property
    def current(self) -> bool:
        """Whether the copy follows the server: connected, and its contents received."""
        return (
            not self.dropped
            and self.state == ovs_idl.Idl.IDL_S_MONITORING
            and bool(self._session.is_connected())
        )

    def send_barrier(self) -> Barrier:
        """Ask for a reply that comes after all updates so far; the caller holds the lock."""
        barrier = Barrier()
        operation = {"op": "comment", "comment": "barrier"}
        request = jsonrpc.Message.create_request("transact", [self._db.name, operation])
        if self._session.send(request):
            barrier.done.set()
        else:
            self._outstanding_txns[request.id] = barrier
        return barrier


class NorthboundIdl(_Droppable, ovsdb_monitor.Ml2OvnIdlBase):
    """The copy of the Northbound database; raises no events, so it needs no thread for them."""

    @classmethod
    def from_helper(cls, remote: str, helper: typing.Any) -> typing.Self:
        """Return the copy of all tables."""
        helper.register_all()
        return cls(remote, helper)


class SouthboundIdl(_Droppable, ovsdb_monitor.Ml2OvnIdlBase):
    """The copy of those Southbound tables that the driver reads."""

    @classmethod
    def from_helper(cls, remote: str, helper: typing.Any) -> typing.Self:
        """Return the copy of the chassis and their bindings; any server of a cluster will do."""
        for table in ("Chassis", "Chassis_Private", "Encap", "Port_Binding", "Datapath_Binding"):
            helper.register_table(table)
        return cls(remote, helper, leader_only=False)


class _Queue(connection.TransactionQueue):
    """Hands out no transaction any more once the connection is dropped.

    Who asks for a transaction takes all alerts. Stock takes one for each transaction: that of a
    barrier, which has none, would keep the thread awake for ever, at the price of a processor.
    """

    def __init__(self, idl: typing.Any) -> None:
        super().__init__(1)
        self._idl = idl
        os.set_blocking(self.alert_fileno, False)

    def get_nowait(self, *_args: typing.Any, **_kwargs: typing.Any) -> typing.Any:
        if self._idl.dropped:
            return None
        # The alerts first: one that comes later may be that of a transaction that comes later.
        with contextlib.suppress(BlockingIOError):
            while os.read(self.alert_fileno, 4096):
                pass
        try:
            transaction: typing.Any = queue.Queue.get_nowait(self)
        except queue.Empty:
            transaction = None
        self._idl.committing = transaction is not None
        return transaction

    def task_done(self) -> None:
        self._idl.committing = False
        super().task_done()


class BoundedConnection(connection.Connection):
    """A connection whose every wait ends after ``timeout`` seconds."""

    def __init__(self, idl: typing.Any, timeout: float) -> None:
        super().__init__(idl, timeout)
        self.thread: threading.Thread | None = None
        self.txns: connection.TransactionQueue
        self.txns.close()
        self.txns = _Queue(idl)
        self.lock = BoundedLock(timeout)

    def start(self) -> bool:
        """Receive the first contents and start the thread that follows the server.

        :raises BackendUnreachable: if they did not come within the time-out.
        """
        with self.lock:
            if self.thread is not None:
                return False
            self._receive_contents()
            self.poller = poller.Poller()
            self.is_running = True
            self.thread = threading.Thread(
                target=self.run, daemon=True, name=f"workflow-{type(self.idl).__name__}"
            )
            self.thread.start()
        return True

    def _receive_contents(self) -> None:
        deadline = time.monotonic() + self.timeout
        self.idl.run()
        while not self.idl.current:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self.idl.close()
                raise errors.BackendUnreachable(
                    f"{type(self.idl).__name__} got no contents within {self.timeout:.1f} s."
                )
            poll = poller.Poller()
            self.idl.wait(poll)
            poll.timer_wait(int(left_s * 1000) + 1)
            poll.block()
            self.idl.run()

    def drop(self) -> None:
        """Give the connection up: nothing that is queued on it is committed any more."""
        if not self.idl.dropped:
            # In this order: the thread ends, and closes what wakes it, once it does not run.
            self.idl.drop()
        self.is_running = False


class ReadOnly(RuntimeError):
    """Something tried to write through a connection that is for looking only."""


class ReadOnlyConnection(BoundedConnection):
    """Follows the server, and sends it no transaction."""

    def queue_txn(self, txn: typing.Any) -> None:
        """Refuse it.

        :raises ReadOnly: always.
        """
        raise ReadOnly(f"A transaction on a connection that is for looking only: {txn.commands}")


class NorthboundApi(impl_idl_ovn.OvsdbNbOvnIdl):
    """Neutron's Northbound API on a connection of our own."""

    def start_connection(self, connection: typing.Any) -> None:
        connection.start()


class SouthboundApi(impl_idl_ovn.OvsdbSbOvnIdl):
    """Neutron's Southbound API on a connection of our own."""

    def start_connection(self, connection: typing.Any) -> None:
        connection.start()


def fetch_schema(remote: str, name: str, timeout_s: float) -> typing.Any:
    """Return the schema of database ``name`` as JSON, from the first server that answers.

    :raises BackendUnreachable: if none does within ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    said = errno.ETIMEDOUT
    for address in idlutils.parse_connection(remote):
        left_ms = max(1, int((deadline - time.monotonic()) * 1000))
        said, opened = stream.Stream.open_block(stream.Stream.open(address), left_ms)
        if not said:
            rpc = jsonrpc.Connection(opened)
            said, schema = _ask_schema(rpc, name, deadline)
            rpc.close()
            if not said:
                return schema
    raise errors.BackendUnreachable(f"{name} cannot be reached: {os.strerror(abs(said))}.")


def _ask_schema(rpc: typing.Any, name: str, deadline: float) -> tuple[int, typing.Any]:
    request = jsonrpc.Message.create_request("get_schema", [name])
    failed = rpc.send(request)
    while not failed:
        rpc.run()
        failed, message = rpc.recv()
        if not failed and message.id == request.id:
            return (0, message.result) if message.result else (errno.EPROTO, None)
        if failed == errno.EAGAIN:
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                return errno.ETIMEDOUT, None
            poll = poller.Poller()
            rpc.wait(poll)
            rpc.recv_wait(poll)
            poll.timer_wait(left_ms)
            poll.block()
            failed = 0
    return failed, None
