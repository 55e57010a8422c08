# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is promised where one of several drivers raises, hangs or lies."""

import collections.abc
import contextlib
import datetime
import pathlib
import typing

import pytest

from lab import client, neutron
from lab.databases import pool
from lab.neutron import running as processes
from lab.neutron import schema
from networking_workflow.drivers.fabric import server as fabric_server
from networking_workflow.journal import clock
from networking_workflow.model import failures
from tests.functional.promises import cloud as clouds
from tests.functional.promises import raising
from tests.waiting import wait_until

BOUND = {"binding:host_id": "switch-1", "device_owner": "compute:x"}

TENANT = "tenant"

#: Seconds; what hangs does so far longer.
TIMEOUT_S = 5

OPTIONS = {
    "fabric": {"timeout_s": 300},
    "workflow_driver:fabric": {"timeout_s": TIMEOUT_S, "concurrency": 3},
    "workflow_driver:raising": {"attempts": 2, "first_delay_s": 0.1, "max_delay_s": 0.2},
}


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> raising.Switch:
    """The other driver's."""
    folder: pathlib.Path = tmp_path_factory.mktemp("raising")
    return raising.Switch(folder)


@pytest.fixture(scope="module")
def started(
    database_pool: pool.Pool, switch: raising.Switch
) -> collections.abc.Iterator[clouds.Cloud]:
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(schema.installed(database_pool, "mariadb"))
        fabric = stack.enter_context(fabric_server.FabricServer(("127.0.0.1", 0)).running())
        profile = neutron.Profile(
            database_url=database.url,
            core_plugin="ml2_workflow",
            mechanism_drivers=("raising", "fabric"),
            service_plugins=("revisions",),
            fabric_url=fabric.url,
            workflow=clouds.TAKE_OVER,
            tenants=True,
            options=OPTIONS,
        )
        deployment = stack.enter_context(neutron.Deployment(profile))
        cloud = clouds.Cloud(deployment, stack, fabric)
        cloud.add_api(environment=switch.environment(processes.REPOSITORY))
        yield cloud


@pytest.fixture
def cloud(started: clouds.Cloud) -> collections.abc.Iterator[clouds.Cloud]:
    """The module's cloud, which each test leaves in order."""
    yield started
    started.settles()
    assert started.differences_from_fabric() == []


def make(cloud: clouds.Cloud, name: str, cidr: str) -> dict[str, str]:
    """Create one of each for a tenant, the port as Nova does; return their ids by collection."""
    tenant, admin = cloud.client(project_id=TENANT), cloud.client()
    network = tenant.create("networks", name=name)["id"]
    subnet = tenant.create("subnets", network_id=network, ip_version=4, cidr=cidr, name=name)["id"]
    port = admin.create("ports", network_id=network, name=name, project_id=TENANT, **BOUND)["id"]
    return {"networks": network, "subnets": subnet, "ports": port}


def newest(cloud: clouds.Cloud, resource_id: str) -> typing.Any:
    """Return a resource's newest workflow that was not folded into another."""
    return [row for row in cloud.workflows(resource_id) if row.state != "SUPERSEDED"][-1]


def states_by_driver(cloud: clouds.Cloud, resource_id: str) -> dict[str, str]:
    """Return the state of each task of a resource's newest workflow."""
    workflow = newest(cloud, resource_id).id
    tasks = [task for task in cloud.tasks(resource_id) if task.workflow_id == workflow]
    return {task.driver: task.task_state for task in tasks}


def failures_of(
    cloud: clouds.Cloud, resource_id: str, reader: client.Client | None = None
) -> list[tuple[str, str, int]]:
    """Return driver, code and attempts of the FAILED tasks of a resource, as the API says."""
    reader = reader or cloud.client()
    return [
        (task["driver"], task["failure"]["code"], task["attempts"])
        for task in reader.list("tasks", resource_id=resource_id, task_state="FAILED")
    ]


def retry(cloud: clouds.Cloud, resource_id: str) -> None:
    """Retry the newest workflow of a resource."""
    workflow = newest(cloud, resource_id).id
    assert cloud.client().call("PUT", f"/workflows/{workflow}/retry").status == 200


def test_driver_that_raises_in_every_hook_hides_no_other_and_is_healed_when_it_stops(
    cloud: clouds.Cloud, switch: raising.Switch
) -> None:
    admin = cloud.client()
    there = make(cloud, "before", "10.1.0.0/24")
    doomed = make(cloud, "doomed", "10.2.0.0/24")
    cloud.settles()
    with switch.raising(raising.AFTER):
        new = make(cloud, "new", "10.3.0.0/24")
        for collection, resource_id in there.items():
            admin.update(collection, resource_id, name="after")
        for collection in ("ports", "subnets", "networks"):
            admin.delete(collection, doomed[collection])
        cloud.settles()
    changed = [*new.values(), *there.values(), *doomed.values()]
    for resource_id in changed:
        assert newest(cloud, resource_id).state == "FAILED"
        assert states_by_driver(cloud, resource_id) == {"raising": "FAILED", "fabric": "SUCCESS"}
        assert failures_of(cloud, resource_id) == [("raising", "DRIVER_ERROR", 2)]
    assert cloud.differences_from_fabric() == []
    for collection, resource_id in (*new.items(), *there.items()):
        assert admin.show(collection, resource_id)["sync_state"] == "ERROR"
    tenant = cloud.client(project_id=TENANT)
    said = [tenant.list(collection) for collection in ("ports", "tasks", "workflows")]
    assert failures_of(cloud, new["networks"], tenant) == [("raising", "DRIVER_ERROR", 2)]
    assert not [word for word in raising.SECRET.split() if word in str(said)]
    assert admin.show("ports", new["ports"])["binding:vif_type"] == "other"

    for collection, resource_id in (*new.items(), *there.items()):
        admin.update(collection, resource_id, name="healed")
    for resource_id in doomed.values():
        retry(cloud, resource_id)
    cloud.settles()
    assert cloud.failed() == []
    for collection, resource_id in (*new.items(), *there.items()):
        assert admin.show(collection, resource_id)["sync_state"] == "SYNCED"
        assert f"update_{collection[:-1]}_postcommit {resource_id}" in switch.done() or (
            f"create_{collection[:-1]}_postcommit {resource_id}" in switch.done()
        )
    for collection, resource_id in doomed.items():
        assert f"delete_{collection[:-1]}_postcommit {resource_id}" in switch.done()


def test_driver_that_raises_before_the_commit_refuses_the_call_and_nothing_is_left(
    cloud: clouds.Cloud, switch: raising.Switch
) -> None:
    admin = cloud.client()
    there = make(cloud, "kept", "10.4.0.0/24")
    cloud.settles()
    before = len(admin.list("workflows"))
    with switch.raising(raising.BEFORE):
        body = {"network": {"name": "refused", "project_id": TENANT}}  # it has its default group
        assert admin.call("POST", "/networks", body).status == 500
        for collection, resource_id in there.items():
            member = {collection[:-1]: {"name": "refused"}}
            assert admin.call("PUT", f"/{collection}/{resource_id}", member).status == 500
        assert admin.call("DELETE", f"/ports/{there['ports']}").status == 500
    assert admin.list("networks", name="refused") == []
    assert len(admin.list("workflows")) == before
    assert admin.show("ports", there["ports"])["sync_state"] == "SYNCED"


def test_driver_that_hangs_is_seen_keeps_what_it_holds_until_its_call_is_back_and_nothing_else(
    cloud: clouds.Cloud,
) -> None:
    admin = cloud.client()
    stuck, free = (make(cloud, name, f"10.{n}.0.0/24") for n, name in ((5, "stuck"), (6, "free")))
    cloud.settles()
    seen = cloud.fabric.store.record()[-1]["seq"]
    unreachable = failures.FailureCode.BACKEND_UNREACHABLE
    port = stuck["ports"]
    with cloud.fabric_behaving(hang=(f"port/{port}",)):
        admin.update("ports", port, name="first")
        wait_until(
            lambda: admin.show("ports", port)["sync_error"] == failures.TENANT_TEXT[unreachable],
            clouds.PATIENCE_S,
            "the resource to say that its backend does not answer",
        )
        assert admin.show("ports", port)["sync_state"] == "PENDING"
        (task,) = admin.list("tasks", resource_id=port, task_state="RUNNING")
        assert (task["driver"], task["failure"]["code"]) == ("fabric", unreachable)
        assert f"has not returned within its time-out of {TIMEOUT_S} s" in task["failure_detail"]
        assert states_by_driver(cloud, port) == {"raising": "SUCCESS", "fabric": "RUNNING"}

        admin.update("ports", port, name="last")
        cloud.comes_to(port, "WAITING")
        for collection, resource_id in free.items():
            admin.update(collection, resource_id, name="others")
        beside = admin.create("ports", network_id=stuck["networks"], name="beside")["id"]
        for resource_id in (*free.values(), beside):
            cloud.comes_to(resource_id, "SUCCESS")
        two_leases = datetime.timedelta(seconds=2 * clouds.TAKE_OVER["lease_s"])
        over_at = cloud.workflows(port)[-2].started_at + two_leases
        wait_until(lambda: clock.local() > over_at, clouds.PATIENCE_S, "two leases to pass")
        assert cloud.states(port)[-2:] == ["RUNNING", "WAITING"]
        (effect,) = cloud.fabric.gate.in_flight()
        assert (effect.id, effect.body["name"]) == (port, "first")
    cloud.settles()
    effects = [one["body"]["name"] for one in cloud.fabric.store.record(since=seen)]
    assert [name for name in effects if name in ("first", "last")] == ["first", "last"]
    assert cloud.states(port)[-2:] == ["SUCCESS", "SUCCESS"]
    shown = admin.show("ports", port)
    assert (shown["sync_state"], shown["sync_error"]) == ("SYNCED", None)
    log = cloud.apis[0].log
    assert log.count(f"update port {port} has not returned for {TIMEOUT_S} s") == 1


def test_driver_that_says_it_did_what_it_did_not_is_caught_with_the_difference(
    cloud: clouds.Cloud,
) -> None:
    admin = cloud.client()
    network = admin.create("networks", name="lied about")["id"]
    there, doomed = (
        admin.create("ports", network_id=network, name="before")["id"] for _ in range(2)
    )
    cloud.settles()
    with cloud.fabric_behaving(lie=("port",)):
        new = admin.create("ports", network_id=network, name="new")["id"]
        admin.update("ports", there, name="after")
        admin.delete("ports", doomed)
        cloud.settles()
    differences = {
        new: "port is not there after its apply",
        there: "name: wanted 'after', observed 'before'",
        doomed: "port is still there after its delete",
    }
    for resource_id, difference in differences.items():
        assert failures_of(cloud, resource_id) == [("fabric", "BACKEND_DIFFERS", 1)]
        assert states_by_driver(cloud, resource_id) == {"raising": "SUCCESS", "fabric": "FAILED"}
        (task,) = admin.list("tasks", resource_id=resource_id, task_state="FAILED")
        assert task["failure_detail"] == difference
    for resource_id in (new, there):
        assert admin.show("ports", resource_id)["sync_state"] == "ERROR"
        admin.update("ports", resource_id, name="healed")
    retry(cloud, doomed)
    cloud.settles()
    assert cloud.failed() == []
    for resource_id in (new, there):
        assert admin.show("ports", resource_id)["sync_state"] == "SYNCED"
