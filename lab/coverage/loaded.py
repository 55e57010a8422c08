# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a running core plugin has loaded that could reach a backend.

Subscriptions are those of neutron-lib's callback manager: who subscribes is noted from the start,
so that what was taken back later (``capture.seams``) is seen to have been there. Calls are the
methods of a manager that a loaded driver implements.
"""

import collections.abc
import contextlib
import dataclasses
import inspect
import typing

from neutron.plugins.ml2 import managers
from neutron.services.logapi.drivers import base as log_base
from neutron.services.trunk.drivers import base as trunk_base
from neutron_lib.callbacks import manager as callbacks
from neutron_lib.plugins import constants, directory
from neutron_lib.plugins.ml2 import api as ml2_api
from neutron_lib.services.qos import base as qos_base

from networking_workflow.capture import driver_managers, mechanisms


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Subscription:
    """A callback that somebody has subscribed."""

    receiver: str  #: function, or class and method
    event: str  #: resource.event
    module: str
    lifted: bool = False  #: taken back: it is not called

    @property
    def what(self) -> tuple[str, str]:
        """Return what the tables of ``accounts`` have as their key."""
        return self.receiver, self.event

    def __str__(self) -> str:
        return f"{self.module}:{self.receiver} on {self.event}"


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Call:
    """A method of a driver that a manager calls."""

    driver: str  #: class
    method: str
    lifted: bool = False  #: the manager does not call it in the API process

    @property
    def what(self) -> tuple[str, str]:
        """Return what the tables of ``accounts`` have as their key."""
        return self.driver, self.method

    def __str__(self) -> str:
        return f"{self.driver}.{self.method}"


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """All of it, sorted."""

    subscriptions: tuple[Subscription, ...]
    calls: tuple[Call, ...]

    @property
    def both(self) -> tuple[Subscription | Call, ...]:
        """Return the subscriptions, then the calls."""
        return (*self.subscriptions, *self.calls)


@contextlib.contextmanager
def noting(seen: set[Subscription]) -> collections.abc.Iterator[None]:
    """Note whatever is subscribed in this process while the block runs."""
    stock = callbacks.CallbacksManager.subscribe

    def subscribe(
        self: typing.Any,
        callback: typing.Any,
        resource: str,
        event: str,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> None:
        seen.add(_subscription(callback, resource, event))
        stock(self, callback, resource, event, *args, **kwargs)

    callbacks.CallbacksManager.subscribe = subscribe
    try:
        yield
    finally:
        callbacks.CallbacksManager.subscribe = stock


def called(manager: typing.Any) -> set[Subscription]:
    """Return what a callback manager calls."""
    return {
        _subscription(callback, resource, event)
        for resource, by_event in manager._callbacks.items()
        for event, priorities in by_event.items()
        for priority in priorities
        for callback in priority.pri_callbacks.values()
    }


def subscriptions(
    seen: collections.abc.Set[Subscription], there: collections.abc.Set[Subscription]
) -> tuple[Subscription, ...]:
    """Return what is called, and what of ``seen`` was taken back before anything was called."""
    gone = {dataclasses.replace(one, lifted=True) for one in seen - there}
    return tuple(sorted(there | gone))


def calls(plugin: typing.Any) -> tuple[Call, ...]:
    """Return what the managers of the core plugin and of its service plugins call."""
    manager = plugin.mechanism_manager
    drivers = [driver.obj for driver in manager.ordered_mech_drivers]
    found = [
        Call(named, method, _stands_still(manager, method))
        for driver in drivers
        for named, method in implemented(driver, ml2_api.MechanismDriver)
    ]
    found += [
        Call(named, method, method in driver_managers.QosDrivers.AFTER_COMMIT)
        for driver in directory.get_plugin(constants.QOS).driver_manager._drivers
        for named, method in implemented(driver, qos_base.DriverBase)
    ]
    found += [
        Call(named, method, method in driver_managers.LogDrivers.AFTER_COMMIT)
        for driver in directory.get_plugin(constants.LOG_API).driver_manager.drivers
        for named, method in implemented(driver, log_base.DriverBase)
    ]
    found += [
        Call(named, method)
        for driver in drivers
        for named, method in implemented(driver.trunk_driver, trunk_base.DriverBase)
    ]
    return tuple(sorted(found))


def implemented(driver: typing.Any, base: type) -> list[tuple[str, str]]:
    """Return class and name of each public method of ``base`` that a driver has of its own."""
    return [
        (_owner(driver, name), name)
        for name, _ in inspect.getmembers(base, inspect.isfunction)
        if not name.startswith("_")
        and inspect.getattr_static(type(driver), name) is not inspect.getattr_static(base, name)
    ]


def _owner(driver: typing.Any, name: str) -> str:
    return next(one.__name__ for one in type(driver).__mro__ if name in vars(one))


def _stands_still(manager: typing.Any, method: str) -> bool:
    """Return whether the manager of mechanism drivers has a method that calls nobody."""
    ours = vars(mechanisms.CapturingMechanismManager)
    return (
        isinstance(manager, mechanisms.CapturingMechanismManager)
        and method.endswith("_postcommit")
        and getattr(type(manager), method) is ours.get(method)
        and ours[method] is not vars(managers.MechanismManager)[method]
    )


def _subscription(callback: typing.Any, resource: str, event: str) -> Subscription:
    function = getattr(callback, "__func__", callback)
    return Subscription(function.__qualname__, f"{resource}.{event}", function.__module__)
