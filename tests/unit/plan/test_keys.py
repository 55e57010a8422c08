# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The table of keys: what it says, and what holds for every row of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networking_workflow.model import keys as model_keys
from networking_workflow.plan import keys

S, X = model_keys.Mode.SHARED, model_keys.Mode.EXCLUSIVE


def test_network_holds_itself_alone():
    assert keys.keys_for("default", "network", "n") == {"default:network/n": X}


def test_subnet_writes_the_metadata_port_of_its_network():
    assert keys.keys_for("default", "subnet", "s", [("network", "n")]) == {
        "default:metadata/n": X,
        "default:network/n": S,
        "default:subnet/s": X,
    }


def test_port_relies_on_network_subnets_and_groups():
    references = [("network", "n"), ("subnet", "a"), ("subnet", "b"), ("security_group", "g")]
    assert keys.keys_for("default", "port", "p", references) == {
        "default:network/n": S,
        "default:port/p": X,
        "default:security_group/g": S,
        "default:subnet/a": S,
        "default:subnet/b": S,
    }


def test_port_is_locked_before_all_that_it_relies_on():
    references = [("network", "n"), ("subnet", "a"), ("security_group", "g")]
    first, *rest = keys.keys_for("default", "port", "p", references)
    assert first == "default:port/p"
    assert rest == ["default:network/n", "default:security_group/g", "default:subnet/a"]


def test_external_port_writes_the_chassis_group_of_its_network():
    taken = keys.keys_for("default", "port", "p", [("network", "n"), ("hcg", "n")])
    assert taken["default:hcg/n"] is X
    assert taken["default:network/n"] is S


def test_port_at_a_port_of_a_switch_has_that_for_itself():
    taken = keys.keys_for("default", "port", "p", [("network", "n"), ("link", "eth1")])
    assert taken["default:link/eth1"] is X


def test_rule_shares_its_groups_and_owns_its_acl():
    rule = {"security_group_id": "g", "direction": "ingress", "remote_group_id": "r"}
    references = [("security_group", "g"), ("security_group", "r"), keys.acl_reference(rule)]
    taken = keys.keys_for("default", "security_group_rule", "u", references)
    assert taken.pop(model_keys.acl_key("default", rule)) is X
    assert taken == {
        "default:security_group/g": S,
        "default:security_group/r": S,
        "default:security_group_rule/u": X,
    }


def test_group_that_its_own_rule_refers_to_stays_exclusive():
    taken = keys.keys_for("default", "security_group", "g", [("security_group", "g")])
    assert taken == {"default:security_group/g": X}


def test_equal_rules_conflict_and_rules_of_two_groups_do_not():
    def taken(rule_id, group, prefix):
        rule = {"security_group_id": group, "remote_ip_prefix": prefix}
        return keys.keys_for("default", "security_group_rule", rule_id, [keys.acl_reference(rule)])

    assert set(taken("a", "g", "10.0.0.7/24")) & set(taken("b", "g", "10.0.0.0/24"))
    assert not set(taken("a", "g", "10.0.0.0/24")) & set(taken("b", "h", "10.0.0.0/24"))


def test_floating_ip_writes_the_address_of_its_port_and_relies_on_the_rest():
    references = [
        *(("port", "p"), ("port-fip", "p"), ("port", "f"), ("router", "r")),
        *(("network", "n"), ("network", "ext"), ("qos_policy", "q")),
    ]
    assert keys.keys_for("default", "floatingip", "x", references) == {
        "default:floatingip/x": X,
        "default:network/ext": S,
        "default:network/n": S,
        "default:port-fip/p": X,
        "default:port/f": S,
        "default:port/p": S,
        "default:qos_policy/q": S,
        "default:router/r": S,
    }


#: What two workflows write together, each with what it refers to; none may run beside the other.
OVERLAPS = {
    "floating ips of one port": (
        ("floatingip", "a", [("port-fip", "p")]),
        ("floatingip", "b", [("port-fip", "p")]),
    ),
    "floating ip and port forwarding of one port": (
        ("floatingip", "a", [("port-fip", "p")]),
        ("port_forwarding", "b", [("floatingip", "x"), ("port-fip", "p")]),
    ),
    "port forwardings of one floating ip": (
        ("port_forwarding", "a", [("floatingip", "x"), ("port-fip", "p")]),
        ("port_forwarding", "b", [("floatingip", "x"), ("port-fip", "q")]),
    ),
    "port forwarding and its floating ip": (
        ("port_forwarding", "a", [("floatingip", "x")]),
        ("floatingip", "x", []),
    ),
    "interfaces of one router": (
        ("router_interface", "a", [("router", "r")]),
        ("router_interface", "b", [("router", "r")]),
    ),
    "router and its interface": (
        ("router", "r", []),
        ("router_interface", "a", [("router", "r")]),
    ),
    "router and a floating ip behind it": (
        ("router", "r", []),
        ("floatingip", "a", [("router", "r")]),
    ),
    "interface and a floating ip behind its router": (
        ("router_interface", "a", [("router", "r")]),
        ("floatingip", "b", [("router", "r")]),
    ),
    "interfaces of two routers on one network": (
        ("router_interface", "a", [("router", "r"), ("hcg", "n")]),
        ("router_interface", "b", [("router", "q"), ("hcg", "n")]),
    ),
    "external port and an interface of its network": (
        ("port", "p", [("network", "n"), ("hcg", "n")]),
        ("router_interface", "a", [("router", "r"), ("hcg", "n")]),
    ),
    "external port and the gateway of its network's router": (
        ("port", "p", [("network", "n"), ("hcg", "n")]),
        ("router", "r", [("hcg", "n")]),
    ),
    "port and the interface that it is": (
        ("port", "p", []),
        ("router_interface", "p", [("router", "r"), ("port", "p")]),
    ),
    "gateway port and its router": (("port", "p", []), ("router", "r", [("port", "p")])),
    "subnet and a router with its gateway there": (
        ("subnet", "s", []),
        ("router", "r", [("subnet", "s")]),
    ),
    "policy and a port": (("qos_policy", "q", []), ("port", "p", [("qos_policy", "q")])),
    "policy and a network": (("qos_policy", "q", []), ("network", "n", [("qos_policy", "q")])),
    "policy and a floating ip": (
        ("qos_policy", "q", []),
        ("floatingip", "x", [("qos_policy", "q")]),
    ),
    "policy and a gateway": (("qos_policy", "q", []), ("router", "r", [("qos_policy", "q")])),
    "subports of one trunk": (
        ("subport", "a", [("trunk", "t")]),
        ("subport", "b", [("trunk", "t")]),
    ),
    "trunk and a port in it": (("trunk", "t", [("port", "p")]), ("port", "p", [])),
    "log object and its group": (
        ("log", "l", [("security_group", "g")]),
        ("security_group", "g", []),
    ),
    "log object and its port": (("log", "l", [("port", "p")]), ("port", "p", [])),
    "log objects of anything": (("log", "l", [("port", "p")]), ("log", "m", [])),
    "subport and the port that it is": (("subport", "p", [("port", "p")]), ("port", "p", [])),
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_what_writes_the_same_row_conflicts(name):
    one, two = (keys.keys_for("default", *workflow) for workflow in OVERLAPS[name])
    assert any(X in (one[key], two[key]) for key in one.keys() & two.keys())


#: What is common enough that it must not wait for its like.
BESIDE = {
    "floating ips of two ports behind one router": (
        ("floatingip", "a", [("port-fip", "p"), ("router", "r"), ("network", "ext")]),
        ("floatingip", "b", [("port-fip", "q"), ("router", "r"), ("network", "ext")]),
    ),
    "routers with gateways on one network": (
        ("router", "r", [("port", "p"), ("network", "ext"), ("subnet", "s")]),
        ("router", "q", [("port", "o"), ("network", "ext"), ("subnet", "s")]),
    ),
    "log object and a rule of its group": (
        ("log", "l", [("security_group", "g")]),
        ("security_group_rule", "r", [("security_group", "g")]),
    ),
    "ports of one policy": (
        ("port", "p", [("qos_policy", "q")]),
        ("port", "o", [("qos_policy", "q")]),
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_writes_other_rows_runs_beside(name):
    one, two = (keys.keys_for("default", *workflow) for workflow in BESIDE[name])
    assert not any(X in (one[key], two[key]) for key in one.keys() & two.keys())


@pytest.mark.parametrize(
    ("resource_type", "references"), [("ndp_proxy", []), ("network", [("subnet", "s")])]
)
def test_what_the_table_does_not_know_is_refused_by_name(resource_type, references):
    with pytest.raises(ValueError, match=resource_type):
        keys.keys_for("default", resource_type, "x", references)


IDS = st.uuids().map(str)


@st.composite
def resources(draw):
    resource_type = draw(st.sampled_from(sorted(keys.RULES)))
    allowed = sorted(keys.RULES[resource_type].references)
    if not allowed:
        return resource_type, draw(IDS), []
    pairs = st.tuples(st.sampled_from(allowed), IDS)
    return resource_type, draw(IDS), draw(st.lists(pairs, max_size=6))


@given(resources(), st.randoms(use_true_random=False))
def test_order_and_repetition_of_references_change_nothing(resource, rng):
    resource_type, resource_id, references = resource
    shuffled = references * 2
    rng.shuffle(shuffled)
    taken = keys.keys_for("default", resource_type, resource_id, references)
    assert taken == keys.keys_for("default", resource_type, resource_id, shuffled)
    assert list(taken) == sorted(taken, key=lambda key: (not model_keys.is_first(key), key))


@given(resources(), IDS)
def test_more_references_only_add_keys(resource, other):
    resource_type, resource_id, references = resource
    fewer = keys.keys_for("default", resource_type, resource_id, references[:-1])
    more = keys.keys_for("default", resource_type, resource_id, references)
    assert fewer.items() <= more.items()
    assert more[f"default:{resource_type}/{resource_id}"] is X


@given(resources())
def test_lanes_share_no_key_and_every_key_fits_its_column(resource):
    resource_type, resource_id, references = resource
    one = keys.keys_for("one", resource_type, resource_id, references)
    two = keys.keys_for("two", resource_type, resource_id, references)
    assert not set(one) & set(two)
    assert all(len(key) <= model_keys.MAX_KEY_LENGTH for key in one)
