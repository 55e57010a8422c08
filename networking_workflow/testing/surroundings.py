# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the contract needs to know of the cloud around a driver: its rows, and its backend."""

import contextlib
import typing

from networking_workflow.drivers import protocol

Applied = typing.Mapping[str, typing.Any] | None


class Rows(typing.Protocol):
    """Neutron's rows; each method commits one change and returns the target of its task."""

    def make(self, kind: str) -> protocol.Target:
        """Make a resource; what it refers to is in the backend already, itself is not."""

    def change(self, target: protocol.Target, applied: Applied) -> protocol.Target:
        """Change it so that it shows in the backend, each time in another way."""

    def remove(self, target: protocol.Target, applied: Applied) -> protocol.Target:
        """Delete it."""

    def restore(self, target: protocol.Target) -> protocol.Target:
        """Make what was deleted again, under its old id: the API does, when it undoes a delete."""


class Backend(typing.Protocol):
    """The backend, asked past the driver. What it can do besides is in the protocols below.

    A test that needs more fails, unless the contract's class is said to be ``WITHOUT`` it.
    """

    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        """Return what it holds of a resource, as anything that can be compared; None: nothing."""


@typing.runtime_checkable
class Stopping(typing.Protocol):
    """A backend that can be made unreachable."""

    def stop(self) -> None:
        """Let nothing reach it any more; return when it is so."""

    def start(self) -> None:
        """Let it be reached again, with what it held; return when it is so."""


@typing.runtime_checkable
class Damaging(typing.Protocol):
    """A backend whose contents can be spoilt."""

    def damage(self, resource_type: str, resource_id: str) -> None:
        """Change or remove what it holds of a resource that it has, behind everybody's back."""


@typing.runtime_checkable
class LosingAnswers(typing.Protocol):
    """A backend that can do what it is asked and not say so."""

    def lose_answer(self) -> None:
        """Do the next thing that changes something, and let the driver wait or fail."""


@typing.runtime_checkable
class Observes(typing.Protocol):
    """A driver that can say what its backend holds.

    ``ml2.Ml2Contract`` offers it for every mechanism driver with ``drivers.protocol.Observing``.
    """

    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        """Return what the driver reads back; None: nothing."""


@contextlib.contextmanager
def stopped(backend: Stopping) -> typing.Iterator[None]:
    """Stop a backend for the block."""
    backend.stop()
    try:
        yield
    finally:
        backend.start()
