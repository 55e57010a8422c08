# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What each call of a service plugin records, and what its undoing leaves, row by row."""

import typing

import pytest

from networking_workflow.journal import references
from networking_workflow.plan import keys
from tests.functional.capture import inprocess, oracle, undoing
from tests.functional.services.world import VLAN, World, subport

#: The segments plugin's own threads tell Placement of segments that are gone; there is none here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

ROUTE = {"destination": "192.0.2.0/24", "nexthop": "10.0.0.77"}


def nothing(_world):
    """Need nothing."""


def routes(world, verb):
    path = f"routers/{world.router['id']}/{verb}_extraroutes"
    return world.neutron.call("PUT", path, {"router": {"routes": [ROUTE]}})


def routed(world):
    routes(world, "add")


def gateway(world, **values):
    info = {"network_id": world.external["id"], **values}
    return world.put("router", world.router, external_gateway_info=info)


def second_external(world):
    second = World(world.neutron)
    return second.external, world.router


def with_policy(kind):
    def prepare(world):
        thing = getattr(world, kind)
        if kind == "router":
            return gateway(world, qos_policy_id=world.policy["id"])
        return world.put(RESOURCE.get(kind, kind), thing, qos_policy_id=world.policy["id"])

    return prepare


RESOURCE = {"associated": "floatingip"}


def forwardings(world):
    return world.forwarding, world.add_forwarding(external_port=81)


def forwarding_path(world):
    return f"floatingips/{world.floatingip['id']}/port_forwardings/{world.forwarding['id']}"


def rule_path(world):
    return f"/{world.policy['id']}/bandwidth_limit_rules/{world.rule['id']}"


def subports(world, verb, port):
    path = f"trunks/{world.trunk['id']}/{verb}_subports"
    return world.neutron.call("PUT", path, {"sub_ports": [subport(port)]})


PROVIDED = {f"provider:{key}": value for key, value in VLAN.items()}


def segment(world, made, **values):
    return world.neutron.call("PUT", f"segments/{made['id']}", {"segment": values})


def log(world, made, **values):
    return world.neutron.call("PUT", f"log/logs/{made['id']}", {"log": values})


Prepare = typing.Callable[[World], typing.Any]

#: Call -> what must be there before it, and the call, which gets that.
OPERATIONS: dict[str, tuple[Prepare, typing.Callable[[World, typing.Any], typing.Any]]] = {
    "router create": (nothing, lambda w, _: w.neutron.create("router", name="x")),
    "router create with gateway": (
        lambda w: w.external,
        lambda w, net: w.neutron.create("router", external_gateway_info={"network_id": net["id"]}),
    ),
    "router update name": (lambda w: w.bare, lambda w, r: w.put("router", r, name="x")),
    "router update description": (
        lambda w: w.router,
        lambda w, r: w.put("router", r, description="x"),
    ),
    "router update state": (
        lambda w: w.router,
        lambda w, r: w.put("router", r, admin_state_up=False),
    ),
    "router update routes": (lambda w: w.router, lambda w, r: w.put("router", r, routes=[ROUTE])),
    "router clear routes": (routed, lambda w, _: w.put("router", w.router, routes=[])),
    "router add_extraroutes": (lambda w: w.router, lambda w, _: routes(w, "add")),
    "router remove_extraroutes": (routed, lambda w, _: routes(w, "remove")),
    "router gateway set": (
        lambda w: (w.bare, w.external),
        lambda w, made: w.put(
            "router", made[0], external_gateway_info={"network_id": made[1]["id"]}
        ),
    ),
    "router gateway snat": (lambda w: w.router, lambda w, _: gateway(w, enable_snat=False)),
    "router gateway change": (
        second_external,
        lambda w, made: w.put(
            "router", made[1], external_gateway_info={"network_id": made[0]["id"]}
        ),
    ),
    "router gateway clear": (
        lambda w: w.router,
        lambda w, r: w.put("router", r, external_gateway_info={}),
    ),
    "router gateway qos": (
        lambda w: (w.router, w.policy),
        lambda w, _: gateway(w, qos_policy_id=w.policy["id"]),
    ),
    "router gateway qos off": (with_policy("router"), lambda w, _: gateway(w, qos_policy_id=None)),
    "router update nothing": (lambda w: w.bare, lambda w, r: w.put("router", r, name="bare")),
    "router delete": (lambda w: w.bare, lambda w, r: w.neutron.delete("router", r["id"])),
    "router delete with gateway": (
        lambda w: w.neutron.create(
            "router", external_gateway_info={"network_id": w.external["id"]}
        ),
        lambda w, r: w.neutron.delete("router", r["id"]),
    ),
    "interface add by subnet": (
        lambda w: (w.bare, w.subnet),
        lambda w, made: w.interface(made[0], "add", subnet_id=made[1]["id"]),
    ),
    "interface add by port": (
        lambda w: (w.bare, w.port),
        lambda w, made: w.interface(made[0], "add", port_id=made[1]["id"]),
    ),
    "interface remove by subnet": (
        lambda w: w.router,
        lambda w, r: w.interface(r, "remove", subnet_id=w.subnet["id"]),
    ),
    "interface remove by port": (
        lambda w: w.interface(w.bare, "add", port_id=w.port["id"]),
        lambda w, made: w.interface(w.bare, "remove", port_id=made["port_id"]),
    ),
    "interface subnet changed": (
        lambda w: w.router,
        lambda w, _: w.put("subnet", w.subnet, dns_nameservers=["192.0.2.1"]),
    ),
    "floatingip create": (lambda w: w.external, lambda w, _: w.add_floatingip()),
    "floatingip create associated": (
        lambda w: (w.router, w.port),
        lambda w, made: w.add_floatingip(port_id=made[1]["id"]),
    ),
    "floatingip associate": (
        lambda w: (w.router, w.floatingip, w.port),
        lambda w, made: w.put("floatingip", made[1], port_id=made[2]["id"]),
    ),
    "floatingip move": (
        lambda w: (w.associated, w.other),
        lambda w, made: w.put("floatingip", made[0], port_id=made[1]["id"]),
    ),
    "floatingip disassociate": (
        lambda w: w.associated,
        lambda w, f: w.put("floatingip", f, port_id=None),
    ),
    "floatingip description": (
        lambda w: w.associated,
        lambda w, f: w.put("floatingip", f, description="x"),
    ),
    "floatingip qos": (
        lambda w: (w.associated, w.policy),
        lambda w, made: w.put("floatingip", made[0], qos_policy_id=made[1]["id"]),
    ),
    "floatingip qos off": (
        with_policy("associated"),
        lambda w, f: w.put("floatingip", f, qos_policy_id=None),
    ),
    "floatingip delete": (
        lambda w: w.floatingip,
        lambda w, f: w.neutron.delete("floatingip", f["id"]),
    ),
    "floatingip delete associated": (
        lambda w: w.associated,
        lambda w, f: w.neutron.delete("floatingip", f["id"]),
    ),
    "floatingip loses its port": (
        lambda w: w.associated,
        lambda w, _: w.neutron.delete("port", w.port["id"]),
    ),
    "forwarding create": (
        lambda w: (w.router, w.floatingip, w.port),
        lambda w, _: w.add_forwarding(external_port=80),
    ),
    "forwarding create second": (
        lambda w: w.forwarding,
        lambda w, _: w.add_forwarding(external_port=81),
    ),
    "forwarding update": (
        lambda w: w.forwarding,
        lambda w, _: w.neutron.call(
            "PUT", forwarding_path(w), {"port_forwarding": {"external_port": 82}}
        ),
    ),
    "forwarding delete": (
        lambda w: w.forwarding,
        lambda w, _: w.neutron.call("DELETE", forwarding_path(w)),
    ),
    "forwarding loses its port": (
        forwardings,
        lambda w, _: w.neutron.delete("port", w.port["id"]),
    ),
    "policy create": (nothing, lambda w, _: w.policy),
    "policy update": (
        lambda w: w.policy,
        lambda w, q: w.qos("PUT", f"/{q['id']}", policy={"name": "x"}),
    ),
    "policy description": (
        lambda w: w.policy,
        lambda w, q: w.qos("PUT", f"/{q['id']}", policy={"description": "x"}),
    ),
    "policy rule create": (lambda w: w.policy, lambda w, _: w.rule),
    "policy rule update": (
        lambda w: w.rule,
        lambda w, _: w.qos("PUT", rule_path(w), bandwidth_limit_rule={"max_kbps": 2000}),
    ),
    "policy rule delete": (lambda w: w.rule, lambda w, _: w.qos("DELETE", rule_path(w))),
    "policy dscp create": (
        lambda w: w.policy,
        lambda w, q: w.qos(
            "POST", f"/{q['id']}/dscp_marking_rules", dscp_marking_rule={"dscp_mark": 10}
        ),
    ),
    "policy delete": (lambda w: w.policy, lambda w, q: w.qos("DELETE", f"/{q['id']}")),
    "policy attach to port": (lambda w: (w.port, w.policy), lambda w, _: with_policy("port")(w)),
    "policy detach from port": (
        with_policy("port"),
        lambda w, p: w.put("port", p, qos_policy_id=None),
    ),
    "policy attach to network": (
        lambda w: (w.network, w.policy),
        lambda w, _: with_policy("network")(w),
    ),
    "policy detach from network": (
        with_policy("network"),
        lambda w, n: w.put("network", n, qos_policy_id=None),
    ),
    "trunk create": (lambda w: w.port, lambda w, p: w.add_trunk(p)),
    "trunk create with subport": (
        lambda w: (w.port, w.other),
        lambda w, made: w.add_trunk(*made),
    ),
    "trunk update": (lambda w: w.trunk, lambda w, t: w.put("trunk", t, name="x")),
    "trunk add_subports": (
        lambda w: (w.trunk, w.add_port())[1],
        lambda w, p: subports(w, "add", p),
    ),
    "trunk remove_subports": (
        lambda w: (w.trunk, w.other)[1],
        lambda w, p: subports(w, "remove", p),
    ),
    "trunk delete": (lambda w: w.trunk, lambda w, t: w.neutron.delete("trunk", t["id"])),
    "log create": (lambda w: w.group, lambda w, g: w.add_log(resource_id=g["id"])),
    "log create for a port": (lambda w: w.port, lambda w, p: w.add_log(target_id=p["id"])),
    "log create for everything": (nothing, lambda w, _: w.add_log(event="DROP")),
    "log update enabled": (lambda w: w.log, lambda w, made: log(w, made, enabled=False)),
    "log update name": (lambda w: w.log, lambda w, made: log(w, made, name="x")),
    "log update description": (lambda w: w.log, lambda w, made: log(w, made, description="x")),
    "log update nothing": (lambda w: w.log, lambda w, made: log(w, made, enabled=True)),
    "log delete": (
        lambda w: w.log,
        lambda w, made: w.neutron.call("DELETE", f"log/logs/{made['id']}"),
    ),
    "log delete with its group": (
        lambda w: (w.log, w.group)[1],
        lambda w, g: w.neutron.delete("security_group", g["id"]),
    ),
    "log delete with its port": (
        lambda w: (w.port, w.add_log(target_id=w.port["id"]))[0],
        lambda w, p: w.neutron.delete("port", p["id"]),
    ),
    "segment create": (lambda w: w.physical, lambda w, _: w.add_segment(**VLAN)),
    "segment create tunnelled": (
        lambda w: w.physical,
        lambda w, _: w.add_segment(network_type="geneve", description="x"),
    ),
    "segment update name": (lambda w: w.segment, lambda w, s: segment(w, s, name="x")),
    "segment update description": (
        lambda w: w.segment,
        lambda w, s: segment(w, s, description="x"),
    ),
    "segment update nothing": (lambda w: w.segment, lambda w, s: segment(w, s, name=None)),
    "segment delete": (lambda w: w.segment, lambda w, s: w.neutron.delete("segment", s["id"])),
    "network create with segments": (
        nothing,
        lambda w, _: w.neutron.create("network", segments=[PROVIDED, PROVIDED]),
    ),
    "network delete with segments": (
        lambda w: (w.physical, w.segment)[0],
        lambda w, n: w.neutron.delete("network", n["id"]),
    ),
    "subnet create in segment": (
        lambda w: (w.segmented, w.segment),
        lambda w, made: w.add_routed("10.8.0.0/24", made[1]),
    ),
    "subnet delete in segment": (
        lambda w: (w.segmented, w.add_routed("10.8.0.0/24", w.segment)),
        lambda w, made: w.neutron.delete("subnet", made[1]["id"]),
    ),
    "port update host in segment": (
        lambda w: w.deferred,
        lambda w, p: w.put("port", p, **{"binding:host_id": "cmp1"}),
    ),
    "subnet update segment": (
        lambda w: w.neutron.create(
            "subnet", network_id=w.physical["id"], ip_version=4, cidr="10.9.0.0/24"
        ),
        lambda w, s: w.put("subnet", s, segment_id=w.first_segment()["id"]),
    ),
}


#: Calls before which the router or the network themselves are changed, or that want what it has.
_ALONE = frozenset(
    {
        *("router clear routes", "router remove_extraroutes", "router gateway qos off"),
        *("policy detach from network", "interface add by subnet"),
    }
)


def _marks(name: str) -> list[pytest.MarkDecorator]:
    """What calls need costs more than the calls themselves, and they leave it as it was."""
    return [] if name in _ALONE else [pytest.mark.behind_one_router]


@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in OPERATIONS])
def test_every_changed_row_has_its_workflow_and_undone_every_row_is_as_before(world, name):
    prepare, do = OPERATIONS[name]
    prepared = prepare(world)
    before, everything = oracle.read(world.neutron.engine), undoing.rows(world.neutron.engine)
    with world.neutron.capturing() as found:
        call = undoing.Call(world.neutron, lambda: do(world, prepared))
    after = oracle.read(world.neutron.engine)
    expected, captured = oracle.compare(before, after), oracle.reduce(found)
    assert captured == expected
    assert bool(found) is not name.endswith("nothing")
    assert len({one.row.operation_id for one in found}) == bool(found)
    _hold_what_an_apply_reads(world, found)
    undoing.assert_undone(call, everything)


def _hold_what_an_apply_reads(world, found):
    """No apply finds a reference that its workflow, the last of its resource, has no key for."""
    last = {(one.resource_type, one.resource_id): one for one in found}
    with world.neutron.engine.connect() as connection:
        for (kind, resource_id), workflow in last.items():
            refers = references.today(connection, kind, resource_id)
            if refers is not None:
                wanted = keys.keys_for("default", kind, resource_id, refers)
                assert {name: str(mode) for name, mode in wanted.items()}.items() <= (
                    workflow.keys.items()
                )


def test_bulk_of_50_ports_with_one_that_a_driver_refuses_leaves_nothing(world):
    network = world.network["id"]
    before = oracle.read(world.neutron.engine)
    ports = [{"network_id": network} for _ in range(50)]
    # OVN's create_port_precommit wants a tag beside parent_name.
    ports[37] |= {"binding:profile": {"parent_name": "p"}}
    body = {"ports": [{"project_id": inprocess.PROJECT, **port} for port in ports]}
    with world.neutron.capturing() as found:
        world.neutron.call("POST", "ports", body, status=400)
    assert oracle.reduce(found) == {}
    assert oracle.compare(before, oracle.read(world.neutron.engine)) == {}
    del ports[37]["binding:profile"]
    with world.neutron.capturing() as found:
        world.neutron.create_bulk("port", ports)
    assert len(found) == 50
