# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Named places where a test may make a process die or stop.

In a process: :func:`arm`. In a child process: the environment variable
``NETWORKING_WORKFLOW_FAILPOINTS="name=kill[:count],other=kill"`` kills it with SIGKILL when it
comes to ``name`` for the ``count``-th time (default 1). Otherwise a failpoint does nothing.
"""

import collections.abc
import functools
import os
import signal
import threading

ENVIRONMENT = "NETWORKING_WORKFLOW_FAILPOINTS"

_armed: dict[str, collections.abc.Callable[[], None]] = {}
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Do what a test armed ``name`` with; nothing otherwise."""
    _from_environment()
    action = _armed.get(name)
    if action is not None:
        action()


def arm(name: str, action: collections.abc.Callable[[], None]) -> None:
    """Call ``action`` on every thread that comes to ``name``."""
    with _lock:
        _armed[name] = action


def disarm(name: str) -> None:
    """Make ``name`` do nothing again."""
    with _lock:
        _armed.pop(name, None)


def arm_from_environment(text: str) -> None:
    """Arm what ``text`` (the value of :data:`ENVIRONMENT`) asks for.

    :raises ValueError: if it asks for anything but ``name=kill`` or ``name=kill:count``.
    """
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition("=")
        verb, _, count = action.partition(":")
        if not name or verb != "kill":
            raise ValueError(f"{ENVIRONMENT} wants name=kill[:count], not {item!r}")
        arm(name, _Killer(int(count or "1")))


class _Killer:
    """Kills the process when called for the ``count``-th time."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


@functools.cache
def _from_environment() -> None:
    arm_from_environment(os.environ.get(ENVIRONMENT, ""))
