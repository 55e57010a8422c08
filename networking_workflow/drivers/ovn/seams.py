# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Where stock's OVN mechanism driver is changed, one function for each change."""

import contextlib
import contextvars
import typing

from networking_workflow.drivers.ovn import connections

#: The connections of the conductor's call on this thread; None: the process's own ones.
OWN_PAIR: contextvars.ContextVar[connections.Pair | None] = contextvars.ContextVar(
    "networking_workflow_ovn_pair", default=None
)


@contextlib.contextmanager
def own_connections(pair: connections.Pair) -> typing.Iterator[None]:
    """Let Neutron's code on this thread use ``pair`` (see :func:`use_own_connections`)."""
    token = OWN_PAIR.set(pair)
    try:
        yield
    finally:
        OWN_PAIR.reset(token)


def use_own_connections(mech_driver: typing.Any) -> None:
    """Make the driver's connections depend on who asks.

    A conductor's threads run Neutron code that reaches OVN through the driver object (network
    availability zones, provisioning, QoS, trunks). On the process's own connections one stuck
    transaction would block them and the API alike; so they get the conductor's, by a class that
    stands in for the driver's: ``nb_ovn`` and the like are attributes of the instance in stock.
    """
    stock = type(mech_driver)
    if issubclass(stock, _PerThread):
        return
    names = ("_nb_ovn", "_sb_ovn", "_ovn_client_inst")
    state = {name: mech_driver.__dict__.pop(name) for name in names}
    mech_driver.__class__ = type(f"Workflow{stock.__name__}", (_PerThread, stock), {})
    for name, value in state.items():
        setattr(mech_driver, name, value)


def _per_thread(name: str, own: str) -> typing.Any:
    stored = f"_stock{name}"

    def get(driver: typing.Any) -> typing.Any:
        pair = OWN_PAIR.get()
        return driver.__dict__[stored] if pair is None else getattr(pair, own)

    def set_(driver: typing.Any, value: typing.Any) -> None:
        driver.__dict__[stored] = value

    return property(get, set_)


class _PerThread:
    """Goes before the stock class; the stock properties read and write these attributes."""

    _nb_ovn = _per_thread("_nb_ovn", "nb")
    _sb_ovn = _per_thread("_sb_ovn", "sb")
    _ovn_client_inst = _per_thread("_ovn_client_inst", "client")
