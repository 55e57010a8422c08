# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The core plugin: ML2 whose changes become workflows and whose API sends nothing to a backend.

In the mode ``shadow`` the changes become workflows as well, and the API sends what stock's sends.
"""

import sys
import typing

from neutron_lib.plugins import constants, directory
from oslo_config import cfg
from oslo_log import log

from networking_workflow import releases
from networking_workflow.capture import (
    bindings,
    driver_managers,
    mechanisms,
    refusals,
    seams,
    session,
    workflows,
)
from networking_workflow.model import errors
from networking_workflow.model.modes import Mode

LOG = log.getLogger(__name__)

#: What the trunk plugin is called in the directory; nothing has a name for it.
_TRUNK = "trunk"

#: gunicorn ends instead of starting a worker again and again that ends with this code.
EXIT_REFUSED = 3

# Before the plugin's constructor opens the database; acts on SQLite files only.
seams.queue_sqlite_writers()


class CapturingMl2Plugin(bindings.DeferringMl2Plugin):
    """ML2 with capture. The class that is configured must be called ``Ml2Plugin``.

    Neutron looks ``_<class name>__native_*_support`` up by the name of the instance's class
    (``neutron/api/api_common.py``). A subclass called ``Ml2Plugin`` inherits ML2's own; one of any
    other name silently loses native bulk calls, pagination and sorting, hence the three for this
    name. And ``neutron-ovn-db-sync-util`` swaps core plugins by that name.
    """

    __native_bulk_support = True
    __native_pagination_support = True
    __native_sorting_support = True

    mode = Mode.DRIVE  #: to be set before this class's constructor

    def __init__(self) -> None:
        exit_on_error(releases.check)
        exit_on_error(_refuse_uncovered)
        seams.see_service_plugins_loaded()
        super().__init__()
        self.capture_changes()
        if self.mode is Mode.SHADOW:
            self._leave_stock()
        else:
            self._lift_subscriptions()

    def capture_changes(self, lanes: tuple[workflows.Lane, ...] = ()) -> None:
        """Capture the changes of this process, for these lanes; none: for the default one."""
        writes = self.mode is Mode.DRIVE
        session.install(session.CaptureSettings(lanes=lanes, tasks_write=writes))

    @property
    def mechanism_manager(self) -> typing.Any:
        """Return the manager of the mechanism drivers."""
        return self.__dict__["mechanism_manager"]

    @mechanism_manager.setter
    def mechanism_manager(self, manager: typing.Any) -> None:
        # ML2's constructor makes the manager itself and offers no way to give it another class.
        manager.__class__ = _MANAGERS[self.mode]
        self.__dict__["mechanism_manager"] = manager

    def _leave_stock(self) -> None:
        """Lift nothing; OVN's driver is another for conductors' threads and SQLite only."""
        ovn = self.mechanism_manager.mech_drivers.get("ovn")
        if ovn is not None:
            seams.keep_ovn_heartbeats_off_the_event_thread()
            from networking_workflow.drivers.ovn import modes as ovn_modes
            from networking_workflow.drivers.ovn import seams as ovn_seams

            exit_on_error(ovn_modes.check_is_known)
            ovn_seams.use_own_connections(ovn.obj, pings_apart=False)

    def _lift_subscriptions(self) -> None:
        ovn = self.mechanism_manager.mech_drivers.get("ovn")
        if ovn is not None:
            seams.read_ovn_zones_from_the_database()
            seams.keep_ovn_heartbeats_off_the_event_thread()
            exit_on_error(lambda: seams.lift_ovn_subscriptions(ovn.obj))
            # Imported here, since it imports the OVN libraries, which others do not need.
            from networking_workflow.drivers.ovn import modes as ovn_modes
            from networking_workflow.drivers.ovn import seams as ovn_seams

            exit_on_error(ovn_modes.check)
            ovn_seams.prepare(ovn.obj)

    def service_plugins_loaded(self) -> None:
        """Keep the service plugins from their backends; see ``seams.see_service_plugins_loaded``.

        In the mode ``shadow`` they are left alone, but what is not covered is refused all the same:
        what is looked at is what will be driven.

        :raises SystemExit: if they, or mechanism drivers, are not covered.
        """
        exit_on_error(lambda: refusals.refuse_receivers(self._hearing()))
        l3_plugin = directory.get_plugin(constants.L3)
        if l3_plugin is not None:
            self._router_plugin_loaded(l3_plugin)
        exit_on_error(_refuse_drivers_of_services)
        if self.mode is Mode.DRIVE:
            exit_on_error(self._lift_services)

    def _hearing(self) -> dict[str, list[str]]:
        """Return which methods of each mechanism driver hear of changes that are covered."""
        hearing = {
            driver.name: seams.receivers_after_commit(driver.obj)
            for driver in self.mechanism_manager.ordered_mech_drivers
        }
        if self.mode is Mode.SHADOW and "ovn" in hearing:
            lifted = {name for name, _, _ in seams.OVN_SUBSCRIPTIONS}
            hearing["ovn"] = [name for name in hearing["ovn"] if name not in lifted]
        return hearing

    def _router_plugin_loaded(self, l3_plugin: typing.Any) -> None:
        providers = l3_plugin.l3_driver_controller.drivers
        exit_on_error(lambda: refusals.refuse_router_providers(providers))
        if self.mode is Mode.DRIVE:
            exit_on_error(lambda: seams.lift_ovn_router_subscriptions(l3_plugin))
            seams.read_router_zones_from_the_database(l3_plugin)

    def _lift_services(self) -> None:
        ovn = self.mechanism_manager.mech_drivers.get("ovn")
        if ovn is not None:
            seams.lift_ovn_trunk_subscriptions(ovn.obj)
        qos_plugin = directory.get_plugin(constants.QOS)
        if qos_plugin is not None:
            qos_plugin.driver_manager.__class__ = driver_managers.QosDrivers
        log_plugin = directory.get_plugin(constants.LOG_API)
        if log_plugin is not None:
            log_plugin.driver_manager.__class__ = driver_managers.LogDrivers
            seams.lift_log_subscriptions()


_MANAGERS = {
    Mode.DRIVE: mechanisms.CapturingMechanismManager,
    Mode.SHADOW: mechanisms.RecordingMechanismManager,
}


def _refuse_uncovered() -> None:
    refusals.refuse_uncovered(
        service_plugins=cfg.CONF.service_plugins,
        extension_drivers=cfg.CONF.ml2.extension_drivers,
        mechanism_drivers=cfg.CONF.ml2.mechanism_drivers,
    )


def _refuse_drivers_of_services() -> None:
    """Check the drivers that service plugins have loaded.

    :raises ConfigurationError: if one of them is not covered.
    """
    trunk_plugin = directory.get_plugin(_TRUNK)
    if trunk_plugin is not None:
        # That of openvswitch registers wherever there is a trunk plugin.
        drivers = (one for one in trunk_plugin.registered_drivers if one.is_loaded)
        refusals.refuse_trunk_drivers([driver.name for driver in drivers])
    qos_plugin = directory.get_plugin(constants.QOS)
    if qos_plugin is not None:
        refusals.refuse_qos_drivers(driver_managers.qos_drivers(qos_plugin.driver_manager))
    log_plugin = directory.get_plugin(constants.LOG_API)
    if log_plugin is not None:
        refusals.refuse_log_drivers(driver_managers.log_drivers(log_plugin.driver_manager))


def exit_on_error(check: typing.Callable[[], object]) -> None:
    """Run a check at start; end the process with the error's words, not with a trace.

    :raises SystemExit: if the check raises a ConfigurationError.
    """
    try:
        check()
    except errors.ConfigurationError as error:
        LOG.critical("%s", error)
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_REFUSED) from error
