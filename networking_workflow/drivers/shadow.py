# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A driver for the mode ``shadow``: it looks, and cannot write.

Stock ML2 makes the backend follow, after the commit of its call. So a look may come too early: a
difference is an error that is tried again, and one that is left after the last attempt means that
the backend has drifted from the database.
"""

import typing

from networking_workflow.drivers import ml2, protocol
from networking_workflow.model import errors, states

#: Differences that a failure names; of a network with a thousand ports there may be as many.
_MOST_NAMED = 20


class Comparing(typing.Protocol):
    """What compares one backend with the database. It has nothing that changes either."""

    @property
    def name(self) -> str:
        """Return the alias of the mechanism driver."""

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether it can say anything about such a change."""

    def differences(self, target: protocol.Target) -> typing.Sequence[str]:
        """Return in words what the backend holds otherwise than it must; none: equal.

        After a delete it must not hold the resource.

        :raises DriverError: if it cannot be said.
        """

    def probe(self) -> None:
        """See :meth:`protocol.Driver.probe`."""


class ShadowDriver:
    """``drivers.protocol.Driver`` whose every call is a look."""

    def __init__(self, comparing: Comparing) -> None:
        self._comparing = comparing

    @property
    def name(self) -> str:
        """Return the alias of the mechanism driver."""
        return self._comparing.name

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether there is anything to compare."""
        return self._comparing.handles(resource_type, operation)

    def apply(self, target: protocol.Target) -> None:
        """Compare; nothing is kept of it, for nothing was applied.

        :raises BackendDrifted: if the backend differs.
        """
        self._look(target)

    def delete(self, target: protocol.Target) -> None:
        """Look whether the backend has forgotten the resource.

        :raises BackendDrifted: if it has not.
        """
        self._look(target)

    def probe(self) -> None:
        """See :meth:`protocol.Driver.probe`."""
        self._comparing.probe()

    def _look(self, target: protocol.Target) -> None:
        found = self._comparing.differences(target)
        if found:
            named = "; ".join(found[:_MOST_NAMED])
            more = len(found) - _MOST_NAMED
            raise errors.BackendDrifted(named + (f"; and {more} more" if more > 0 else ""))


class _Eyes:
    """A mechanism driver of which nothing is left but what tells of the backend."""

    def __init__(self, mech_driver: typing.Any) -> None:
        self.observe, self.desired = mech_driver.observe, mech_driver.desired
        if isinstance(mech_driver, protocol.Probing):
            self.probe = mech_driver.probe


class ObservingComparing:
    """Compares for a mechanism driver that offers ``protocol.Observing``.

    ``Ml2Driver`` calls the hooks that a driver has, then reads back. This one has no hook.
    """

    def __init__(self, name: str, mech_driver: typing.Any, plugin: typing.Any) -> None:
        self.handles = ml2.Ml2Driver(name, mech_driver, plugin).handles
        self._reads = ml2.Ml2Driver(name, _Eyes(mech_driver), plugin)

    @property
    def name(self) -> str:
        """Return the alias of the mechanism driver."""
        return self._reads.name

    def differences(self, target: protocol.Target) -> typing.Sequence[str]:
        """See :meth:`Comparing.differences`."""
        try:
            if target.operation is states.Operation.DELETE:
                self._reads.delete(target)
            else:
                self._reads.apply(target)
        except errors.BackendDiffers as differs:
            return differs.differences
        return ()

    def probe(self) -> None:
        """See :meth:`protocol.Driver.probe`."""
        self._reads.probe()
