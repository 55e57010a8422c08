# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Conductors that pause, hang, stop or are killed."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from networking_workflow.conductor import chores
from networking_workflow.journal import clock, failpoints, idempotency, journal, tables
from networking_workflow.model import errors
from tests.functional.conductor.cloud import PATIENCE_S
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until

ROOT = pathlib.Path(__file__).parents[3]


class Hanging:
    """A hook that hangs every call until it is let go."""

    def __init__(self):
        self.inside, self.go = threading.Event(), threading.Event()

    def __call__(self, target):
        self.inside.set()
        assert self.go.wait(60)


class PausedJournal(journal.Journal):
    """A journal whose renewals stop, as those of a paused process do."""

    def __init__(self, engine):
        super().__init__(engine)
        self.runs = threading.Event()
        self.runs.set()

    def renew(self, conductor_id, lease_s):
        self.runs.wait()
        return super().renew(conductor_id, lease_s)


class UnregisteredJournal(journal.Journal):
    """A journal whose database is away whenever a conductor wants to register."""

    def register(self, conductor_id, *, host, pid, lease_s):
        raise sa.exc.OperationalError("INSERT", {}, OSError("gone"))


@pytest.fixture
def hanging():
    hook = Hanging()
    yield hook
    hook.go.set()


def test_a_conductor_paused_beyond_its_lease_writes_nothing_afterwards(cloud, start, hanging):
    paused = PausedJournal(cloud.engine)
    slow, after, quick = MemoryDriver("a", hanging), MemoryDriver("b"), MemoryDriver("a")
    first = start(slow, after, on=paused, lease_s=3.0, chores_s=60.0)
    lost_owner = wait_until(lambda: first.owner, 5, "the first conductor to register")
    workflow = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    paused.runs.clear()
    start(quick, MemoryDriver("b"))
    cloud.comes_to(workflow, "SUCCESS")
    assert cloud.conductor_states()[0] == "LOST"
    settled, tasks = cloud.row(workflow), cloud.tasks(workflow)

    hanging.go.set()
    wait_until(lambda: first.running == [], PATIENCE_S, "the first conductor to drop it")
    assert cloud.row(workflow) == settled
    assert cloud.tasks(workflow) == tasks
    assert after.calls == []
    assert slow.calls[0].task_id == quick.calls[0].task_id

    paused.runs.set()
    wait_until(lambda: first.owner != lost_owner, PATIENCE_S, "another id")
    cloud.comes_to(cloud.network(), "SUCCESS")


def test_a_process_cut_off_from_the_database_stops_before_its_next_call(cloud, start, hanging):
    paused = PausedJournal(cloud.engine)
    slow, after = MemoryDriver("a", hanging), MemoryDriver("b")
    first = start(slow, after, on=paused, lease_s=3.0, chores_s=60.0)
    workflow = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    paused.runs.clear()
    held = wait_until(lambda: first.lease, 5, "a lease")
    wait_until(lambda: not held.held, PATIENCE_S, "the lease to be over")
    hanging.go.set()
    wait_until(lambda: first.running == [], PATIENCE_S, "the workflow to be dropped")
    assert after.calls == []
    assert cloud.state(workflow) == "RUNNING"  # nobody has taken it over yet
    paused.runs.set()


def test_a_workflow_dropped_by_our_own_clock_goes_on_when_the_lease_is_renewed(
    cloud, start, hanging, monkeypatch
):
    monkeypatch.setattr(chores, "_SURELY_KNOWN_S", 0.5)
    paused = PausedJournal(cloud.engine)
    slow, after = MemoryDriver("a", hanging), MemoryDriver("b")
    conductor = start(slow, after, on=paused, lease_s=2.0)  # there is no other that takes over
    workflow = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    paused.runs.clear()
    held = wait_until(lambda: conductor.lease, 5, "a lease")
    wait_until(lambda: not held.held, PATIENCE_S, "the lease to be over")
    hanging.go.set()
    wait_until(lambda: conductor.running == [], PATIENCE_S, "the workflow to be dropped")
    assert cloud.state(workflow) == "RUNNING"
    paused.runs.set()
    cloud.comes_to(workflow, "SUCCESS")
    assert conductor.owner == held.owner
    assert [call.workflow_id for call in after.calls] == [workflow]


def test_a_call_that_hangs_keeps_its_lease_and_its_keys(cloud, start, hanging):
    slow = MemoryDriver("memory", hanging)
    start(slow, lease_s=4.0, workers=1)
    create = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    update = cloud.update(create)
    other = MemoryDriver("memory")
    start(other, lease_s=4.0)
    cloud.comes_to(update, "WAITING")
    generation = cloud.row(create).fence
    free = cloud.network()
    cloud.comes_to(free, "SUCCESS")
    # Three leases long the other one tries to take over what it can.
    wait_until(lambda: cloud.age_s(create) > 12, PATIENCE_S, "three leases to pass")
    assert (cloud.state(create), cloud.row(create).fence) == ("RUNNING", generation)
    assert cloud.state(update) == "WAITING"
    hanging.go.set()
    cloud.comes_to(update, "SUCCESS")
    assert cloud.state(create) == "SUCCESS"


def test_a_graceful_stop_finishes_what_runs(cloud, start, hanging):
    slow, last = MemoryDriver("a", hanging), MemoryDriver("b")
    conductor = start(slow, last)
    workflow = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    queued = cloud.update(workflow)
    stopped = []
    stopping = threading.Thread(target=lambda: stopped.append(conductor.stop()))
    stopping.start()
    wait_until(lambda: conductor.stopping, 5, "the stop to begin")
    hanging.go.set()
    stopping.join(PATIENCE_S)
    assert stopped == [True]
    assert cloud.state(workflow) == "SUCCESS"
    assert cloud.state(queued) in ("READY", "WAITING")
    assert cloud.conductor_states() == ["STOPPED"]


def test_a_graceful_stop_hands_back_what_does_not_finish_in_time(cloud, start, hanging):
    slow, last = MemoryDriver("a", hanging), MemoryDriver("b")
    conductor = start(slow, last, drain_s=0.0)
    workflow = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    failpoints.arm("conductor.handing_back", hanging.go.set)
    assert conductor.stop() is True
    failpoints.disarm("conductor.handing_back")
    assert cloud.state(workflow) == "READY"
    assert [task.task_state for task in cloud.tasks(workflow)] == ["SUCCESS", "PENDING"]
    assert last.calls == []
    assert cloud.conductor_states() == ["STOPPED"]
    again = MemoryDriver("a")
    start(again, last)
    cloud.comes_to(workflow, "SUCCESS")
    assert again.calls == []


def test_a_stop_in_the_middle_of_a_call_leaves_the_workflow_to_the_lease(cloud, start, hanging):
    conductor = start(MemoryDriver("a", hanging), drain_s=0.0, hand_back_s=0.1, lease_s=3.0)
    workflow = cloud.network()
    assert hanging.inside.wait(PATIENCE_S)
    assert conductor.stop() is False
    assert cloud.state(workflow) == "RUNNING"
    assert cloud.conductor_states() == ["ALIVE"]
    start(MemoryDriver("a"))
    cloud.comes_to(workflow, "SUCCESS")


def test_a_stop_does_not_wait_for_a_worker_that_waits_for_a_lease(cloud, start):
    conductor = start(on=UnregisteredJournal(cloud.engine), drain_s=60.0)
    cloud.network()
    wait_until(lambda: conductor.idle == 1, PATIENCE_S, "one of two workers to want a lease")
    stopping = threading.Thread(target=conductor.stop)
    stopping.start()
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()


@pytest.mark.parametrize("place", ["conductor.before_call", "conductor.after_call"])
def test_killed_in_the_middle_of_a_task_another_finishes_it_under_the_same_id(
    cloud, tmp_path, place
):
    calls = tmp_path / "calls"
    environment = dict(os.environ)
    workflow = cloud.network()
    command = [sys.executable, "-m", "tests.functional.conductor.child", cloud.url, str(calls)]
    environment[failpoints.ENVIRONMENT] = f"{place}=kill"
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as killed:
        assert killed.wait(60) == -9
    assert cloud.state(workflow) == "RUNNING"

    environment[failpoints.ENVIRONMENT] = ""
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as other:
        try:
            cloud.comes_to(workflow, "SUCCESS", within_s=40)
        finally:
            other.stdin.close()
    assert other.returncode == 0
    expected = 2 if place == "conductor.after_call" else 1
    (task,) = cloud.tasks(workflow)
    assert calls.read_text().splitlines() == [f"{workflow} {task.id}"] * expected
    assert (task.task_state, task.attempts) == ("SUCCESS", 2)
    assert cloud.conductor_states() == ["LOST", "STOPPED"]


def test_killed_between_two_batches_of_what_a_change_reaches_another_opens_them_all(
    cloud, tmp_path
):
    network = cloud.network()
    ports = [cloud.port(cloud.resource(network)) for _ in range(5)]
    calls = tmp_path / "calls"
    command = [sys.executable, "-m", "tests.functional.conductor.child", cloud.url, str(calls)]

    def child(failing):
        environment = {**os.environ, failpoints.ENVIRONMENT: failing}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE)

    with child("") as first:
        for one in (network, *ports):
            cloud.comes_to(one, "SUCCESS", within_s=40)
        first.stdin.close()
    update = cloud.update(network)
    with child("conductor.fanned_out=kill:2") as killed:
        assert killed.wait(60) == -9
    assert (cloud.state(update), cloud.count("port")) == ("RUNNING", 5 + 4)

    with child("") as other:
        cloud.comes_to(update, "SUCCESS", within_s=40)
        wait_until(lambda: cloud.holds() == 0, 40, "what was opened to be over")
        other.stdin.close()
    called = [cloud.resource(line.split()[0]) for line in calls.read_text().splitlines()]
    assert [called.count(cloud.resource(port)) for port in ports] == [2] * 5


def test_a_backend_that_is_down_spends_no_attempts_and_goes_on_when_it_is_back(cloud, start):
    driver = MemoryDriver("memory")
    driver.down = True
    start(driver)
    workflows = [cloud.network() for _ in range(10)]
    for workflow in workflows:
        cloud.comes_to(workflow, "RETRYING")
        assert cloud.sync(workflow) == ("PENDING", "BACKEND_UNREACHABLE")
        (task,) = cloud.tasks(workflow)
        assert (task.task_state, task.failure_code) == ("RETRYING", "BACKEND_UNREACHABLE")
        assert cloud.row(workflow).waits_for == "driver:memory"
        assert cloud.row(workflow).attempts == 0
    assert driver.calls == []
    driver.down = False
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")
        assert cloud.row(workflow).attempts == 1  # the one that went through


def test_an_open_breaker_keeps_workflows_away_from_their_driver_and_no_other(cloud, start):
    entered = []

    def unreachable(target):
        entered.append(target)
        raise errors.BackendUnreachable("connection refused")

    bad, good = MemoryDriver("bad", unreachable), MemoryDriver("good")
    start(bad, good, probe_s=60.0, workers=1)
    workflows = [cloud.network() for _ in range(5)]
    for workflow in workflows:
        cloud.comes_to(workflow, "RETRYING")
    assert len(entered) == 1
    assert len(good.calls) == 5


def test_what_a_dead_conductor_left_waiting_for_a_driver_is_found(cloud, start):
    driver = MemoryDriver("memory")
    driver.down = True
    first = start(driver, probe_s=60.0)
    workflow = cloud.network()
    cloud.comes_to(workflow, "RETRYING")
    first.stop()
    start(MemoryDriver("memory"))
    cloud.comes_to(workflow, "SUCCESS")


def test_a_conductor_forgets_what_ended_long_ago(cloud, start):
    start(MemoryDriver("a"), keep_finished_s=3600.0)
    old, young = cloud.network(), cloud.network()
    for workflow in (old, young):
        cloud.comes_to(workflow, "SUCCESS")
    table = tables.workflows
    with cloud.engine.begin() as connection:
        own = sa.update(table).where(table.c.id == old)
        connection.execute(own.values(finished_at=clock.after(-3601.0)))
    wait_until(lambda: cloud.count("network") == 1, PATIENCE_S, "the old one to be forgotten")
    assert cloud.state(young) == "SUCCESS"


def test_a_conductor_forgets_idempotency_keys_that_are_over(cloud, start):
    table, keys = tables.idempotency_keys, {}
    with cloud.engine.begin() as connection:
        for name, age_s in (("old", 60.0), ("young", -60.0)):
            keys[name] = idempotency.Key(project_id="p", key=name, fingerprint="f")
            idempotency.insert(connection, keys[name], "req", ("id",))
            own = sa.update(table).where(table.c.idempotency_key == name)
            written_at = clock.after(-idempotency.KEPT_S - age_s)
            connection.execute(own.values(created_at=written_at))
    start(MemoryDriver("a"))

    def found(key):
        with cloud.engine.connect() as connection:
            return idempotency.find(connection, key)

    wait_until(lambda: not found(keys["old"]), PATIENCE_S, "the old one to be forgotten")
    assert found(keys["young"])
