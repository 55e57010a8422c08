# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The binding of a port as a task: what an API call left because a driver's ``bind_port`` is slow.

Its backend is that of the mechanism driver which is to be asked. What it writes is Neutron's own
database; the tasks that follow tell the backends of the bound port, as of any other.
"""

import typing

from networking_workflow.drivers import contexts, foreign, ml2, protocol
from networking_workflow.model import bindings, errors, states, workflows


class BindingDriver:
    """Keeps ``drivers.protocol.Driver`` for the bindings that wait for one mechanism driver."""

    def __init__(self, alias: str, mech_driver: typing.Any, plugin: typing.Any) -> None:
        self._alias, self._plugin = alias, plugin
        self._backend = ml2.Ml2Driver(alias, mech_driver, plugin)

    @property
    def name(self) -> str:
        """Return the name of its tasks."""
        return f"binding-{self._alias}"

    @property
    def prepares_for(self) -> str:
        """Return the mechanism driver that is asked."""
        return self._alias

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        """Return whether such a workflow may have something to bind."""
        return resource_type == "port" and operation is not states.Operation.DELETE

    def wants(self, snapshot: workflows.Snapshot | None) -> bool:
        """Return whether the call left this workflow a binding for this driver."""
        deferral = bindings.of(snapshot)
        return deferral is not None and deferral.driver == self._alias

    def apply(self, target: protocol.Target) -> None:
        """Ask the mechanism driver, then those after it, and commit.

        :raises PermanentFailure: if none binds the port. They are asked again only when something
            has changed, or an operator says so.
        """
        if target.has_failed:
            raise errors.PermanentFailure("No mechanism driver bound the port.")
        try:
            with foreign.translated(f"{self._alias}.bind_port"):
                self._plugin.bind_deferred(*self._of(target), followed=target.followed)
        except foreign.NoAnswer:
            self.probe()  # one slow answer costs an attempt; a backend that is frozen must not
            raise

    def delete(self, target: protocol.Target) -> None:
        """Do nothing: a binding goes with its port."""

    def give_up(self, target: protocol.Target) -> None:
        """Let the port say ``binding_failed``."""
        with foreign.translated(f"{self.name} giving up"):
            self._plugin.give_binding_up(*self._of(target))

    def probe(self) -> None:
        """Ask the mechanism driver's own ``probe``, if it has one."""
        self._backend.probe()

    @staticmethod
    def _of(target: protocol.Target) -> tuple[typing.Any, str, bindings.Deferral]:
        deferral = bindings.of(target.snapshot)
        assert deferral is not None, "planned by wants()"
        return contexts.admin_context(), target.resource_id, deferral
