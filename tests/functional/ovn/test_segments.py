# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Networks of several segments: as stock writes them, whatever OVN does meanwhile, and healed."""

import collections.abc
import contextlib
import dataclasses
import difflib
import typing

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow import releases
from networking_workflow.model import errors
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, northbound, noticing, script
from tests.waiting import wait_until

#: The segments plugin's own threads tell Placement of segments that are gone; there is none here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

VLAN = {"network_type": "vlan", "physical_network": "physnet1"}

MTU = 1400  #: that a tunnel may have, too

PATIENCE_S = 30.0


def flat(physical_network: str) -> dict[str, typing.Any]:
    """Return a flat segment: there is one a physical network."""
    return {"network_type": "flat", "physical_network": physical_network}


class _WithSegments(cloud.Neutron):
    """With routers and segments."""

    def profile(self) -> lab_config.Profile:
        plugins = ("ovn-router", "segments")
        return dataclasses.replace(super().profile(), service_plugins=plugins, tenants=True)


class Stock(_WithSegments, cloud.StockNeutron):
    """ML2/OVN as it is."""


class Neutron(_WithSegments):
    """Nothing but the conductor writes to OVN."""


class Script(script.Script):
    """Networks whose segments come with them, later, and go."""

    def segment(self, name: str, network: str, **values: typing.Any) -> None:
        """Add a segment to a network."""
        body = {"network_id": self.made[network]["id"], "name": name, **values}
        self.made[name] = self.neutron.call("POST", "segments", {"segment": body})["segment"]
        self.after()

    def network(self, name: str, *segments: dict[str, typing.Any], **values: typing.Any) -> None:
        """Create a network, of several segments at once where there are several."""
        provider = [{f"provider:{key}": one for key, one in seg.items()} for seg in segments]
        self.create("network", name, **values, **({"segments": provider} if provider else {}))

    def first_segment(self, network: str) -> str:
        """Return the id of the segment with the lowest VLAN, which a network was created with."""
        order = "sort_key=segmentation_id&sort_dir=asc"
        path = f"segments?network_id={self.made[network]['id']}&network_type=vlan&{order}"
        return str(self.neutron.call("GET", path)["segments"][0]["id"])

    def delete_segment(self, segment_id: str) -> None:
        self.neutron.call("DELETE", f"segments/{segment_id}")
        self.after()

    def run(self) -> None:
        self.network("grown", {**VLAN, "segmentation_id": 110}, mtu=MTU)
        self.segment("second", "grown", **VLAN, segmentation_id=111)
        self.segment("third", "grown", **flat("physnet2"))
        self.segment("tunnel", "grown", network_type="geneve")
        self.neutron.call("PUT", f"segments/{self.made['third']['id']}", {"segment": {"name": "x"}})
        self.after()
        self.network("born", {**VLAN, "segmentation_id": 120}, flat("physnet3"))
        self.network("shrunk", {**VLAN, "segmentation_id": 130}, {**VLAN, "segmentation_id": 131})
        self.delete_segment(self.first_segment("shrunk"))
        self.network("tunnelled")
        self.segment("short-lived", "tunnelled", **VLAN, segmentation_id=140)
        self.delete_segment(self.made.pop("short-lived")["id"])
        self.network("gone", {**VLAN, "segmentation_id": 150}, {**VLAN, "segmentation_id": 151})
        self.segment("gone-too", "gone", **VLAN, segmentation_id=152)
        self.delete("network", "gone")
        self.routed()

    def routed(self) -> None:
        """A network with a subnet in each of its segments."""
        self.network("routed", {**VLAN, "segmentation_id": 160})
        segment = self.first_segment("routed")
        four = {"network_id": self.made["routed"]["id"], "ip_version": 4}
        pools = [{"start": "10.1.0.2", "end": "10.1.0.49"}]
        self.create("subnet", "left", cidr="10.1.0.0/24", allocation_pools=pools, **four)
        self.update("subnet", "left", segment_id=segment)
        self.segment("right-segment", "routed", **flat("physnet6"))
        right = self.made["right-segment"]["id"]
        self.create("subnet", "right", cidr="10.2.0.0/24", **four, segment_id=right)
        # A port has no address until it has a host, which reaches some of the segments.
        network = self.made["routed"]["id"]
        self.create("port", "waits", network_id=network, mac_address="fa:16:3e:00:00:01")
        self.create("port", "placed", network_id=network, mac_address="fa:16:3e:00:00:02")
        address = {"subnet_id": self.made["left"]["id"], "ip_address": "10.1.0.50"}
        self.update("port", "placed", fixed_ips=[address], **{"binding:host_id": "cmp1"})


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """The script's networks on our side."""

    neutron: Neutron
    conductor: cloud.Conductor
    script: Script
    made: list[str]  #: all rows of the Northbound database once the script had run

    def rows(self) -> list[str]:
        return northbound.normalised(self.neutron.ovn, {})

    def id(self, name: str) -> str:
        return str(self.script.made[name]["id"])

    def switch(self, network: str) -> str:
        return f"neutron-{self.id(network)}"

    def localnets(self, network: str) -> set[str]:
        """Return the names of the localnet ports on a network's switch."""
        columns = ("--bare", "--columns=ports", "find", "Logical_Switch")
        held = self.neutron.ovn.nbctl(*columns, f"name={self.switch(network)}").split()
        rows = northbound.rows(self.neutron.ovn)["Logical_Switch_Port"]
        return {one["name"] for one in rows if one["type"] == "localnet" and one["_uuid"] in held}

    def wanted(self, **filters: str) -> set[str]:
        """Return the names that the localnet ports of segments must have."""
        query = "&".join(f"{key}={value}" for key, value in filters.items())
        segments = self.neutron.call("GET", f"segments?{query}")["segments"]
        return {f"provnet-{one['id']}" for one in segments if one["physical_network"]}

    def said(self, network: str) -> dict[str, str]:
        """Return what a network's switch says of the network."""
        (row,) = (
            one
            for one in northbound.rows(self.neutron.ovn)["Logical_Switch"]
            if one["name"] == self.switch(network)
        )
        found: dict[str, str] = row["external_ids"]
        return {key.removeprefix("neutron:provnet-"): one for key, one in found.items()}

    def uuid(self, port: str) -> str:
        """Return the uuid of the row of a localnet port."""
        return self.neutron.ovn.nbctl("get", "Logical_Switch_Port", port, "_uuid").strip()

    def queued(self) -> Script:
        """Return the script for calls whose workflows wait."""
        calls = Script(self.neutron)
        calls.made = self.script.made
        return calls

    @contextlib.contextmanager
    def without_ovn(self) -> collections.abc.Iterator[None]:
        """Have no Northbound database in the block; the driver is back after it."""
        self.neutron.ovn.stop_nb()
        try:
            yield
        finally:
            self.neutron.ovn.start_nb()
        wait_until(self._back, PATIENCE_S, "the driver to reach OVN again")

    def _back(self) -> bool:
        try:
            self.conductor.driver.probe()
        except errors.BackendUnreachable:
            return False
        return True

    def apply(self, kind: str, name: str) -> list[str]:
        """Apply, and return what was noticed to differ but for revision numbers."""
        with noticing.noticed() as found:
            self.conductor.apply(kind, self.id(name))
        return [one for one in noticing.names(found) if not one.endswith("revision_number")]


@pytest.fixture(scope="module")
def as_stock(database_pool: pool.Pool) -> list[str]:
    with lab_ovn.OvnCentral() as ovn:
        ovn.add_chassis("ch1", "cmp1")
        neutron = Stock(database_pool.empty("sqlite", "capture", inprocess.tables_of), ovn)
        try:
            calls = Script(neutron)
            calls.run()
            return northbound.normalised(ovn, calls.names(), revisions=False)
        finally:
            neutron.close()


@pytest.fixture(scope="module")
def world(
    as_stock: list[str],  # there is one Neutron at a time in a process
    database_pool: pool.Pool,
    ovn: lab_ovn.OvnCentral,
) -> collections.abc.Iterator[World]:
    with cloud.driven(Neutron, cloud.Conductor, database_pool, ovn) as (neutron, conductor):
        calls = Script(neutron, after=conductor.drain)
        calls.run()
        made = northbound.normalised(ovn, calls.names(), revisions=False)
        yield World(neutron, conductor, calls, made)


def test_same_rows_as_stock(world: World, as_stock: list[str]) -> None:
    differ = "\n".join(difflib.unified_diff(as_stock, world.made, "stock", "ours", n=0))
    assert world.made == as_stock, differ
    assert "provnet-<segment physnet1 111 of <network grown>>" in "".join(as_stock)


def test_nothing_is_written_if_all_is_well(world: World) -> None:
    things = (("network", "grown"), ("network", "born"), ("network", "shrunk"), ("subnet", "right"))
    for kind, name in things:
        world.apply(kind, name)  # what was made on it has raised its revision number
    healthy = world.rows()
    assert [world.apply(kind, name) for kind, name in things] == [[]] * len(things)
    assert world.rows() == healthy


def test_no_call_reaches_ovn_and_each_is_a_workflow_of_the_network(world: World) -> None:
    calls, before = world.queued(), world.rows()
    calls.segment("added", "born", **VLAN, segmentation_id=121)
    for values in ({"name": "x"}, {"description": "x"}):
        path = f"segments/{calls.made['added']['id']}"
        world.neutron.call("PUT", path, {"segment": values})
    calls.delete_segment(calls.made.pop("added")["id"])
    assert world.rows() == before
    waiting = [
        (row.operation, row.resource_type, row.resource_id) for row in world.conductor.waiting()
    ]
    assert waiting == [("update", "network", world.id("born"))] * 4
    world.conductor.drain()
    assert world.localnets("born") == world.wanted(network_id=world.id("born"))


@dataclasses.dataclass(frozen=True, slots=True)
class Damage:
    """What is done to one of several localnet ports, and how it is noticed."""

    noticed: str
    words: tuple[str, ...]  #: "{port}": the localnet port; "{switch}": its switch


LSP = "Logical_Switch_Port"
DAMAGES = (
    Damage(f"{LSP} tag_request", ("set", LSP, "{port}", "tag_request=9")),
    Damage(f"{LSP} options:network_name", ("set", LSP, "{port}", "options:network_name=x")),
    Damage(f"{LSP} options:mcast_flood", ("set", LSP, "{port}", "options:mcast_flood=true")),
    Damage(f"{LSP} type", ("set", LSP, "{port}", "type=localport")),
    Damage(f"{LSP} addresses", ("set", LSP, "{port}", "addresses=router")),
    Damage(LSP, ("lsp-del", "{port}")),
    Damage(
        "Logical_Switch localnet ports",
        ("lsp-add", "{switch}", "provnet-dead", "--", "lsp-set-type", "provnet-dead", "localnet"),
    ),
    Damage(
        "Logical_Switch external_ids:neutron:provnet-network-type",
        ("set", "Logical_Switch", "{switch}", "external_ids:neutron\\:provnet-network-type=vlan"),
    ),
)
if releases.northbound().localnets_name_network:
    DAMAGES += (
        Damage(
            f"{LSP} external_ids:neutron:provnet-physical-network",
            ("clear", LSP, "{port}", "external_ids"),
        ),
    )


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.noticed)
@pytest.mark.parametrize("segment", ["second", "third"])
def test_damage_is_noticed_by_name_and_healed(world: World, segment: str, damage: Damage) -> None:
    world.apply("network", "grown")
    healthy = world.rows()
    names = {
        "port": f"provnet-{world.script.made[segment]['id']}",
        "switch": world.switch("grown"),
    }
    uuid = world.uuid(names["port"])
    world.neutron.ovn.nbctl(*(word.format(**names) for word in damage.words))
    assert world.rows() != healthy, "the damage did nothing"

    assert damage.noticed in world.apply("network", "grown")

    assert world.rows() == healthy
    # Made again, it would be cut off for a moment.
    assert (world.uuid(names["port"]) == uuid) is (damage.noticed != LSP)


def test_segments_that_come_and_go_while_ovn_is_away_end_right(world: World) -> None:
    calls = world.queued()
    calls.network("away", {**VLAN, "segmentation_id": 170}, {**VLAN, "segmentation_id": 171})
    calls.network("deleted", {**VLAN, "segmentation_id": 180}, flat("physnet4"))
    world.conductor.drain()
    assert len(world.localnets("deleted")) == 2
    with world.without_ovn():
        calls.segment("kept", "away", **VLAN, segmentation_id=172)
        calls.segment("brief", "away", **VLAN, segmentation_id=173)
        calls.delete_segment(calls.first_segment("away"))
        calls.delete_segment(calls.made.pop("brief")["id"])
        calls.segment("last", "deleted", **VLAN, segmentation_id=181)
        calls.delete("network", "deleted")
        calls.network("new", {**VLAN, "segmentation_id": 190})
        calls.segment("newer", "new", **VLAN, segmentation_id=191)
        calls.network("never", {**VLAN, "segmentation_id": 195}, flat("physnet5"))
        calls.delete("network", "never")
    world.conductor.drain()
    assert len(world.localnets("away")) == len(world.localnets("new")) == 2
    for network in ("away", "new"):
        assert world.localnets(network) == world.wanted(network_id=world.id(network))
    rows = northbound.rows(world.neutron.ovn)["Logical_Switch_Port"]
    assert {one["name"] for one in rows if one["type"] == "localnet"} == world.wanted()


def test_a_switch_says_what_its_segments_are(world: World) -> None:
    calls = world.script
    calls.network("turned", {**VLAN, "segmentation_id": 165}, mtu=MTU)
    said = world.said("turned")
    assert (said["network-type"], said["physical-network"]) == ("vlan", "physnet1")
    calls.segment("turned-tunnel", "turned", network_type="geneve")
    assert world.said("turned")["network-type"] == ""
    calls.delete_segment(calls.first_segment("turned"))
    said = world.said("turned")
    assert (said["network-type"], said.get("physical-network")) == ("geneve", None)


def test_router_ports_follow_the_type_of_their_network(world: World) -> None:
    """Only those on a network that is known to be a physical one stay on the gateway's chassis."""
    calls = world.script
    calls.network("crossed", {**VLAN, "segmentation_id": 175})
    subnet = {"network_id": world.id("crossed"), "ip_version": 4, "cidr": "10.3.0.0/24"}
    interface = {"subnet_id": calls.create("subnet", "crossed-subnet", **subnet)}
    router = calls.create("router", "router")
    made = world.neutron.call("PUT", f"routers/{router}/add_router_interface", interface)
    world.conductor.drain()
    port = ("--if-exists", "get", "Logical_Router_Port", f"lrp-{made['port_id']}")

    def resides() -> str:
        return world.neutron.ovn.nbctl(*port, "options:reside-on-redirect-chassis").strip()

    assert resides() == '"true"'
    calls.segment("crossed-second", "crossed", **VLAN, segmentation_id=176)
    assert resides() == ""
    calls.delete_segment(calls.made.pop("crossed-second")["id"])
    assert resides() == '"true"'
