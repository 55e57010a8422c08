# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Puts a core plugin in the place of the one that a suite asks Neutron for.

The suites are not changed and know nothing of it: they set ``core_plugin``, and Neutron's manager
loads what that name stands for (``NeutronManager.load_class_for_provider``). No conductor runs, so
no workflow does: what the suites see is the API call alone.
"""

import contextlib
import typing
from unittest import mock

import sqlalchemy as sa
from neutron import manager as neutron_manager
from neutron.plugins.ml2 import plugin as ml2_plugin
from neutron_lib import fixture as lib_fixture
from neutron_lib.db import model_base
from neutron_lib.plugins import directory
from oslo_config import cfg

from lab.conformance import suites
from lab.conformance.variants import Variant
from networking_workflow.api import answers
from networking_workflow.api import plugin as api_plugin
from networking_workflow.capture import mechanisms, refusals, seams
from networking_workflow.journal import tables

CORE_PLUGINS = "neutron.core_plugins"


class Deferring:
    """This plugin beside a router plugin made for tests, which has no providers of routers."""

    class Ml2Plugin(api_plugin.Ml2Plugin):
        """Leaves router plugins alone that are not OVN's: the product refuses them."""

        __module__ = api_plugin.__name__  # Neutron looks for extensions in its package
        __native_bulk_support = True
        __native_pagination_support = True
        __native_sorting_support = True

        def _router_plugin_loaded(self, l3_plugin: typing.Any) -> None:
            controller = getattr(l3_plugin, "l3_driver_controller", None)
            if controller is not None and "ovn" in controller.drivers:
                super()._router_plugin_loaded(l3_plugin)


class Calling:
    """This plugin with no call to a driver left out: all that differs from it is when."""

    class Ml2Plugin(Deferring.Ml2Plugin):
        """Calls drivers inside the API call."""

        __module__ = api_plugin.__name__
        __native_bulk_support = True
        __native_pagination_support = True
        __native_sorting_support = True

        @property
        def mechanism_manager(self) -> typing.Any:
            """Return the manager of the mechanism drivers."""
            return self.__dict__["mechanism_manager"]

        @mechanism_manager.setter
        def mechanism_manager(self, manager: typing.Any) -> None:
            manager.__class__ = mechanisms.RecordingMechanismManager
            self.__dict__["mechanism_manager"] = manager

        def _lift_subscriptions(self) -> None:
            """Lift nothing; all else is done as ever."""
            with mock.patch.object(seams, "lift_ovn_subscriptions"):
                super()._lift_subscriptions()

        def service_plugins_loaded(self) -> None:
            """Let their answers say the state, and leave their drivers as they are."""
            for kind, plugin in directory.get_plugins().items():
                answers.service_answers_pending(kind, plugin)


PLUGINS: dict[Variant, type[typing.Any]] = {
    Variant.STOCK: ml2_plugin.Ml2Plugin,
    Variant.OURS: Deferring.Ml2Plugin,
    Variant.AT_ONCE: Calling.Ml2Plugin,
}

#: The suites' plugins and drivers are made for tests: no refusal names them as covered.
_REFUSALS = (
    *("refuse_uncovered", "refuse_receivers", "refuse_router_providers"),
    *("refuse_qos_drivers", "refuse_log_drivers"),
)


class InPlace:
    """One of the plugins, in the place of ML2 in this process."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.plugin = PLUGINS[variant]
        self.loads = 0  #: how often a suite has asked for ML2
        self._load = neutron_manager.NeutronManager.load_class_for_provider

    def _load_class(self, namespace: str, provider: str) -> typing.Any:
        if namespace == CORE_PLUGINS and provider in suites.ML2 | suites.REPLACED:
            self.loads += 1
            _load_what_ml2_requires()
            return self.plugin
        return self._load(namespace, provider)

    @contextlib.contextmanager
    def put(self) -> typing.Iterator[None]:
        """Stand in for the plugin, and give the suites' databases the journal's tables."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                mock.patch.object(
                    neutron_manager.NeutronManager,
                    "load_class_for_provider",
                    staticmethod(self._load_class),
                )
            )
            if self.variant is not Variant.STOCK:
                for name in _REFUSALS:
                    stack.enter_context(mock.patch.object(refusals, name))
                stack.enter_context(
                    mock.patch.object(answers, "service_answers_pending", _unless_made_for_tests)
                )
                sa.event.listen(model_base.BASEV2.metadata, "after_create", _create_journal)
            yield

    def tidy(self) -> None:
        """Empty the journal after a test, as the suites empty Neutron's tables."""
        static = lib_fixture.StaticSqlFixture
        if self.variant is Variant.STOCK or not static._GLOBAL_RESOURCES:
            return
        with static.engine.begin() as connection:
            for table in reversed(tables.metadata.sorted_tables):
                connection.execute(table.delete())


_ANSWERS_PENDING = answers.service_answers_pending


def _unless_made_for_tests(kind: str, plugin: typing.Any) -> None:
    """Leave a mock of a service plugin alone, and a toy that lacks some of its methods."""
    names = answers.SERVICE_WRITES.get(kind, ())
    if not hasattr(plugin, "mock_calls") and all(hasattr(plugin, name) for name in names):
        _ANSWERS_PENDING(kind, plugin)


def _load_what_ml2_requires() -> None:
    """Load the extension driver without which ML2 refuses the QoS plugin, if that is asked for."""
    drivers = cfg.CONF.ml2.extension_drivers
    if "qos" in cfg.CONF.service_plugins and "qos" not in drivers:
        cfg.CONF.set_override("extension_drivers", [*drivers, "qos"], "ml2")


def _create_journal(_target: typing.Any, connection: sa.Connection, **_options: object) -> None:
    tables.metadata.create_all(connection)
