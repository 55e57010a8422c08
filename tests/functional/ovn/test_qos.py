# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""QoS policies of ports, networks and floating IPs: as stock writes them, and healed."""

import dataclasses
import typing

import pytest

from tests.functional.ovn import routed

LIMIT = {"max_kbps": 1000, "max_burst_kbps": 100, "direction": "egress"}
INGRESS = {"max_kbps": 2000, "max_burst_kbps": 200, "direction": "ingress"}


@dataclasses.dataclass(frozen=True, slots=True)
class Shaped:
    """What has a policy, by id."""

    policy: str
    guaranteed: str  #: a policy with a guaranteed rate
    port: str  #: has ``policy``
    physical_port: str  #: on a physical network, has ``guaranteed``
    network: str  #: has ``policy``
    inheriting: str  #: a port of ``network``
    floatingip: str  #: has ``policy``


@pytest.fixture(scope="module")
def shaped(world: routed.World) -> Shaped:
    neutron = world.neutron
    policy = neutron.policy(bandwidth_limit=LIMIT, dscp_marking={"dscp_mark": 10})
    guaranteed = neutron.policy(
        bandwidth_limit=LIMIT, minimum_bandwidth={"min_kbps": 500, "direction": "egress"}
    )
    physical = neutron.create("network", **routed.PHYSICAL, **{"provider:segmentation_id": 140})
    network = neutron.create("network", qos_policy_id=policy)["id"]
    neutron.update("port", world.port, qos_policy_id=policy)
    return Shaped(
        policy=policy,
        guaranteed=guaranteed,
        port=world.port,
        physical_port=neutron.create("port", network_id=physical["id"], qos_policy_id=guaranteed)[
            "id"
        ],
        network=network,
        inheriting=neutron.create("port", network_id=network)["id"],
        floatingip=world.floatingip(port_id=world.other, qos_policy_id=policy)["id"],
    )


def _everything(shaped: Shaped) -> tuple[tuple[str, str], ...]:
    return (
        ("port", shaped.port),
        ("port", shaped.physical_port),
        ("port", shaped.inheriting),
        ("network", shaped.network),
        ("floatingip", shaped.floatingip),
        ("qos_policy", shaped.policy),
        ("qos_policy", shaped.guaranteed),
    )


def test_nothing_is_written_where_stock_has_written_qos(
    world: routed.World, shaped: Shaped
) -> None:
    healthy = world.rows()
    for kind, resource_id in _everything(shaped):
        noticed = world.apply(kind, resource_id)
        assert not [one for one in noticed if "QoS" in one or "qos" in one], kind
    assert world.rows() == healthy
    assert 'qos_min_rate="500000"' in healthy.replace("'", '"')
    assert healthy.count("{dscp=10}") == 3


@dataclasses.dataclass(frozen=True, slots=True)
class Damage:
    """What is changed in the row that limits what the port sends, and how it is noticed."""

    noticed: str
    values: tuple[str, ...]


DAMAGES = (
    Damage("QoS match", ('match="ip4"',)),
    Damage("QoS priority", ("priority=7",)),
    Damage("QoS bandwidth:rate", ("bandwidth:rate=7",)),
    Damage("QoS bandwidth:burst", ("bandwidth:burst=7",)),
    Damage("QoS action:dscp", ("action:dscp=7",)),
    Damage("QoS", ("direction=to-lport",)),
    Damage("QoS external_ids:{key}", ("external_ids:{key}=damaged",)),
)


@pytest.mark.parametrize("which", ["port", "inheriting", "floatingip"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.noticed)
def test_a_damaged_row_is_noticed_by_name_and_healed(
    world: routed.World, shaped: Shaped, which: str, damage: Damage
) -> None:
    kind = "floatingip" if which == "floatingip" else "port"
    resource_id = getattr(shaped, which)
    key = "neutron:fip_id" if kind == "floatingip" else "neutron:port_id"
    world.apply(kind, resource_id)
    healthy = sorted(world.qos())
    row = world.find_qos(key, resource_id, "from-lport")
    values = [one.format(key=key.replace(":", "\\:")) for one in damage.values]
    world.neutron.ovn.nbctl("set", "QoS", row, *values)
    assert sorted(world.qos()) != healthy, "the damage did nothing"

    assert damage.noticed.format(key=key) in world.apply(kind, resource_id)

    assert sorted(world.qos()) == healthy


@pytest.mark.parametrize("of", ["port", "network", "floatingip", "qos_policy"])
def test_lost_rows_come_back(world: routed.World, shaped: Shaped, of: str) -> None:
    for kind, resource_id in _everything(shaped):
        world.apply(kind, resource_id)
    healthy = sorted(world.qos())
    which = {"network": "inheriting", "qos_policy": "inheriting"}.get(of, of)
    key = "neutron:fip_id" if of == "floatingip" else "neutron:port_id"
    switch = {"port": world.network, "floatingip": world.external}.get(of, shaped.network)
    assert any(getattr(shaped, which) in one for one in world.qos())
    world.neutron.ovn.nbctl("clear", "Logical_Switch", f"neutron-{switch}", "qos_rules")
    assert sorted(world.qos()) != healthy

    target = {"qos_policy": shaped.policy}.get(of) or getattr(shaped, of)
    assert "QoS" in world.apply(of, target)

    assert world.find_qos(key, getattr(shaped, which), "from-lport")
    assert sorted(world.qos()) == healthy


def test_rates_of_a_physical_port_are_healed(world: routed.World, shaped: Shaped) -> None:
    world.apply("port", shaped.physical_port)
    healthy = world.rows()
    for rate in ("qos_min_rate", "qos_max_rate", "qos_burst"):
        for kind, target in (("port", shaped.physical_port), ("qos_policy", shaped.guaranteed)):
            world.neutron.ovn.nbctl(
                "set", "Logical_Switch_Port", shaped.physical_port, f"options:{rate}=7"
            )
            assert f"Logical_Switch_Port options:{rate}" in world.apply(kind, target)
            assert world.rows() == healthy


@pytest.mark.parametrize("kind", ["port", "floatingip"])
def test_rows_of_a_detached_policy_go(
    world: routed.World, shaped: Shaped, kind: typing.Literal["port", "floatingip"]
) -> None:
    made = (
        world.floatingip(port_id=world.third)
        if kind == "floatingip"
        else world.neutron.create("port", network_id=world.network)
    )
    without = sorted(world.qos())
    world.neutron.update(kind, made["id"], qos_policy_id=shaped.policy)
    with_policy = world.qos()
    stale = next(one for one in with_policy if made["id"] in one)
    world.neutron.update(kind, made["id"], qos_policy_id=None)
    assert sorted(world.qos()) == without
    world.put_back(stale, world.external if kind == "floatingip" else world.network)
    assert sorted(world.qos()) != without

    assert "QoS" in world.apply(kind, made["id"])

    assert sorted(world.qos()) == without
    world.neutron.delete(kind, made["id"])


def test_rows_of_a_deleted_port_go(world: routed.World, shaped: Shaped) -> None:
    without = sorted(world.qos())
    made = world.neutron.create("port", network_id=world.network, qos_policy_id=shaped.policy)
    stale = next(one for one in world.qos() if made["id"] in one)
    world.neutron.delete("port", made["id"])
    world.put_back(stale, world.network)
    world.delete("port", made["id"])
    assert sorted(world.qos()) == without
