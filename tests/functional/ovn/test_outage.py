# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The Northbound database stops, hangs and comes back."""

import collections.abc
import contextlib
import select
import threading
import time
import typing

import pytest

from networking_workflow.model import errors
from tests.functional.ovn import cloud, northbound
from tests.waiting import wait_until

#: What a read of the API may take on a busy machine.
READ_S = 3.0


@contextlib.contextmanager
def within(seconds: float) -> collections.abc.Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.fixture
def net(neutron: cloud.Neutron, conductor: cloud.Conductor) -> typing.Any:
    made = neutron.create("network", name="before")
    conductor.drain()
    return made


@pytest.fixture
def stopped(neutron: cloud.Neutron) -> collections.abc.Iterator[typing.Callable[[], None]]:
    """The Northbound database is down; call to start it again."""
    neutron.ovn.stop_nb()
    yield neutron.ovn.start_nb
    neutron.ovn.start_nb()


@pytest.fixture
def hanging(neutron: cloud.Neutron) -> collections.abc.Iterator[typing.Callable[[], None]]:
    """The Northbound database answers nobody, but is connected; call to wake it."""
    neutron.ovn.pause_nb()
    yield neutron.ovn.resume_nb
    neutron.ovn.resume_nb()


def unreachable(conductor: cloud.Conductor, kind: str, resource_id: str) -> None:
    with within(cloud.TIMEOUT_S + READ_S), pytest.raises(errors.BackendUnreachable):
        conductor.apply(kind, resource_id)


def back(conductor: cloud.Conductor) -> bool:
    try:
        conductor.driver.probe()
    except errors.BackendUnreachable:
        return False
    return True


def test_stopped(
    neutron: cloud.Neutron,
    conductor: cloud.Conductor,
    net: typing.Any,
    stopped: typing.Callable[[], None],
) -> None:
    for _ in range(3):
        unreachable(conductor, "network", net["id"])
    assert not back(conductor)
    with within(READ_S):
        made = neutron.create("network", name="during the outage")
    with within(READ_S):
        neutron.call("GET", "networks")
    stopped()
    wait_until(lambda: back(conductor), 20, "the driver to reach OVN again")
    conductor.drain()
    names = {one["name"] for one in northbound.rows(neutron.ovn)["Logical_Switch"]}
    assert f"neutron-{made['id']}" in names


def test_hanging(
    neutron: cloud.Neutron,
    conductor: cloud.Conductor,
    net: typing.Any,
    hanging: typing.Callable[[], None],
) -> None:
    for _ in range(2):
        unreachable(conductor, "network", net["id"])
    with within(READ_S):
        neutron.call("GET", "networks")
    hanging()
    wait_until(lambda: back(conductor), 20, "the driver to reach OVN again")
    conductor.apply("network", net["id"])


def test_write_that_was_given_up_is_not_made_later_nor_twice(
    neutron: cloud.Neutron, conductor: cloud.Conductor, net: typing.Any
) -> None:
    """It hangs after the driver looked and before it wrote: the worst moment."""
    subnet = neutron.create("subnet", network_id=net["id"], cidr="10.1.0.0/24", ip_version=4)
    client = conductor.driver._connections.get().client
    stock = client._modify_subnet_dhcp_options

    def hang_first(*args: typing.Any) -> None:
        client._modify_subnet_dhcp_options = stock
        stock(*args)
        neutron.ovn.pause_nb()

    client._modify_subnet_dhcp_options = hang_first
    try:
        unreachable(conductor, "subnet", subnet["id"])
    finally:
        neutron.ovn.resume_nb()
    wait_until(lambda: back(conductor), 20, "the driver to reach OVN again")
    conductor.drain()
    rows = [
        one
        for one in northbound.rows(neutron.ovn)["DHCP_Options"]
        if one["external_ids"].get("subnet_id") == subnet["id"]
    ]
    assert len(rows) == 1


def test_threads_that_wait_together_all_end_in_time(
    conductor: cloud.Conductor, net: typing.Any, hanging: typing.Callable[[], None]
) -> None:
    outcomes: list[type[Exception]] = []

    def call() -> None:
        try:
            conductor.apply("network", net["id"])
        except errors.DriverError as failed:
            outcomes.append(type(failed))

    threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    with within(2 * cloud.TIMEOUT_S + READ_S):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == [errors.BackendUnreachable] * 4


def test_thread_that_follows_the_server_sleeps_when_nothing_comes(
    net: typing.Any, conductor: cloud.Conductor
) -> None:
    """Whatever woke it is taken; left there, it would keep a processor busy for ever."""
    conductor.apply("network", net["id"])
    txns = conductor.driver._connections.get().nb.ovsdb_connection.txns
    wait_until(lambda: not select.select([txns.alert_fileno], [], [], 0)[0], 10, "it to be taken")
