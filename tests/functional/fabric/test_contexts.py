# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the adapter hands to a driver is, key by key, what stock ML2 hands to it."""

import collections.abc
import dataclasses
import pathlib
import typing

import pytest

from networking_workflow.drivers import contexts, ml2, protocol
from networking_workflow.model import errors, profiles, running, states
from networking_workflow.model.keys import Key, Mode
from tests.functional.fabric import cloud, neutron_process, recorder
from tests.unit.drivers.test_ml2 import CLAIM

Json = dict[str, typing.Any]

CREATE, UPDATE, DELETE = states.Operation.CREATE, states.Operation.UPDATE, states.Operation.DELETE

#: Ours is called after all commits of a request, ML2's contexts may be older than the last flush.
LATER = frozenset(
    f"{state}.{name}"
    for state in ("current", "original")
    for name in ("revision_number", "updated_at")
)

#: Part of every API answer about a bound port, but ML2 leaves it out of its contexts of updates
#: (ml2/plugin.py, _process_port_binding).
BOUND_DRIVERS = "current.binding:vif_details.bound_drivers"

PROVIDER = ("network_type", "physical_network", "segmentation_id")


class Both(typing.NamedTuple):
    """The calls that one change led to."""

    stock: list[tuple[str, Json]]
    ours: list[tuple[str, Json]]


@pytest.fixture(scope="module")
def neutron(
    tmp_path_factory: pytest.TempPathFactory,
) -> collections.abc.Iterator[neutron_process.Neutron]:
    folder: pathlib.Path = tmp_path_factory.mktemp("contexts")
    with neutron_process.running(folder, mechanism_drivers="") as process:
        process.call(install)
        yield process


_DRIVERS: dict[str, typing.Any] = {}  # over there


def install(plugin: typing.Any) -> None:
    """Put a recorder into stock ML2, and another behind the adapter."""
    from stevedore import extension

    stock, ours = recorder.Recorder(), recorder.Recorder()
    manager = plugin.mechanism_manager
    entry = extension.Extension("recorder", None, None, stock)
    manager.ordered_mech_drivers.append(entry)
    manager.mech_drivers["recorder"] = entry
    _DRIVERS.update(stock=stock, ours=ours, adapter=ml2.Ml2Driver("recorder", ours, plugin))


def follow(
    plugin: typing.Any,
    kind: str,
    resource_id: str,
    operation: states.Operation,
    applied: Json | None,
) -> tuple[Both, Json | None]:
    """Let the adapter follow what was just done; return both drivers' calls and what it keeps."""
    stock, ours, adapter = _DRIVERS["stock"], _DRIVERS["ours"], _DRIVERS["adapter"]
    target = protocol.Target(
        resource_type=kind,
        resource_id=resource_id,
        operation=operation,
        snapshot=stock.snapshot(kind, resource_id),
        applied=applied,
    )
    kept = None
    if operation is DELETE:
        adapter.delete(target)
    else:
        kept = dict(adapter.apply(target))
    return Both(stock.taken(), ours.taken()), kept


def follow_until_the_lease_is_lost(plugin: typing.Any, port_id: str, looks: int) -> list[str]:
    """Let the adapter make a port whose lease is held at the first ``looks`` looks.

    Returns the hooks that were called.
    """
    ours, left = _DRIVERS["ours"], iter([True] * looks)

    def require() -> None:
        if not next(left, False):
            raise errors.LeaseLost(CLAIM.id)

    target = protocol.Target(resource_type="port", resource_id=port_id, operation=CREATE)
    task = running.RunningTask(claim=CLAIM, task_id="t1", task_name="recorder", require=require)
    token = running.RUNNING.set(task)
    try:
        with pytest.raises(errors.LeaseLost):
            _DRIVERS["adapter"].apply(target)
    finally:
        running.RUNNING.reset(token)
        _DRIVERS["stock"].taken()
    return [hook for hook, _ in ours.taken()]


def differences(stock: typing.Any, ours: typing.Any, path: str = "") -> dict[str, typing.Any]:
    """Return where two contexts' contents differ: path -> (stock, ours)."""
    if isinstance(stock, dict) and isinstance(ours, dict):
        return {
            where: value
            for key in sorted(stock.keys() | ours.keys())
            for where, value in differences(
                stock.get(key, "absent"), ours.get(key, "absent"), f"{path}.{key}".lstrip(".")
            ).items()
        }
    return {} if stock == ours else {path: (stock, ours)}


def assert_equal(both: Both, *hooks: str, but: typing.Collection[str] = ()) -> None:
    """Compare all calls of one change; ``but`` names what is known to differ."""
    assert [hook for hook, _ in both.stock] == [hook for hook, _ in both.ours] == list(hooks)
    for (_, stock), (_, ours) in zip(both.stock, both.ours, strict=True):
        found = differences(stock, ours)
        assert not {path: value for path, value in found.items() if path not in but}


def test_network(neutron: neutron_process.Neutron) -> None:
    network = neutron.call(cloud.create_network)
    both, kept = neutron.call(follow, "network", network["id"], CREATE, None)
    assert_equal(both, "create_network_postcommit")

    neutron.call(cloud.update, "network", network["id"], {"name": "renamed"})
    both, kept = neutron.call(follow, "network", network["id"], UPDATE, kept)
    assert_equal(both, "update_network_postcommit")
    assert both.ours[0][1]["original"]["name"] == "net"

    neutron.call(cloud.delete, "network", network["id"])
    both, _ = neutron.call(follow, "network", network["id"], DELETE, kept)
    assert_equal(both, "delete_network_postcommit")


def add_segment(plugin: typing.Any, network_id: str) -> None:
    """Add a segment to a network, as the segments plugin does."""
    from neutron.services.segments import plugin as segments

    body = {"name": "", "description": "", "network_id": network_id, "network_type": "vlan"}
    tag = {"physical_network": "physnet1", "segmentation_id": None}
    segments.Plugin().create_segment(cloud.request(), {"segment": body | tag})


def test_segment_that_is_added(neutron: neutron_process.Neutron) -> None:
    """It is an update of the network. Stock's ``original`` has the segment already."""
    network = neutron.call(cloud.create_network)
    _, kept = neutron.call(follow, "network", network["id"], CREATE, None)

    neutron.call(add_segment, network["id"])
    both, kept = neutron.call(follow, "network", network["id"], UPDATE, kept)
    ((_, stock),) = both.stock
    assert len(stock["current"]["segments"]) == len(stock["network_segments"]) == 2
    names = ("segments", *(f"provider:{name}" for name in PROVIDER))
    before = {f"original.{name}" for name in names}
    assert_equal(both, "update_network_postcommit", but=LATER | before)
    assert both.ours[0][1]["original"]["provider:network_type"] == "vlan"

    neutron.call(cloud.delete, "network", network["id"])
    both, _ = neutron.call(follow, "network", network["id"], DELETE, kept)
    assert_equal(both, "delete_network_postcommit")
    assert len(both.ours[0][1]["network_segments"]) == 2


def test_subnet(neutron: neutron_process.Neutron) -> None:
    network = neutron.call(cloud.create_network)
    neutron.call(follow, "network", network["id"], CREATE, None)

    subnet = neutron.call(cloud.create_subnet, network["id"])
    both, kept = neutron.call(follow, "subnet", subnet["id"], CREATE, None)
    assert_equal(both, "create_subnet_postcommit")

    neutron.call(cloud.update, "subnet", subnet["id"], {"dns_nameservers": ["192.0.2.1"]})
    both, kept = neutron.call(follow, "subnet", subnet["id"], UPDATE, kept)
    assert_equal(both, "update_subnet_postcommit")

    neutron.call(cloud.delete, "subnet", subnet["id"])
    both, _ = neutron.call(follow, "subnet", subnet["id"], DELETE, kept)
    assert_equal(both, "delete_subnet_postcommit")


def test_port_that_is_bound_later_moved_and_unbound(neutron: neutron_process.Neutron) -> None:
    network = neutron.call(cloud.create_network)
    neutron.call(follow, "network", network["id"], CREATE, None)

    port = neutron.call(cloud.create_port, network["id"])
    both, kept = neutron.call(follow, "port", port["id"], CREATE, None)
    assert_equal(both, "create_port_postcommit")

    neutron.call(cloud.update, "port", port["id"], {"name": "renamed"})
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    assert_equal(both, "update_port_postcommit")

    neutron.call(cloud.update, "port", port["id"], {"binding:host_id": "one"})
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    assert_spans(both)

    for move in ({"binding:host_id": "two"}, {"binding:profile": {"slot": 2}}):
        neutron.call(cloud.update, "port", port["id"], move)
        both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
        assert_equal(both, *["update_port_postcommit"] * 2, but=LATER)
        assert [said["vif_type"] for _, said in both.ours] == ["unbound", "other"]
        assert both.ours[0][1]["original_binding_levels"]

    neutron.call(cloud.update, "port", port["id"], {"binding:host_id": ""})
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    assert both.ours[0][1]["original_binding_levels"]
    assert_equal(both, "update_port_postcommit", but=LATER)

    neutron.call(cloud.delete, "port", port["id"])
    both, _ = neutron.call(follow, "port", port["id"], DELETE, kept)
    assert_equal(both, "delete_port_postcommit")


def test_port_that_is_born_bound_and_deleted_so(neutron: neutron_process.Neutron) -> None:
    network = neutron.call(cloud.create_network)
    neutron.call(follow, "network", network["id"], CREATE, None)

    port = neutron.call(cloud.create_port, network["id"], {"binding:host_id": "one"})
    both, kept = neutron.call(follow, "port", port["id"], CREATE, None)
    assert both.ours[1][1]["vif_details"]
    assert_equal(both, "create_port_postcommit", "update_port_postcommit", but=LATER)

    neutron.call(cloud.update, "port", port["id"], {"name": "renamed"})
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    assert_equal(both, "update_port_postcommit", but=LATER | {BOUND_DRIVERS})

    neutron.call(cloud.delete, "port", port["id"])
    both, _ = neutron.call(follow, "port", port["id"], DELETE, kept)
    assert_equal(both, "delete_port_postcommit")
    assert both.ours[0][1]["binding_levels"]


def test_no_hook_is_called_once_the_lease_is_lost(neutron: neutron_process.Neutron) -> None:
    network = neutron.call(cloud.create_network)
    neutron.call(follow, "network", network["id"], CREATE, None)
    port = neutron.call(cloud.create_port, network["id"], {"binding:host_id": "one"})
    for looks, hooks in ((0, []), (1, ["create_port_postcommit"])):
        assert neutron.call(follow_until_the_lease_is_lost, port["id"], looks) == hooks


def report_active(plugin: typing.Any, port_id: str) -> None:
    """Say what a backend says that has plugged a port."""
    plugin.update_port_status(cloud.request(), port_id, "ACTIVE")


def test_port_that_is_bound_anew_is_down_however_often_that_is_tried(
    neutron: neutron_process.Neutron,
) -> None:
    """What is unbound first may be unplugged where the port is plugged today."""
    network = neutron.call(cloud.create_network)
    neutron.call(follow, "network", network["id"], CREATE, None)
    port = neutron.call(cloud.create_port, network["id"], {"binding:host_id": "one"})
    _, kept = neutron.call(follow, "port", port["id"], CREATE, None)

    neutron.call(cloud.update, "port", port["id"], {"binding:host_id": "two"})
    neutron.call(follow, "port", port["id"], UPDATE, kept)
    neutron.call(report_active, port["id"])
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    said = [(one["vif_type"], one["status"], one["current"]["status"]) for _, one in both.ours]
    assert said == [("unbound", "DOWN", "DOWN"), ("other", "DOWN", "DOWN")]
    assert kept["current"]["status"] == "ACTIVE"

    neutron.call(cloud.update, "port", port["id"], {"name": "renamed"})
    both, _ = neutron.call(follow, "port", port["id"], UPDATE, kept)
    assert [one["status"] for _, one in both.ours] == ["ACTIVE"]


def assert_spans(both: Both) -> None:
    """Stock says the host, then the binding; our one update leads from before to after both."""
    assert [hook for hook, _ in both.stock] == ["update_port_postcommit"] * 2
    [(hook, ours)] = both.ours
    assert hook == "update_port_postcommit"
    (_, first), (_, last) = both.stock
    stock = {name: (first if name.startswith("original") else last)[name] for name in ours}
    assert differences(stock, ours).keys() <= LATER


def bind_distributed(plugin: typing.Any, port_id: str, host: str) -> None:
    """Do what the L3 agent of a host asks for: bind an interface of a distributed router there."""
    body = {"port": {"binding:host_id": host, "device_id": "router"}}
    plugin.update_distributed_port_binding(cloud.request(), port_id, body)


def test_distributed_port_has_one_context_a_host(neutron: neutron_process.Neutron) -> None:
    network = neutron.call(cloud.create_network)
    neutron.call(follow, "network", network["id"], CREATE, None)
    port = neutron.call(
        cloud.create_port, network["id"], {"device_owner": "network:router_interface_distributed"}
    )
    both, kept = neutron.call(follow, "port", port["id"], CREATE, None)
    assert_equal(both, "create_port_postcommit")

    for host in ("one", "two"):
        neutron.call(bind_distributed, port["id"], host)
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    assert [said["host"] for _, said in both.ours] == ["one", "two"]
    assert all(said["binding_levels"] for _, said in both.ours)

    neutron.call(cloud.update, "port", port["id"], {"name": "renamed"})
    both, kept = neutron.call(follow, "port", port["id"], UPDATE, kept)
    but = LATER | {BOUND_DRIVERS}
    assert_equal(both, "update_port_postcommit", "update_port_postcommit", but=but)

    neutron.call(cloud.delete, "port", port["id"])
    both, _ = neutron.call(follow, "port", port["id"], DELETE, kept)
    assert_equal(both, "delete_port_postcommit", "delete_port_postcommit")


def heal(
    plugin: typing.Any, port_id: str, snapshot: Json, applied: Json | None = None
) -> list[tuple[str, Json]]:
    """Apply an update of a port that the driver has never applied, or last so."""
    target = protocol.Target(
        resource_type="port",
        resource_id=port_id,
        operation=UPDATE,
        snapshot=snapshot,
        applied=applied,
    )
    _DRIVERS["ours"].taken()
    _DRIVERS["adapter"].apply(target)
    return typing.cast(list[tuple[str, Json]], _DRIVERS["ours"].taken())


def levels_of(plugin: typing.Any, port_id: str) -> list[Json]:
    """Return a bound port's levels as capture writes them down."""
    [place] = contexts.read_port(plugin, contexts.admin_context(), port_id).places
    names = ("host", "level", "driver", "segment_id")
    return [{name: level[name] for name in names} for level in place.levels]


def binding_of(port: Json, levels: list[Json]) -> Json:
    """Return what capture keeps of how a port was bound."""
    names = ("host_id", "vnic_type", "profile", "vif_type", "vif_details")
    binding = {name.removesuffix("_id"): port[f"binding:{name}"] for name in names}
    return {"original_binding": binding, "original_binding_levels": levels}


def test_port_moved_before_it_was_ever_applied_is_taken_off_its_old_place(
    neutron: neutron_process.Neutron,
) -> None:
    """A failed create may have left something on the first host."""
    network = neutron.call(cloud.create_network)
    port = neutron.call(cloud.create_port, network["id"], {"binding:host_id": "one"})
    before = neutron.call(cloud.get, "port", port["id"])
    levels = neutron.call(levels_of, port["id"])
    neutron.call(cloud.update, "port", port["id"], {"binding:host_id": "two"})

    snapshot = {
        "version": 1,
        "original": before,
        "deleted": None,
        "edge": binding_of(before, levels),
    }
    (_, created), (_, taken_off), (_, bound) = neutron.call(heal, port["id"], snapshot)
    assert (created["vif_type"], created["original"]) == ("unbound", None)
    assert (taken_off["original_host"], taken_off["original_vif_type"]) == ("one", "other")
    assert taken_off["original_binding_levels"][0]["bound_driver"] == "recorder"
    assert taken_off["original_vif_details"]["of_host"] == "one"
    assert (taken_off["vif_type"], taken_off["binding_levels"]) == ("unbound", None)
    assert (bound["original_vif_type"], bound["vif_type"]) == ("unbound", "other")
    assert (bound["host"], len(bound["binding_levels"])) == ("two", 1)


@pytest.mark.parametrize("is_applied", [True, False], ids=["applied", "never applied"])
@pytest.mark.parametrize("last", ["", "one", "three"], ids=["unbound", "bound as before", "moved"])
def test_port_is_taken_off_every_place_that_changes_taken_as_one_have_tried(
    neutron: neutron_process.Neutron, is_applied: bool, last: str
) -> None:
    network = neutron.call(cloud.create_network)
    port = neutron.call(cloud.create_port, network["id"], {"binding:host_id": "one"})
    first = neutron.call(cloud.get, "port", port["id"])
    first_levels = neutron.call(levels_of, port["id"])
    _, kept = neutron.call(follow, "port", port["id"], CREATE, None)
    neutron.call(cloud.update, "port", port["id"], {"binding:host_id": "two"})
    tried = neutron.call(cloud.get, "port", port["id"])
    tried_levels = neutron.call(levels_of, port["id"])
    neutron.call(cloud.update, "port", port["id"], {"binding:host_id": last})

    passed = [{"original": tried, **binding_of(tried, tried_levels)}]
    edge = {**binding_of(first, first_levels), "passed": passed}
    snapshot = {"version": 1, "original": first, "deleted": None, "edge": edge}
    calls = neutron.call(heal, port["id"], snapshot, kept if is_applied else None)
    unbound = [said["original_host"] for _, said in calls if said["original_vif_type"] == "other"]
    assert unbound == (["two"] if last == "one" else ["one", "two"])
    assert {said["vif_type"] for _, said in calls[:-1]} == {"unbound"}
    _, end = calls[-1]
    assert (end["host"], end["vif_type"]) == (last, "other" if last else "unbound")


def plugged(name: str, host: str) -> Json:
    """Return what Ironic says of a port that is plugged at a port of a switch."""
    link = {"switch_info": "leaf", "port_id": name}
    return {"binding:host_id": host, "binding:profile": {"local_link_information": [link]}}


def leave(
    plugin: typing.Any, port_id: str, applied: Json, plugged_there: Json, keys: list[str]
) -> list[Json]:
    """Let the adapter follow a port that has left its place; the workflow holds these keys.

    :param plugged_there: what the driver has applied of other ports, by id.
    """
    target = protocol.Target(
        resource_type="port",
        resource_id=port_id,
        operation=UPDATE,
        applied=applied,
        applied_of=lambda ids: {each: plugged_there[each] for each in ids if each in plugged_there},
    )
    claim = dataclasses.replace(CLAIM, keys=dict.fromkeys(keys, Mode.EXCLUSIVE))
    token = running.RUNNING.set(running.RunningTask(claim=claim, task_id="t1", task_name="ours"))
    _DRIVERS["ours"].taken()
    try:
        _DRIVERS["adapter"].apply(target)
    finally:
        running.RUNNING.reset(token)
    return [said for _, said in _DRIVERS["ours"].taken()]


@pytest.mark.parametrize(
    ("other_host", "is_plugged", "is_held", "is_left"),
    [
        (None, False, False, True),
        ("", False, False, True),
        ("two", False, True, True),
        ("two", False, False, False),
        ("two", True, True, False),
        ("two", True, False, False),
    ],
    ids=[
        "nobody is there",
        "another is to be there some time",
        "another waits for this workflow",
        "another may be plugged at this moment",
        "another was plugged before a retry",
        "another was plugged",
    ],
)
@pytest.mark.parametrize("last", ["", "three"], ids=["unbound", "moved"])
def test_port_leaves_a_switch_port_unless_another_is_plugged_there_by_now(
    neutron: neutron_process.Neutron,
    other_host: str | None,
    is_plugged: bool,
    is_held: bool,
    is_left: bool,
    last: str,
) -> None:
    network = neutron.call(cloud.create_network)
    port = neutron.call(cloud.create_port, network["id"], plugged("eth1", "one"))
    _, kept = neutron.call(follow, "port", port["id"], CREATE, None)
    elsewhere = plugged("eth2", last) if last else {"binding:host_id": "", "binding:profile": {}}
    neutron.call(cloud.update, "port", port["id"], elsewhere)
    others = {}
    if other_host is not None:
        there = plugged("eth1", other_host)
        other = neutron.call(cloud.create_port, network["id"], there)
        _, others[other["id"]] = neutron.call(follow, "port", other["id"], CREATE, None)
    links = profiles.links(plugged("eth1", "one")["binding:profile"])
    keys = [str(Key("default", "link", link)) for link in links] if is_held else []

    said = neutron.call(leave, port["id"], kept, others if is_plugged else {}, keys)
    assert any(one["original_vif_type"] == "other" for one in said) is is_left
    assert (said[-1]["host"], said[-1]["vif_type"]) == (last, "other" if last else "unbound")
    assert all(one["status"] == "DOWN" for one in said)
    for each in (port["id"], *others):
        neutron.call(cloud.delete, "port", each)
