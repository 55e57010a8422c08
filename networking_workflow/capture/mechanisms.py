# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""ML2's mechanism manager, with the backend calls left out and their edge data kept.

``*_precommit`` run as they are, and what an edge-triggered driver will ask for and no row tells
after the commit goes into the session's transaction. ``*_postcommit`` do nothing: a conductor calls
the drivers, but for those of ``registry.TELL_AGENTS``. Binding stays in the API call, for its
answer tells Nova how the port is plugged; see ``capture.bindings`` for the exception. In the mode
``shadow`` ``*_postcommit`` are stock's.
"""

import copy
import typing

from neutron.plugins.ml2 import managers

from networking_workflow.capture import bindings, edges
from networking_workflow.drivers import registry


class RecordingMechanismManager(bindings.DeferringMechanismManager):
    """Stands in for the manager that ``Ml2Plugin.__init__`` makes; see ``capture.plugin``.

    A create keeps nothing: its rows can be read again, and the context of ``create_port`` lacks at
    precommit what ML2 adds to it after the commit.
    """

    def update_network_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the network as it was."""
        super().update_network_precommit(context)
        edges.keep_network(context)

    def delete_network_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the network with its segments."""
        super().delete_network_precommit(context)
        edges.keep_network(context, delete=True)

    def update_subnet_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the subnet as it was."""
        super().update_subnet_precommit(context)
        edges.keep_subnet(context)

    def delete_subnet_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the subnet with its network."""
        super().delete_subnet_precommit(context)
        edges.keep_subnet(context, delete=True)

    def update_port_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the port and its binding as they were."""
        super().update_port_precommit(context)
        edges.keep_port(context)

    def delete_port_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and keep the port with its binding and network."""
        super().delete_port_precommit(context)
        edges.keep_port(context, delete=True)


class CapturingMechanismManager(RecordingMechanismManager):
    """And leaves the drivers to conductors, but for those that tell agents only."""

    def _telling(self) -> typing.Any:
        """Return stock's manager of the drivers that are called in the call, errors and all."""
        telling = copy.copy(self)
        telling.__class__ = managers.MechanismManager
        telling.ordered_mech_drivers = [
            driver for driver in self.ordered_mech_drivers if driver.name in registry.TELL_AGENTS
        ]
        return telling

    def create_network_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().create_network_postcommit(context)

    def update_network_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().update_network_postcommit(context)

    def delete_network_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().delete_network_postcommit(context)

    def create_subnet_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().create_subnet_postcommit(context)

    def update_subnet_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().update_subnet_postcommit(context)

    def delete_subnet_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().delete_subnet_postcommit(context)

    def create_port_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().create_port_postcommit(context)

    def update_port_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().update_port_postcommit(context)

    def delete_port_postcommit(self, context: typing.Any) -> None:
        """Tell agents: the workflow does the rest."""
        self._telling().delete_port_postcommit(context)
