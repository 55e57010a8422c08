# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a conductor makes of workflows: calls, states, tasks."""

import pytest
import sqlalchemy as sa

from networking_workflow.conductor import fanout
from networking_workflow.journal import failpoints
from networking_workflow.model import errors, states
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until

CREATE = states.Operation.CREATE
DELETE = states.Operation.DELETE


@pytest.fixture
def driver():
    return MemoryDriver()


def failing(*failures):
    """Return a hook that raises one failure a call, then none."""
    left = list(failures)

    def before(target):
        if left:
            raise left.pop(0)

    return before


def test_a_committed_create_reaches_the_driver(cloud, start, driver):
    start(driver)
    workflow = cloud.network()
    cloud.comes_to(workflow, "SUCCESS")
    assert driver.rows == {cloud.resource(workflow): {"applies": 1}}
    (task,) = cloud.tasks(workflow)
    assert (task.driver, task.task_state, task.attempts) == ("memory", "SUCCESS", 1)
    assert cloud.sync(workflow) == ("SYNCED", None)
    assert cloud.holds() == 0


def test_the_driver_knows_the_task_it_runs_in(cloud, start, driver):
    start(driver)
    workflow = cloud.network()
    cloud.comes_to(workflow, "SUCCESS")
    (seen,), (target,), (task,) = driver.tasks_seen, driver.targets, cloud.tasks(workflow)
    assert (seen.claim.id, seen.task_id, seen.task_name) == (workflow, task.id, "memory")
    assert (target.workflow_id, target.task_id) == (workflow, task.id)


def test_the_next_task_gets_what_the_last_one_returned(cloud, start, driver):
    start(driver)
    create = cloud.network()
    cloud.comes_to(create, "SUCCESS")
    update = cloud.update(create)
    cloud.comes_to(update, "SUCCESS")
    delete = cloud.delete(create)
    cloud.comes_to(delete, "SUCCESS")
    assert [target.applied for target in driver.targets] == [None, {"applies": 1}, {"applies": 2}]
    assert driver.rows == {}


def test_a_workflow_no_driver_handles_succeeds_without_tasks_and_is_unmanaged(cloud, start):
    start()
    workflow = cloud.network()
    cloud.comes_to(workflow, "SUCCESS")
    assert cloud.tasks(workflow) == []
    assert cloud.sync(workflow) == ("UNMANAGED", None)


def test_every_driver_is_called_and_port_deletes_go_the_other_way_round(cloud, start):
    order = []
    drivers = [
        MemoryDriver(name, lambda target, name=name: order.append((target.operation, name)))
        for name in ("a", "b")
    ]
    start(*drivers)
    network = cloud.network()
    port = cloud.port(cloud.resource(network))
    cloud.comes_to(port, "SUCCESS")
    order.clear()
    cloud.comes_to(cloud.delete(port), "SUCCESS")
    assert order == [(DELETE, "b"), (DELETE, "a")]


def test_one_drivers_failure_neither_hides_nor_undoes_anothers(cloud, start):
    good, bad = MemoryDriver("good"), MemoryDriver("bad")
    bad.before = failing(errors.PermanentFailure("no such vlan"))
    last = MemoryDriver("last")
    start(good, bad, last)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")
    assert [task.task_state for task in cloud.tasks(workflow)] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert cloud.tasks(workflow)[1].failure_detail == "no such vlan"
    assert len(good.rows) == len(last.rows) == 1
    assert cloud.row(workflow).failure_detail == "no such vlan"


def test_a_retry_calls_only_who_has_not_succeeded(cloud, start):
    first, second = MemoryDriver("first"), MemoryDriver("second")
    second.before = failing(errors.TransientFailure("busy"))
    start(first, second)
    workflow = cloud.network()
    cloud.comes_to(workflow, "SUCCESS")
    assert (len(first.calls), len(second.calls)) == (1, 2)
    assert {call.task_id for call in second.calls} == {cloud.tasks(workflow)[1].id}


def test_what_a_driver_applied_is_kept_though_another_failed(cloud, start):
    bad, good = MemoryDriver("bad"), MemoryDriver("good")
    bad.before = failing(errors.PermanentFailure("no"))
    start(bad, good)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")
    update = cloud.update(workflow)
    cloud.comes_to(update, "SUCCESS")
    assert good.targets[1].applied == {"applies": 1}
    assert bad.targets[1].applied is None


def test_what_a_change_reaches_is_opened_in_batches_as_part_of_its_operation(
    cloud, start, driver, monkeypatch
):
    monkeypatch.setattr(fanout, "BATCH", 2)
    batches = []
    start(driver)
    network = cloud.network()
    ports = [cloud.port(cloud.resource(network)) for _ in range(5)]
    for one in (network, *ports):
        cloud.comes_to(one, "SUCCESS")
    reached = [("port", cloud.resource(port)) for port in ports] + [("port", "gone")]

    def reach(target):
        if target.resource_type == "network":
            target.fan_out(reached + reached)

    driver.before = reach
    failpoints.arm("conductor.fanned_out", lambda: batches.append(cloud.count(reached[0][0])))
    try:
        update = cloud.update(network)
        cloud.comes_to(update, "SUCCESS")
    finally:
        failpoints.disarm("conductor.fanned_out")
    assert batches == [7, 9, 10]
    children = [cloud.latest(port_id) for _, port_id in reached[:5]]
    for child in children:
        cloud.comes_to(child.id, "SUCCESS")
        assert (child.operation, child.initiator) == ("update", "driver")
        assert child.operation_id == cloud.row(update).operation_id
    assert {driver.rows[port_id]["applies"] for _, port_id in reached[:5]} == {2}


def test_a_transient_failure_is_tried_again_until_attempts_are_spent(cloud, start, driver):
    driver.before = failing(*[errors.TransientFailure("busy")] * 3)
    start(driver)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")
    assert len(driver.calls) == 3
    assert {call.task_id for call in driver.calls} == {cloud.tasks(workflow)[0].id}
    assert cloud.tasks(workflow)[0].task_state == "FAILED"
    assert cloud.sync(workflow) == ("ERROR", "BACKEND_BUSY")


def test_a_transient_failure_that_goes_away_costs_only_time(cloud, start, driver):
    driver.before = failing(errors.TransientFailure("busy"), errors.TransientFailure("busy"))
    start(driver)
    workflow = cloud.network()
    cloud.comes_to(workflow, "SUCCESS")
    assert cloud.row(workflow).attempts == 3
    assert cloud.sync(workflow) == ("SYNCED", None)


def test_a_difference_that_a_lost_call_may_have_made_is_looked_at_once_more(cloud, start, driver):
    lost, differs = errors.BackendUnreachable("no answer"), errors.BackendDiffers(("name",))
    driver.before = failing(lost, differs)
    start(driver)
    workflow = cloud.network()
    cloud.comes_to(workflow, "SUCCESS")
    driver.before = failing(lost, differs, differs)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")
    assert cloud.sync(workflow) == ("ERROR", "BACKEND_DIFFERS")
    driver.before = failing(differs)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")


def test_one_that_alone_finds_the_backend_unreachable_spends_its_attempts(cloud, start, driver):
    bad = cloud.network()

    def before(target):
        if target.workflow_id == bad:
            raise errors.BackendUnreachable("timed out")

    driver.before = before
    start(driver)
    for _ in range(100):
        cloud.comes_to(cloud.network(), "SUCCESS")
        if cloud.state(bad) == "FAILED":
            break
    assert (cloud.state(bad), cloud.row(bad).attempts) == ("FAILED", 3)
    assert cloud.row(bad).failure_detail == "timed out"


def test_an_error_nobody_expected_is_recorded_in_its_own_words(cloud, start, driver):
    driver.before = failing(*[KeyError("fixed_ips")] * 3)
    start(driver)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")
    row = cloud.row(workflow)
    assert (row.failure_code, row.failure_detail) == ("DRIVER_ERROR", "KeyError: 'fixed_ips'")


def test_a_permanent_failure_holds_up_nobody_and_a_later_update_heals_it(cloud, start, driver):
    driver.before = failing(errors.PermanentFailure("no"))
    start(driver)
    create = cloud.network()
    cloud.comes_to(create, "FAILED")
    assert len(driver.calls) == 1
    assert cloud.sync(create) == ("ERROR", "BACKEND_REFUSED")
    assert cloud.holds() == 0
    update = cloud.update(create)
    cloud.comes_to(update, "SUCCESS")
    cloud.comes_to(create, "SUPERSEDED")
    assert cloud.row(create).superseded_by == update
    assert cloud.sync(create) == ("SYNCED", None)


def test_a_missing_reference_is_held_and_released_when_it_comes(cloud, start, driver):
    gate = {"open": False}

    def before(target):
        if target.resource_type == "network" and not gate["open"]:
            raise errors.PermanentFailure("quota")
        if target.resource_type == "port" and network not in driver.rows:
            raise errors.MissingReference("network", network, "no such switch")

    driver.before = before
    start(driver)
    create = cloud.network()
    network = cloud.resource(create)
    cloud.comes_to(create, "FAILED")
    port = cloud.port(network)
    cloud.comes_to(port, "HELD")
    assert cloud.row(port).waits_for == f"network/{network}"
    assert cloud.row(port).attempts == 0
    assert cloud.holds() == 0
    gate["open"] = True
    cloud.comes_to(cloud.update(create), "SUCCESS")
    cloud.comes_to(port, "SUCCESS")
    assert cloud.tasks(port)[0].task_state == "SUCCESS"


def test_a_reference_the_journal_calls_synced_but_the_backend_lacks_fails_in_the_end(
    cloud, start, driver
):
    start(driver)
    create = cloud.network()
    cloud.comes_to(create, "SUCCESS")
    network = cloud.resource(create)

    def before(target):
        raise errors.MissingReference("network", network, "no such switch")

    driver.before = before
    port = cloud.port(network)
    cloud.comes_to(port, "FAILED")
    assert cloud.row(port).failure_code == "REFERENCE_MISSING"
    assert len([call for call in driver.calls if call.workflow_id == port]) == 4


def test_a_create_and_its_delete_in_the_queue_are_one_delete(cloud, start, driver):
    create = cloud.network()
    delete = cloud.delete(create)
    start(driver)
    cloud.comes_to(create, "SUCCESS")
    cloud.comes_to(delete, "SUPERSEDED")
    assert [call.operation for call in driver.calls] == [DELETE]


def test_a_create_whose_row_goes_after_its_claim_makes_way_for_the_delete(cloud, start, driver):
    create = cloud.network()
    driver.before = failing(errors.TransientFailure("busy"))  # the second claim plans by itself

    def delete_first():
        failpoints.disarm("conductor.prepare")
        deletes.append(cloud.delete(create))

    deletes = []
    failpoints.arm("conductor.prepare", delete_first)
    start(driver)
    cloud.comes_to(create, "SUPERSEDED")
    cloud.comes_to(deletes[0], "SUCCESS")
    assert cloud.row(create).superseded_by == deletes[0]
    assert [call.operation for call in driver.calls] == [CREATE, DELETE]


def test_a_driver_that_cannot_say_what_it_handles_fails_its_workflow_and_no_claim(cloud, start):
    class Broken(MemoryDriver):
        def handles(self, resource_type, operation):
            if resource_type == "network":
                raise RuntimeError("no table of networks")
            return super().handles(resource_type, operation)

    start(Broken())
    network = cloud.network()
    cloud.comes_to(network, "FAILED")
    assert "no table of networks" in cloud.row(network).failure_detail


def test_an_update_whose_row_and_delete_are_gone_deletes(cloud, start, driver):
    with cloud.engine.begin() as connection:
        network = cloud.add_network(connection)
        update = cloud.note(connection, "network", network, operation=states.Operation.UPDATE)
        connection.execute(sa.text("DELETE FROM networks"))
    start(driver)
    cloud.comes_to(update, "SUCCESS")
    assert [call.operation for call in driver.calls] == [DELETE]


def test_what_drivers_returned_is_forgotten_where_an_update_turned_out_to_delete(
    cloud, start, driver
):
    start(driver)
    create = cloud.network()
    cloud.comes_to(create, "SUCCESS")
    assert cloud.applied() == [("memory", cloud.resource(create))]
    with cloud.engine.begin() as connection:
        update = cloud.note(
            connection, "network", cloud.resource(create), operation=states.Operation.UPDATE
        )
        connection.execute(sa.text("DELETE FROM networks"))
    cloud.comes_to(update, "SUCCESS")
    assert driver.calls[-1].operation is DELETE
    assert driver.targets[-1].applied == {"applies": 1}
    assert cloud.applied() == []


def test_an_apply_takes_the_keys_of_what_its_row_names_today(cloud, start, driver):
    with cloud.engine.begin() as connection:
        old, new = cloud.add_network(connection), cloud.add_network(connection)
    port = cloud.port(old)
    with cloud.engine.begin() as connection:  # what a later update's transaction brings
        connection.execute(sa.text("UPDATE ports SET network_id = :new"), {"new": new})
    held = {}
    driver.before = lambda target: held.update(driver.tasks_seen[-1].claim.keys)
    start(driver)
    cloud.comes_to(port, "SUCCESS")
    assert f"default:network/{new}" in held
    assert f"default:network/{old}" in held
    assert len(driver.calls) == 1


def test_cancel_requested_while_a_driver_runs_is_settled_when_its_call_returns(cloud, start):
    first, second = MemoryDriver("first"), MemoryDriver("second")
    workflow = cloud.network()
    first.before = lambda target: cloud.journal.cancel(workflow)
    start(first, second)
    cloud.comes_to(workflow, "CANCELLED")
    assert [task.task_state for task in cloud.tasks(workflow)] == ["SUCCESS", "SKIPPED"]
    assert second.calls == []
    assert cloud.holds() == 0


def test_cancel_requested_during_an_attempt_that_fails_ends_the_retries(cloud, start, driver):
    workflow = cloud.network()

    def before(target):
        cloud.journal.cancel(workflow)
        raise errors.TransientFailure("busy")

    driver.before = before
    start(driver)
    cloud.comes_to(workflow, "CANCELLED")
    assert len(driver.calls) == 1


def test_cancel_requested_when_all_is_done_comes_too_late(cloud, start, driver):
    workflow = cloud.network()
    driver.before = lambda target: cloud.journal.cancel(workflow)
    start(driver)
    cloud.comes_to(workflow, "SUCCESS")


def test_waiting_updates_of_one_resource_are_one_call(cloud, start, driver):
    create = cloud.network()
    updates = [cloud.update(create) for _ in range(5)]
    start(driver)
    wait_until(
        lambda: {cloud.state(one) for one in (create, *updates)} == {"SUCCESS", "SUPERSEDED"},
        20,
        "all of them to end",
    )
    assert len(driver.calls) == 1
    assert cloud.sync(create) == ("SYNCED", None)
