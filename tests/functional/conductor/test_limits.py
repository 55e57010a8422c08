# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Limits of one driver: how long a call may take, how many there may be, how often it is tried."""

import threading
import time

import pytest

from networking_workflow.conductor.settings import DriverLimits
from networking_workflow.journal import journal
from networking_workflow.model import errors, retry
from tests.functional.conductor.cloud import PATIENCE_S
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until

#: Seconds; a call that is to be late hangs until the test lets it go.
TIMEOUT_S = 0.3

#: Where statements of several threads meet; the journal's contract has them on every database.
on_a_server_too = pytest.mark.parametrize("cloud", ["sqlite", "mariadb"], indirect=True)

#: No chore and no probe wakes what waits.
NO_CHORES = {"chores_s": 3600.0, "probe_s": 3600.0}


class Gate:
    """A hook that keeps calls of chosen resources until the test lets them go."""

    def __init__(self):
        self._changed = threading.Condition()
        self._kept = set()
        self._everything = False
        self.inside = []  #: resource ids, in the order in which their calls came
        self.most = 0  #: calls at a time

    def keep(self, *resource_ids):
        """Keep the calls of these; of everything if none is named."""
        with self._changed:
            self._kept.update(resource_ids)
            self._everything = not resource_ids

    def let_go(self, *resource_ids):
        """Let calls of these return; all if none is named."""
        with self._changed:
            self._kept.difference_update(resource_ids or list(self._kept))
            self._everything = self._everything and bool(resource_ids)
            self._changed.notify_all()

    def __call__(self, target):
        with self._changed:
            self.inside.append(target.resource_id)
            self.most = max(self.most, len(self.inside))
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._everything and target.resource_id not in self._kept, 60
            )
            self.inside.remove(target.resource_id)

    def comes_to(self, count):
        """Wait until so many calls are inside; return their resources."""
        wait_until(lambda: len(self.inside) == count, PATIENCE_S, f"{count} calls at a time")
        return list(self.inside)


class OfPorts(MemoryDriver):
    """A driver of ports alone."""

    def handles(self, resource_type, operation):
        return resource_type == "port"


class SleepyJournal(journal.Journal):
    """A journal in which waking others lasts until the test lets it end."""

    def __init__(self, engine):
        super().__init__(engine)
        self.go = threading.Event()

    def wake_drivers(self, drivers, limit=500):
        assert self.go.wait(60)
        return super().wake_drivers(drivers, limit)


class Preparing(OfPorts):
    """A task of ports that calls the driver's backend before the driver is called."""

    prepares_for = "switch"

    def wants(self, snapshot):
        return True

    def give_up(self, target):
        raise AssertionError("it does not fail")


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.let_go()


def note_create(cloud, network):
    """Record the create of a network that is there."""
    with cloud.engine.begin() as connection:
        return cloud.note(connection, "network", network)


def workers():
    return [one for one in threading.enumerate() if one.name.startswith("workflow-worker")]


def is_said_to_be_late(cloud, workflow):
    """Return whether its first task runs and says so, and the workflow and the resource with it."""
    unreachable = "BACKEND_UNREACHABLE"
    first = [(task.task_state, task.failure_code) for task in cloud.tasks(workflow)[:1]]
    return (cloud.state(workflow), first, cloud.sync(workflow)) == (
        "RUNNING",
        [("RUNNING", unreachable)],
        ("PENDING", unreachable),
    )


def comes_to_be_late(cloud, workflow):
    wait_until(
        lambda: is_said_to_be_late(cloud, workflow),
        PATIENCE_S,
        lambda: f"{workflow} to be said to be late; it is {cloud.tasks(workflow)}",
    )


# -- time ----------------------------------------------------------------------------------------


@on_a_server_too
def test_a_late_call_is_said_to_be_late_and_keeps_its_keys_until_it_is_back(
    cloud, start, gate, caplog
):
    driver = MemoryDriver("switch", gate)
    gate.keep()
    start(driver, workers=1, drivers={"switch": DriverLimits(timeout_s=TIMEOUT_S)})
    create = cloud.network()
    gate.comes_to(1)
    comes_to_be_late(cloud, create)
    detail = cloud.tasks(create)[0].failure_detail
    assert detail.startswith("Driver switch has not returned within its time-out of 0.3 s.")
    assert cloud.row(create).failure_detail == detail
    update = cloud.update(create)
    cloud.comes_to(update, "WAITING")  # somebody works instead of the thread that is stuck
    assert cloud.row(update).blocked_by == create
    assert (len(driver.calls), cloud.state(create)) == (1, "RUNNING")
    assert cloud.holds() > 0

    gate.let_go()
    cloud.comes_to(update, "SUCCESS")
    (task,) = cloud.tasks(create)
    assert (cloud.state(create), task.task_state, task.attempts) == ("SUCCESS", "SUCCESS", 1)
    assert (task.failure_code, cloud.row(create).failure_detail) == (None, None)
    assert cloud.sync(create) == ("SYNCED", None)
    said = [one.getMessage() for one in caplog.records if "has not returned" in one.getMessage()]
    assert len(said) == 1
    assert cloud.resource(create) in said[0]


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (errors.PermanentFailure("no such vlan"), "FAILED", "BACKEND_REFUSED"),
        (errors.BackendDiffers(("vlan",)), "FAILED", "BACKEND_DIFFERS"),
        (errors.TransientFailure("busy"), "RETRYING", "BACKEND_BUSY"),
        (KeyError("vlan"), "RETRYING", "DRIVER_ERROR"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_late_call_ends_counts_as_if_it_had_been_in_time(
    cloud, start, gate, error, state, code
):
    def fail_late(target):
        gate(target)
        raise error

    gate.keep()
    limits = DriverLimits(timeout_s=TIMEOUT_S, retry=retry.RetryPolicy(first_delay_s=60.0))
    start(MemoryDriver("switch", fail_late), drivers={"switch": limits})
    workflow = cloud.network()
    comes_to_be_late(cloud, workflow)
    gate.let_go()
    cloud.comes_to(workflow, state)
    assert (cloud.row(workflow).failure_code, cloud.row(workflow).attempts) == (code, 1)
    assert cloud.tasks(workflow)[0].failure_code == code


def test_a_driver_that_hangs_holds_back_its_workflow_and_no_other(cloud, start, gate):
    hanging, other = MemoryDriver("hanging", gate), MemoryDriver("other")
    start(hanging, other, drivers={"hanging": DriverLimits(timeout_s=TIMEOUT_S)}, **NO_CHORES)
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    with cloud.engine.begin() as connection:
        ids = [cloud.add_network(connection) for _ in range(2)]
    gate.keep(*ids)
    stuck = [note_create(cloud, ids[0])]
    comes_to_be_late(cloud, stuck[0])
    cloud.comes_to(cloud.update(network), "SUCCESS")  # this driver's calls of others go on

    stuck.append(note_create(cloud, ids[1]))
    comes_to_be_late(cloud, stuck[1])
    others = [cloud.port(cloud.resource(network)), cloud.network()]
    for workflow in others:  # not beside as many late ones as there are workers
        cloud.comes_to(workflow, "RETRYING")
        assert [task.task_state for task in cloud.tasks(workflow)] == ["RETRYING", "SUCCESS"]
        assert cloud.row(workflow).waits_for == "driver:hanging"
    gate.let_go(ids[0])
    for workflow in (stuck[0], *others):
        cloud.comes_to(workflow, "SUCCESS")
        assert cloud.row(workflow).attempts == 1
    assert is_said_to_be_late(cloud, stuck[1])
    assert [call.workflow_id for call in other.calls].count(stuck[1]) == 0
    gate.let_go()
    cloud.comes_to(stuck[1], "SUCCESS")


def test_late_calls_take_no_more_threads_than_twice_the_workers_and_give_them_back(
    cloud, start, gate
):
    before = len(workers())
    gate.keep()
    limits = {"switch": DriverLimits(timeout_s=TIMEOUT_S)}
    start(MemoryDriver("switch", gate), workers=2, drivers=limits, **NO_CHORES)
    workflows = [cloud.network() for _ in range(6)]
    gate.comes_to(2)
    wait_until(
        lambda: sum(is_said_to_be_late(cloud, one) for one in workflows) == 2,
        PATIENCE_S,
        "two to be late",
    )
    waiting = [one for one in workflows if not is_said_to_be_late(cloud, one)]
    for workflow in waiting:
        cloud.comes_to(workflow, "RETRYING")
        assert cloud.sync(workflow) == ("PENDING", "BACKEND_UNREACHABLE")
        assert cloud.row(workflow).attempts == 0
    assert (len(gate.inside), len(workers()) - before) == (2, 4)
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")
    wait_until(lambda: len(workers()) - before == 2, PATIENCE_S, "the spare threads to end")


def test_a_thread_that_is_back_and_calls_the_next_driver_is_not_replaced_again(cloud, start, gate):
    before, next_gate = len(workers()), Gate()
    with cloud.engine.begin() as connection:
        ids = [cloud.add_network(connection) for _ in range(3)]
    gate.keep(*ids)
    next_gate.keep()
    drivers = MemoryDriver("hanging", gate), MemoryDriver("next", next_gate)
    start(*drivers, workers=1, drivers={"hanging": DriverLimits(timeout_s=TIMEOUT_S)}, **NO_CHORES)
    workflows = [note_create(cloud, ids[0])]
    comes_to_be_late(cloud, workflows[0])
    gate.let_go(ids[0])
    next_gate.comes_to(1)
    try:
        workflows.append(note_create(cloud, ids[1]))
        comes_to_be_late(cloud, workflows[1])
        assert len(workers()) - before == 2
        workflows.append(note_create(cloud, ids[2]))
    finally:
        next_gate.let_go()
    cloud.comes_to(workflows[0], "SUCCESS")
    cloud.comes_to(workflows[2], "RETRYING")  # by the thread that was back
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")
    wait_until(lambda: len(workers()) - before == 1, PATIENCE_S, "the spare thread to end")


def test_the_thread_that_was_stuck_leaves_its_next_work_to_another(cloud, start, gate):
    gate.keep()
    create = cloud.network()
    conductor = start(
        MemoryDriver("switch", gate),
        workers=1,
        poll_s=3600.0,
        drivers={"switch": DriverLimits(timeout_s=TIMEOUT_S)},
        **NO_CHORES,
    )
    comes_to_be_late(cloud, create)
    update = cloud.update(create)
    conductor.hint([update])
    cloud.comes_to(update, "WAITING")
    gate.let_go()
    cloud.comes_to(update, "SUCCESS")


def test_when_a_late_call_is_back_nothing_is_wrong_while_the_next_driver_is_called(
    cloud, start, gate
):
    next_gate = Gate()
    gate.keep()
    next_gate.keep()
    limits = {"hanging": DriverLimits(timeout_s=TIMEOUT_S)}
    start(MemoryDriver("hanging", gate), MemoryDriver("next", next_gate), drivers=limits)
    workflow = cloud.network()
    comes_to_be_late(cloud, workflow)
    gate.let_go()
    next_gate.comes_to(1)
    try:
        assert cloud.sync(workflow) == ("PENDING", None)
        assert [task.failure_code for task in cloud.tasks(workflow)] == [None, None]
        assert (cloud.state(workflow), cloud.row(workflow).failure_code) == ("RUNNING", None)
    finally:
        next_gate.let_go()
    cloud.comes_to(workflow, "SUCCESS")


@on_a_server_too
def test_what_was_wrong_before_a_late_call_is_shown_again_while_the_next_driver_is_called(
    cloud, start, gate
):
    next_gate = Gate()

    def refused_once(then):
        errors_left = [errors.TransientFailure("busy")]

        def hook(target):
            if errors_left:
                raise errors_left.pop()
            then(target)

        return hook

    for one in (gate, next_gate):
        one.keep()
    policy = retry.RetryPolicy(first_delay_s=0.01)
    start(
        MemoryDriver("hanging", refused_once(gate)),
        MemoryDriver("next", refused_once(next_gate)),
        drivers={"hanging": DriverLimits(timeout_s=TIMEOUT_S, retry=policy)},
    )
    workflow = cloud.network()
    comes_to_be_late(cloud, workflow)
    gate.let_go()
    next_gate.comes_to(1)
    try:
        row = cloud.row(workflow)
        assert (row.state, row.failure_code, row.failure_detail) == (
            "RUNNING",
            "BACKEND_BUSY",
            "busy",
        )
        assert cloud.sync(workflow) == ("PENDING", "BACKEND_BUSY")
        assert [task.failure_code for task in cloud.tasks(workflow)] == [None, None]
    finally:
        next_gate.let_go()
    cloud.comes_to(workflow, "SUCCESS")


def test_cancelling_a_workflow_whose_call_is_late_is_settled_when_it_is_back(cloud, start, gate):
    hanging, after = MemoryDriver("hanging", gate), MemoryDriver("after")
    gate.keep()
    start(hanging, after, drivers={"hanging": DriverLimits(timeout_s=TIMEOUT_S)})
    workflow = cloud.network()
    comes_to_be_late(cloud, workflow)
    cloud.journal.cancel(workflow)
    assert cloud.state(workflow) == "RUNNING"
    gate.let_go()
    cloud.comes_to(workflow, "CANCELLED")
    assert [task.task_state for task in cloud.tasks(workflow)] == ["SUCCESS", "SKIPPED"]
    assert cloud.tasks(workflow)[0].failure_code is None
    assert after.calls == []


def test_what_a_conductor_leaves_behind_with_a_late_call_is_taken_over(cloud, start, gate):
    differences = [errors.BackendDiffers(("vlan",))]

    def differ_once(target):
        if differences:
            raise differences.pop()

    gate.keep()
    limits = {"switch": DriverLimits(timeout_s=TIMEOUT_S)}
    first = start(
        MemoryDriver("switch", gate), drain_s=0.0, hand_back_s=0.1, lease_s=3.0, drivers=limits
    )
    workflow = cloud.network()
    comes_to_be_late(cloud, workflow)
    assert first.stop() is False
    start(MemoryDriver("switch", differ_once), drivers=limits)
    cloud.comes_to(workflow, "SUCCESS")
    assert cloud.row(workflow).attempts == 2  # the late call may have made the difference
    settled, tasks = cloud.row(workflow), cloud.tasks(workflow)
    assert cloud.sync(workflow) == ("SYNCED", None)
    gate.let_go()
    wait_until(lambda: first.running == [], PATIENCE_S, "the first conductor to drop it")
    assert (cloud.row(workflow), cloud.tasks(workflow)) == (settled, tasks)


def test_without_a_time_out_a_call_may_take_as_long_as_it_takes(cloud, start, gate):
    gate.keep()
    limits = {"quick": DriverLimits(timeout_s=TIMEOUT_S)}
    start(MemoryDriver("quick"), MemoryDriver("patient", gate), drivers=limits)
    workflow = cloud.network()
    gate.comes_to(1)
    wait_until(lambda: cloud.age_s(workflow) > 5 * TIMEOUT_S, PATIENCE_S, "time to pass")
    assert [task.failure_code for task in cloud.tasks(workflow)] == [None, None]
    assert cloud.sync(workflow) == ("PENDING", None)


# -- how many at a time --------------------------------------------------------------------------


def test_never_more_calls_at_a_time_than_may_be_and_all_are_made(cloud, start, gate):
    start(
        MemoryDriver("switch", gate),
        workers=4,
        drivers={"switch": DriverLimits(concurrency=2)},
        **NO_CHORES,
    )
    gate.keep()
    workflows = [cloud.network() for _ in range(20)]
    gate.comes_to(2)
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")
        assert cloud.row(workflow).attempts == 1
        assert cloud.sync(workflow) == ("SYNCED", None)
    assert gate.most == 2


def test_who_waits_for_a_turn_occupies_no_worker_and_is_left_alone_until_a_call_ends(
    cloud, start, gate
):
    ports, networks = OfPorts("ports", gate), MemoryDriver("networks")
    limits = {"ports": DriverLimits(concurrency=1)}
    conductor = start(ports, networks, workers=2, drivers=limits)
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    gate.keep()
    inside = cloud.port(cloud.resource(network))
    gate.comes_to(1)
    waiting = [cloud.port(cloud.resource(network)) for _ in range(4)]
    for workflow in waiting:
        cloud.comes_to(workflow, "RETRYING")
        assert cloud.row(workflow).waits_for == "driver:ports"
        assert cloud.sync(workflow) == ("PENDING", "BACKEND_BUSY")
        tasks = [(task.task_state, task.attempts) for task in cloud.tasks(workflow)]
        assert tasks == [("RETRYING", 0), ("SUCCESS", 1)]
    cloud.comes_to(cloud.network(), "SUCCESS")
    wait_until(lambda: conductor.idle == 1, PATIENCE_S, "the other worker to be idle")
    seen, probes = [cloud.row(one).fence for one in waiting], ports.probes
    wait_until(lambda: ports.probes > probes + 3, PATIENCE_S, "some rounds of chores")
    assert [cloud.row(one).fence for one in waiting] == seen
    gate.let_go()
    for workflow in (inside, *waiting):
        cloud.comes_to(workflow, "SUCCESS")
        assert [task.attempts for task in cloud.tasks(workflow)] == [1, 1]
    assert gate.most == 1


def test_waiting_for_a_turn_is_no_earlier_call_whose_effect_may_come_late(cloud, start, gate):
    def differ(target):
        gate(target)
        raise errors.BackendDiffers(("vlan",))

    driver = MemoryDriver("switch", differ)
    gate.keep()
    start(driver, drivers={"switch": DriverLimits(concurrency=1)}, **NO_CHORES)
    workflows = [cloud.network()]
    gate.comes_to(1)
    workflows.append(cloud.network())
    cloud.comes_to(workflows[1], "RETRYING")
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "FAILED")
        assert (cloud.row(workflow).attempts, cloud.tasks(workflow)[0].attempts) == (1, 1)
    assert len(driver.calls) == 2


def test_who_waits_for_a_turn_is_left_alone_however_short_the_drivers_own_delays(
    cloud, start, gate
):
    policy = retry.RetryPolicy(first_delay_s=0.01, max_delay_s=0.1)
    gate.keep()
    limits = {"switch": DriverLimits(concurrency=1, retry=policy)}
    start(MemoryDriver("switch", gate), drivers=limits)
    inside = cloud.network()
    gate.comes_to(1)
    waiting = cloud.network()
    cloud.comes_to(waiting, "RETRYING")
    row = cloud.row(waiting)
    assert (row.not_before - row.updated_at).total_seconds() > 600
    gate.let_go()
    for workflow in (inside, waiting):
        cloud.comes_to(workflow, "SUCCESS")


def test_how_a_call_ended_is_written_before_those_are_woken_that_wait_for_its_end(
    cloud, start, gate
):
    sleepy = SleepyJournal(cloud.engine)
    gate.keep()
    limits = {"switch": DriverLimits(concurrency=1)}
    start(MemoryDriver("switch", gate), on=sleepy, drivers=limits, **NO_CHORES)
    workflows = [cloud.network()]
    gate.comes_to(1)
    workflows.append(cloud.network())
    cloud.comes_to(workflows[1], "RETRYING")
    try:
        gate.let_go()
        cloud.comes_to(workflows[0], "SUCCESS")
        assert cloud.state(workflows[1]) == "RETRYING"
    finally:
        sleepy.go.set()
    cloud.comes_to(workflows[1], "SUCCESS")


def test_a_turn_is_free_when_its_call_is_over_though_the_next_driver_takes_long(cloud, start, gate):
    next_gate, workflows = Gate(), [cloud.network(), cloud.network()]
    gate.keep()
    next_gate.keep()
    first = MemoryDriver("first", gate)
    limits = {"first": DriverLimits(concurrency=1)}
    # No poll but the one at the start.
    start(first, MemoryDriver("next", next_gate), drivers=limits, poll_s=3600.0, **NO_CHORES)
    (inside,) = gate.comes_to(1)
    next_gate.comes_to(1)
    (waiting,) = [one for one in workflows if cloud.resource(one) != inside]
    next_gate.let_go()
    cloud.comes_to(waiting, "RETRYING")
    next_gate.keep()
    gate.let_go()
    try:
        wait_until(lambda: len(first.calls) == 2, PATIENCE_S, "the other one to have its turn")
    finally:
        next_gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")


@on_a_server_too
def test_what_one_conductor_has_no_room_for_another_does_that_has_some(cloud, start, gate):
    limits = {"switch": DriverLimits(concurrency=1)}
    kept, free = MemoryDriver("switch", gate), MemoryDriver("switch")
    gate.keep()
    second = start(free, drivers=limits, poll_s=1.5, **NO_CHORES)
    wait_until(lambda: second.looked and second.idle == 2, PATIENCE_S, "its first look to be over")
    first = start(kept, drivers=limits, poll_s=3600.0, **NO_CHORES)
    workflows = [cloud.network() for _ in range(4)]
    first.hint(workflows)

    def done():
        return [one for one in workflows if cloud.state(one) == "SUCCESS"]

    wait_until(lambda: len(done()) >= 3, PATIENCE_S, lambda: f"the second to do them, not {done()}")
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")


def test_a_task_that_prepares_for_a_driver_counts_among_the_drivers_calls(cloud, start, gate):
    start(
        Preparing("binding-switch", gate),
        MemoryDriver("switch", gate),
        workers=4,
        drivers={"switch": DriverLimits(concurrency=1)},
        **NO_CHORES,
    )
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    gate.keep()
    networks = [cloud.network() for _ in range(5)]
    gate.comes_to(1)
    ports = [cloud.port(cloud.resource(network)) for _ in range(5)]
    for workflow in ports:
        cloud.comes_to(workflow, "RETRYING")
        assert cloud.row(workflow).waits_for == "driver:binding-switch"
    gate.let_go()
    for workflow in (*networks, *ports):
        cloud.comes_to(workflow, "SUCCESS")
    assert gate.most == 1


def test_the_oldest_that_waits_has_the_next_turn(cloud, start, gate):
    driver = MemoryDriver("switch", gate)
    start(driver, workers=2, drivers={"switch": DriverLimits(concurrency=1)}, **NO_CHORES)
    gate.keep()
    workflows = [cloud.network()]
    gate.comes_to(1)
    for _ in range(5):
        workflows.append(cloud.network())
        cloud.comes_to(workflows[-1], "RETRYING")
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")
    assert [call.workflow_id for call in driver.calls] == workflows


@on_a_server_too
def test_turns_are_not_lost_between_conductors_that_wake_each_others(cloud, start, gate):
    limits = {"switch": DriverLimits(concurrency=1)}
    drivers = [MemoryDriver("switch", gate) for _ in range(2)]
    for driver in drivers:
        start(driver, workers=3, drivers=limits, **NO_CHORES)
    gate.keep()
    workflows = [cloud.network(project_id=f"p{number % 3}") for number in range(40)]
    gate.comes_to(2)
    gate.let_go()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS", within_s=60)
    assert gate.most == 2
    assert sum(len(driver.calls) for driver in drivers) == len(workflows)


def test_what_a_dead_conductor_left_waiting_for_a_turn_has_one(cloud, start, gate):
    limits = {"switch": DriverLimits(concurrency=1)}
    driver = MemoryDriver("switch", gate)
    first = start(driver, drivers=limits, drain_s=0.0, hand_back_s=0.1, lease_s=3.0, **NO_CHORES)
    gate.keep()
    workflows = [cloud.network()]
    gate.comes_to(1)
    for _ in range(3):
        workflows.append(cloud.network())
        cloud.comes_to(workflows[-1], "RETRYING")
    assert first.stop() is False
    start(MemoryDriver("switch"), drivers=limits)
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")


# -- how often -----------------------------------------------------------------------------------


def busy(target):
    raise errors.TransientFailure("busy")


def test_each_driver_is_tried_as_often_as_its_own_limits_say(cloud, start):
    drivers = [OfPorts("ports", busy), MemoryDriver("networks")]
    limits = {"ports": DriverLimits(retry=retry.RetryPolicy(attempts=2, first_delay_s=0.01))}
    start(*drivers, drivers=limits)
    network = cloud.network()
    cloud.comes_to(network, "SUCCESS")
    port = cloud.port(cloud.resource(network))
    cloud.comes_to(port, "FAILED")
    assert (len(drivers[0].calls), cloud.row(port).attempts) == (2, 2)
    drivers[1].before = busy
    network = cloud.network()
    cloud.comes_to(network, "FAILED")
    assert cloud.row(network).attempts == 3  # as often as all


def test_a_driver_that_may_be_tried_again_decides_though_another_is_spent(cloud, start):
    drivers = [MemoryDriver("impatient", busy), MemoryDriver("patient", busy)]
    limits = {
        "impatient": DriverLimits(retry=retry.RetryPolicy(attempts=1)),
        "patient": DriverLimits(retry=retry.RetryPolicy(attempts=2, first_delay_s=0.01)),
    }
    start(*drivers, drivers=limits)
    workflow = cloud.network()
    cloud.comes_to(workflow, "FAILED")
    assert cloud.row(workflow).attempts == 2
    assert [len(driver.calls) for driver in drivers] == [2, 2]
    assert [task.task_state for task in cloud.tasks(workflow)] == ["FAILED", "FAILED"]


@pytest.mark.parametrize("first_delay_s", [1000.0, 3000.0])
def test_the_delay_is_that_of_the_driver_whose_error_decided(cloud, start, first_delay_s):
    policy = retry.RetryPolicy(first_delay_s=first_delay_s, max_delay_s=first_delay_s)
    start(MemoryDriver("slow", busy), drivers={"slow": DriverLimits(retry=policy)})
    workflow = cloud.network()
    cloud.comes_to(workflow, "RETRYING")
    row = cloud.row(workflow)
    assert first_delay_s / 2 - 60 < (row.not_before - row.updated_at).total_seconds()
    assert (row.not_before - row.updated_at).total_seconds() < first_delay_s + 60


def test_a_conductor_with_limits_stops_as_one_without(cloud, start):
    conductor = start(
        MemoryDriver("switch"),
        drivers={"switch": DriverLimits(timeout_s=3600.0, concurrency=1)},
    )
    cloud.comes_to(cloud.network(), "SUCCESS")
    began_at = time.monotonic()
    assert conductor.stop() is True
    assert time.monotonic() - began_at < 10
    ending = {"workflow-clock", "workflow-remarks"}
    wait_until(
        lambda: ending.isdisjoint(one.name for one in threading.enumerate()), 5, "threads to end"
    )
