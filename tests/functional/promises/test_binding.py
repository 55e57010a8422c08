# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is promised of ports that hardware binds, in processes as they are deployed."""

import collections.abc
import time

import pytest

from lab import neutron
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.journal import failpoints
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

ON_HOST = {"binding:host_id": "switch-1", "device_owner": "baremetal:none"}

TENANT = "0" * 32


@pytest.fixture(scope="module")
def running(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    with (
        schema.installed(database_pool, "sqlite") as database,
        clouds.running(database, asks_to_bind=True, deferred_binding="fabric", attempts=2) as cloud,
    ):
        cloud.add_api()
        yield cloud


@pytest.fixture
def cloud(running: clouds.Cloud) -> collections.abc.Iterator[clouds.Cloud]:
    """The module's cloud, which each test leaves in order."""
    yield running
    running.settles()


@pytest.fixture
def network(cloud: clouds.Cloud) -> str:
    made: str = cloud.client().create("networks")["id"]
    cloud.settles()
    return made


def binding_now(cloud: clouds.Cloud, port: str) -> None:
    """Wait until the fabric is being asked to bind a port."""

    def asked() -> bool:
        return ("binding", port) in [(one.kind, one.id) for one in cloud.fabric.gate.in_flight()]

    wait_until(asked, clouds.PATIENCE_S, "the fabric to be asked")


def test_a_call_is_answered_at_once_whatever_time_the_hardware_takes(
    cloud: clouds.Cloud, network: str
) -> None:
    admin = cloud.client()
    with cloud.fabric_behaving(hang=("binding",)):
        began = time.monotonic()
        port = admin.create("ports", network_id=network, **ON_HOST)
        moved = admin.update("ports", port["id"], **{"binding:host_id": "switch-2"})
        assert time.monotonic() - began < clouds.ANSWER_S
        assert {one["sync_state"] for one in (port, moved)} == {"PENDING"}
        binding_now(cloud, port["id"])
        said = admin.show("ports", port["id"])
        assert (said["binding:vif_type"], said["sync_state"]) == ("unbound", "PENDING")
        assert said["status"] == "DOWN"
    cloud.settles()
    said = admin.show("ports", port["id"])
    assert (said["binding:vif_type"], said["sync_state"]) == ("other", "SYNCED")
    assert said["status"] == "ACTIVE"
    assert cloud.fabric.store.get("binding", port["id"]) == {"host": "switch-2"}
    assert cloud.fabric.store.get("port", port["id"])["host"] == "switch-2"


def test_a_call_that_prefers_to_wait_is_answered_with_the_vif_fields(
    cloud: clouds.Cloud, network: str
) -> None:
    admin = cloud.client()
    body = {"port": {"network_id": network, "project_id": admin.project_id, **ON_HOST}}
    with cloud.fabric_behaving(latency_s=0.5):
        made = admin.call("POST", "/ports", body, headers={"Prefer": "wait=60"})
    assert (made.status, made.headers["OpenStack-Workflow-Wait"]) == (201, "done")
    port = made.body["port"]
    assert (port["binding:vif_type"], port["sync_state"]) == ("other", "SYNCED")
    change = {"port": {"binding:host_id": "switch-2"}}
    moved = admin.call("PUT", f"/ports/{port['id']}", change, headers={"Prefer": "wait=60"})
    assert moved.body["port"]["binding:vif_type"] == "other"
    assert moved.body["port"]["binding:host_id"] == "switch-2"


def test_a_port_whose_hardware_refuses_says_so_in_words_for_a_tenant(
    cloud: clouds.Cloud, network: str
) -> None:
    admin = cloud.client()
    refusal = {"binding": {"status": 400, "message": "a secret of the fabric"}}
    with cloud.fabric_behaving(fail=refusal):
        port = admin.create("ports", network_id=network, project_id=TENANT, **ON_HOST)
        cloud.comes_to(port["id"], "FAILED")
    said = admin.show("ports", port["id"])
    assert (said["binding:vif_type"], said["sync_state"]) == ("binding_failed", "ERROR")
    (task,) = [one for one in admin.list("tasks", resource_id=port["id"]) if one["failure"]]
    assert task["driver"] == "binding-fabric"
    assert task["failure"]["message"] == "The network backend refused the change."
    seen = cloud.client(project_id=TENANT).show("ports", port["id"])
    assert seen["sync_state"] == "ERROR"
    assert "secret" not in str(seen)
    healed = admin.update("ports", port["id"], name="again")
    assert healed["binding:vif_type"] == "unbound"
    cloud.settles()
    assert admin.show("ports", port["id"])["binding:vif_type"] == "other"
    assert admin.show("ports", port["id"])["sync_state"] == "SYNCED"


def test_a_waiting_call_whose_binding_fails_is_undone(cloud: clouds.Cloud, network: str) -> None:
    admin = cloud.client()
    body = {"port": {"network_id": network, "project_id": admin.project_id, **ON_HOST}}
    refusal = {"binding": {"status": 400, "message": "no"}}
    with cloud.fabric_behaving(fail=refusal):
        answer = admin.call("POST", "/ports", body, headers={"Prefer": "wait=60"})
    assert (answer.status, answer.body["restored"]) == (502, True)
    cloud.settles()
    assert admin.list("ports", network_id=network) == []


def test_a_waiting_call_that_moves_a_port_in_vain_leaves_it_bound_where_it_was(
    cloud: clouds.Cloud, network: str
) -> None:
    admin = cloud.client()
    port = admin.create("ports", network_id=network, **ON_HOST)
    cloud.settles()
    before = admin.show("ports", port["id"])
    elsewhere, otherwise = {"binding:host_id": "switch-2"}, {"binding:profile": {"plug": "2"}}
    cases = [
        (elsewhere, "binding"),  # not bound
        (elsewhere, "port"),  # bound, and the port refused
        (otherwise, "port"),
    ]
    for values, kind in cases:
        change = {"port": values}
        with cloud.fabric_behaving(fail={kind: {"status": 400, "message": "no"}}):
            prefer = {"Prefer": "wait=60"}
            answer = admin.call("PUT", f"/ports/{port['id']}", change, headers=prefer)
        assert (answer.status, answer.body["restored"]) == (502, True), answer.body
        cloud.settles()
        after = admin.show("ports", port["id"])
        bound = ("host_id", "profile", "vif_type", "vif_details")
        fields = [*(f"binding:{name}" for name in bound), "sync_state"]
        assert [after[name] for name in fields] == [before[name] for name in fields]


def test_hardware_that_is_away_binds_when_it_is_back(cloud: clouds.Cloud, network: str) -> None:
    admin = cloud.client()
    with cloud.fabric_behaving(outage=True):
        ports = [admin.create("ports", network_id=network, **ON_HOST) for _ in range(3)]
        cloud.comes_to(ports[0]["id"], "RETRYING")
    cloud.settles()
    assert {admin.show("ports", one["id"])["binding:vif_type"] for one in ports} == {"other"}
    assert {admin.show("ports", one["id"])["sync_state"] for one in ports} == {"SYNCED"}


def test_a_deleted_port_is_not_bound_and_leaves_nothing(cloud: clouds.Cloud, network: str) -> None:
    admin = cloud.client()
    with cloud.fabric_behaving(hang=("binding",)):
        port = admin.create("ports", network_id=network, **ON_HOST)
        binding_now(cloud, port["id"])
        admin.delete("ports", port["id"])
    cloud.settles()
    assert cloud.fabric.store.get("port", port["id"]) is None
    assert cloud.fabric.store.get("binding", port["id"]) is None
    assert set(cloud.states(port["id"])) <= {"SUCCESS", "SUPERSEDED"}


def test_a_conductor_killed_while_it_binds_is_followed_by_another_that_binds(
    database_pool: pool.Pool,
) -> None:
    separate = {"conductor": "separate", "deferred_binding": "fabric"}
    with (
        schema.installed(database_pool, "mariadb") as database,
        clouds.running(database, asks_to_bind=True, **separate) as cloud,
    ):
        cloud.add_api()
        admin = cloud.client()
        network = admin.create("networks")["id"]
        first, second = (neutron.Conductor(cloud.deployment) for _ in range(2))
        try:
            first.start()
            cloud.settles()
            with cloud.fabric_behaving(hang=("binding",)):
                port = admin.create("ports", network_id=network, **ON_HOST)
                binding_now(cloud, port["id"])
                first.kill()
            second.start()
            cloud.settles()
        finally:
            first.kill()
            second.kill()
        said = admin.show("ports", port["id"])
        assert (said["binding:vif_type"], said["sync_state"]) == ("other", "SYNCED")
        asked = [one for one in cloud.fabric.store.record() if one["kind"] == "binding"]
        assert {one["id"] for one in asked} == {port["id"]}
        assert len({one["task_id"] for one in asked}) == 1


def test_an_api_killed_before_it_asked_any_driver_leaves_a_port_that_a_later_call_binds(
    cloud: clouds.Cloud, network: str
) -> None:
    mortal = cloud.add_api(environment={failpoints.ENVIRONMENT: "capture.committed=kill"})
    unlucky = cloud.client(-1)
    cloud.apis.remove(mortal)
    with pytest.raises(OSError):
        unlucky.create("ports", network_id=network, name="half", **ON_HOST)
    wait_until(lambda: not mortal.process.alive(), 60, "the API process to be gone")
    cloud.settles()
    admin = cloud.client()
    (port,) = admin.list("ports", name="half")
    # As in stock, and what the drivers were told: nobody was asked, and no task knows of it.
    assert (port["binding:vif_type"], port["sync_state"]) == ("unbound", "SYNCED")
    admin.update("ports", port["id"], name="whole")
    cloud.settles()
    assert admin.show("ports", port["id"])["binding:vif_type"] == "other"
