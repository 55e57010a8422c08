# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``[workflow] status_mode = extended``: what ``status`` says, and to whom."""

import urllib.parse

import pytest
from neutron_lib.callbacks import events, registry, resources

from networking_workflow.api import status as api_status
from networking_workflow.model import states, status
from tests.functional.api import clients
from tests.functional.api.test_sync_state import statements
from tests.functional.capture import inprocess
from tests.functional.services.test_api import settle
from tests.functional.services.world import World

#: Kind -> how the world makes one.
KINDS = {
    "network": "network",
    "port": "port",
    "router": "bare",
    "floatingip": "floatingip",
    "trunk": "trunk",
}


@pytest.fixture(scope="module")
def world(neutron):
    return World(neutron)


@pytest.fixture
def tenant(neutron):
    return clients.Client(neutron=neutron, project_id=inprocess.PROJECT)


@pytest.fixture
def service(neutron):
    """Somebody like Nova."""
    roles = "member,reader,service"
    return clients.Client(neutron=neutron, project_id=inprocess.PROJECT, roles=roles)


def test_every_kind_that_has_a_status_is_tried():
    assert {f"{kind}s" for kind in KINDS} == set(api_status.MODELS)


@pytest.mark.parametrize("kind", KINDS)
def test_tenants_see_and_find_by_status_how_far_the_backends_are(world, tenant, service, kind):
    made = getattr(world, KINDS[kind])
    listed = f"/{kind}s?id={made['id']}"
    settle(world, "SYNCED")
    own = tenant.get(f"/{kind}s/{made['id']}")["status"]
    for state in states.SyncState:
        settle(world, state.value)
        assert service.get(f"/{kind}s/{made['id']}")["status"] == own
        shown = tenant.get(f"/{kind}s/{made['id']}")
        assert (shown["status"], shown["sync_state"]) == (status.shown(own, state), state)
        both = f"status={shown['status']}&status=N/A&sort_key=status&sort_dir=asc"
        assert tenant.get(f"{listed}&{both}") == [shown]
        if own != shown["status"]:
            assert tenant.get(f"{listed}&status={own}") == []
        if kind != "router":  # Neutron itself lets nobody look for routers by it
            assert len(service.get(f"{listed}&status={own}")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_for_the_status_alone_gets_nothing_else(world, tenant, kind):
    made = getattr(world, KINDS[kind])
    settle(world, "ERROR")
    one, listed = f"/{kind}s/{made['id']}", f"/{kind}s?id={made['id']}"
    alone, both = {"status": "ERROR"}, {"status": "ERROR", "sync_state": "ERROR"}
    assert tenant.get(f"{one}?fields=status") == alone
    assert tenant.get(f"{listed}&fields=status") == [alone]
    assert tenant.get(f"{listed}&fields=status&fields=sync_state") == [both]
    assert tenant.get(f"{listed}&fields=id&status=ERROR") == [{"id": made["id"]}]


def test_writes_answer_build(world, tenant):
    network = tenant.create("network", name="n")
    bodies = [{"network_id": network["id"]}] * 3
    ports = tenant.call("POST", "/ports", {"ports": bodies}).body["ports"]
    trunk = tenant.create("trunk", port_id=ports[0]["id"])
    router = tenant.create("router", name="r")
    assert {one["status"] for one in (network, *ports, trunk, router)} == {"BUILD"}
    settle(world, "SYNCED")
    assert tenant.update("port", ports[1]["id"], name="")["status"] == "DOWN"  # changes nothing
    assert tenant.update("port", ports[1]["id"], name="x")["status"] == "BUILD"
    subport = {"port_id": ports[2]["id"], "segmentation_type": "vlan", "segmentation_id": 5}
    path = f"/trunks/{trunk['id']}/add_subports"
    assert tenant.call("PUT", path, {"sub_ports": [subport]}).body["status"] == "BUILD"


def test_neutron_and_its_drivers_go_on_seeing_a_status_of_their_own(world, tenant):
    plugin, seen = world.neutron.plugin, []

    def note(_resource, _event, _trigger, payload):
        filters = {"id": [payload.resource_id], "status": ["DOWN"]}
        seen.append(payload.latest_state["status"])
        seen.append(plugin.get_port(payload.context, payload.resource_id)["status"])
        seen.extend(one["status"] for one in plugin.get_ports(payload.context, filters))

    assert world.port
    settle(world, "ERROR")
    registry.subscribe(note, resources.PORT, events.AFTER_UPDATE)
    try:
        assert tenant.update("port", world.port["id"], name="x")["status"] == "BUILD"
    finally:
        registry.unsubscribe(note, resources.PORT, events.AFTER_UPDATE)
    assert seen == ["DOWN", "DOWN", "DOWN"]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_sorted_by_status_come_in_the_order_that_is_shown(world, tenant, direction):
    network = tenant.create("network")["id"]
    made = [tenant.create("port", network_id=network)["id"] for _ in range(2)]
    settle(world, "SYNCED")
    made.append(tenant.create("port", network_id=network)["id"])
    words = {"network_id": network, "sort_key": "status", "sort_dir": direction}
    shown = list(pages(tenant, words | {"limit": 1, "fields": ["id", "status"]}))
    expected = sorted(["BUILD", "DOWN", "DOWN"], reverse=direction == "desc")
    assert [port["status"] for port in shown] == expected
    assert {port["id"] for port in shown} == set(made)
    assert all(port.keys() == {"id", "status"} for port in shown)


def pages(tenant, words):
    """Yield the ports of the first pages of a list, from link to link."""
    query = urllib.parse.urlencode(words, doseq=True)
    expected = urllib.parse.parse_qs(query)
    for _ in range(6):
        body = tenant.get_whole(f"/ports?{query}")
        yield from body["ports"]
        links = {link["rel"]: link["href"] for link in body.get("ports_links", ())}
        query = urllib.parse.urlsplit(links.get("next", "")).query
        if not query:
            return
        asked = urllib.parse.parse_qs(query)
        assert asked.pop("marker")
        assert asked == expected


@pytest.mark.parametrize(
    "query",
    ["", "&status=DOWN", "&fields=status", "&sort_key=status&sort_dir=asc&limit=2&marker={marker}"],
)
def test_it_costs_no_statement(world, tenant, service, query):
    assert world.trunk
    settle(world, "SYNCED")
    network, marker = world.network["id"], min(world.port["id"], world.other["id"])
    path = f"/ports?network_id={network}{query.format(marker=marker)}"
    asked = []
    for caller in (service, tenant):
        caller.get(path)  # whatever is read only once
        with statements() as seen:
            assert caller.get(path)
        asked.append(seen)
    assert len(asked[0]) == len(asked[1]), asked
