# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is promised of one API process, whatever its backend does.

On MariaDB; on SQLite again in ``make stress``. Always there are ``test_binding.py`` and
``test_lanes.py``.
"""

import collections.abc

import pytest
import requests

from lab.client import PROJECT_ID
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.api import idempotency
from networking_workflow.journal import failpoints
from tests import repeating
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

BOUND = {"binding:host_id": "switch-1", "device_owner": "compute:x"}


@pytest.fixture(scope="module", params=["mariadb", *repeating.AGAIN])
def running(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[clouds.Cloud]:
    with (
        schema.installed(database_pool, request.param) as database,
        clouds.running(database) as cloud,
    ):
        cloud.add_api()
        yield cloud


@pytest.fixture
def cloud(running: clouds.Cloud) -> collections.abc.Iterator[clouds.Cloud]:
    """The module's cloud, which each test leaves in order."""
    yield running
    running.settles()


def test_update_and_delete_of_what_is_queued_leave_nothing_behind(cloud: clouds.Cloud) -> None:
    tenant = cloud.client()
    kept = tenant.create("networks", name="kept")
    cloud.settles()
    gone = []
    with cloud.fabric_behaving(outage=True):
        network = tenant.create("networks", name="short-lived")
        subnet = tenant.create(
            "subnets", network_id=network["id"], ip_version=4, cidr="10.1.0.0/24"
        )
        port = tenant.create("ports", network_id=network["id"], name="short-lived")
        beside = tenant.create("ports", network_id=kept["id"], name="short-lived")
        cloud.comes_to(network["id"], "RETRYING")
        for collection, made in (
            ("networks", network),
            ("subnets", subnet),
            ("ports", port),
            ("ports", beside),
        ):
            tenant.update(collection, made["id"], name="renamed")
            gone.append(made["id"])
        for collection, made in (
            ("ports", beside),
            ("ports", port),
            ("subnets", subnet),
            ("networks", network),
        ):
            tenant.delete(collection, made["id"])
    cloud.settles()
    assert cloud.differences_from_fabric() == []
    for resource_id in gone:
        assert sorted(cloud.states(resource_id)) == ["SUCCESS", "SUPERSEDED", "SUPERSEDED"]


def test_network_delete_waits_for_its_ports_deletes(cloud: clouds.Cloud) -> None:
    tenant = cloud.client()
    network = tenant.create("networks", name="full")
    ports = [tenant.create("ports", network_id=network["id"])["id"] for _ in range(3)]
    cloud.settles()
    seen = cloud.fabric.store.record()[-1]["seq"]
    with cloud.fabric_behaving(hang=("port",)):
        for port in ports:
            tenant.delete("ports", port)
        tenant.delete("networks", network["id"])
        cloud.comes_to(network["id"], "WAITING")
        assert len(cloud.fabric.gate.in_flight(at_least=3, wait_s=clouds.PATIENCE_S)) == 3
        assert cloud.fabric.store.get("network", network["id"]) is not None
    cloud.settles()
    effects = [(one["kind"], one["status"]) for one in cloud.fabric.store.record(since=seen)]
    assert effects == [("port", 200)] * 3 + [("network", 200)]


def test_failed_create_is_healed_by_a_later_update_and_its_child_held_between_goes_on(
    cloud: clouds.Cloud,
) -> None:
    tenant = cloud.client()
    with cloud.fabric_behaving(fail={"network": {"status": 400}}):
        network = tenant.create("networks", name="refused")
        cloud.comes_to(network["id"], "FAILED")
        port = tenant.create("ports", network_id=network["id"])
        cloud.comes_to(port["id"], "HELD")
        (held,) = cloud.workflows(port["id"])
        assert held.waits_for == f"network/{network['id']}"
        assert tenant.show("networks", network["id"])["sync_state"] == "ERROR"
        assert tenant.show("ports", port["id"])["sync_state"] == "PENDING"
    tenant.update("networks", network["id"], name="accepted")
    cloud.comes_to(port["id"], "SUCCESS")
    create, update = cloud.workflows(network["id"])
    assert (create.state, create.superseded_by) == ("SUPERSEDED", update.id)
    assert (update.state, cloud.states(port["id"])) == ("SUCCESS", ["SUCCESS"])
    assert tenant.show("networks", network["id"])["sync_state"] == "SYNCED"
    assert tenant.show("ports", port["id"])["sync_state"] == "SYNCED"
    assert cloud.differences_from_fabric() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_who_waits_for_what_the_backend_refuses_has_database_and_backend_as_before(
    cloud: clouds.Cloud, method: str
) -> None:
    tenant = cloud.client()
    network = tenant.create("networks", name="waited for")["id"]
    port = tenant.create("ports", network_id=network, name="before", **BOUND)
    cloud.settles()
    before = cloud.fabric.store.get("port", port["id"])
    body = {
        "POST": {"port": {"network_id": network, "project_id": tenant.project_id, **BOUND}},
        "PUT": {"port": {"name": "after", "admin_state_up": False}},
        "DELETE": None,
    }[method]
    path = "/ports" if method == "POST" else f"/ports/{port['id']}"
    with cloud.fabric_behaving(fail={"port": {"status": 400, "method": refused(method)}}):
        answer = tenant.call(method, path, body, headers={"Prefer": "wait=60"})
    assert (answer.status, answer.body["restored"]) == (502, True), answer
    cloud.settles()
    (shown,) = tenant.list("ports", network_id=network)
    moving = {"revision_number", "updated_at", "sync_updated_at", "sync_state", "status"}
    assert shown["sync_state"] == "SYNCED"
    assert {k: v for k, v in shown.items() if k not in moving} == {
        k: v for k, v in port.items() if k not in moving
    }
    assert cloud.fabric.store.get("port", port["id"]) == before
    assert cloud.differences_from_fabric() == []
    states = cloud.states(answer.body["workflow"]["resource_id"])
    assert (states[-1], "REVERTED" in states) == ("SUCCESS", True)


def refused(method: str) -> str:
    """Return what the fabric is asked with."""
    return "DELETE" if method == "DELETE" else "PUT"


def test_failed_port_of_one_tenant_holds_up_nobody_on_the_shared_network(
    cloud: clouds.Cloud,
) -> None:
    admin, unlucky, other = (
        cloud.client(),
        cloud.client(project_id="unlucky"),
        cloud.client(project_id="other"),
    )
    network = admin.create("networks", name="everybodys", shared=True)
    admin.create("subnets", network_id=network["id"], ip_version=4, cidr="10.2.0.0/24")
    cloud.settles()
    with cloud.fabric_behaving(hang=("port",)):
        bad = unlucky.create("ports", network_id=network["id"])
        good = other.create("ports", network_id=network["id"])
        queued = admin.update("networks", network["id"], name="still-everybodys")
        cloud.comes_to(queued["id"], "WAITING")
        refusal = {f"port/{bad['id']}": {"status": 400, "message": "a secret of the fabric"}}
        with cloud.fabric_behaving(fail=refusal):
            cloud.comes_to(bad["id"], "FAILED")
            for resource in (good, queued):
                cloud.comes_to(resource["id"], "SUCCESS")
            later = other.create("ports", network_id=network["id"])
            other.update("ports", good["id"], name="renamed")
            admin.create("subnets", network_id=network["id"], ip_version=4, cidr="10.3.0.0/24")
            cloud.settles()
            other.delete("ports", later["id"])
            cloud.settles()
    said = unlucky.show("ports", bad["id"])
    assert said["sync_state"] == "ERROR"
    assert "secret" not in str(unlucky.list("workflows") + unlucky.list("tasks"))
    assert {port["sync_state"] for port in other.list("ports")} == {"SYNCED"}
    assert cloud.states(bad["id"]) == ["FAILED"]
    assert cloud.differences_from_fabric() == [f"port {bad['id']} is missing"]
    unlucky.delete("ports", bad["id"])
    cloud.comes_to(bad["id"], "SUCCESS")


def test_call_of_an_api_process_killed_between_commit_and_answer_runs_and_can_be_repeated(
    cloud: clouds.Cloud,
) -> None:
    cloud.client().create("networks", name="so that the tenant has its default group")
    mortal = cloud.add_api(environment={failpoints.ENVIRONMENT: "capture.committed=kill"})
    unlucky = cloud.client(-1)
    cloud.apis.remove(mortal)
    call = ("POST", "/networks", {"network": {"name": "unanswered", "project_id": PROJECT_ID}})
    key = {idempotency.HEADER: "unanswered"}
    with pytest.raises(requests.ConnectionError):
        unlucky.call(*call, headers=key)
    wait_until(lambda: not mortal.process.alive(), 60, "the API process to be gone")
    answer = cloud.client().call(*call, headers=key)
    (network,) = cloud.client().list("networks", name="unanswered")
    assert (answer.status, answer.body["network"]["id"]) == (201, network["id"])
    cloud.comes_to(network["id"], "SUCCESS")
    assert cloud.states(network["id"]) == ["SUCCESS"]
    assert cloud.fabric.store.get("network", network["id"])["name"] == "unanswered"
