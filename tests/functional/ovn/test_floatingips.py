# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Floating IPs: the driver agrees with stock, and heals whatever is damaged."""

import typing

import pytest
from oslo_config import cfg

from networking_workflow import releases
from networking_workflow.model import errors
from tests.functional.ovn import routed

Command = typing.Callable[[str], typing.Sequence[str]]


@pytest.fixture(scope="module")
def floatingip(world: routed.World) -> routed.Made:
    return world.floatingip(port_id=world.port)


def test_nothing_is_written_where_stock_has_made_a_floating_ip(
    world: routed.World, floatingip: routed.Made
) -> None:
    healthy = world.rows()
    assert world.apply("floatingip", floatingip["id"]) == []
    assert world.rows() == healthy


def _set(column: str) -> Command:
    return lambda nat: ("set", "NAT", nat, column)


def _id(name: str) -> tuple[str, Command]:
    return f"external_ids:neutron:{name}", _set(f"external_ids:neutron\\:{name}=damaged")


DAMAGES: dict[str, Command] = dict(
    (
        ("logical_ip", _set("logical_ip=10.9.9.9")),
        ("external_ip", _set("external_ip=203.0.113.250")),
        ("type", _set("type=snat")),
        ("logical_port", _set("logical_port=elsewhere")),
        ("external_mac", _set('external_mac="0a:00:00:00:00:01"')),
        ("options:stateless", _set("options:stateless=true")),
        _id("fip_id"),
        _id("revision_number"),
        _id("fip_port_id"),
        _id("router_name"),
        _id("fip_external_mac"),
        _id("fip_network_id"),
    )
)


if not releases.northbound().rules_have_floating_ip_uuid:
    # Nothing else says then whose the rule is.
    del DAMAGES["external_ids:neutron:fip_id"]


@pytest.mark.parametrize("column", DAMAGES)
def test_a_damaged_column_of_the_nat_rule_is_noticed_and_healed_in_place(
    world: routed.World, floatingip: routed.Made, column: str
) -> None:
    world.apply("floatingip", floatingip["id"])
    healthy = world.rows()
    world.neutron.ovn.nbctl(*DAMAGES[column](world.nat(floatingip["id"])))
    assert world.rows() != healthy, "the damage did nothing"

    assert f"NAT {column}" in world.apply("floatingip", floatingip["id"])

    assert world.rows() == healthy


def _assert_one_healthy(world: routed.World, floatingip: routed.Made, healthy: str) -> None:
    if releases.northbound().rules_have_floating_ip_uuid:
        assert world.rows() == healthy
    else:  # the one row may have another uuid
        assert world.nat(floatingip["id"])
        assert world.apply("floatingip", floatingip["id"]) == []


def test_a_lost_nat_rule_is_made_again(world: routed.World, floatingip: routed.Made) -> None:
    world.apply("floatingip", floatingip["id"])
    healthy = world.rows()
    router = f"neutron-{world.router}"
    world.neutron.ovn.nbctl("remove", "Logical_Router", router, "nat", world.nat(floatingip["id"]))
    assert "NAT" in world.apply("floatingip", floatingip["id"])
    _assert_one_healthy(world, floatingip, healthy)


def test_a_nat_rule_on_another_router_is_moved(
    world: routed.World, floatingip: routed.Made
) -> None:
    world.apply("floatingip", floatingip["id"])
    healthy = world.rows()
    nbctl, router = world.neutron.ovn.nbctl, f"neutron-{world.router}"
    nbctl("lr-add", "elsewhere")
    nat = world.nat(floatingip["id"])
    nbctl("add", "Logical_Router", "elsewhere", "nat", nat)
    nbctl("remove", "Logical_Router", router, "nat", nat)

    assert "NAT router" in world.apply("floatingip", floatingip["id"])

    nbctl("lr-del", "elsewhere")
    _assert_one_healthy(world, floatingip, healthy)


def test_a_second_nat_rule_of_the_floating_ip_goes(
    world: routed.World, floatingip: routed.Made
) -> None:
    world.apply("floatingip", floatingip["id"])
    healthy = world.rows()
    world.neutron.ovn.nbctl(
        *("--", "--id=@copy", "create", "NAT", "type=dnat_and_snat", "logical_ip=10.1.0.77"),
        f'external_ids:neutron\\:fip_id="{floatingip["id"]}"',
        *("external_ip=203.0.113.77", "--"),
        *("add", "Logical_Router", f"neutron-{world.router}", "nat", "@copy"),
    )
    assert "NAT copies" in world.apply("floatingip", floatingip["id"])
    _assert_one_healthy(world, floatingip, healthy)


def test_the_address_at_the_port_is_healed_and_taken_from_another_port(
    world: routed.World, floatingip: routed.Made
) -> None:
    world.apply("floatingip", floatingip["id"])
    healthy = world.rows()
    key = "external_ids:neutron\\:port_fip"
    address = floatingip["floating_ip_address"]
    world.neutron.ovn.nbctl("set", "Logical_Switch_Port", world.port, f"{key}=damaged")
    world.neutron.ovn.nbctl("set", "Logical_Switch_Port", world.other, f'{key}="{address}"')

    noticed = world.apply("floatingip", floatingip["id"])

    assert noticed.count("Logical_Switch_Port external_ids:neutron:port_fip") == 2
    assert world.rows() == healthy


def test_a_move_to_another_port_keeps_the_nat_row(world: routed.World) -> None:
    moved = world.floatingip(port_id=world.other)
    world.apply("floatingip", moved["id"])
    ovn = world.neutron.ovn
    before = ovn.nbctl("get", "NAT", world.nat(moved["id"]), "logical_port").strip()
    world.neutron.update("floatingip", moved["id"], port_id=world.third)
    as_stock_leaves_it = world.rows()
    # Back to what it was before the move.
    ovn.nbctl(
        "set", "NAT", world.nat(moved["id"]), f"logical_port={before}", "logical_ip=10.1.0.99"
    )

    noticed = world.apply("floatingip", moved["id"])

    assert {"NAT logical_port", "NAT logical_ip"} <= set(noticed)
    assert "NAT" not in noticed, "the row was made again"
    assert world.rows() == as_stock_leaves_it
    world.neutron.delete("floatingip", moved["id"])


def test_a_floating_ip_without_a_port_has_nothing_in_ovn(world: routed.World) -> None:
    free = world.floatingip(port_id=world.other)
    world.apply("floatingip", free["id"])
    saved = world.neutron.ovn.nbctl("get", "NAT", world.nat(free["id"]), "external_ip").strip()
    world.neutron.update("floatingip", free["id"], port_id=None)
    without = world.rows()
    router = f"neutron-{world.router}"
    world.neutron.ovn.nbctl("lr-nat-add", router, "dnat_and_snat", saved.strip('"'), "10.1.0.98")
    nat = world.find("NAT", "logical_ip=10.1.0.98")
    world.neutron.ovn.nbctl("set", "NAT", nat, f'external_ids:neutron\\:fip_id="{free["id"]}"')

    assert "NAT" in world.apply("floatingip", free["id"])

    assert world.rows() == without
    assert world.neutron.show("floatingip", free["id"])["status"] == "DOWN"
    world.neutron.delete("floatingip", free["id"])


def test_status_follows_what_was_applied(world: routed.World, floatingip: routed.Made) -> None:
    l3 = routed.directory.get_plugin(routed.plugin_constants.L3)
    l3.update_floatingip_status(world.neutron.context(), floatingip["id"], "DOWN")
    world.apply("floatingip", floatingip["id"])
    shown = world.neutron.show("floatingip", floatingip["id"])
    assert shown["status"] == "ACTIVE"
    said = world.neutron.ovn.nbctl("get", "NAT", world.nat(floatingip["id"]), "external_ids")
    assert f'neutron:revision_number"="{shown["revision_number"]}"' in said


def test_a_deleted_floating_ip_leaves_nothing_and_once_more_succeeds(world: routed.World) -> None:
    before = world.rows()
    gone = world.floatingip(port_id=world.other)
    assert world.rows() != before
    world.delete("floatingip", gone["id"])
    # Neutron's row is there still, so that an apply makes it anew.
    assert "NAT" in world.apply("floatingip", gone["id"])
    world.neutron.update("floatingip", gone["id"], port_id=None)
    world.delete("floatingip", gone["id"])
    world.delete("floatingip", gone["id"])
    assert world.rows() == before
    world.neutron.delete("floatingip", gone["id"])


def test_a_delete_takes_the_address_from_ports_though_the_nat_rule_is_gone(
    world: routed.World,
) -> None:
    before = world.rows()
    key = "external_ids:neutron\\:port_fip"
    world.neutron.ovn.nbctl("set", "Logical_Switch_Port", world.other, f'{key}="203.0.113.240"')
    gone = "00000000-0000-4000-8000-000000000001"
    world.delete("floatingip", gone, floating_ip_address="203.0.113.240")
    assert world.rows() == before


def test_a_floating_ip_waits_for_its_router_and_its_port(
    world: routed.World, floatingip: routed.Made
) -> None:
    nbctl = world.neutron.ovn.nbctl
    nbctl("set", "Logical_Router", f"neutron-{world.router}", "name=hidden")
    with pytest.raises(errors.MissingReference) as missing:
        world.apply("floatingip", floatingip["id"])
    nbctl("set", "Logical_Router", "hidden", f"name=neutron-{world.router}")
    assert (missing.value.resource_type, missing.value.resource_id) == ("router", world.router)
    nbctl("set", "Logical_Switch_Port", world.port, "name=hidden")
    with pytest.raises(errors.MissingReference) as missing:
        world.apply("floatingip", floatingip["id"])
    nbctl("set", "Logical_Switch_Port", "hidden", f"name={world.port}")
    assert (missing.value.resource_type, missing.value.resource_id) == ("port", world.port)
    assert world.apply("floatingip", floatingip["id"]) == []


def test_distributed_floating_ips_are_as_stock_makes_them(world: routed.World) -> None:
    cfg.CONF.set_override("enable_distributed_floating_ip", True, group="ovn")
    try:
        made = world.floatingip(port_id=world.other)
        assert world.apply("floatingip", made["id"]) == []
        gateway = world.neutron.ovn.nbctl(
            "get", "NAT", world.nat(made["id"]), "gateway_port"
        ).strip()
        healthy = world.rows()
        world.neutron.ovn.nbctl(
            "set", "NAT", world.nat(made["id"]), 'external_mac="0a:00:00:00:00:01"'
        )
        assert "NAT external_mac" in world.apply("floatingip", made["id"])
        if gateway != "[]":
            world.neutron.ovn.nbctl("clear", "NAT", world.nat(made["id"]), "gateway_port")
            assert "NAT gateway_port" in world.apply("floatingip", made["id"])
        assert world.rows() == healthy
        world.neutron.delete("floatingip", made["id"])
    finally:
        cfg.CONF.clear_override("enable_distributed_floating_ip", group="ovn")
