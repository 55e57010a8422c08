# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is promised where drivers are independent: three fabrics, the third in a lane of its own."""

import collections.abc
import contextlib
import dataclasses
import typing

import pytest

from lab import fabrics, neutron, processes
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.drivers.fabric import behaviour
from networking_workflow.drivers.fabric import server as fabric_server
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

_NAMES = ("fabric", "fabric_second", "fabric_third")
_GRAPH = "fabric_second after fabric, fabric_third independent"


class Three(typing.NamedTuple):
    """A cloud whose fabric is the first, and the two others."""

    cloud: clouds.Cloud
    second: fabric_server.FabricServer
    third: fabric_server.FabricServer


def _profile(database: pool.Database, urls: list[str], **workflow: object) -> neutron.Profile:
    return neutron.Profile(
        database_url=database.url,
        core_plugin="ml2_workflow",
        mechanism_drivers=_NAMES,
        drivers=fabrics.DRIVERS,
        fabric_url=urls[0],
        options={name: {"url": url} for name, url in zip(_NAMES[1:], urls[1:], strict=True)},
        workflow=clouds.TAKE_OVER | workflow,
        tenants=True,
    )


@pytest.fixture(scope="module")
def running(database_pool: pool.Pool) -> collections.abc.Iterator[Three]:
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(schema.installed(database_pool, "sqlite"))
        three = [
            stack.enter_context(fabric_server.FabricServer(("127.0.0.1", 0)).running())
            for _ in _NAMES
        ]
        profile = _profile(database, [one.url for one in three], driver_graph=_GRAPH)
        deployment = stack.enter_context(neutron.Deployment(profile))
        cloud = clouds.Cloud(deployment, stack, three[0])
        cloud.add_api()
        yield Three(cloud, *three[1:])


@pytest.fixture
def three(running: Three) -> collections.abc.Iterator[Three]:
    """The module's cloud, which each test leaves in order."""
    yield running
    for fabric in (running.cloud.fabric, *running[1:]):
        fabric.gate.set(behaviour.Behaviour())
    running.cloud.settles()


def _effects(fabric: fabric_server.FabricServer) -> list[str]:
    """Return the resources that a fabric was given, or deleted, in order."""
    return [one["id"] for one in fabric.store.record() if one["status"] in (200, 201, 204)]


def _held(fabric: fabric_server.FabricServer, resource_id: str, kind: str = "network") -> object:
    body = fabric.store.get(kind, resource_id)
    return body and body["name"]


def test_one_of_three_backends_is_down_and_the_others_go_on_and_it_catches_up_in_order(
    three: Three,
) -> None:
    cloud, tenant = three.cloud, three.cloud.client()
    before = len(_effects(three.third))
    three.third.gate.set(behaviour.Behaviour(outage=True))
    network = tenant.create("networks", name="first")["id"]
    subnet = tenant.create("subnets", network_id=network, ip_version=4, cidr="10.3.0.0/24")["id"]
    port = tenant.create("ports", network_id=network, name="first")["id"]
    for name in ("second", "third"):
        for collection, resource_id in (("networks", network), ("ports", port)):
            tenant.update(collection, resource_id, name=name)

    def by_lane() -> dict[str, set[str]]:
        states: dict[str, set[str]] = {}
        for row in cloud.workflows(network):
            states.setdefault(row.lane, set()).add(row.state)
        return states

    def others_hold_it() -> bool:
        held = all(
            _held(fabric, resource_id, kind) == "third"
            for fabric in (cloud.fabric, three.second)
            for kind, resource_id in (("network", network), ("port", port))
        )
        # A backend holds a change before the conductor has written that it does.
        return held and by_lane()["default"] <= {"SUCCESS", "SUPERSEDED"}

    wait_until(others_hold_it, clouds.PATIENCE_S, lambda: f"the two others to go on: {by_lane()}")
    shown = tenant.show("networks", network)
    assert shown["sync_state"] == "PENDING"
    assert not by_lane()["fabric_third"] & {"SUCCESS"}
    assert _effects(three.third)[before:] == []
    three.third.gate.set(behaviour.Behaviour())
    cloud.settles()
    effects = _effects(three.third)[before:]
    assert effects.index(network) < effects.index(subnet) < effects.index(port)
    assert (_held(three.third, network), _held(three.third, port, "port")) == ("third", "third")
    assert tenant.show("networks", network)["sync_state"] == "SYNCED"


def test_a_resource_shows_the_worst_of_its_lanes_and_each_driver_its_own(three: Three) -> None:
    cloud, tenant = three.cloud, three.cloud.client()
    three.third.gate.set(behaviour.Behaviour(fail={"network": {"status": 400}}))
    network = tenant.create("networks", name="half")["id"]
    cloud.settles()
    shown = tenant.show("networks", network)
    assert shown["sync_state"] == "ERROR"
    assert shown["sync_error"] == "The network backend refused the change."
    answer = tenant.call("GET", f"/workflows?resource_id={network}")
    drivers = {
        (one["driver"], one["sync_state"])
        for workflow in answer.body["workflows"]
        for one in workflow["drivers"]
    }
    assert drivers == {
        ("fabric", "SYNCED"),
        ("fabric_second", "SYNCED"),
        ("fabric_third", "ERROR"),
    }
    for state, found in (("ERROR", True), ("SYNCED", False), ("PENDING", False)):
        listed = tenant.call("GET", f"/networks?sync_state={state}&id={network}").body["networks"]
        assert bool(listed) is found, state
    in_lane = tenant.call("GET", f"/workflows?resource_id={network}&lane=fabric_third").body
    assert [one["workflow_state"] for one in in_lane["workflows"]] == ["FAILED"]
    three.third.gate.set(behaviour.Behaviour())
    tenant.update("networks", network, name="whole")
    cloud.settles()
    assert tenant.show("networks", network)["sync_state"] == "SYNCED"


def test_who_waits_for_a_change_that_one_lane_refuses_has_it_undone_in_all(three: Three) -> None:
    cloud, tenant = three.cloud, three.cloud.client()
    network = tenant.create("networks", name="before")["id"]
    cloud.settles()
    three.third.gate.set(behaviour.Behaviour(fail={"network": {"status": 400}}))
    body = {"network": {"name": "after"}}
    answer = tenant.call("PUT", f"/networks/{network}", body, headers={"Prefer": "wait=30"})
    assert answer.status == 502
    assert answer.body["restored"] is True, answer.body
    assert tenant.show("networks", network)["name"] == "before"
    three.third.gate.set(behaviour.Behaviour())
    cloud.settles()
    fabrics_of = (cloud.fabric, three.second, three.third)
    assert [_held(fabric, network) for fabric in fabrics_of] == ["before"] * 3


def test_deletes_reach_every_lane(three: Three) -> None:
    cloud, tenant = three.cloud, three.cloud.client()
    network = tenant.create("networks", name="short-lived")["id"]
    port = tenant.create("ports", network_id=network)["id"]
    cloud.settles()
    three.third.gate.set(behaviour.Behaviour(outage=True))
    tenant.delete("ports", port)
    tenant.delete("networks", network)
    wait_until(
        lambda: cloud.fabric.store.get("network", network) is None,
        clouds.PATIENCE_S,
        lambda: "the first fabric to have deleted it",
    )
    assert three.third.store.get("port", port) is not None
    three.third.gate.set(behaviour.Behaviour())
    cloud.settles()
    for fabric in (cloud.fabric, three.second, three.third):
        assert fabric.store.get("port", port) is fabric.store.get("network", network) is None


def test_the_graph_is_not_changed_with_work_queued(three: Three) -> None:
    cloud, tenant = three.cloud, three.cloud.client()
    three.third.gate.set(behaviour.Behaviour(outage=True))
    network = tenant.create("networks", name="queued")["id"]
    wait_until(
        lambda: sorted(cloud.states(network)) == ["RETRYING", "SUCCESS"],
        clouds.PATIENCE_S,
        lambda: f"{network} to wait in one lane: {cloud.workflows(network)}",
    )
    one_lane = {**cloud.profile.workflow, "driver_graph": ""}
    changed = dataclasses.replace(cloud.profile, workflow=one_lane)
    with (
        neutron.Deployment(changed) as deployment,
        pytest.raises(processes.LabError) as refused,
        neutron.NeutronApi(deployment),
    ):
        pass
    assert "moves driver fabric_third from lane fabric_third to lane default" in str(refused.value)
    assert "1 RETRYING in lane fabric_third" in str(refused.value)
