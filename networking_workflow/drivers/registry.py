# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which drivers a process has: one for each of ``[ml2] mechanism_drivers``, in that order.

But for those that only tell agents: they have no backend, and no task.
"""

import dataclasses
import typing

from neutron_lib.plugins.ml2 import api

from networking_workflow.drivers import binding, ml2, protocol, shadow
from networking_workflow.model import states
from networking_workflow.model.modes import Mode

#: The mechanism driver that is not called through ML2's hooks: its own driver compares, writes what
#: differs and reads back.
OVN = "ovn"

#: Mechanism drivers whose hooks after a commit only send RPC to agents. They are called where stock
#: calls them: what they send has to agree with what Neutron itself tells the agents at that moment.
TELL_AGENTS = frozenset({"l2population"})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DriverSettings:
    """What drivers are told by value."""

    ovsdb_timeout_s: float = 10.0  #: seconds that one OVN database transaction may take
    mode: Mode = Mode.DRIVE


def build(plugin: typing.Any, settings: DriverSettings) -> list[protocol.Driver]:
    """Return the drivers of a core plugin whose mechanism drivers are initialised.

    Opens no connection: a backend that is down when a process starts is met at the first call. In
    the mode ``shadow`` they cannot write, and one that cannot look is left out.

    :raises ConfigurationError: if a driver refuses what is configured.
    """
    known = _with_tasks(plugin)
    if settings.mode is Mode.SHADOW:
        looking = (_look(one.name, one.obj, plugin, settings) for one in known)
        return [shadow.ShadowDriver(one) for one in looking if one is not None]
    return [
        # Of every one: what was deferred before an operator changed the option is bound, too.
        *(binding.BindingDriver(one.name, one.obj, plugin) for one in known),
        *(_build(one.name, one.obj, plugin, settings) for one in known),
    ]


def _with_tasks(plugin: typing.Any) -> list[typing.Any]:
    known = plugin.mechanism_manager.ordered_mech_drivers
    return [one for one in known if one.name not in TELL_AGENTS]


def _look(
    alias: str, mech_driver: typing.Any, plugin: typing.Any, settings: DriverSettings
) -> shadow.Comparing | None:
    if alias == OVN:
        from networking_workflow.drivers.ovn import comparing as ovn

        return ovn.OvnComparing(mech_driver, plugin=plugin, timeout_s=settings.ovsdb_timeout_s)
    if isinstance(mech_driver, protocol.Observing):
        return shadow.ObservingComparing(alias, mech_driver, plugin)
    return None


def known_kinds(plugin: typing.Any) -> dict[str, frozenset[str] | None]:
    """Return which resource types each mechanism driver may have work for; None: every one."""
    return {
        one.name: None if one.name == OVN else _kinds(one.name, one.obj, plugin)
        for one in plugin.mechanism_manager.ordered_mech_drivers
    }


def _kinds(alias: str, mech_driver: typing.Any, plugin: typing.Any) -> frozenset[str]:
    """Return the types that it has hooks for, and ports if it binds them: a task may ask it to."""
    if alias in TELL_AGENTS:
        return frozenset()
    driver = ml2.Ml2Driver(alias, mech_driver, plugin)
    hooked = frozenset(
        kind
        for kind in ml2.RESOURCE_TYPES
        if any(driver.handles(kind, operation) for operation in states.Operation)
    )
    bind_port = getattr(type(mech_driver), "bind_port", None)
    binds = bind_port not in (None, api.MechanismDriver.bind_port)
    return hooked | {"port"} if binds else hooked


def _build(
    alias: str, mech_driver: typing.Any, plugin: typing.Any, settings: DriverSettings
) -> protocol.Driver:
    if alias == OVN:
        # Imported here, since it imports the OVN libraries, which other deployments do not have.
        from networking_workflow.drivers.ovn import driver as ovn

        return ovn.OvnDriver(mech_driver, plugin=plugin, timeout_s=settings.ovsdb_timeout_s)
    return ml2.Ml2Driver(alias, mech_driver, plugin)
