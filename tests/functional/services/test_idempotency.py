# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``Idempotency-Key`` of what several transactions make, and of every collection that takes one."""

import json
import uuid

import pytest
import webob
from neutron import manager

from networking_workflow.api import idempotency
from networking_workflow.capture import idempotency as capture
from tests.functional.capture import inprocess
from tests.functional.services.world import VLAN, subport


def post(world, path, body, key):
    """Return the status and the body of an answer."""
    request = webob.Request.blank(f"/v2.0/{path}", method="POST")
    request.headers.update(
        {
            "X-User-Id": "user",
            "X-Project-Id": inprocess.PROJECT,
            "X-Roles": "admin,member,reader",
            idempotency.HEADER: key,
        }
    )
    request.content_type, request.body = "application/json", json.dumps(body).encode()
    response = request.get_response(world.neutron.app)
    return response.status_int, response.json, idempotency.REPLAYED in response.headers


def forwarding(world):
    assert world.router
    return {
        "internal_port_id": world.port["id"],
        "internal_ip_address": world.port["fixed_ips"][0]["ip_address"],
        **{"internal_port": 80, "external_port": 80, "protocol": "tcp"},
    }


def rules(kind):
    return lambda world: f"qos/policies/{world.policy['id']}/{kind}s"


USED_IN = ("used_in_default_sg", "used_in_non_default_sg")  #: or other tests' groups had it, too

#: Member of a collection -> its path, and what is asked for.
POSTS = {
    "address_group": ("address-groups", lambda w: {"addresses": ["10.0.0.1/32"]}),
    "address_scope": ("address-scopes", lambda w: {"name": "s", "ip_version": 4}),
    "default_security_group_rule": (
        "default-security-group-rules",
        lambda w: {"direction": "ingress", **dict.fromkeys(USED_IN, False)},
    ),
    "floatingip": ("floatingips", lambda w: {"floating_network_id": w.external["id"]}),
    "port_forwarding": (
        lambda w: f"floatingips/{w.floatingip['id']}/port_forwardings",
        forwarding,
    ),
    "log": (
        "log/logs",
        lambda w: {"resource_type": "security_group", "resource_id": w.group["id"]},
    ),
    "network": ("networks", lambda w: {"router:external": True}),
    "port": ("ports", lambda w: {"network_id": w.network["id"]}),
    "policy": ("qos/policies", lambda w: {"name": "q"}),
    "bandwidth_limit_rule": (rules("bandwidth_limit_rule"), lambda w: {"max_kbps": 2000}),
    "dscp_marking_rule": (rules("dscp_marking_rule"), lambda w: {"dscp_mark": 10}),
    "minimum_bandwidth_rule": (rules("minimum_bandwidth_rule"), lambda w: {"min_kbps": 1}),
    "minimum_packet_rate_rule": (rules("minimum_packet_rate_rule"), lambda w: {"min_kpps": 1}),
    "packet_rate_limit_rule": (rules("packet_rate_limit_rule"), lambda w: {"max_kpps": 1}),
    "rbac_policy": (
        "rbac-policies",
        lambda w: {
            **{"object_type": "network", "object_id": w.network["id"]},
            **{"action": "access_as_shared", "target_tenant": uuid.uuid4().hex},
        },
    ),
    "router": (
        "routers",
        lambda w: {"external_gateway_info": {"network_id": w.external["id"]}},
    ),
    "security_group": ("security-groups", lambda w: {"name": "g"}),
    "security_group_rule": (
        "security-group-rules",
        lambda w: {"security_group_id": w.group["id"], "direction": "ingress", "protocol": "tcp"},
    ),
    "segment": ("segments", lambda w: {"network_id": w.physical["id"], **VLAN}),
    "subnet": (
        "subnets",
        lambda w: {"network_id": w.network["id"], "ip_version": 4, "cidr": "10.9.0.0/24"},
    ),
    "subnetpool": ("subnetpools", lambda w: {"name": "p", "prefixes": ["10.0.0.0/8"]}),
    "trunk": ("trunks", lambda w: {"port_id": w.port["id"], "sub_ports": [subport(w.other)]}),
}

#: What Neutron serves besides, where no POST makes what has a row and an id of its own: parts of
#: others, what is shown or updated only, what a project has one of, our own resources.
OTHERS = {
    *("agents", "availability_zones", "dhcp_agents", "dhcp_networks", "l3_agents", "l3_routers"),
    *("alias_bandwidth_limit_rules", "alias_dscp_marking_rules", "alias_minimum_bandwidth_rules"),
    *("alias_minimum_packet_rate_rules", "auto_allocated_topology", "bindings"),
    *("floatingip_pools", "loggable_resources", "network_ip_availabilities", "next_providers"),
    *("quotas", "rule_types", "security_groups_default_statefulness", "service_providers"),
    *("tags", "tasks", "workflows"),
}


def path_of(world, kind):
    path = POSTS[kind][0]
    return path(world) if callable(path) else path


@pytest.mark.parametrize("kind", POSTS)
def test_whatever_is_posted_is_made_once(world, kind):
    path, body = path_of(world, kind), {kind: POSTS[kind][1](world)}
    before = ids(world, path)
    key = uuid.uuid4().hex
    status, first, _ = post(world, path, body, key)
    assert status == 201, first
    status, again, is_replayed = post(world, path, body, key)
    assert (status, is_replayed) == (201, True), again
    assert again[kind]["id"] == first[kind]["id"]
    assert ids(world, path) - before == {first[kind]["id"]}


def ids(world, path):
    return {one["id"] for one in next(iter(world.neutron.call("GET", path).values()))}


def test_every_collection_that_neutron_serves_is_known_to_take_a_key_or_not(world):
    served = manager.NeutronManager.get_instance().resource_controller_mappings
    names = {name.rpartition("/")[2].replace("-", "_") for name in served}
    assert names - {path.rpartition("/")[2] for path in capture.COLLECTIONS} == OTHERS
    posted = {
        "/".join("*" if len(part) == 36 else part for part in path_of(world, kind).split("/"))
        for kind in POSTS
    }
    untried = set(capture.COLLECTIONS) - {path.replace("-", "_") for path in posted}
    assert untried == {"flavors", "network_segment_ranges", "service_profiles"}  # not loaded here


def logs(world, *names, of=None):
    group = of or world.group["id"]
    return [{"name": n, "resource_type": "security_group", "resource_id": group} for n in names]


def test_a_bulk_that_neutron_makes_one_by_one_is_made_once(world):
    key, body = uuid.uuid4().hex, {"logs": logs(world, *"cab")}
    before = ids(world, "log/logs")
    _, first, _ = post(world, "log/logs", body, key)
    status, again, is_replayed = post(world, "log/logs", body, key)
    assert (status, is_replayed) == (201, True), again
    assert [one["name"] for one in again["logs"]] == ["c", "a", "b"]
    assert [one["id"] for one in again["logs"]] == [one["id"] for one in first["logs"]]
    assert len(ids(world, "log/logs") - before) == 3


#: Collection -> what is asked for, of which Neutron makes a part before it refuses the rest.
REFUSED = {
    "log/logs": lambda w: {"logs": [*logs(w, *"ab"), *logs(w, "c", of=str(uuid.uuid4()))]},
    "routers": lambda w: {
        "router": {"name": "r", "external_gateway_info": {"network_id": str(uuid.uuid4())}}
    },
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_neutron_has_undone_leaves_the_key_free(world, path):
    before, key, body = ids(world, path), uuid.uuid4().hex, REFUSED[path](world)
    with inprocess.statements() as seen:
        assert post(world, path, body, key)[0] == 404
    written = [each.text for each in seen if "workflow_idempotency_keys" in each.text]
    assert written[0].startswith("INSERT")
    assert written[-1].startswith("DELETE")
    assert ids(world, path) == before
    status, made, is_replayed = post(world, "networks", {"network": {}}, key)
    assert (status, is_replayed) == (201, False), made
