# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""When whoever waits for work is told of it."""

import pytest
from neutron_lib.callbacks import events, registry, resources

from networking_workflow.capture import calls


@pytest.fixture
def heard():
    told = []
    calls.AFTER_COMMIT.append(told.append)
    yield told
    calls.AFTER_COMMIT.remove(told.append)


def test_port_and_its_binding_are_told_of_together(world, heard):
    network = world.network["id"]
    heard.clear()
    with world.neutron.capturing() as found:
        world.neutron.create("port", network_id=network, **{"binding:host_id": "cmp1"})
    assert [one.what for one in found] == [("create", "port"), ("update", "port")]
    assert heard == [[one.row.id for one in found]]


@pytest.mark.parametrize("host", [{}, {"binding:host_id": ""}])
@pytest.mark.parametrize("bulk", [False, True])
def test_port_that_names_no_host_is_told_of_at_its_commit(world, heard, host, bulk):
    network, before = world.network["id"], []
    heard.clear()

    def note(*_, **__):
        before.append(len(heard))

    registry.subscribe(note, resources.PORT, events.AFTER_CREATE)
    try:
        if bulk:
            world.neutron.create_bulk("port", [{"network_id": network, **host}] * 2)
        else:
            world.neutron.create("port", network_id=network, **host)
    finally:
        registry.unsubscribe(note, resources.PORT, events.AFTER_CREATE)
    assert set(before) == {1}
    assert len(heard) == 1


def test_each_transaction_of_another_call_is_told_of_at_its_commit(world, heard):
    subnet, router = world.subnet["id"], world.bare
    heard.clear()
    world.interface(router, "add", subnet_id=subnet)
    assert len(heard) > 1
