# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Two conductors of their own, one of which is killed, or paused beyond its lease."""

import collections.abc
import typing

import pytest
import sqlalchemy as sa

from lab import neutron
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.drivers.fabric import behaviour
from networking_workflow.journal import tables
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

PORTS = sa.table("ports", sa.column("id"), sa.column("status"))


@pytest.fixture(scope="module")
def cloud(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    with (
        schema.installed(database_pool, "mariadb") as database,
        clouds.running(database, conductor="separate") as running,
    ):
        running.add_api()
        yield running


@pytest.fixture
def pair(cloud: clouds.Cloud) -> collections.abc.Iterator[list[neutron.Conductor]]:
    """Two conductors that run."""
    both = [neutron.Conductor(cloud.deployment) for _ in range(2)]
    try:
        for one in both:
            one.launch()
        for one in both:
            one.wait_ready()
        yield both
    finally:
        for one in both:
            one.kill()


def owner_of(
    cloud: clouds.Cloud, resource_id: str, pair: list[neutron.Conductor]
) -> tuple[neutron.Conductor, neutron.Conductor]:
    """Return which conductor is in the middle of a resource's task, and the other one."""
    wait_until(
        lambda: [effect.id for effect in cloud.fabric.gate.in_flight()] == [resource_id],
        clouds.PATIENCE_S,
        lambda: f"a conductor to ask for {resource_id}; {cloud.fabric.gate.in_flight()}",
    )
    (workflow,) = (one for one in cloud.workflows(resource_id) if one.owner)
    found = sa.select(tables.conductors.c.pid).where(tables.conductors.c.id == workflow.owner)
    ((pid,),) = cloud.rows(found)
    (owner,) = (one for one in pair if one.pid == pid)
    (other,) = (one for one in pair if one.pid != pid)
    return owner, other


def other_takes_over(cloud: clouds.Cloud, resource_id: str) -> None:
    in_flight = cloud.fabric.gate.in_flight(at_least=2, wait_s=clouds.PATIENCE_S)
    assert [effect.id for effect in in_flight] == [resource_id] * 2


def test_conductor_killed_in_the_middle_of_a_task_another_finishes_it(
    cloud: clouds.Cloud, pair: list[neutron.Conductor]
) -> None:
    tenant = cloud.client()
    network = tenant.create("networks", name="theirs")
    cloud.settles()
    with cloud.fabric_behaving(hang=("port",)):
        port = tenant.create("ports", network_id=network["id"])["id"]
        owner, _ = owner_of(cloud, port, pair)
        owner.kill()
        other_takes_over(cloud, port)
    cloud.comes_to(port, "SUCCESS")
    (workflow,) = cloud.workflows(port)
    (task,) = cloud.tasks(port)
    assert (workflow.state, task.task_state, task.attempts) == ("SUCCESS", "SUCCESS", 2)

    def calls() -> list[tuple[str, str]]:
        record = cloud.fabric.store.record()
        return [(one["workflow_id"], one["task_id"]) for one in record if one["id"] == port]

    # That of the killed one is written down whenever the server gets to it.
    wait_until(lambda: len(calls()) >= 2, clouds.PATIENCE_S, "both calls")
    assert calls() == [(workflow.id, task.id)] * 2
    assert tenant.show("ports", port)["sync_state"] == "SYNCED"
    assert cloud.differences_from_fabric() == []


def test_conductor_paused_beyond_its_lease_changes_nothing_afterwards(
    cloud: clouds.Cloud, pair: list[neutron.Conductor]
) -> None:
    """Its call would set the port ACTIVE in Neutron's database, and then report success.

    It is one call, so that no look at its own clock comes between: only the fence is in the way.
    """
    tenant = cloud.client()
    network = tenant.create("networks", name="theirs")
    port = tenant.create("ports", network_id=network["id"])["id"]
    cloud.settles()
    with cloud.fabric_behaving(hang=("network",)):  # so that update and binding are one task
        tenant.update("networks", network["id"], name="busy")
        assert cloud.fabric.gate.in_flight(at_least=1, wait_s=clouds.PATIENCE_S)
        tenant.update("ports", port, **{"binding:host_id": "somewhere"})
        cloud.fabric.gate.set(behaviour.Behaviour(hang=("port",)))
        paused, _ = owner_of(cloud, port, pair)
        paused.pause()
        other_takes_over(cloud, port)
    cloud.comes_to(port, "SUCCESS")
    assert tenant.show("ports", port)["status"] == "ACTIVE"
    # So that what it writes shows: status is not captured, but it is Neutron's database.
    cloud.execute(sa.update(PORTS).where(PORTS.c.id == port).values(status="DOWN"))
    before = everything(cloud)
    paused.resume()
    wait_until(
        lambda: "lost its lease" in paused.log and "The lease on workflow" in paused.log,
        clouds.PATIENCE_S,
        lambda: f"the paused one to find out; its log:\n{paused.log[-2000:]}",
    )
    assert everything(cloud) == before
    assert tenant.show("ports", port)["status"] == "DOWN"
    calls = [entry["task_id"] for entry in cloud.fabric.store.record() if entry["id"] == port]
    assert set(calls) == {task.id for task in cloud.tasks(port)}
    assert len(calls) == 3  # the create, and the update from either conductor


def everything(cloud: clouds.Cloud) -> dict[str, list[typing.Any]]:
    """Return every row of every table but those in which conductors say that they live."""
    found = {}
    engine = sa.create_engine(cloud.profile.database_url, poolclass=sa.NullPool)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name != tables.conductors.name:
                found[table.name] = sorted(map(repr, connection.execute(sa.select(table))))
    return found
