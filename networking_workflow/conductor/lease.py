# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The lease of one conductor: registered, renewed in a thread of its own, and lost in the open.

Renewals must not wait for anything that workers do: a driver call that hangs keeps its lease, and
with it its keys, for as long as this process lives.
"""

import logging
import threading
import time
import typing
import uuid

from networking_workflow.conductor import guard, settings
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

#: Seconds between two tries to register or renew while the database is away.
_DATABASE_RETRY_S = 1.0


class Registry(typing.Protocol):
    """The part of the journal that knows conductors."""

    def register(self, conductor_id: str, *, host: str, pid: int, lease_s: float) -> None:
        """Announce a conductor; from now on it may own workflows."""

    def renew(self, conductor_id: str, lease_s: float) -> bool:
        """Say that it lives; False if another conductor has taken its workflows over."""


class Lease:
    """The right to own workflows under one conductor id, until it is lost."""

    def __init__(self, owner: str, valid_until: float) -> None:
        self.owner = owner  #: conductor id, on every fenced write
        self._valid_until = valid_until  #: ``time.monotonic`` seconds
        self._lost = threading.Event()

    def extend(self, valid_until: float) -> None:
        """Note a renewal; ``valid_until`` counts from *before* it was asked for."""
        self._valid_until = valid_until

    def lose(self) -> None:
        """Another conductor has taken over."""
        self._lost.set()

    @property
    def held(self) -> bool:
        """Return whether backends may be called: not taken over, and renewed in time.

        The database's clock decides who owns what; this one only stops a process that was paused,
        or cut off from the database, before its next call.
        """
        return not self._lost.is_set() and time.monotonic() < self._valid_until

    def require(self, workflow_id: str) -> None:
        """Return if the lease is held.

        :raises LeaseLost: otherwise.
        """
        if not self.held:
            raise errors.LeaseLost(workflow_id)


class LeaseKeeper:
    """Registers this process as a conductor and keeps its lease alive.

    After a loss it registers anew under another id: what the old id owned belongs to others, and a
    late write of ours must not pass for one of the new id's.
    """

    def __init__(self, registry: Registry, config: settings.ConductorSettings, pid: int) -> None:
        self._registry, self._config, self._pid = registry, config, pid
        self._changed = threading.Condition()
        self._lease: Lease | None = None
        self._closed = threading.Event()  #: nobody waits for a lease any more
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Register and renew in a thread; while the database is away it goes on trying."""
        self._thread = threading.Thread(target=self._keep, name="workflow-lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let everybody go who waits for a lease; the present one is renewed until :meth:`stop`."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def stop(self, within_s: float) -> None:
        """Stop renewing; what is still owned is taken over when the lease ends."""
        self._stopping.set()
        self.close()
        if self._thread is not None:
            self._thread.join(within_s)

    def current(self) -> Lease | None:
        """Return the lease; wait while there is none that is held. None: closed meanwhile."""
        with self._changed:
            while not self._closed.is_set():
                if self._lease is not None and self._lease.held:
                    return self._lease
                self._changed.wait(_DATABASE_RETRY_S)
        return None

    @property
    def lease(self) -> Lease | None:
        """Return the present lease, held or not; None: none yet, or lost and not replaced yet."""
        return self._lease

    @property
    def owner(self) -> str | None:
        """Return the present conductor id, if any."""
        lease = self._lease
        return lease.owner if lease else None

    def _register(self) -> None:
        owner, asked_at = str(uuid.uuid4()), time.monotonic()
        self._registry.register(
            owner, host=self._config.host, pid=self._pid, lease_s=self._config.lease_s
        )
        with self._changed:
            self._lease = Lease(owner, asked_at + self._config.lease_s)
            self._changed.notify_all()
        LOG.info("Conductor %s on %s, process %d", owner, self._config.host, self._pid)

    def _keep(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            # Whatever happens: a conductor whose lease nobody renews does nothing, for ever.
            what = f"Renewal of the lease of conductor {self.owner}"
            _, error = guard.guarded(self._renew_or_replace, what)
            if error is not None:
                wait_s = min(_DATABASE_RETRY_S, self._config.renew_s)
            else:
                wait_s = settings.jittered_s(self._config.renew_s)

    def _renew_or_replace(self) -> None:
        lease = self._lease
        if lease is not None:
            asked_at = time.monotonic()
            if self._registry.renew(lease.owner, self._config.lease_s):
                lease.extend(asked_at + self._config.lease_s)
                with self._changed:
                    self._changed.notify_all()
                return
            lease.lose()
            self._lease = None
            LOG.warning(
                "Conductor %s lost its lease: it was silent for more than %.0f s and others took "
                "its workflows over. If this repeats, raise [workflow] lease_s above the longest "
                "pause of this process.",
                lease.owner,
                self._config.lease_s,
            )
        if not self._stopping.is_set():
            self._register()
