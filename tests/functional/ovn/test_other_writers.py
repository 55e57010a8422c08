# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Who writes the Northbound database besides workflows, and that none undoes a change that waits.

Each of ``docs/ovn.md``'s writers is let loose on a cloud with changes in the queue: nothing moves
but the columns that are its own. Once the changes are applied, all of them write once more, and the
driver finds nothing to mend.
"""

import collections.abc
import contextlib
import dataclasses
import pathlib
import subprocess
import sys
import threading
import typing
import uuid

import pytest
from futurist import periodics
from neutron.common.ovn import utils as ovn_utils
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import (
    maintenance,
    ovn_db_sync,
    ovsdb_monitor,
)
from neutron.services.ovn_l3 import ovsdb_monitor as router_monitor
from neutron.services.ovn_l3 import plugin as ovn_l3
from neutron_lib import constants
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
from oslo_config import cfg
from ovsdbapp.backend.ovs_idl import event as row_event

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.demo import northbound
from lab.neutron import config as lab_config
from networking_workflow import releases
from networking_workflow.model import errors
from tests.functional.ovn import cloud, noticing, routed
from tests.waiting import wait_until

PATIENCE_S = 60.0

#: What northd writes, or another process that follows OVN.
_NORTHD = frozenset({("Logical_Switch_Port", "up")})

_REVISION = "neutron:revision_number"

#: What a writer may touch: table and column, or table, column and key.
Own = frozenset[tuple[str, ...]]

#: What the installed Neutron has under this name, or None: of those that came with 29.
FIP_ADD_EXTERNAL_MAC = getattr(ovsdb_monitor, "FIPAddExternalMacEvent", None)
MOVES_ROUTERS = hasattr(ovn_l3.OVNL3RouterPlugin, "remove_router_from_l3_agent")

#: Where the chassis of gateways are: a group of each router since 29, a list of each port before.
if releases.northbound().gateways_have_group:
    CHASSIS_TABLE, CHASSIS_EVENT = "HA_Chassis", "RouterHAChassisGroupEvent"
    PARENT_KEY = "neutron:parent_hostname"
else:
    CHASSIS_TABLE, CHASSIS_EVENT = "Gateway_Chassis", "LogicalRouterPortGatewayChassisEvent"
    PARENT_KEY = "neutron:host_id"

HOST_ID: Own = frozenset({("Logical_Switch_Port", "external_ids", "neutron:host_id")})
MAC: Own = frozenset({("NAT", "external_mac")})
PARENT: Own = frozenset(
    {
        ("Logical_Switch_Port", "external_ids", PARENT_KEY),
        ("Logical_Switch_Port", "external_ids", "neutron:revision_number"),
    }
)
CHASSIS: Own = frozenset(
    {
        ("Logical_Router", "options", "chassis"),
        ("Logical_Router_Port", "ha_chassis_group"),
        ("Logical_Router_Port", "gateway_chassis"),
        ("Logical_Switch_Port", "ha_chassis_group"),
    }
)

TABLES = (*northbound.TABLES, "Address_Set")


class Neutron(cloud.Neutron):
    """Capturing, with routers and distributed floating IPs."""

    def profile(self) -> lab_config.Profile:
        return dataclasses.replace(
            super().profile(),
            service_plugins=("ovn-router",),
            tenants=True,
            options={"ovn": {"enable_distributed_floating_ip": True}},
        )


class Conductor(cloud.Conductor):
    """Tries once more what refers to something that comes later, as a held workflow would be."""

    def drain(self) -> list[tuple[str, str]]:
        order = []
        while rows := self.waiting():
            before = len(order)
            for row in rows:
                with contextlib.suppress(errors.MissingReference):
                    self.run(row)
                    order.append((row.operation, row.resource_type))
            assert len(order) > before, [(row.resource_type, row.resource_id) for row in rows]
        return order


class World:
    """A cloud of each kind that another writer may touch; all of it is in OVN."""

    def __init__(self, neutron: Neutron, conductor: Conductor) -> None:
        self.neutron, self.conductor, self.ovn = neutron, conductor, neutron.ovn
        self.changes = 0
        create = neutron.create
        self.external = create(
            "network",
            name="external",
            **routed.PHYSICAL,
            **{"router:external": True, "provider:segmentation_id": 130},
        )["id"]
        outer = create("subnet", network_id=self.external, ip_version=4, cidr="203.0.113.0/24")
        self.newest = self.external  #: network that was made last
        self.router = create(
            "router", name="router", external_gateway_info={"network_id": self.external}
        )["id"]
        self.plain_router = create("router", name="no gateway")["id"]
        self.network = create("network", name="inner")["id"]
        # Some tasks of the maintenance process take one segment of several for the network's.
        several = [{**routed.PHYSICAL, "provider:segmentation_id": number} for number in (131, 132)]
        self.segmented = create("network", name="several segments", segments=several)["id"]
        inner = {"network_id": self.network, "ip_version": 4, "cidr": "10.1.0.0/24"}
        pools = [{"start": "10.1.0.2", "end": "10.1.0.199"}]
        self.subnet = create("subnet", **inner, allocation_pools=pools)["id"]
        self.add_interface(self.router, self.subnet)
        bound = {"network_id": self.network, "binding:host_id": "cmp1"}
        self.virtual = create("port", network_id=self.network)
        (address,) = (ip["ip_address"] for ip in self.virtual["fixed_ips"])
        pairs = [{"ip_address": address}]
        self.port = create("port", **bound, allowed_address_pairs=pairs)["id"]
        self.floatingip = create(
            "floatingip", floating_network_id=self.external, port_id=self.port
        )["id"]
        self.gateway = self._port_of(constants.DEVICE_OWNER_ROUTER_GW)
        self.interface = self._port_of(constants.DEVICE_OWNER_ROUTER_INTF)
        self.kinds = (
            *(("network", one) for one in (self.external, self.network, self.segmented)),
            *(("subnet", one) for one in (outer["id"], self.subnet)),
            *(("port", one) for one in (self.port, self.virtual["id"])),
            *(("port", one) for one in (self.gateway, self.interface)),
            *(("router", one) for one in (self.router, self.plain_router)),
            ("router_interface", self.interface),
            ("floatingip", self.floatingip),
        )
        conductor.drain()

    def _port_of(self, owner: str) -> str:
        filters = {"device_id": [self.router], "device_owner": [owner]}
        (port,) = self.neutron.plugin.get_ports(self.neutron.context(), filters=filters)
        return str(port["id"])

    def add_interface(self, router: str, subnet: str) -> None:
        self.neutron.call("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})

    def queue(self) -> None:
        """Change what other writers write to, too; nothing is applied."""
        self.changes += 1
        name, number, update = f"change {self.changes}", self.changes, self.neutron.update
        update("network", self.network, name=name)
        update("subnet", self.subnet, dns_nameservers=[f"192.0.2.{number}"])
        for port in (self.port, self.virtual["id"]):
            update("port", port, name=name)
        routes = [{"destination": f"198.51.{number}.0/24", "nexthop": "10.1.0.9"}]
        update("router", self.router, name=name, routes=routes)
        update("floatingip", self.floatingip, description=name)
        # New ones: some tasks of the maintenance process look for what OVN does not have.
        self.neutron.create("address_group", addresses=["192.0.2.0/24"])
        physical = {**routed.PHYSICAL, "provider:segmentation_id": 200 + number}
        self.newest = self.neutron.create("network", name=name, **physical)["id"]

    def mend(self) -> list[str]:
        """Apply everything as it is, and return what was found to differ.

        Not of revision numbers alone: a change of a port's status raises the one that Neutron has,
        and OVN is told with the port's next workflow.
        """
        with noticing.noticed() as found:
            for kind, resource_id in self.kinds:
                self.conductor.apply(kind, resource_id)
        return [str(one) for one in found if not one.column.endswith(_REVISION)]

    def rows(self, own: Own) -> dict[tuple[str, str], typing.Any]:
        """Return all that OVN has, without what is the writer's ``own``, and northd's."""
        found = {}
        for table, said in northbound.listed(self.ovn.nbctl, TABLES).items():
            for values in said["data"]:
                row = dict(zip(said["headings"], values, strict=True))
                uuid = row["_uuid"][1]
                for column, value in list(row.items()):
                    if (table, column) in own | _NORTHD:
                        del row[column]
                    elif isinstance(value, list) and value[0] == "map":
                        row[column] = {
                            key: one for key, one in value[1] if (table, column, key) not in own
                        }
                found[table, uuid] = row
        return found

    def get(self, table: str, record: str, column: str) -> str:
        return self.ovn.nbctl("--if-exists", "get", table, record, column).strip()

    def has_switch(self, network: str) -> bool:
        """Return whether OVN has a network."""
        return f"(neutron-{network})" in self.ovn.nbctl("ls-list")

    def nat(self) -> str:
        """Return the uuid of the floating IP's row."""
        condition = f'external_ids:neutron\\:fip_id="{self.floatingip}"'
        found = self.ovn.nbctl("--bare", "--columns=_uuid", "find", "NAT", condition).split()
        assert len(found) == 1, found
        return found[0]

    def group_of_router(self) -> set[str]:
        """Return the chassis that the router's gateway may be on."""
        nb = self.neutron.mech_driver.nb_ovn
        group = nb.lookup("HA_Chassis_Group", f"neutron-{self.router}")
        return {str(one.chassis_name) for one in group.ha_chassis}

    def maintain(self) -> set[str]:
        """Run what OVN's maintenance process would run, once; return what failed.

        One task takes for granted that OVN has the switch of every physical network; the process
        runs it again until it has.
        """
        nb = self.neutron.mech_driver.nb_ovn
        with nb.ovsdb_connection.lock:
            nb.idl.set_lock("ovn_db_inconsistencies_periodics")
        try:
            wait_until(lambda: nb.idl.has_lock, PATIENCE_S, "the lock of the maintenance process")
            thread = maintenance.MaintenanceThread()
            thread.add_periodics(
                maintenance.DBInconsistenciesPeriodics(self.neutron.mech_driver._ovn_client)
            )
            assert len(thread._callables) > 10
            failed = set()
            for task, _, _ in thread._callables:
                try:
                    task()
                except periodics.NeverAgain:
                    pass
                except AttributeError:
                    failed.add(task.__name__)
            return failed
        finally:
            with nb.ovsdb_connection.lock:
                nb.idl.set_lock(None)

    def chassis(self, name: str) -> str:
        return self.ovn.sbctl(
            "--bare", "--columns=_uuid", "find", "Chassis", f"name={name}"
        ).strip()

    def binding(self, port: str) -> str:
        """Return the uuid of a port's row in the Southbound database, once northd has made it."""
        command = ("--bare", "--columns=_uuid", "find", "Port_Binding", f"logical_port={port}")
        return wait_until(lambda: self.ovn.sbctl(*command).strip(), PATIENCE_S, f"binding {port}")


@pytest.fixture(scope="module")
def world(database_pool: pool.Pool, ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[World]:
    ovn.add_chassis("ch2", "cmp2")
    with cloud.driven(Neutron, Conductor, database_pool, ovn) as (running, conductor):
        yield World(running, conductor)


@contextlib.contextmanager
def heard(
    api: typing.Any, *events: row_event.RowEvent
) -> collections.abc.Iterator[list[threading.Event]]:
    """Let events be handled as in an API process; give a flag for each, set when it was handled.

    ``api``: the connection, Northbound or Southbound, as the process itself has it.
    """
    flags = [_flagged(event) for event in events]
    handler = api.idl.notify_handler
    handler.watch_events(events)
    try:
        yield flags
    finally:
        handler.unwatch_events(events)


def _flagged(event: row_event.RowEvent) -> threading.Event:
    done, stock = threading.Event(), event.run

    def run(*args: typing.Any) -> None:
        stock(*args)
        done.set()

    event.run = run
    return done


def _comes(flag: threading.Event) -> None:
    assert flag.wait(PATIENCE_S), "nobody handled the event"
    flag.clear()


class _Marked(row_event.RowEvent):
    """Is handled after whatever happened northbound before the mark."""

    def __init__(self) -> None:
        super().__init__((self.ROW_UPDATE,), "NB_Global", None)

    def match_fn(self, event: str, row: typing.Any, old: typing.Any = None) -> bool:
        before = getattr(old, "external_ids", None)
        return before is not None and before.get("mark") != row.external_ids.get("mark")

    def run(self, event: str, row: typing.Any, old: typing.Any) -> None:
        """Do nothing."""


def _all_are_handled(world: World, mark: threading.Event) -> None:
    """Return when what happened northbound until now has been handled; ``mark`` is heard."""
    world.ovn.nbctl("set", "NB_Global", ".", f"external_ids:mark={uuid.uuid4()}")
    _comes(mark)


def port_lives(world: World) -> None:
    """It comes up on a chassis, appears on another one, and goes down."""
    driver = world.neutron.mech_driver
    up = ovsdb_monitor.LogicalSwitchPortUpdateUpEvent(driver)
    down = ovsdb_monitor.LogicalSwitchPortUpdateDownEvent(driver)
    moved = ovsdb_monitor.PortBindingChassisUpdateEvent(driver)
    world.binding(world.port)
    with (
        heard(driver.nb_ovn, up, down) as (comes_up, goes_down),
        heard(driver.sb_ovn, moved) as (moves,),
    ):
        world.ovn.plug(world.port, "ch1")
        _comes(comes_up)
        assert world.neutron.show("port", world.port)["status"] == "ACTIVE"
        assert world.get("NAT", world.floatingip, "external_mac") != "[]"
        assert "neutron:host_id" in world.get("Logical_Switch_Port", world.port, "external_ids")
        world.ovn.sbctl("set", "Port_Binding", world.port, f"chassis={world.chassis('ch2')}")
        _comes(moves)
        world.ovn.sbctl("lsp-unbind", world.port)
        _comes(goes_down)
        assert world.neutron.show("port", world.port)["status"] == "DOWN"
        assert "neutron:host_id" not in world.get("Logical_Switch_Port", world.port, "external_ids")


@contextlib.contextmanager
def _up(world: World) -> collections.abc.Iterator[typing.Any]:
    """Let the port be up, but OVN not hold what an API process would have written then."""
    nb = world.neutron.mech_driver.nb_ovn
    lsp = nb.lookup("Logical_Switch_Port", world.port)
    world.binding(world.port)
    world.ovn.plug(world.port, "ch1")
    wait_until(lambda: ovn_utils.is_lsp_up(lsp), PATIENCE_S, "the port to be up")
    nb.db_clear("NAT", world.nat(), "external_mac").execute(check_error=True)
    yield lsp
    world.ovn.sbctl("lsp-unbind", world.port)
    wait_until(lambda: not ovn_utils.is_lsp_up(lsp), PATIENCE_S, "the port to be down")
    world.neutron.mech_driver.set_port_status_down(world.port)


def api_connects(world: World) -> None:
    """It is told of every port that there is."""
    event = ovsdb_monitor.LogicalSwitchPortCreateEvent(world.neutron.mech_driver)
    with _up(world) as lsp:
        event.run(event.ROW_CREATE, lsp, None)
        assert "neutron:host_id" in world.get("Logical_Switch_Port", world.port, "external_ids")
        assert world.get("NAT", world.nat(), "external_mac") != "[]"


def floatingip_appears(world: World) -> None:
    """Its port was up before OVN had its row."""
    driver = world.neutron.mech_driver
    with _up(world):
        row = driver.nb_ovn.lookup("NAT", world.nat())
        for kind in filter(None, (ovsdb_monitor.FIPAddDeleteEvent, FIP_ADD_EXTERNAL_MAC)):
            event = kind(driver)
            assert event.matches(event.ROW_CREATE, row)
            event.run(event.ROW_CREATE, row, None)
        sets_mac = FIP_ADD_EXTERNAL_MAC is not None
        assert (world.get("NAT", world.nat(), "external_mac") != "[]") == sets_mac


def gateway_moves(world: World) -> None:
    """The chassis that has the router's gateway says so, and Neutron's port follows."""
    driver, waiting = world.neutron.mech_driver, len(world.conductor.waiting())
    binding = world.binding(f"cr-lrp-{world.gateway}")
    places = ["ch1", "ch2"]
    if world.neutron.show("port", world.gateway)["binding:host_id"] == "cmp1":
        places.reverse()
    with heard(driver.sb_ovn, ovsdb_monitor.PortBindingChassisEvent(driver)) as (moves,):
        world.ovn.sbctl("set", "Port_Binding", binding, f"chassis={world.chassis(places[0])}")
        _comes(moves)
    host = world.neutron.show("port", world.gateway)["binding:host_id"]
    assert host == places[0].replace("ch", "cmp")
    assert host in world.get("Logical_Switch_Port", world.gateway, "external_ids")
    # What it changed in Neutron's database is a change like any other.
    assert ("port", world.gateway) in {
        (row.resource_type, row.resource_id) for row in world.conductor.waiting()[waiting:]
    }


def virtual_address_moves(world: World) -> None:
    """The chassis of the port that has the address says so, and Neutron's port follows."""
    driver, port = world.neutron.mech_driver, world.virtual["id"]
    waiting = len(world.conductor.waiting())
    binding = world.binding(port)
    event = ovsdb_monitor.PortBindingUpdateVirtualPortsEvent(driver)
    with heard(driver.sb_ovn, event) as (moves,):
        for name in ("ch1", "ch2"):
            world.ovn.sbctl("set", "Port_Binding", binding, f"chassis={world.chassis(name)}")
            _comes(moves)
    ids = world.get("Logical_Switch_Port", port, "external_ids")
    assert f'"{PARENT_KEY}"=cmp2' in ids
    assert ("port", port) in {
        (row.resource_type, row.resource_id) for row in world.conductor.waiting()[waiting:]
    }


def chassis_appears(world: World) -> None:
    """A third gateway chassis comes and goes; gateways are scheduled, and networks follow."""
    driver, l3_plugin = world.neutron.mech_driver, directory.get_plugin(plugin_constants.L3)
    chassis = ovsdb_monitor.ChassisEvent(driver)
    followers = [getattr(router_monitor, CHASSIS_EVENT)(l3_plugin)]
    if releases.northbound().gateways_have_group:
        followers.append(ovsdb_monitor.HAChassisGroupRouterEvent(driver))
    listed = ("--bare", "--columns=chassis_name", "list", CHASSIS_TABLE)
    listed_now = []
    with (
        heard(driver.sb_ovn, chassis) as (comes_or_goes,),
        heard(driver.nb_ovn, *followers, _Marked()) as (*follow, mark),
    ):
        for change in (
            lambda: world.ovn.add_chassis("ch3", "cmp3"),
            lambda: world.ovn.remove_chassis("ch3"),
        ):
            for flag in follow:
                flag.clear()
            change()
            for flag in (comes_or_goes, *follow):
                _comes(flag)
            # Stock looks for each chassis of a group, and does not expect that one is gone.
            _all_are_handled(world, mark)
            listed_now.append("ch3" in world.ovn.nbctl(*listed))
    assert listed_now == [True, False]


def gateway_port_appears(world: World) -> None:
    """The chassis group of the networks behind the router follows its gateway."""
    l3_plugin = directory.get_plugin(plugin_constants.L3)
    event = router_monitor.LogicalRouterPortEvent(l3_plugin)
    for port in (world.gateway, world.interface):
        name = ovn_utils.ovn_lrouter_port_name(port)
        row = world.neutron.mech_driver.nb_ovn.lookup("Logical_Router_Port", name)
        assert event.matches(event.ROW_CREATE, row)
        event.run(event.ROW_CREATE, row, None)
    assert f"neutron-{world.network}" in world.ovn.nbctl("list", "HA_Chassis_Group")


def router_is_pinned(world: World) -> None:
    """A router without a gateway has a chassis group, and the group changes."""
    driver = world.neutron.mech_driver
    row = f"external_ids:neutron\\:router_id={world.plain_router}"
    with heard(driver.nb_ovn, ovsdb_monitor.HAChassisGroupRouterEvent(driver)) as (follows,):
        world.ovn.nbctl("create", "HA_Chassis_Group", "name=pinned", row)
        world.ovn.nbctl("ha-chassis-group-add-chassis", "pinned", "ch1", "1")
        _comes(follows)
        options = world.get("Logical_Router", f"neutron-{world.plain_router}", "options")
        assert "chassis=ch1" in options
        world.ovn.nbctl("ha-chassis-group-del", "pinned")


def agents_are_listed(world: World) -> None:
    """Each call asks the chassis for a sign of life; ours does so besides."""
    before = world.get("NB_Global", ".", "nb_cfg")
    driver = world.neutron.mech_driver
    driver.nb_ovn.db_remove(
        *("NB_Global", ".", "external_ids", "neutron:liveness_check_at"), if_exists=True
    ).execute(check_error=True)
    assert world.neutron.call("GET", "agents")["agents"]
    driver._pinging.join(PATIENCE_S)
    assert world.get("NB_Global", ".", "nb_cfg") != before


def operator_moves_router(world: World) -> None:
    """The extension of L3 agents' scheduling: a gateway is taken from a chassis and given back."""
    agents = world.neutron.call("GET", "agents")["agents"]
    (agent,) = (one["id"] for one in agents if one["host"] == "cmp2")
    path = f"agents/{agent}/l3-routers"
    world.neutron.call("DELETE", f"{path}/{world.router}")
    assert "ch2" not in world.group_of_router()
    world.neutron.call("POST", path, {"router_id": world.router})
    assert "ch2" in world.group_of_router()


def api_starts(world: World) -> None:
    """It makes the group of ports that drops what no security group allows, if it is missing."""
    ovn_utils.create_neutron_pg_drop()


def maintenance_starts(world: World) -> None:
    """OVN's maintenance process compares both databases with Neutron's."""
    neutron = world.neutron
    for kind in (ovn_db_sync.OvnNbSynchronizer, ovn_db_sync.OvnSbSynchronizer):
        kind(neutron.plugin, neutron.mech_driver, "log", is_maintenance=True).do_sync()


def maintenance_works(world: World) -> None:
    """OVN's maintenance process runs every one of its tasks; an option has changed meanwhile."""
    cfg.CONF.set_override("ovn_dhcp4_global_options", {"ntp_server": "192.0.2.9"}, "ovn")
    try:
        failed = world.maintain()
    finally:
        cfg.CONF.clear_override("ovn_dhcp4_global_options", "ovn")
    assert failed == (set() if world.has_switch(world.newest) else {"check_fdb_aging_settings"})


WRITERS: dict[typing.Callable[[World], None], Own] = {
    port_lives: HOST_ID | MAC,
    api_connects: HOST_ID | MAC,
    floatingip_appears: MAC,
    gateway_moves: HOST_ID,
    virtual_address_moves: PARENT,
    chassis_appears: CHASSIS,
    gateway_port_appears: CHASSIS,
    router_is_pinned: CHASSIS,
    agents_are_listed: frozenset(),
    operator_moves_router: CHASSIS,
    api_starts: frozenset(),
    maintenance_starts: CHASSIS,
    maintenance_works: frozenset(),
}


if not MOVES_ROUTERS:
    del WRITERS[operator_moves_router]


@pytest.mark.parametrize("writer", WRITERS, ids=lambda one: one.__name__)
def test_writer_moves_nothing_but_its_own_while_changes_wait(
    world: World, writer: typing.Callable[[World], None]
) -> None:
    if not world.conductor.waiting():
        world.queue()
    before = world.rows(WRITERS[writer])
    writer(world)
    assert world.rows(WRITERS[writer]) == before


def test_nothing_is_to_mend_when_all_have_written_after_the_changes(world: World) -> None:
    world.conductor.drain()
    for writer in WRITERS:
        writer(world)
    world.conductor.drain()  # what writers changed in Neutron's database
    assert world.mend() == []


def test_what_handles_events_looks_where_they_came_from(world: World) -> None:
    """Not at a conductor's copy of OVN, though a conductor was the first that asked."""
    driver, l3_plugin = world.neutron.mech_driver, directory.get_plugin(plugin_constants.L3)
    world.conductor.drain()
    for client in (driver._ovn_client, l3_plugin._ovn_client):
        assert client._nb_idl is driver.nb_ovn
        assert client._sb_idl is driver.sb_ovn


def test_change_of_a_router_port_reaches_the_router_by_its_workflow_alone(world: World) -> None:
    world.conductor.drain()
    driver, name = world.neutron.mech_driver, ovn_utils.ovn_lrouter_port_name(world.interface)
    stock = ovsdb_monitor.LogicalSwitchPortUpdateLogicalRouterPortEvent(driver)
    before = world.get("Logical_Router_Port", name, "networks")
    ips = world.neutron.show("port", world.interface)["fixed_ips"]
    ips.append({"subnet_id": world.subnet, "ip_address": "10.1.0.200"})
    world.neutron.update("port", world.interface, fixed_ips=ips)
    (port,) = (row for row in world.conductor.waiting() if row.resource_type == "port")
    with heard(driver.nb_ovn, stock, _Marked()) as (_, mark):
        world.conductor.run(port)
        _all_are_handled(world, mark)
    assert world.get("Logical_Router_Port", name, "networks") == before
    world.conductor.drain()
    assert "10.1.0.200" in world.get("Logical_Router_Port", name, "networks")


def test_option_that_a_left_out_task_would_spread_comes_with_the_next_change(world: World) -> None:
    world.conductor.drain()
    place = f'external_ids:subnet_id="{world.subnet}"'
    read = ("--bare", "--columns=options", "find", "DHCP_Options", place)
    cfg.CONF.set_override("ovn_dhcp4_global_options", {"ntp_server": "192.0.2.9"}, "ovn")
    try:
        world.maintain()
        assert "ntp_server" not in world.ovn.nbctl(*read)
        world.neutron.update("subnet", world.subnet, description="told again")
        world.conductor.drain()
        assert "ntp_server=192.0.2.9" in world.ovn.nbctl(*read)
    finally:
        cfg.CONF.clear_override("ovn_dhcp4_global_options", "ovn")
        world.conductor.apply("subnet", world.subnet)


def test_sync_tool_refuses_the_configuration_of_the_api(world: World) -> None:
    world.neutron.update("network", world.network, name="waits")
    before = world.rows(frozenset())
    profile = dataclasses.replace(world.neutron.profile(), core_plugin="ml2_workflow")
    with lab_config.Deployment(profile) as deployment:
        files = [f"--config-file={path}" for path in deployment.config_files("tool")]
        program = pathlib.Path(sys.executable).parent / "neutron-ovn-db-sync-util"
        done = subprocess.run(
            [sys.executable, program, *files, "--ovn-neutron_sync_mode=repair"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert 'Invalid core plugin: ["ml2_workflow"]' in done.stdout + done.stderr
    assert world.rows(frozenset()) == before
