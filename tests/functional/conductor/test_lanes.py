# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a conductor makes of a graph of drivers."""

import pytest

from networking_workflow.journal import lanes
from networking_workflow.model import errors, graph
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until


def drivers(*names, before=None):
    return [MemoryDriver(name, before) for name in names]


def test_a_workflow_is_for_the_drivers_of_its_lane_alone(cloud, start):
    first, second = drivers("first", "second")
    start(first, second, graph=graph.parse(["second independent"], ["first", "second"]))
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    assert [task.driver for task in cloud.tasks(network)] == ["first"]
    assert second.calls == []
    again = cloud.again(network, lane="second")
    cloud.comes_to(again, "SUCCESS")
    assert [task.driver for task in cloud.tasks(again)] == ["second"]
    assert len(first.calls) == len(second.calls) == 1


def test_a_dead_backend_holds_up_nothing_in_another_lane_and_catches_up_in_order(cloud, start):
    first, second = drivers("first", "second")
    second.down = True
    start(first, second, graph=graph.parse(["second independent"], ["first", "second"]))
    network = cloud.network()
    late = [cloud.again(network, lane="second")]
    port = cloud.port(cloud.resource(network))
    late.append(cloud.again(port, lane="second"))
    for workflow in (network, port):
        cloud.comes_to(workflow, "SUCCESS")
        update = cloud.update(workflow)
        late.append(cloud.again(workflow, lane="second"))
        cloud.comes_to(update, "SUCCESS")
    assert second.calls == []
    second.down = False
    for workflow in late:
        wait_until(
            lambda workflow=workflow: cloud.state(workflow) in ("SUCCESS", "SUPERSEDED"),
            20,
            lambda workflow=workflow: f"{cloud.row(workflow)} to be over",
        )
    in_order = [call.resource_id for call in second.calls]
    assert in_order.index(cloud.resource(network)) < in_order.index(cloud.resource(port))


def test_a_driver_is_called_only_when_those_it_is_after_have_done_their_part(cloud, start):
    failures = [errors.TransientFailure("not yet")]

    def refuse_once(_target):
        if failures:
            raise failures.pop()

    first, second = MemoryDriver("first", refuse_once), MemoryDriver("second")
    start(second, first, graph=graph.parse(["second after first"], ["second", "first"]))
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    assert len(first.calls) == 2
    assert len(second.calls) == 1
    assert [(task.driver, task.attempts) for task in cloud.tasks(network)] == [
        ("first", 2),
        ("second", 1),
    ]


def test_a_driver_whose_forerunner_failed_for_good_is_not_called_and_says_so(cloud, start):
    def refuse(_target):
        raise errors.PermanentFailure("never")

    first, second = MemoryDriver("first", refuse), MemoryDriver("second")
    third = MemoryDriver("third")
    declared = graph.parse(["second after first"], ["first", "second", "third"])
    start(first, second, third, graph=declared)
    network = cloud.network()
    cloud.comes_to(network, "FAILED")
    assert (len(second.calls), len(third.calls)) == (0, 1)
    assert [(task.driver, task.task_state) for task in cloud.tasks(network)] == [
        ("first", "FAILED"),
        ("second", "PENDING"),
        ("third", "SUCCESS"),
    ]
    first.before = None
    cloud.journal.retry(network)
    cloud.comes_to(network, "SUCCESS")
    assert len(second.calls) == 1


def test_deletes_of_ports_go_the_other_way_round_with_their_edges(cloud, start):
    order = []
    both = [
        MemoryDriver(name, lambda target, name=name: order.append((target.operation, name)))
        for name in ("first", "second")
    ]
    start(*both, graph=graph.parse(["second after first"], ["first", "second"]))
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    port = cloud.port(cloud.resource(network))
    cloud.comes_to(port, "SUCCESS")
    order.clear()

    def refuse(_target):
        raise errors.PermanentFailure("never")

    both[1].before = refuse
    delete = cloud.delete(port)
    cloud.comes_to(delete, "FAILED")
    assert order == []
    assert cloud.resource(port) in both[0].rows


def test_what_was_recorded_for_a_lane_that_the_conductor_lacks_is_said_and_not_lost(cloud, start):
    memory = MemoryDriver()
    start(memory)
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    lost = cloud.again(network, lane="elsewhere")
    cloud.comes_to(lost, "FAILED")
    assert "has no lane elsewhere. Give every process of the cloud the same one" in str(
        cloud.row(lost).failure_detail
    )
    assert len(memory.calls) == 1


@pytest.mark.parametrize("last", ["first", "second"])
def test_a_delete_in_one_lane_forgets_nothing_that_another_lane_still_needs(cloud, start, last):
    both = drivers("first", "second")
    names = ["first", "second"]
    declared = graph.parse(["second independent"], names)
    with cloud.engine.begin() as connection:
        lanes.settle(connection, declared.placed, "default")
    start(*both, graph=declared)
    network = cloud.network()
    other = cloud.again(network, lane="second")
    for workflow in (network, other):
        cloud.comes_to(workflow, "SUCCESS")
    resource = cloud.resource(network)
    assert sorted(cloud.applied()) == [(name, resource) for name in names]
    lane = "default" if last == "second" else "second"
    cloud.comes_to(cloud.delete(network, lane=lane), "SUCCESS")
    assert cloud.applied() == [(last, resource)]
