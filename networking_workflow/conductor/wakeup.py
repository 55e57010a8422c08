# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Hints between processes of one host: one datagram after a commit, best effort.

Each conductor binds a socket in ``wakeup_dir``; whoever committed workflows writes one byte to all
of them. A hint carries nothing and promises nothing: a lost one costs the time until the next poll.
"""

import contextlib
import os
import pathlib
import select
import socket
import uuid

_SUFFIX = ".wake"

#: Datagrams taken off the socket at once; they all mean the same.
_DRAIN = 64


class Listener:
    """A conductor's ear; also wakes up its owner from within (:meth:`nudge`)."""

    def __init__(self, wakeup_dir: str | None) -> None:
        self._inner, self._nudger = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sockets = [self._inner]
        self._nudger.setblocking(False)
        self.path: pathlib.Path | None = None
        if wakeup_dir is not None:
            self.path = pathlib.Path(wakeup_dir) / f"{uuid.uuid4().hex}{_SUFFIX}"
            self._sockets.append(self._bind(self.path))
        for one in self._sockets:
            one.setblocking(False)
        self._poll = select.poll()  # not select(): an API process may have more than 1024 files
        for one in self._sockets:
            self._poll.register(one, select.POLLIN)

    @staticmethod
    def _bind(path: pathlib.Path) -> socket.socket:
        """Bind a socket in a folder made for it.

        :raises OSError: if the folder cannot be made or written to.
        """
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            bound.bind(str(path))
        except OSError:
            bound.close()
            raise
        return bound

    def wait(self, timeout_s: float) -> bool:
        """Return True at the first hint, False after ``timeout_s`` seconds without one.

        A nudge ends the wait without being a hint.
        """
        ready = {number for number, _ in self._poll.poll(max(0.0, timeout_s) * 1000)}
        readable = [one for one in self._sockets if one.fileno() in ready]
        for one in readable:
            with contextlib.suppress(BlockingIOError):
                for _ in range(_DRAIN):
                    one.recv(1)
        return any(one is not self._inner for one in readable)

    def nudge(self) -> None:
        """Make :meth:`wait` return soon."""
        with contextlib.suppress(OSError):  # full of nudges already, or closed
            self._nudger.send(b"n")

    def close(self) -> None:
        """Remove the socket."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        for one in (*self._sockets, self._nudger):
            one.close()


class Sender:
    """Sends hints to the conductors of this host; never blocks, never raises.

    It may be used by several threads, and survives a fork.
    """

    def __init__(self, wakeup_dir: str, *, skip: pathlib.Path | None = None) -> None:
        self._folder, self._skip = wakeup_dir, skip.name if skip else None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self) -> int:
        """Send one hint to each conductor; return how many took it."""
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - bare names, once per commit
        except OSError:
            return 0
        return sum(
            self._send_to(f"{self._folder}/{name}")
            for name in names
            if name.endswith(_SUFFIX) and name != self._skip
        )

    def _send_to(self, path: str) -> bool:
        try:
            self._socket.sendto(b"w", path)
        except ConnectionRefusedError:
            # Nobody has it open any more: its conductor was killed. Names are never used again.
            dead = pathlib.Path(path)
            with contextlib.suppress(OSError):
                if dead.is_socket():
                    dead.unlink()
            return False
        except BlockingIOError:
            return True  # it has hints enough to wake up for
        except OSError:
            return False  # just removed, or not ours to write to
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
