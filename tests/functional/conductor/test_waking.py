# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How soon a conductor notices work, and what it costs when there is none."""

import threading
import time

import sqlalchemy as sa

from lab.databases import pool
from networking_workflow.conductor import settings, wakeup
from tests.functional.conductor.cloud import PATIENCE_S, Cloud, create_tables
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until

#: So seldom that what wakes a conductor up in a test is never one of these.
SELDOM = {"poll_s": 3600.0, "chores_s": 3600.0}


def settled_down(conductor, workers):
    """Wait until the first looks after the start are over and every worker is idle."""
    wait_until(lambda: conductor.idle == workers and conductor.looked, 10, "all to be idle")


def test_a_hint_in_the_same_process_wakes_it_not_the_poll(cloud, start):
    called = threading.Event()
    conductor = start(MemoryDriver("m", lambda target: called.set()), **SELDOM)
    settled_down(conductor, 2)
    workflow = cloud.network()
    before = time.monotonic()
    conductor.hint([workflow])
    assert called.wait(PATIENCE_S)
    assert time.monotonic() - before < 1.0
    cloud.comes_to(workflow, "SUCCESS")


def test_a_hint_from_another_process_wakes_it(cloud, start, short_path):
    called = threading.Event()
    folder = str(short_path / "w")
    driver = MemoryDriver("m", lambda target: called.set())
    settled_down(start(driver, wakeup_dir=folder, **SELDOM), 2)
    workflow = cloud.network()
    before = time.monotonic()
    assert wakeup.Sender(folder).send() == 1
    assert called.wait(PATIENCE_S)
    assert time.monotonic() - before < 1.0
    cloud.comes_to(workflow, "SUCCESS")


def test_one_external_hint_sets_all_workers_to_work(cloud, start, short_path):
    together = threading.Barrier(4)
    folder = str(short_path / "w")
    driver = MemoryDriver("m", lambda target: together.wait(PATIENCE_S))
    settled_down(start(driver, workers=4, wakeup_dir=folder, **SELDOM), 4)
    workflows = [cloud.network() for _ in range(4)]
    wakeup.Sender(folder).send()
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")


def test_several_workflows_run_at_once(cloud, start):
    together = threading.Barrier(4)
    start(MemoryDriver("m", lambda target: together.wait(PATIENCE_S)), workers=4)
    workflows = [cloud.network() for _ in range(4)]
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")


def test_what_waits_for_another_goes_on_without_a_poll(cloud, start):
    conductor = start(MemoryDriver("m"), **SELDOM)
    settled_down(conductor, 2)
    network = cloud.network()
    ports = [cloud.port(cloud.resource(network)) for _ in range(6)]
    conductor.hint([network, *ports])
    for workflow in (network, *ports):
        cloud.comes_to(workflow, "SUCCESS")


def test_hints_beyond_the_idle_workers_go_to_the_other_conductors(cloud, start, short_path):
    folder = str(short_path / "w")
    together = threading.Barrier(2)
    config = {"workers": 1, "wakeup_dir": folder, **SELDOM}
    first = start(MemoryDriver("m", lambda target: together.wait(PATIENCE_S)), **config)
    second = start(MemoryDriver("m", lambda target: together.wait(PATIENCE_S)), **config)
    for one in (first, second):
        settled_down(one, 1)
    workflows = [cloud.network(), cloud.network()]
    first.hint(workflows)
    for workflow in workflows:
        cloud.comes_to(workflow, "SUCCESS")


def test_without_any_hint_the_poll_finds_it(cloud, start):
    start(MemoryDriver("m"), chores_s=3600.0)
    cloud.comes_to(cloud.network(), "SUCCESS")


def test_a_delayed_retry_needs_no_chores(cloud, start):
    left = [RuntimeError("once")]

    def once(target):
        if left:
            raise left.pop()

    start(MemoryDriver("m", once), chores_s=3600.0)
    cloud.comes_to(cloud.network(), "SUCCESS")


WINDOW_S = 20


def test_an_idle_conductor_sends_at_most_two_statements_a_second(database_pool: pool.Pool, start):
    """With the intervals of a real one; counted by the server itself."""
    database = database_pool.empty("mariadb", "conductor", create_tables)
    cloud = Cloud(database.url)
    defaults = settings.ConductorSettings()
    conductor = start(
        MemoryDriver("m"),
        on=cloud.journal,
        workers=defaults.workers,
        lease_s=defaults.lease_s,
        poll_s=defaults.poll_s,
        chores_s=defaults.chores_s,
    )
    settled_down(conductor, defaults.workers)
    began, before = time.monotonic(), questions(cloud)
    wait_until(lambda: time.monotonic() - began >= WINDOW_S, 2 * WINDOW_S, "the window", every_s=1)
    sent = questions(cloud) - before - 1  # the last question is ours
    conductor.stop()
    cloud.close()
    assert 0 < sent / WINDOW_S <= 2.0


def questions(cloud):
    """Return how many statements the server was sent since its start, this one included."""
    with cloud.engine.connect() as connection:
        status = connection.execute(sa.text("SHOW GLOBAL STATUS LIKE 'Questions'")).one()
        return int(status[1])
