# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The logging plugin's manager of drivers, with what follows a commit left out.

Like QoS, logging publishes no events of its own resource: the plugin calls its drivers through the
manager. What the manager hears of rules is lifted in ``capture.seams``.
"""

import typing

from neutron.services.logapi.drivers import manager
from neutron_lib.services.logapi import constants as log_const

#: Calls after the commit; the others are part of the transaction.
AFTER_COMMIT = frozenset(
    {
        *(log_const.CREATE_LOG, log_const.UPDATE_LOG, log_const.DELETE_LOG),
        log_const.RESOURCE_UPDATE,
    }
)


class CapturingDriverManager(
    manager.LoggingServiceDriverManager  # type: ignore[misc]  # Neutron has no types
):
    """Stands in for the manager that ``LoggingPlugin.__init__`` makes, in ``logging_plugin.py``."""

    def call(self, method_name: str, *args: typing.Any, **kwargs: typing.Any) -> None:
        """Call the drivers, but not after the commit: the workflow of the log object does."""
        if method_name not in AFTER_COMMIT:
            super().call(method_name, *args, **kwargs)

    def names(self) -> list[str]:
        """Return the names of the drivers."""
        return [driver.name for driver in self.drivers]
