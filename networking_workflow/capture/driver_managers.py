# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Service plugins' managers of drivers, with what follows a commit left out.

QoS and logging publish no events of their own resources: the plugins call their drivers through
these managers, QoS for a change of a rule as for one of its policy. What the logging manager hears
of rules is lifted in ``capture.seams``.
"""

import collections.abc
import typing

from neutron.services.logapi.drivers import manager as log_manager
from neutron.services.qos.drivers import manager as qos_manager
from neutron_lib.services.logapi import constants as log_const
from neutron_lib.services.qos import constants as qos_const


class _Capturing:
    """Stands before a manager: after the commit not its drivers are called, but workflows run."""

    #: Calls after the commit; the others are part of the transaction, or decide the answer.
    AFTER_COMMIT: typing.ClassVar[collections.abc.Set[str]]

    def call(self, method_name: str, *args: typing.Any, **kwargs: typing.Any) -> None:
        """Call the drivers, but not after the commit."""
        if method_name not in self.AFTER_COMMIT:
            typing.cast(typing.Any, super()).call(method_name, *args, **kwargs)


class QosDrivers(
    _Capturing,
    qos_manager.QosServiceDriverManager,
):
    """Stands in for the manager that ``QoSPlugin.__init__`` makes, in ``qos_plugin.py``."""

    AFTER_COMMIT = frozenset(
        {qos_const.CREATE_POLICY, qos_const.UPDATE_POLICY, qos_const.DELETE_POLICY}
    )


class LogDrivers(
    _Capturing,
    log_manager.LoggingServiceDriverManager,
):
    """Stands in for the manager that ``LoggingPlugin.__init__`` makes, in ``logging_plugin.py``."""

    AFTER_COMMIT = frozenset(
        {
            *(log_const.CREATE_LOG, log_const.UPDATE_LOG, log_const.DELETE_LOG),
            log_const.RESOURCE_UPDATE,
        }
    )


def qos_drivers(manager: qos_manager.QosServiceDriverManager) -> list[str]:
    """Return the names of the drivers of the QoS plugin."""
    return [driver.name for driver in manager._drivers]


def log_drivers(manager: log_manager.LoggingServiceDriverManager) -> list[str]:
    """Return the names of the drivers of the logging plugin."""
    return [driver.name for driver in manager.drivers]
