# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The QoS plugin's manager of drivers, with what follows a commit left out.

QoS publishes no events: the plugin calls its drivers through the manager, for a change of a rule as
for one of its policy.
"""

import typing

from neutron.services.qos.drivers import manager
from neutron_lib.services.qos import constants as qos_constants

#: Calls after the commit; the others are part of the transaction, or decide the answer.
AFTER_COMMIT = frozenset(
    {qos_constants.CREATE_POLICY, qos_constants.UPDATE_POLICY, qos_constants.DELETE_POLICY}
)


class CapturingDriverManager(
    manager.QosServiceDriverManager  # type: ignore[misc]  # Neutron has no types
):
    """Stands in for the manager that ``QoSPlugin.__init__`` makes, in ``qos_plugin.py``."""

    def call(self, method_name: str, *args: typing.Any, **kwargs: typing.Any) -> None:
        """Call the drivers, but not after the commit: the workflow of the policy does."""
        if method_name not in AFTER_COMMIT:
            super().call(method_name, *args, **kwargs)

    def names(self) -> list[str]:
        """Return the names of the drivers."""
        return [driver.name for driver in self._drivers]
