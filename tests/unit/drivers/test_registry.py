# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which resources a mechanism driver may have work for."""

import types

from neutron_lib.plugins.ml2 import api

from networking_workflow.drivers import registry


class Deaf(api.MechanismDriver):
    def initialize(self):
        """Do nothing."""


class Binds(Deaf):
    """Has no work after a commit: a task may ask it to bind a port all the same."""

    def bind_port(self, context):
        """Bind nothing."""


class Hears(Deaf):
    def create_network_postcommit(self, context):
        """Do nothing."""

    def delete_subnet_postcommit(self, context):
        """Do nothing."""


def plugin_with(**drivers):
    ordered = [types.SimpleNamespace(name=name, obj=one) for name, one in drivers.items()]
    manager = types.SimpleNamespace(ordered_mech_drivers=ordered)
    return types.SimpleNamespace(mechanism_manager=manager)


def test_a_driver_is_known_by_its_hooks_and_by_the_ports_that_it_binds():
    drivers = {"ovn": Deaf(), "deaf": Deaf(), "binds": Binds(), "hears": Hears()}
    assert registry.known_kinds(plugin_with(**drivers)) == {
        "ovn": None,
        "deaf": frozenset(),
        "binds": frozenset({"port"}),
        "hears": frozenset({"network", "subnet"}),
    }


def test_a_driver_that_only_tells_agents_has_no_task():
    plugin = plugin_with(hears=Hears(), l2population=Hears())
    assert registry.known_kinds(plugin)["l2population"] == frozenset()
    built = registry.build(plugin, registry.DriverSettings())
    assert [driver.name for driver in built] == ["binding-hears", "hears"]
