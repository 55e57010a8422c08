# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``[workflow] mode = shadow``: stock calls OVN, and workflows tell what it gets wrong."""

import collections.abc
import contextlib
import dataclasses

import pytest
import requests
import sqlalchemy as sa

from lab import client, neutron
from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.journal import tables
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

NTP = [{"opt_name": "ntp-server", "opt_value": "10.0.0.9", "ip_version": 4}]


@pytest.fixture(scope="module")
def cloud(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    with lab_ovn.OvnCentral() as ovn, schema.installed(database_pool, "mariadb") as database:
        ovn.add_chassis("chassis-1", "compute-1")
        with clouds.running(database, on=ovn, mode="shadow", ovsdb_timeout_s=5) as running:
            running.add_api()
            yield running


def shown(cloud: clouds.Cloud, collection: str, resource_id: str) -> tuple[str, str | None]:
    """Return sync state and error."""
    found = cloud.client().show(collection, resource_id)
    return found["sync_state"], found["sync_error"]


def differences(cloud: clouds.Cloud) -> dict[str, str]:
    """Return what an operator reads of what stock left wrong, by resource."""
    answer = cloud.client().call("GET", "/workflows?workflow_state=FAILED")
    failed = answer.body["workflows"]
    assert {one["failure"]["code"] for one in failed} <= {"BACKEND_DIFFERS"}
    return {one["resource_id"]: one["failure_detail"] for one in failed}


def subnet_on(network: clouds.Json) -> clouds.Json:
    # Without a name server of its own, OVN's stands in.
    servers = {"dns_nameservers": ["9.9.9.9"]}
    return {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", **servers}


def test_what_stock_does_well_is_in_sync(cloud: clouds.Cloud) -> None:
    admin = cloud.client()
    network = admin.create("networks", name="well")
    subnet = admin.create("subnets", **subnet_on(network))
    place = {"binding:host_id": "compute-1"}
    port = admin.create("ports", network_id=network["id"], **place)
    switch = cloud.ovn.nbctl("lsp-list", f"neutron-{network['id']}")
    assert port["id"] in switch  # stock has written it in the call
    cloud.settles()
    for kind, one in (("networks", network), ("subnets", subnet), ("ports", port)):
        assert shown(cloud, kind, one["id"]) == ("SYNCED", None)
    answer = admin.call("DELETE", f"/ports/{port['id']}", headers={"Prefer": "wait=60"})
    assert answer.headers["OpenStack-Workflow-Wait"] == "done"
    assert cloud.states(port["id"])[-1] == "SUCCESS"
    assert differences(cloud) == {}
    assert cloud.differences_from_ovn() == []


def test_what_stock_forgets_is_told_and_heals_with_the_next_change(cloud: clouds.Cloud) -> None:
    """The MTU of a network does not reach the DHCP options that one of its ports has alone."""
    admin = cloud.client()
    network = admin.create("networks", name="mtu", mtu=1400)
    subnet = admin.create("subnets", **subnet_on(network))
    port = admin.create("ports", network_id=network["id"], extra_dhcp_opts=NTP)
    cloud.settles()
    wait = {"headers": {"Prefer": "wait=60"}}
    answer = admin.call("PUT", f"/networks/{network['id']}", {"network": {"mtu": 1300}}, **wait)
    assert answer.status == 502, answer
    assert answer.body["restored"] is False
    assert answer.body["not_restored_because"].startswith("This service compares what stock")
    assert admin.show("networks", network["id"])["mtu"] == 1300
    assert shown(cloud, "networks", network["id"]) == (
        "DRIFTED",
        "The network backend holds something else than what was asked for.",
    )
    where = f"DHCP_Options {subnet['id']}/{port['id']}: options:mtu is '1400', expected '1300'"
    assert where in differences(cloud)[network["id"]]
    drifted = admin.list("networks", sync_state="DRIFTED")
    assert [one["id"] for one in drifted] == [network["id"]]
    admin.update("ports", port["id"], name="changed")  # stock writes its options, too
    (metadata,) = admin.list("ports", network_id=network["id"], device_owner="network:distributed")
    admin.update("ports", metadata["id"], name="changed")
    admin.update("networks", network["id"], name="changed")
    cloud.settles()
    assert shown(cloud, "networks", network["id"]) == ("SYNCED", None)
    assert cloud.states(network["id"])[-2:] == ["SUPERSEDED", "SUCCESS"]
    assert differences(cloud) == {}


def test_a_call_of_stock_that_fails_is_told_and_not_made_good(cloud: clouds.Cloud) -> None:
    """ML2 keeps an update whose driver failed, and answers 500."""
    admin = cloud.client()
    network = admin.create("networks", name="lost")
    cloud.settles()
    cloud.ovn.nbctl("ls-del", f"neutron-{network['id']}")
    answer = admin.call("PUT", f"/networks/{network['id']}", {"network": {"name": "renamed"}})
    assert answer.status == 500
    assert admin.show("networks", network["id"])["name"] == "renamed"
    cloud.comes_to(network["id"], "FAILED")
    said = f"Logical_Switch neutron-{network['id']} is not there"
    assert said in differences(cloud)[network["id"]]
    assert f"neutron-{network['id']}" not in cloud.ovn.nbctl("ls-list")
    admin.delete("networks", network["id"])
    cloud.settles()
    assert cloud.states(network["id"])[-1] == "SUCCESS"
    assert differences(cloud) == {}


def test_a_difference_is_looked_at_again_before_it_is_told(cloud: clouds.Cloud) -> None:
    """Stock's call may still be under way when its change is compared."""
    admin = cloud.client()
    network = admin.create("networks", name="late")
    subnet = admin.create("subnets", **subnet_on(network))
    cloud.settles()
    find = ("--bare", "--columns=_uuid", "find", "DHCP_Options")
    row = cloud.ovn.nbctl(*find, f"external_ids:subnet_id={subnet['id']}").strip()
    cloud.ovn.nbctl("set", "DHCP_Options", row, "options:mtu=7")
    admin.update("networks", network["id"], description="looked at")
    wait_until(
        lambda: cloud.states(network["id"])[-1] == "RETRYING",
        clouds.PATIENCE_S,
        lambda: f"a comparison to differ; there are {cloud.workflows(network['id'])}",
        every_s=0.02,
    )
    cloud.ovn.nbctl("set", "DHCP_Options", row, f"options:mtu={network['mtu']}")
    cloud.comes_to(network["id"], "SUCCESS")
    assert cloud.workflows(network["id"])[-1].attempts > 1


def unanswered(cloud: clouds.Cloud, network_id: str, name: str) -> None:
    """Rename a network while OVN is away: stock commits, and hangs; then it is killed."""
    api = cloud.apis[0]
    cloud.ovn.stop_nb()
    impatient = client.Client(
        api.url, headers=client.identity(client.PROJECT_ID, admin=True), deadline_s=3
    )
    with impatient, pytest.raises(requests.Timeout):
        impatient.update("networks", network_id, name=name)
    wait_until(
        lambda: cloud.workflows(network_id)[-1].waits_for == "driver:ovn",
        clouds.PATIENCE_S,
        lambda: f"the comparison to wait for OVN; there are {cloud.workflows(network_id)}",
    )
    api.kill()
    cloud.ovn.start_nb()


def name_in_ovn(cloud: clouds.Cloud, network_id: str) -> str:
    key = "external_ids:neutron\\:network_name"
    return cloud.ovn.nbctl("get", "Logical_Switch", f"neutron-{network_id}", key).strip().strip('"')


def test_what_stock_did_not_do_in_an_outage_is_told_and_not_done(cloud: clouds.Cloud) -> None:
    network = cloud.client().create("networks", name="before")["id"]
    cloud.settles()
    unanswered(cloud, network, "after")
    cloud.apis[0].start()
    cloud.comes_to(network, "FAILED")
    assert cloud.client().show("networks", network)["name"] == "after"
    assert shown(cloud, "networks", network)[0] == "DRIFTED"
    said = "external_ids:neutron:network_name is 'before', expected 'after'"
    assert said in differences(cloud)[network]
    assert name_in_ovn(cloud, network) == "before"
    cloud.client().delete("networks", network)
    cloud.settles()


def test_what_waits_to_be_compared_is_driven_after_the_mode_was_changed(
    cloud: clouds.Cloud,
) -> None:
    network = cloud.client().create("networks", name="before")["id"]
    cloud.settles()
    unanswered(cloud, network, "after")
    with contextlib.ExitStack() as stack:
        workflow = {**cloud.profile.workflow, "mode": "drive"}
        profile = dataclasses.replace(cloud.profile, workflow=workflow)
        deployment = stack.enter_context(neutron.Deployment(profile))
        driven = clouds.Cloud(deployment, stack, None)
        api = driven.add_api()
        driven.comes_to(network, "SUCCESS")
        assert shown(driven, "networks", network) == ("SYNCED", None)
        assert name_in_ovn(cloud, network) == "after"
        driven.client().update("networks", network, name="driven")
        driven.settles()
        assert name_in_ovn(cloud, network) == "driven"
        api.stop()
    cloud.apis[0].start()
    cloud.client().update("networks", network, name="stock again")
    assert name_in_ovn(cloud, network) == "stock again"
    cloud.comes_to(network, "SUCCESS")


@pytest.fixture(scope="module")
def fabric(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    """A cloud whose mechanism driver can observe; stock calls it, too."""
    with (
        schema.installed(database_pool, "mariadb") as database,
        clouds.running(database, mode="shadow") as running,
    ):
        running.add_api()
        yield running


def test_a_driver_that_can_observe_is_compared(fabric: clouds.Cloud) -> None:
    admin = fabric.client()
    network = admin.create("networks", name="fabric")
    admin.create("ports", network_id=network["id"], name="fabric")
    fabric.settles()
    assert fabric.differences_from_fabric() == []
    assert shown(fabric, "networks", network["id"]) == ("SYNCED", None)
    refused = {"status": 400, "method": "PUT"}
    with fabric.fabric_behaving(fail={f"network/{network['id']}": refused}):
        answer = admin.call("PUT", f"/networks/{network['id']}", {"network": {"name": "renamed"}})
        assert answer.status == 500
        fabric.comes_to(network["id"], "FAILED")
    assert "name: wanted 'renamed', observed 'fabric'" in differences(fabric)[network["id"]]
    assert fabric.fabric.store.all("network")[network["id"]]["name"] == "fabric"
    admin.update("networks", network["id"], description="well again")
    fabric.settles()
    assert differences(fabric) == {}
    assert fabric.differences_from_fabric() == []


def test_a_create_that_stock_takes_back_leaves_nothing_to_tell(fabric: clouds.Cloud) -> None:
    """ML2 deletes what a driver failed to create, and answers 500."""
    admin = fabric.client()
    before = len(fabric.rows(sa.select(tables.workflows.c.id)))
    with fabric.fabric_behaving(fail={"network": {"status": 400, "method": "PUT"}}):
        body = {"network": {"name": "refused", "project_id": client.PROJECT_ID}}
        assert admin.call("POST", "/networks", body).status == 500
    fabric.settles()
    assert len(fabric.rows(sa.select(tables.workflows.c.id))) == before + 2
    assert admin.list("networks", name="refused") == []
    assert differences(fabric) == {}
